"""Random columns, equal on every machine: Python's Mersenne Twister, then integers and exact IEEE arithmetic."""

from array import array
from collections.abc import Sequence
from random import Random

import polars as pl


class Draws:
    """A stream of random columns; it is seeded by words."""

    def __init__(self, *words: object) -> None:
        self._random = Random("/".join(str(word) for word in words)).random  # noqa: S311 - no secret

    def uniform(self, count: int) -> pl.Series:
        """`count` floats in [0, 1)."""
        return pl.Series(array("d", (self._random() for _ in range(count))), dtype=pl.Float64)

    def integers(self, count: int, below: int) -> pl.Series:
        """`count` integers in [0, below), each equally likely."""
        return (self.uniform(count) * below).cast(pl.Int64)

    def permutation(self, count: int) -> pl.Series:
        """The numbers below `count`, shuffled."""
        return self.uniform(count).arg_sort().cast(pl.Int64)

    def words(self, count: int, choices: Sequence[str]) -> pl.Series:
        """`count` words, each equally likely."""
        return pl.Series(choices, dtype=pl.String).gather(self.integers(count, len(choices)))


def choose_by_share(uniform: pl.Series, *shares: Sequence[int], group: pl.Series | None = None) -> pl.Series:
    """A choice for each uniform number: `k` in `shares[0][k]` percent of the cases.

    With `group`, row by row the number of the shares that apply; each of them adds up to 100.
    """
    choices = pl.Series([k for percents in shares for k, share in enumerate(percents) for _ in range(share)])
    if len(choices) != 100 * len(shares):
        raise AssertionError(f"shares add up to {len(choices)}, not to {100 * len(shares)}")
    place = (uniform * 100).cast(pl.Int64)
    return choices.gather(place if group is None else place + group * 100)


def choose_by_weight(uniform: pl.Series, weights: pl.Series) -> pl.Series:
    """A position in `weights` (integers, not all zero) for each uniform number; zero weights are never chosen."""
    sums = weights.cum_sum()
    total = int(sums[-1])
    target = (uniform * total).cast(pl.Int64).clip(0, total - 1)
    return sums.search_sorted(target, side="right").cast(pl.Int64)


def pareto_weights(rank: pl.Series) -> pl.Series:
    """Weights under which the top fifth of the ranks gets about four fifths of the draws, and every rank gets some."""
    depth = 1 - rank / len(rank)
    squared = depth * depth
    return ((squared * squared * squared * depth + 0.01) * 1_000_000).cast(pl.Int64)
