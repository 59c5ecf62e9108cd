"""Which rows of bronze lose their key to another row; memory holds their numbers, never the rows."""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from functools import partial
from typing import Final, Protocol

import polars as pl

from shopease_etl.contract.tables import ROW, Table
from shopease_etl.transform import rules
from shopease_etl.transform.chunks import Chunk, in_order
from shopease_etl.transform.instants import instant
from shopease_etl.transform.rules import KEY, RECORD
from shopease_etl.transform.spill import Spill

log = logging.getLogger(__name__)

_AT_ONCE: Final = 100_000
_EARLIEST: Final = -(2**63)


class Rows(Protocol):
    """A table's rows in chunks, which can be read again and again; every column as text."""

    def chunks(self) -> Iterator[Chunk]:
        """The chunks in order."""

    def frame(self, chunk: Chunk, columns: Sequence[str] | None = None) -> pl.DataFrame:
        """A chunk's rows; `columns` are those to read, where not all."""

    def some(self, chunk: Chunk, places: pl.Series) -> pl.DataFrame:
        """Those of a chunk's rows that stand at these places, which rise."""


@dataclass(frozen=True)
class Deduplicated:
    """A table's chunks, numbered, and the numbers of the rows that lost their key to another, in ascending order."""

    chunks: tuple[Chunk, ...]
    duplicates: pl.Series

    def duplicates_in(self, chunk: Chunk) -> pl.Series:
        """The numbers of the chunk's rows that lost their key to another."""
        return _within(self.duplicates, chunk)


def deduplicated(
    rows: Rows, table: Table, pool: Executor, spill: Callable[[str], Spill], ahead: int, *, zone: str
) -> Deduplicated:
    """Find out which rows lose their key: all rows are read once, but only their keys, then those that share one, and
    once more those that tie in both of their instants and are no copies of each other.

    `spill` makes a place for rows by the values of a column; at most `ahead` chunks are in memory. Timestamps without
    an offset are read in the time zone `zone`.

    Raises:
        DataRefusedError, PolarsError: the rows cannot be read.
    """
    with spill(KEY) as keys:
        chunks = tuple(_numbered(rows, table, pool, keys, ahead))
        sharing = _sharing_keys(keys)
    if sharing.is_empty():
        return Deduplicated(chunks, sharing)
    found = (frame for _, frame in in_order(pool, partial(_found, rows), _near(chunks, sharing), ahead))
    candidates = pl.concat([_candidates(frame, table, zone) for frame in _gathered(found)])
    duplicates, tied = _ranked(candidates)
    if not tied.is_empty():
        near = _near(chunks, tied[ROW])
        records = (frame for _, frame in in_order(pool, partial(_found, rows), near, ahead))
        with spill(KEY) as together:
            for frame in records:
                together.add(frame.join(tied, on=ROW, maintain_order="left"))
            duplicates = pl.concat([duplicates, *(_all_but_greatest(records) for records in together.buckets())])
    log.info("%s: %s rows share their key, %s lose it", table.name, f"{candidates.height:,}", f"{len(duplicates):,}")
    return Deduplicated(chunks, duplicates.sort())


def _numbered(rows: Rows, table: Table, pool: Executor, spill: Spill, ahead: int) -> Iterator[Chunk]:
    """The chunks without their bytes; the keys that parse go into the spill."""
    first = 0
    for chunk, keys in in_order(pool, partial(_keys, rows, table), rows.chunks(), ahead):
        yield replace(chunk, data=None, first=first, rows=len(keys))
        spill.add(keys.to_frame().with_row_index(ROW, first).drop_nulls(KEY))
        first += len(keys)


def _keys(rows: Rows, table: Table, chunk: Chunk) -> pl.Series:
    text = rows.frame(chunk, [str(table.key)])
    try:
        # what Polars takes for an integer is one in the contract's grammar, too
        return text.to_series().cast(pl.Int64).alias(KEY)
    except pl.exceptions.InvalidOperationError:
        return rules.keys(text, table)


def _sharing_keys(spill: Spill) -> pl.Series:
    """The numbers of the rows whose key stands more than once."""
    sharing = [keys.filter(pl.col(KEY).is_in(_repeated(keys[KEY]).implode()))[ROW] for keys in spill.buckets()]
    return pl.concat(sharing).sort() if sharing else pl.Series(ROW, [], pl.UInt32)


def _repeated(keys: pl.Series) -> pl.Series:
    """The values that stand more than once; sorting takes less memory than hashing."""
    ordered = keys.sort()
    return ordered.filter(ordered == ordered.shift(1)).unique()


def _within(rows: pl.Series, chunk: Chunk) -> pl.Series:
    return rows.filter(rows.is_between(chunk.first, chunk.first + chunk.rows, closed="left"))


def _near(chunks: Iterable[Chunk], numbers: pl.Series) -> list[tuple[Chunk, pl.Series]]:
    """The chunks that have any of these rows, each with their numbers."""
    return [(chunk, within) for chunk in chunks if len(within := _within(numbers, chunk))]


def _found(rows: Rows, near: tuple[Chunk, pl.Series]) -> pl.DataFrame:
    chunk, sharing = near
    return rows.some(chunk, sharing - chunk.first).with_columns(sharing.alias(ROW))


def _gathered(frames: Iterable[pl.DataFrame]) -> Iterator[pl.DataFrame]:
    """The rows in larger frames: small ones take more time to plan than to work on."""
    waiting: list[pl.DataFrame] = []
    for frame in frames:
        waiting.append(frame)
        if sum(waits.height for waits in waiting) >= _AT_ONCE:
            yield pl.concat(waiting)
            waiting.clear()
    if waiting:
        yield pl.concat(waiting)


def _candidates(found: pl.DataFrame, table: Table, zone: str) -> pl.DataFrame:
    hashed = found.with_columns(found.drop(ROW).hash_rows().alias(RECORD))
    instants = (instant(pl.col(name), zone).fill_null(_EARLIEST).alias(name) for name in ("updated", "created"))
    return rules.duplicate_candidates(hashed, table).with_columns(instants)


def _ranked(candidates: pl.DataFrame) -> tuple[pl.Series, pl.DataFrame]:
    """The numbers of the rows that are earlier than another of their key, or come after a copy of them; and the rows
    that tie with others for the latest of their key, in order.
    """
    latest = candidates
    for name in ("updated", "created"):
        latest = latest.filter(pl.col(name) == pl.col(name).max().over(KEY))
    latest = latest.filter(pl.col(ROW) == pl.col(ROW).min().over(KEY, RECORD))
    duplicates = candidates[ROW].filter(~candidates[ROW].is_in(latest[ROW].implode()))
    return duplicates, latest.filter(pl.len().over(KEY) > 1).select(ROW, KEY).sort(ROW)


def _all_but_greatest(records: pl.DataFrame) -> pl.Series:
    """The numbers of all rows but the greatest of each key: columns in their order, by bytes, NULL before any text."""
    columns = [name for name in records.columns if name not in {ROW, KEY}]
    falls = [False, *(True for _ in columns), False]
    ordered = records.sort(KEY, *columns, ROW, descending=falls, nulls_last=True)
    return ordered[ROW].filter(ordered[KEY] == ordered[KEY].shift(1))
