"""Bronze to silver and quarantine: every row ends in one of the two."""

import time
from collections import Counter
from collections.abc import Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import Final

import polars as pl

from shopease_etl.contract import column_names
from shopease_etl.contract.layout import BRONZE, QUARANTINE, SILVER
from shopease_etl.contract.tables import Table
from shopease_etl.errors import DataRefusedError
from shopease_etl.lake.manifests import WriteGroup, write_group
from shopease_etl.lake.store import Store, Writer
from shopease_etl.progress import SILENT, Progress
from shopease_etl.report import DatasetResult, ObjectRecord, StageResult
from shopease_etl.transform.chunks import CsvObject, translate_read_errors
from shopease_etl.transform.clean import CleanedChunk, clean_chunk
from shopease_etl.transform.deduplicate import find_duplicates
from shopease_etl.transform.executor import LOCAL, Executor
from shopease_etl.transform.memory import Memory
from shopease_etl.transform.partials import PartialSums, add_up
from shopease_etl.wording import counted

MEMORY: Final = Memory()


def clean(
    store: Store,
    tables: Sequence[Table],
    run_id: str,
    *,
    recorded: Mapping[str, ObjectRecord],
    zone: str = "UTC",
    memory: Memory = MEMORY,
    partial_sums: PartialSums | None = None,
    progress: Progress = SILENT,
    executor: Executor = LOCAL,
) -> StageResult:
    """Clean the tables; silver and quarantine change together, when every table is done.

    `recorded` has by key what earlier stages wrote. Timestamps without an offset are in the time zone `zone`.
    `partial_sums` gets what gold needs, so that `aggregate` need not read silver again.

    Raises:
        DataRefusedError: bronze is missing, cut short or lacks a column, or rows in ≠ rows out + rejected.
        ShopeaseError: `memory` does not suffice.
    """
    started = time.monotonic()
    present = [table for table in tables if table.required or store.find(table.bronze_key)]
    files = [(table, _bronze(store, table, recorded, memory.batch_bytes)) for table in present]
    with write_group(store) as written:
        job = _Cleaning(run_id, zone, written, executor, memory, partial_sums, progress)
        results = [job.clean(table, file, recorded.get(table.bronze_key)) for table, file in files]
    datasets = tuple(dataset for pair in results for dataset in pair)
    return StageResult("clean", round(time.monotonic() - started, 3), datasets)


def _bronze(store: Store, table: Table, recorded: Mapping[str, ObjectRecord], batch_bytes: int) -> CsvObject:
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
class _Cleaning:
    """What cleaning a table takes, besides the table."""

    run_id: str
    zone: str
    written: WriteGroup
    executor: Executor
    memory: Memory
    partial_sums: PartialSums | None
    progress: Progress

    def clean(
        self, table: Table, file: CsvObject, recorded: ObjectRecord | None
    ) -> tuple[DatasetResult, DatasetResult]:
        """Write silver and quarantine of one table."""
        started = time.monotonic()
        self.progress.start(table.name, file.bytes)
        silver, quarantine = self.written.writer(table.silver_key), self.written.writer(table.quarantine_key)
        # counted by the frames here, and by another engine when they are read again
        silver.counts_rows = quarantine.counts_rows = False
        silver.write(_header(column_names.silver_columns(table, file.names)))
        quarantine.write(_header(column_names.quarantine_columns(table, file.names)))
        rows: Counter[str] = Counter()
        rejected: Counter[str] = Counter()
        with translate_read_errors(file.key, self.written), closing(self._cleaned(table, file)) as chunks:
            for chunk in chunks:
                self.memory.require_room()
                silver.write(chunk.silver)
                quarantine.write(chunk.quarantine)
                rows.update({BRONZE: chunk.bronze_rows, SILVER: chunk.silver_rows, QUARANTINE: chunk.quarantine_rows})
                rejected.update(chunk.rejected)
                if self.partial_sums and chunk.sums is not None:
                    self.partial_sums.add(table, chunk.sums)
                self.progress.advance(table.name, size=chunk.bronze_bytes)
        seconds = round(time.monotonic() - started, 3)
        kept = _result(silver, table.name, rows[BRONZE], rows[SILVER], dict(sorted(rejected.items())), seconds)
        rejects = _result(quarantine, table.name, rejected.total(), rows[QUARANTINE])
        _require_every_row(kept, rejects, recorded)
        self.progress.finish(table.name, f"{counted(kept.rows_out, 'row')}, {kept.rows_rejected:,} rejected")
        return kept, rejects

    def _cleaned(self, table: Table, file: CsvObject) -> Generator[CleanedChunk]:
        chunks = find_duplicates(file.chunks(), table, self.executor, self.memory.spill, zone=self.zone)
        sum_up = partial(add_up, datasets=self.partial_sums.datasets) if self.partial_sums else None
        work = partial(clean_chunk, table=table, run_id=self.run_id, sum_up=sum_up)
        return self.executor.map(work, chunks)


def _header(names: Sequence[str]) -> bytes:
    return pl.DataFrame(schema=dict.fromkeys(names, pl.String)).write_csv().encode()


def _result(
    upload: Writer,
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


def _require_every_row(silver: DatasetResult, quarantine: DatasetResult, bronze: ObjectRecord | None) -> None:
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
