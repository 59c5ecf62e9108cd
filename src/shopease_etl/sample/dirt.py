"""How clean rows are made dirty: which rows by which kind of dirt, evenly strewn, every kind at least once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Final

import polars as pl

from shopease_etl.sample.draws import Draws

ROW: Final = "row"
KIND: Final = "dirt"
_STRIDE: Final = 7_919
_FARTHEST: Final = 997
"""A copy stands at most so many rows behind its original; the stride makes the distance differ from copy to copy."""


@dataclass(frozen=True)
class Dirt:
    """A kind of dirt: its weight among the kinds, the new values, and whether the row is first made a copy."""

    kind: str
    weight: int
    changes: Mapping[str, pl.Expr]
    copies: bool = False


def strew(rows: int, kinds: Sequence[Dirt], rate: float, draws: Draws) -> pl.DataFrame:
    """The dirty rows of a table in order as (row, dirt): dirt is the kind's place in `kinds`, counted from 1."""
    counts = _counts(rows, kinds, rate)
    total = sum(counts)
    codes = [code for code, count in enumerate(counts, 1) for _ in range(count)]
    starts = pl.Series([number * rows // max(total, 1) for number in range(total + 1)], dtype=pl.Int64)
    widths = starts.diff(null_behavior="drop")
    return pl.DataFrame(
        {
            ROW: starts.head(total) + (draws.uniform(total) * widths).cast(pl.Int64),
            KIND: pl.Series(codes, dtype=pl.Int32).gather(draws.order(total)),
        }
    )


def soil(frame: pl.DataFrame, kinds: Sequence[Dirt], strewn: pl.DataFrame) -> pl.DataFrame:
    """The frame with the dirt strewn on its rows; column `row` numbers them, column `dirt` is added."""
    coded = frame.join(strewn, on=ROW, how="left", maintain_order="left").with_columns(pl.col(KIND).fill_null(0))
    touched = sorted({column for kind in kinds for column in kind.changes})
    return _copied(coded, kinds).with_columns(_changed(column, kinds, frame.schema[column]) for column in touched)


def copying_rows(kinds: Sequence[Dirt], strewn: pl.DataFrame) -> pl.Series:
    """The rows that become copies of others: their own ids never occur."""
    return strewn.filter(pl.col(KIND).is_in(_copying(kinds)))[ROW]


def _counts(rows: int, kinds: Sequence[Dirt], rate: float) -> list[int]:
    """The rows of each kind: one each, and the rest of the rate by weight."""
    if rate == 0:
        return [0] * len(kinds)
    spare = max(0, int(rows * rate) - len(kinds))
    reach = [0, *accumulate(kind.weight for kind in kinds)]
    return [1 + spare * after // reach[-1] - spare * before // reach[-1] for before, after in pairwise(reach)]


def _copying(kinds: Sequence[Dirt]) -> list[int]:
    return [code for code, kind in enumerate(kinds, 1) if kind.copies]


def _copied(coded: pl.DataFrame, kinds: Sequence[Dirt]) -> pl.DataFrame:
    """The frame in which rows of a copying kind bear the values of some clean row before them."""
    copying = pl.col(KIND).is_in(_copying(kinds))
    copies, clean = coded.filter(copying), coded.filter(pl.col(KIND) == 0)
    if copies.is_empty() or clean.is_empty():
        return coded
    near = clean[ROW].search_sorted(copies[ROW]).cast(pl.Int64)
    back = copies[ROW] * _STRIDE % _FARTHEST % near.clip(1, None)
    sources = (near - 1 - back).clip(0, None)
    filled = clean.select(pl.all().gather(sources)).with_columns(copies[ROW], copies[KIND])
    return pl.concat([coded.filter(~copying), filled]).sort(ROW)


def _changed(column: str, kinds: Sequence[Dirt], dtype: pl.DataType) -> pl.Expr:
    value = pl.col(column)
    for code, kind in enumerate(kinds, 1):
        if column in kind.changes:
            value = pl.when(pl.col(KIND) == code).then(kind.changes[column].cast(dtype)).otherwise(value)
    return value.alias(column)
