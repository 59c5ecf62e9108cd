"""Bronze to silver and quarantine: every row ends in one of the two."""

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Final, cast

import narwhals.stable.v2 as nw
import polars as pl

from shopease_etl import cleaning
from shopease_etl.cleaning import RULE
from shopease_etl.errors import DataRefusedError
from shopease_etl.lake import Publication, publication, reading, require_columns, scan_csv
from shopease_etl.progress import SILENT, Progress
from shopease_etl.results import DatasetResult, Recorded, StageResult
from shopease_etl.storage import Store, Upload
from shopease_etl.tables import QUARANTINE, ROW, SILVER, TRANSACTIONS, Table

log = logging.getLogger(__name__)

MOST_NAMED: Final = 5


def clean(
    store: Store, tables: Sequence[Table], run_id: str, *, recorded: Mapping[str, Recorded], progress: Progress = SILENT
) -> StageResult:
    """Clean the tables; silver and quarantine change together, when every table is done.

    `recorded` holds by key what earlier stages wrote.

    Raises:
        DataRefusedError: bronze is missing, cut short or lacks a column, or rows in ≠ rows out + rejected.
    """
    started = time.monotonic()
    frames = {table.name: _bronze(store, table, recorded) for table in tables}
    with publication(store) as written:
        results = [
            _clean_table(frames[table.name], table, run_id, written, recorded.get(table.bronze_key), progress)
            for table in tables
        ]
    datasets = tuple(dataset for pair in results for dataset in pair)
    return StageResult("clean", round(time.monotonic() - started, 3), datasets)


def _bronze(store: Store, table: Table, recorded: Mapping[str, Recorded]) -> pl.LazyFrame:
    frame = scan_csv(store, table.bronze_key, recorded)
    require_columns(frame, table, table.bronze_key)
    _require_usable_names(frame, table)
    return frame


def _require_usable_names(frame: pl.LazyFrame, table: Table) -> None:
    """Silver and quarantine add columns; with theirs every name must be one line and stand once."""
    source = [name for name in frame.collect_schema().names() if name != ROW]
    for names in (cleaning.silver_columns(table, source), cleaning.quarantine_columns(source)):
        bad = next((name for name in names if names.count(name) > 1 or "\n" in name or "\r" in name), None)
        if bad is not None:
            message = f"{table.bronze_key}: the column {bad!r} would stand twice, or its name has a line break"
            raise DataRefusedError(message, hint=f"rename it in the source table {table.source}")


@dataclass(frozen=True)
class Parted:
    """A table's rows of bronze in its two halves, in bronze's order; `rules` counts the rejected ones."""

    silver: pl.LazyFrame
    quarantine: pl.LazyFrame
    rows: int
    rules: Mapping[str, int]


def part(bronze: pl.LazyFrame, table: Table, run_id: str) -> Parted:
    """Judge every row, then part the rows by the verdicts; only verdicts are held in memory, never the rows.

    Joins that keep bronze's order part the rows, so that they stream however many are rejected.
    """
    judged = cleaning.judged(nw.from_native(bronze), table).to_native().collect(engine="streaming")
    rivals = cleaning.contenders(nw.from_native(judged.lazy())).to_native().collect(engine="streaming")
    contending = _among(bronze, rivals)
    lost = cleaning.losers(nw.from_native(contending), table).to_native().collect(engine="streaming")
    verdicts = pl.concat([judged.filter(pl.col(RULE).is_not_null()).select(ROW, RULE), lost])
    log.info("%s: %s rows share their key, %s are rejected", table.name, f"{rivals.height:,}", f"{verdicts.height:,}")
    valid = bronze.join(verdicts.lazy(), on=ROW, how="anti", maintain_order="left")
    return Parted(
        silver=cleaning.silver(nw.from_native(valid), table).to_native(),
        quarantine=cleaning.quarantine(nw.from_native(_among(bronze, verdicts)), run_id).to_native(),
        rows=judged.height,
        rules=dict(verdicts.group_by(RULE).len().sort(RULE).iter_rows()),
    )


def _among(bronze: pl.LazyFrame, rows: pl.DataFrame) -> pl.LazyFrame:
    """Those rows of bronze, with what is known of them; where there are none bronze is not read."""
    found = bronze if rows.height else bronze.clear()
    return found.join(rows.lazy(), on=ROW, how="inner", maintain_order="left")


def _clean_table(
    bronze: pl.LazyFrame,
    table: Table,
    run_id: str,
    written: Publication,
    recorded: Recorded | None,
    progress: Progress,
) -> tuple[DatasetResult, DatasetResult]:
    started = time.monotonic()
    progress.start(table.name)
    silver, quarantine = written.upload(table.silver_key), written.upload(table.quarantine_key)
    with reading(table.bronze_key, written):
        parted = part(bronze, table, run_id)
        try:
            for frame, upload in ((parted.silver, silver), (parted.quarantine, quarantine)):
                frame.sink_csv(cast("IO[bytes]", upload), engine="streaming")
        except pl.exceptions.InvalidOperationError:
            _refuse_oversized(bronze, table)
            raise
    seconds = round(time.monotonic() - started, 3)
    kept = _result(SILVER, table.name, silver, parted.rows, parted.rules, seconds)
    rejects = _result(QUARANTINE, table.name, quarantine, sum(parted.rules.values()), {})
    _require_every_row(kept, rejects, recorded)
    progress.finish(table.name, f"{kept.rows_out:,} rows, {kept.rows_rejected:,} rejected")
    return kept, rejects


def _refuse_oversized(bronze: pl.LazyFrame, table: Table) -> None:
    """Name the first sales whose total does not fit, as Polars names neither rows nor the column of silver."""
    if table != TRANSACTIONS:
        return
    found = cleaning.oversized_sales(nw.from_native(bronze)).to_native().head(MOST_NAMED).collect(engine="streaming")
    if found.height:
        names = ", ".join(map(str, found.to_series()))
        message = f"{table.bronze_key}: quantity × unit_price does not fit decimal(18,2) in {table.key} {names}"
        raise DataRefusedError(message, hint=f"correct {table.source} in the source")


def _result(
    layer: str, name: str, upload: Upload, rows_in: int, rejected: Mapping[str, int], seconds: float | None = None
) -> DatasetResult:
    return DatasetResult(
        layer, name, upload.key, rows_in, upload.csv_rows, upload.bytes, upload.sha256, rejected, seconds
    )


def _require_every_row(silver: DatasetResult, quarantine: DatasetResult, bronze: Recorded | None) -> None:
    """The counts come from four places: the manifest, the frame read, the bytes written, and the rules."""
    if bronze and bronze.rows != silver.rows_in:
        message = f"{silver.name}: {silver.rows_in:,} rows in bronze, but the run {bronze.run_id} wrote {bronze.rows:,}"
        raise DataRefusedError(message)
    if quarantine.rows_in != quarantine.rows_out or silver.rows_in != silver.rows_out + quarantine.rows_out:
        message = (
            f"{silver.name}: {silver.rows_in:,} rows in, but {silver.rows_out:,} in silver and "
            f"{quarantine.rows_out:,} in quarantine, {quarantine.rows_in:,} rejected by rules"
        )
        raise DataRefusedError(message)
