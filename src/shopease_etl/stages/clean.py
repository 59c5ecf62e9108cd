"""Bronze to silver and quarantine: every row ends in one of the two."""

import time
from collections.abc import Mapping, Sequence

import narwhals.stable.v2 as nw
import polars as pl

from shopease_etl import cleaning
from shopease_etl.errors import DataRefusedError
from shopease_etl.lake import Publication, publication, reading, require_columns, scan_csv
from shopease_etl.progress import SILENT, Progress
from shopease_etl.results import DatasetResult, StageResult
from shopease_etl.storage import Store
from shopease_etl.tables import REJECTION_COLUMNS, SILVER, Table

Recorded = Mapping[str, int]


def clean(
    store: Store, tables: Sequence[Table], run_id: str, *, recorded: Recorded, progress: Progress = SILENT
) -> StageResult:
    """Clean the tables; silver and quarantine change together, when every table is done.

    `recorded` holds by key the bytes that earlier stages wrote.

    Raises:
        DataRefusedError: bronze is missing, cut short or lacks a column, or rows in ≠ rows out + rejected.
    """
    started = time.monotonic()
    frames = {table.name: _bronze(store, table, recorded) for table in tables}
    with publication(store) as written:
        results = tuple(_clean_table(frames[table.name], table, run_id, written, progress) for table in tables)
    return StageResult("clean", time.monotonic() - started, results)


def _bronze(store: Store, table: Table, recorded: Recorded) -> pl.LazyFrame:
    frame = scan_csv(store, table.bronze_key, recorded)
    require_columns(frame, table, table.bronze_key)
    return frame


def _clean_table(
    bronze: pl.LazyFrame, table: Table, run_id: str, written: Publication, progress: Progress
) -> DatasetResult:
    progress.start(table.name)
    silver, quarantine = written.upload(table.silver_key), written.upload(table.quarantine_key)
    with reading(table.bronze_key, written):
        frame = nw.from_native(bronze)
        losers = cleaning.duplicate_rows(frame, table).to_native().collect(engine="streaming")
        halves = cleaning.clean(frame, table, losers[cleaning.ROW].to_list(), run_id)
        rejected = halves.rejected.to_native()
        *_, rules, total = pl.collect_all(
            [
                halves.valid.to_native().sink_csv(silver, lazy=True),
                rejected.sink_csv(quarantine, lazy=True),
                rejected.group_by(REJECTION_COLUMNS[0]).len().sort(REJECTION_COLUMNS[0]),
                bronze.select(pl.len()),
            ],
            engine="streaming",
        )
    result = DatasetResult(
        *(SILVER, table.name, table.silver_key, total.item(), silver.csv_rows, silver.bytes, silver.sha256),
        rejected=dict(rules.iter_rows()),
    )
    _require_every_row(result, quarantine.csv_rows)
    progress.finish(table.name, f"{result.rows_out:,} rows, {result.rows_rejected:,} rejected")
    return result


def _require_every_row(result: DatasetResult, quarantined: int) -> None:
    """The counts come from three places: the bytes read, the bytes written, and the rules."""
    if result.rows_in != result.rows_out + quarantined or quarantined != result.rows_rejected:
        message = (
            f"{result.name}: {result.rows_in:,} rows in, but {result.rows_out:,} in silver, "
            f"{quarantined:,} in quarantine and {result.rows_rejected:,} rejected by rules"
        )
        raise DataRefusedError(message)
