"""How clean rows become dirty: evenly spread over the table, and every kind of dirt at least once."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Final

import polars as pl

from shopease_etl.sample.draws import Draws

ROW: Final = "row"
"""The column that numbers a table's rows."""


@dataclass(frozen=True)
class Dirt:
    """A kind of dirt: its weight among the kinds, the new values, and whether the row first becomes a copy."""

    kind: str
    weight: int
    changes: Mapping[str, pl.Expr]
    copies: bool = False


class Dirtier:
    """The dirty rows of one table: chosen at the start, changed batch by batch."""

    def __init__(self, rows: int, kinds: Sequence[Dirt], rate: float, draws: Draws) -> None:
        self._kinds = kinds
        self._copying = [code for code, kind in enumerate(kinds, 1) if kind.copies]
        counts = self._counts(rows, rate)
        total = sum(counts)
        codes = [code for code, count in enumerate(counts, 1) for _ in range(count)]
        starts = pl.Series([number * rows // max(total, 1) for number in range(total + 1)], dtype=pl.Int64)
        widths = starts.diff(null_behavior="drop")
        # Column `dirt` has the place of the kind among the kinds, counted from 1; 0 is clean.
        self._rows = pl.DataFrame(
            {
                ROW: starts.head(total) + (draws.uniform(total) * widths).cast(pl.Int64),
                "dirt": pl.Series(codes, dtype=pl.Int32).gather(draws.permutation(total)),
            }
        )

    def _counts(self, rows: int, rate: float) -> list[int]:
        """The rows of each kind: one each, and the rest of the rate by weight."""
        if rate == 0:
            return [0] * len(self._kinds)
        spare = max(0, int(rows * rate) - len(self._kinds))
        sums = [0, *accumulate(kind.weight for kind in self._kinds)]
        return [1 + spare * after // sums[-1] - spare * before // sums[-1] for before, after in pairwise(sums)]

    def without_copies(self, frame: pl.DataFrame) -> pl.DataFrame:
        """The frame with weight 0 on rows that become copies of others: their own ids never occur, so no sale may
        refer to them.
        """
        copies = self._rows.filter(pl.col("dirt").is_in(self._copying))[ROW]
        is_copy = pl.col(ROW).is_in(copies.implode())
        return frame.with_columns(pl.when(is_copy).then(0).otherwise(pl.col("weight")).alias("weight"))

    def apply(self, batches: Iterable[pl.DataFrame]) -> Iterator[pl.DataFrame]:
        """The batches with their dirt; column `dirt` is added."""
        columns = sorted({column for kind in self._kinds for column in kind.changes})
        for batch in batches:
            coded = batch.join(self._rows, on=ROW, how="left", maintain_order="left").with_columns(
                pl.col("dirt").fill_null(0)
            )
            yield self._copied(coded).with_columns(self._changed(column, batch.schema[column]) for column in columns)

    def _copied(self, coded: pl.DataFrame) -> pl.DataFrame:
        """The frame in which each row of a copying kind has the values of a clean row before it."""
        copying = pl.col("dirt").is_in(self._copying)
        copies, clean = coded.filter(copying), coded.filter(pl.col("dirt") == 0)
        if copies.is_empty() or clean.is_empty():
            return coded
        # The distance to the original is below 997 rows, and differs from copy to copy.
        near = clean[ROW].search_sorted(copies[ROW]).cast(pl.Int64)
        back = copies[ROW] * 7_919 % 997 % near.clip(1, None)
        originals = (near - 1 - back).clip(0, None)
        filled = clean.select(pl.all().gather(originals)).with_columns(copies[ROW], copies["dirt"])
        return pl.concat([coded.filter(~copying), filled]).sort(ROW)

    def _changed(self, column: str, dtype: pl.DataType) -> pl.Expr:
        value = pl.col(column)
        for code, kind in enumerate(self._kinds, 1):
            if column in kind.changes:
                value = pl.when(pl.col("dirt") == code).then(kind.changes[column].cast(dtype)).otherwise(value)
        return value.alias(column)
