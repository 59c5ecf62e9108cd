"""Which rows of bronze are duplicates, as a better row has the same key; memory has their numbers, not the rows."""

import logging
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from typing import Self

import polars as pl

from shopease_etl.contract.tables import ROW, Table
from shopease_etl.transform import rules
from shopease_etl.transform.chunks import Chunk
from shopease_etl.transform.executor import Executor
from shopease_etl.transform.instants import instant
from shopease_etl.transform.rules import KEY, RECORD
from shopease_etl.transform.spill import Spill

log = logging.getLogger(__name__)

ChunkRows = tuple[Chunk, pl.Series]
"""A chunk and the numbers of some of its rows, counted in the object and ascending."""


class DuplicateSearch:
    """Finds the rows of some objects that lose their key to a better row, in any of them.

    First only the keys of every chunk are read; then the rows that share a key, and again those with equal timestamps
    that are not copies of each other. `spill` returns storage for rows by the values of a column.
    """

    def __init__(self, table: Table, executor: Executor, spill: Callable[[str], Spill]) -> None:
        self._table = table
        self._executor = executor
        self._new_spill = spill
        self._keys = spill(KEY)
        self._chunks: list[Chunk] = []
        self._rows = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._keys.__exit__(*error)

    def read(self, chunks: Iterable[Chunk]) -> Generator[tuple[str, pl.Series]]:
        """Read the keys of further chunks; for each, yields its object and the keys that parse.

        Raises:
            DataRefusedError, PolarsError: the rows cannot be read.
        """
        waiting: deque[Chunk] = deque()

        def taken() -> Iterator[Chunk]:
            for chunk in chunks:
                waiting.append(replace(chunk, data=None))
                yield chunk

        with closing(self._executor.map(partial(_read_keys, self._table), taken())) as keys_of_chunks:
            for keys in keys_of_chunks:
                self._chunks.append(replace(waiting.popleft(), first_row=self._rows, rows=len(keys)))
                parsed = keys.to_frame().with_row_index(ROW, self._rows).drop_nulls(KEY)
                self._keys.add(parsed)
                self._rows += len(keys)
                yield self._chunks[-1].key, parsed[KEY]

    def duplicates(self, zone: str, lost_keys: pl.Series | None = None) -> list[ChunkRows]:
        """All chunks that were read, numbered and without their bytes, each with its duplicate rows.

        Timestamps without an offset are in the time zone `zone`. Rows with one of the `lost_keys` lose it to rows that
        are not here.

        Raises:
            DataRefusedError, PolarsError: the rows cannot be read.
        """
        lost = pl.Series([], dtype=pl.Int64) if lost_keys is None else lost_keys
        sharing = _rows_sharing_keys(self._keys, lost)
        if sharing.is_empty():
            return _by_chunk(sharing, self._chunks)
        found = _in_larger_frames(_read_rows(sharing, self._chunks, self._executor))
        candidates = pl.concat([_candidates(frame, self._table, zone) for frame in found])
        is_lost = pl.col(KEY).is_in(lost.implode())
        duplicates, tied = _rank(candidates.filter(~is_lost))
        duplicates = pl.concat([duplicates, candidates.filter(is_lost)[ROW]])
        if not tied.is_empty():
            with (
                self._new_spill(KEY) as records,
                closing(_read_rows(tied[ROW], self._chunks, self._executor)) as frames,
            ):
                for frame in frames:
                    records.add(frame.join(tied, on=ROW, maintain_order="left"))
                duplicates = pl.concat([duplicates, *(_all_but_greatest(bucket) for bucket in records.buckets())])
        log.info(
            "%s: %s rows have duplicate keys, %s are rejected",
            self._table.name,
            f"{candidates.height:,}",
            f"{len(duplicates):,}",
        )
        return _by_chunk(duplicates.sort(), self._chunks)


