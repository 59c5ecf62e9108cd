"""Bronze to silver and quarantine: every row ends in one of the two."""

import logging
import os
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from typing import Final, Literal, Protocol

import polars as pl

from shopease_etl.contract import column_names
from shopease_etl.contract.layout import BRONZE, QUARANTINE, SILVER
from shopease_etl.contract.tables import ROW, Table
from shopease_etl.errors import DataRefusedError
from shopease_etl.lake.manifests import Publication, publication
from shopease_etl.lake.store import Store, Upload
from shopease_etl.progress import SILENT, Progress
from shopease_etl.report import DatasetResult, Recorded, StageResult
from shopease_etl.transform import rules as cleaning
from shopease_etl.transform.chunks import CsvObject, Piece, in_order, reading
from shopease_etl.transform.deduplicate import Deduplicated, deduplicated
from shopease_etl.transform.memory import Memory
from shopease_etl.transform.rules import DUPLICATE, RULE
from shopease_etl.wording import counted

log = logging.getLogger(__name__)

THREADS: Final = min(4, os.cpu_count() or 1)
MEMORY: Final = Memory()
_NO_RULE: Final = pl.lit(None, pl.String).alias(RULE)
_Quotes = Literal["necessary", "never"]


class Feed(Protocol):
    """Who wants the rows of silver as they are made; called by several threads."""

    def add(self, table: Table, silver: pl.DataFrame) -> None:
        """Take some rows of a table, in any order."""


def clean(
    store: Store,
    tables: Sequence[Table],
    run_id: str,
    *,
    recorded: Mapping[str, Recorded],
    zone: str = "UTC",
    memory: Memory = MEMORY,
    feed: Feed | None = None,
    progress: Progress = SILENT,
) -> StageResult:
    """Clean the tables; silver and quarantine change together, when every table is done.

    `recorded` holds by key what earlier stages wrote. Timestamps without an offset are of the time zone `zone`.

    Raises:
        DataRefusedError: bronze is missing, cut short or lacks a column, or rows in ≠ rows out + rejected.
        ShopeaseError: `memory` does not suffice.
    """
    started = time.monotonic()
    present = [table for table in tables if table.required or store.find(table.bronze_key)]
    files = [(table, _bronze(store, table, recorded, memory.batch_bytes)) for table in present]
    with publication(store) as written, ThreadPoolExecutor(THREADS, thread_name_prefix="clean") as pool:
        job = _Cleaning(run_id, zone, written, pool, memory, feed, progress)
        results = [job.clean(table, file, recorded.get(table.bronze_key)) for table, file in files]
    datasets = tuple(dataset for pair in results for dataset in pair)
    return StageResult("clean", round(time.monotonic() - started, 3), datasets)


def _bronze(store: Store, table: Table, recorded: Mapping[str, Recorded], batch_bytes: int) -> CsvObject:
    file = CsvObject(store, table.bronze_key, recorded, batch_bytes=batch_bytes, known=table.known)
    file.require_columns(table)
    _require_usable_names(file.names, table)
    return file


def _require_usable_names(source: Sequence[str], table: Table) -> None:
    """Athena reads a header of one line only."""
    bad = next((name for name in source if "\n" in name or "\r" in name), None)
    if bad is not None:
        message = f"{table.bronze_key}: the name of the column {bad!r} has a line break"
        raise DataRefusedError(message, hint=f"rename the column in the source table {table.source}")


@dataclass(frozen=True)
class Split:
    """Rows of bronze in their two halves, in bronze's order."""

    silver: pl.DataFrame
    quarantine: pl.DataFrame


class RowSplitter:
    """Splits rows of a table into those for silver and those for quarantine, piece by piece; several threads may call
    it. `source` are the labels of bronze's columns.

    Most rows are in bronze as silver has them. Only the others are parsed, and put back in their places: joining,
    sorting or gathering rows costs more than all the rest.
    """

    def __init__(self, table: Table, source: Sequence[str], run_id: str) -> None:
        self._table = table
        self._source = source
        self._run_id = run_id

    def split(self, bronze: pl.DataFrame, duplicates: pl.Series) -> Split:
        """Split rows of bronze, numbered in the column `ROW`; `duplicates` has the numbers of duplicates to reject."""
        known = bronze.with_columns(pl.col(ROW).is_in(duplicates.implode()).alias(DUPLICATE))
        is_clean = cleaning.already_clean(known, self._table)
        if is_clean.all():
            return self._halves(known, known.clear().with_columns(_NO_RULE))
        others = known.filter(~is_clean)
        ruled = cleaning.apply_rules(others, self._table)
        is_good = ruled[RULE].is_null()
        good, places = ruled.filter(is_good), (~is_clean).arg_true()
        mended = known.with_columns(known[name].scatter(places.filter(is_good), good[name]) for name in self._source)
        bad = others.with_columns(ruled[RULE]).filter(~is_good)
        is_kept = is_clean.scatter(places, is_good)
        return self._halves(mended.filter(is_kept), bad)

    def _halves(self, valid: pl.DataFrame, rejected: pl.DataFrame) -> Split:
        return Split(cleaning.silver(valid, self._table), cleaning.quarantine(rejected, self._run_id))


