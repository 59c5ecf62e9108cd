"""Which rows of bronze lose their key to another row; memory has their numbers, not the rows."""

import logging
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial

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


def find_duplicates(
    chunks: Iterable[Chunk], table: Table, executor: Executor, spill: Callable[[str], Spill], *, zone: str
) -> list[ChunkRows]:
    """All chunks, numbered and without their bytes, each with the rows that lose their key to another.

    Every chunk is read once, but only its keys; then the rows that share a key, and once more those that tie in both
    of their timestamps and are no copies of each other. `spill` makes a place for rows by the values of a column.
    Timestamps without an offset are read in the time zone `zone`.

    Raises:
        DataRefusedError, PolarsError: the rows cannot be read.
    """
    with spill(KEY) as keys:
        numbered = _number(chunks, table, executor, keys)
        sharing = _rows_sharing_keys(keys)
    if sharing.is_empty():
        return _by_chunk(sharing, numbered)
    found = _in_larger_frames(_read_rows(sharing, numbered, executor))
    candidates = pl.concat([_candidates(frame, table, zone) for frame in found])
    duplicates, tied = _rank(candidates)
    if not tied.is_empty():
        with spill(KEY) as records, closing(_read_rows(tied[ROW], numbered, executor)) as frames:
            for frame in frames:
                records.add(frame.join(tied, on=ROW, maintain_order="left"))
            duplicates = pl.concat([duplicates, *(_all_but_greatest(bucket) for bucket in records.buckets())])
    log.info("%s: %s rows share their key, %s lose it", table.name, f"{candidates.height:,}", f"{len(duplicates):,}")
    return _by_chunk(duplicates.sort(), numbered)


def _number(chunks: Iterable[Chunk], table: Table, executor: Executor, spill: Spill) -> list[Chunk]:
    """The chunks without their bytes; the keys that parse go into the spill."""
    waiting: deque[Chunk] = deque()

    def taken() -> Iterator[Chunk]:
        for chunk in chunks:
            waiting.append(replace(chunk, data=None))
            yield chunk

    numbered: list[Chunk] = []
    first_row = 0
    with closing(executor.map(partial(_read_keys, table), taken())) as keys_of_chunks:
        for keys in keys_of_chunks:
            numbered.append(replace(waiting.popleft(), first_row=first_row, rows=len(keys)))
            spill.add(keys.to_frame().with_row_index(ROW, first_row).drop_nulls(KEY))
            first_row += len(keys)
    return numbered


def _read_keys(table: Table, chunk: Chunk) -> pl.Series:
    text = chunk.frame([str(table.key)])
    try:
        # what Polars takes for an integer is one in the contract's grammar, too
        return text.to_series().cast(pl.Int64).alias(KEY)
    except pl.exceptions.InvalidOperationError:
        return rules.keys(text, table)


def _rows_sharing_keys(spill: Spill) -> pl.Series:
    """The numbers of the rows whose key occurs more than once; sorting takes less memory than hashing."""
    sharing = [pl.Series(ROW, [], pl.UInt32)]
    for keys in spill.buckets():
        ordered = keys[KEY].sort()
        repeated = ordered.filter(ordered == ordered.shift(1)).unique()
        sharing.append(keys.filter(pl.col(KEY).is_in(repeated.implode()))[ROW])
    return pl.concat(sharing).sort()


def _by_chunk(row_numbers: pl.Series, chunks: Sequence[Chunk]) -> list[ChunkRows]:
    """The row numbers, which ascend, by the chunks that have them."""
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
    descending = [False, *(True for _ in columns), False]
    ordered = records.sort(KEY, *columns, ROW, descending=descending, nulls_last=True)
    return ordered[ROW].filter(ordered[KEY] == ordered[KEY].shift(1))