def _read_keys(table: Table, chunk: Chunk) -> pl.Series:
    text = chunk.frame([str(table.key)])
    try:
        # every integer of Polars is one in the contract's grammar too
        return text.to_series().cast(pl.Int64).alias(KEY)
    except pl.exceptions.InvalidOperationError:
        return rules.keys(text, table)


def _rows_sharing_keys(spill: Spill, others: pl.Series) -> pl.Series:
    """The numbers of the rows whose key occurs more than once, or is one of others; sorting takes less memory than
    hashing.
    """
    sharing = [pl.Series(ROW, [], pl.UInt32)]
    for keys in spill.buckets():
        ordered = keys[KEY].sort()
        repeated = pl.concat([ordered.filter(ordered == ordered.shift(1)), others]).unique()
        sharing.append(keys.filter(pl.col(KEY).is_in(repeated.implode()))[ROW])
    return pl.concat(sharing).sort()


def _by_chunk(row_numbers: pl.Series, chunks: Sequence[Chunk]) -> list[ChunkRows]:
    """The row numbers, which are sorted, by the chunks that have them."""
    ends = pl.Series([chunk.first_row + chunk.rows for chunk in chunks], dtype=row_numbers.dtype)
    cuts = [0, *row_numbers.search_sorted(ends)]
    return [(chunk, row_numbers[cuts[place] : cuts[place + 1]]) for place, chunk in enumerate(chunks)]


def _read_rows(row_numbers: pl.Series, chunks: Sequence[Chunk], executor: Executor) -> Generator[pl.DataFrame]:
    """The rows with these numbers, chunk by chunk."""
    return executor.map(_take, [part for part in _by_chunk(row_numbers, chunks) if len(part[1])])


def _take(rows: ChunkRows) -> pl.DataFrame:
    chunk, row_numbers = rows
    return chunk.take(row_numbers - chunk.first_row).with_columns(row_numbers.alias(ROW))


def _in_larger_frames(frames: Iterable[pl.DataFrame]) -> Iterator[pl.DataFrame]:
    """The rows in frames of 100,000 or more: small ones take more time to plan than to work on."""
    waiting: list[pl.DataFrame] = []
    for frame in frames:
        waiting.append(frame)
        if sum(waits.height for waits in waiting) >= 100_000:
            yield pl.concat(waiting)
            waiting.clear()
    if waiting:
        yield pl.concat(waiting)


def _candidates(found: pl.DataFrame, table: Table, zone: str) -> pl.DataFrame:
    hashed = found.with_columns(found.drop(ROW).hash_rows().alias(RECORD))
    earliest = -(2**63)
    instants = (instant(pl.col(name), zone).fill_null(earliest).alias(name) for name in ("updated", "created"))
    return rules.duplicate_candidates(hashed, table).with_columns(instants)


def _rank(candidates: pl.DataFrame) -> tuple[pl.Series, pl.DataFrame]:
    """The numbers of the rows that are older than another of their key, or copies of an earlier row; and the rows that
    are the latest of their key together with others, in order.
    """
    latest = candidates
    for name in ("updated", "created"):
        latest = latest.filter(pl.col(name) == pl.col(name).max().over(KEY))
    latest = latest.filter(pl.col(ROW) == pl.col(ROW).min().over(KEY, RECORD))
    duplicates = candidates[ROW].filter(~candidates[ROW].is_in(latest[ROW].implode()))
    return duplicates, latest.filter(pl.len().over(KEY) > 1).select(ROW, KEY).sort(ROW)


def _all_but_greatest(records: pl.DataFrame) -> pl.Series:
    """The numbers of all rows except the greatest of each key: columns in order, by bytes, NULL before any text."""
    columns = [name for name in records.columns if name not in {ROW, KEY}]
    descending = [False, *(True for _ in columns), False]
    ordered = records.sort(KEY, *columns, ROW, descending=descending, nulls_last=True)
    return ordered[ROW].filter(ordered[KEY] == ordered[KEY].shift(1))