@dataclass(frozen=True)
class _Cleaned:
    """A piece of a table as silver's and quarantine's bytes have it; its rows by layer."""

    rows: Mapping[str, int]
    silver: BytesIO
    quarantine: BytesIO
    rules: Mapping[str, int]


@dataclass(frozen=True)
class _Cleaning:
    """The tables on their way, a few pieces at a time; only their bytes are put in order."""

    run_id: str
    zone: str
    written: Publication
    pool: Executor
    memory: Memory
    feed: Feed | None
    progress: Progress

    def clean(self, table: Table, file: CsvObject, recorded: Recorded | None) -> tuple[DatasetResult, DatasetResult]:
        """Write silver and quarantine of one table."""
        started = time.monotonic()
        self.progress.start(table.name, file.bytes)
        silver, quarantine = self.written.upload(table.silver_key), self.written.upload(table.quarantine_key)
        # counted by the frames here, and by another engine when they are read again
        silver.counts_rows = quarantine.counts_rows = False
        silver.write(_header(column_names.silver_columns(table, file.names)))
        quarantine.write(_header(column_names.quarantine_columns(table, file.names)))
        rules: Counter[str] = Counter()
        rows: Counter[str] = Counter()
        with reading(file.key, self.written):
            for piece, cleaned in self._pieces(table, file):
                silver.write(cleaned.silver.getvalue())
                quarantine.write(cleaned.quarantine.getvalue())
                rules.update(cleaned.rules)
                rows.update(cleaned.rows)
                self.progress.advance(table.name, size=piece.length)
        seconds = round(time.monotonic() - started, 3)
        kept = _result(silver, table.name, rows[BRONZE], rows[SILVER], dict(sorted(rules.items())), seconds)
        rejects = _result(quarantine, table.name, rules.total(), rows[QUARANTINE])
        _require_every_row(kept, rejects, recorded)
        self.progress.finish(table.name, f"{counted(kept.rows_out, 'row')}, {kept.rows_rejected:,} rejected")
        return kept, rejects

    def _pieces(self, table: Table, file: CsvObject) -> Iterator[tuple[Piece, _Cleaned]]:
        found = deduplicated(file, table, self.pool, self.memory.spill, THREADS + 1, zone=self.zone)
        splitter = RowSplitter(table, file.labels, self.run_id)
        return in_order(self.pool, partial(self._cleaned, table, file, found, splitter), found.pieces, THREADS + 1)

    def _cleaned(
        self, table: Table, file: CsvObject, found: Deduplicated, splitter: RowSplitter, piece: Piece
    ) -> _Cleaned:
        self.memory.require_room()
        bronze = file.frame(piece).with_row_index(ROW, piece.first)
        halves = splitter.split(bronze, found.duplicates_in(piece))
        if self.feed:
            self.feed.add(table, halves.silver)
        rules = halves.quarantine["rejected_rule"].value_counts()
        style: _Quotes = "necessary" if piece.may_need_quotes else "never"
        silver, quarantine = _csv(halves.silver, style), _csv(halves.quarantine, style)
        rows = {BRONZE: bronze.height, SILVER: halves.silver.height, QUARANTINE: halves.quarantine.height}
        return _Cleaned(rows, silver, quarantine, dict(rules.iter_rows()))


def _header(names: Sequence[str]) -> bytes:
    return pl.DataFrame(schema=dict.fromkeys(names, pl.String)).write_csv().encode()


def _csv(frame: pl.DataFrame, quotes: _Quotes) -> BytesIO:
    """Looking whether values need quotes takes half of the time that writing takes."""
    rows = BytesIO()
    frame.write_csv(rows, include_header=False, quote_style=quotes)
    return rows


def _result(
    upload: Upload,
    name: str,
    rows_in: int,
    rows_out: int,
    rejected: dict[str, int] | None = None,
    seconds: float | None = None,
) -> DatasetResult:
    layer = upload.key.partition("/")[0]
    return DatasetResult(
        layer, name, upload.key, rows_in, rows_out, upload.bytes, upload.sha256, rejected or {}, seconds
    )


def _require_every_row(silver: DatasetResult, quarantine: DatasetResult, bronze: Recorded | None) -> None:
    """The counts come from three places: the manifest, the frames read and written, and the rules."""
    if bronze and bronze.rows != silver.rows_in:
        found = counted(silver.rows_in, "row")
        message = f"{silver.name}: {found} in bronze, but the run {bronze.run_id} wrote {bronze.rows:,}"
        raise DataRefusedError(message)
    if quarantine.rows_in != quarantine.rows_out or silver.rows_in != silver.rows_out + quarantine.rows_out:
        message = (
            f"{silver.name}: {silver.rows_in:,} rows in, but {silver.rows_out:,} in silver and "
            f"{quarantine.rows_out:,} in quarantine, {quarantine.rows_in:,} rejected by rules"
        )
        raise DataRefusedError(message)
