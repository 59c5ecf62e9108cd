"""Chance that falls alike on every machine: Python's Mersenne Twister, then integers and exact IEEE arithmetic only."""

from array import array
from collections.abc import Sequence
from random import Random

import polars as pl


class Draws:
    """A stream of uniform columns, told apart by the words that seed it."""

    def __init__(self, *words: object) -> None:
        self._random = Random("/".join(str(word) for word in words)).random  # noqa: S311 - no secret

    def uniform(self, count: int) -> pl.Series:
        """`count` floats in [0, 1)."""
        return pl.Series(array("d", (self._random() for _ in range(count))), dtype=pl.Float64)

    def whole(self, count: int, below: int) -> pl.Series:
        """`count` integers in [0, below), each equally likely."""
        return (self.uniform(count) * below).cast(pl.Int64)

    def order(self, count: int) -> pl.Series:
        """The numbers below `count`, shuffled."""
        return self.uniform(count).arg_sort().cast(pl.Int64)

    def words(self, count: int, choices: Sequence[str]) -> pl.Series:
        """`count` words, each equally likely."""
        return pl.Series(choices, dtype=pl.String).gather(self.whole(count, len(choices)))


def deck(*shares: int) -> list[int]:
    """A hundred cards, choice `k` on `shares[k]` of them; the shares add up to 100."""
    cards = [choice for choice, share in enumerate(shares) for _ in range(share)]
    if len(cards) != 100:
        raise AssertionError(f"shares add up to {len(cards)}, not 100")
    return cards


def deal(uniform: pl.Series, *decks: list[int], of: pl.Series | None = None) -> pl.Series:
    """A card for each uniform number, from the first deck or from the deck that `of` numbers."""
    cards = pl.Series([card for cards in decks for card in cards], dtype=pl.Int64)
    place = (uniform * 100).cast(pl.Int64)
    return cards.gather(place if of is None else place + of * 100)


def choose(uniform: pl.Series, weights: pl.Series) -> pl.Series:
    """A position in `weights` (integers, not all zero) for each uniform number; zero weights are never chosen."""
    reach = weights.cum_sum()
    total = int(reach[-1])
    aim = (uniform * total).cast(pl.Int64).clip(0, total - 1)
    return reach.search_sorted(aim, side="right").cast(pl.Int64)


def pareto_weights(rank: pl.Series) -> pl.Series:
    """Weights under which the top fifth of the ranks gets about four fifths of the draws, and nobody nothing."""
    depth = 1 - rank / len(rank)
    squared = depth * depth
    return ((squared * squared * squared * depth + 0.01) * 1_000_000).cast(pl.Int64)
