"""Silver to gold: the business datasets as Parquet, reconciled to the cent before they are published."""

import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from decimal import Decimal
from functools import partial
from typing import IO, Any, Final, cast

import polars as pl

from shopease_etl.contract import gold, tables
from shopease_etl.contract.gold import GoldDataset
from shopease_etl.contract.tables import GoldTable, Table
from shopease_etl.errors import DataRefusedError
from shopease_etl.lake.manifests import Publication, publication
from shopease_etl.lake.store import Store
from shopease_etl.progress import SILENT, Progress
from shopease_etl.report import DatasetResult, Recorded, StageResult
from shopease_etl.transform.chunks import Chunk, CsvObject, reading
from shopease_etl.transform.executor import LOCAL, Executor
from shopease_etl.transform.memory import Memory
from shopease_etl.transform.partials import SilverParts, partial_sums
from shopease_etl.wording import counted

Totals = Mapping[str, Any]
MOST_NAMED: Final = 5
MEMORY: Final = Memory()


def aggregate(
    store: Store,
    chosen: Sequence[GoldTable],
    *,
    recorded: Mapping[str, Recorded],
    memory: Memory = MEMORY,
    made: SilverParts | None = None,
    progress: Progress = SILENT,
    executor: Executor = LOCAL,
) -> StageResult:
    """Build the chosen datasets; gold changes when all of them are built and reconcile with silver.

    `recorded` holds by key what earlier stages wrote. `made` is what `clean` fed of the same silver: what it has is
    not read again.

    Raises:
        DataRefusedError: silver is missing or cut short, or a sum of revenue or sales does not agree.
        ShopeaseError: `memory` does not suffice.
    """
    started = time.monotonic()
    datasets = [dataset for dataset in gold.GOLD if dataset.table in chosen]
    with publication(store) as written, made or SilverParts(memory) as silver:
        progress.start("gold")
        _read_missing(store, datasets, silver, recorded, memory, executor)
        found = silver.frames()
        _require_sums_fit(found, datasets)
        totals, frames = _build(found, datasets, written)
        reconciliation = reconcile(totals, datasets, frames)
        results = tuple(
            _write(dataset, frames[dataset.table.name], written, rows_in=totals["transactions"]) for dataset in datasets
        )
        progress.finish("gold", f"{counted(len(results), 'dataset')}, revenue {totals['revenue']:,}")
    return StageResult("aggregate", round(time.monotonic() - started, 3), results, reconciliation)


def reconcile(totals: Totals, datasets: Sequence[GoldDataset], frames: Mapping[str, pl.DataFrame]) -> dict[str, object]:
    """The sums by which gold and silver agree, to the cent and to the row.

    Raises:
        DataRefusedError: they do not; the message names the sums.
    """
    sums: dict[str, object] = {"silver_transactions": totals["transactions"], "silver_revenue": totals["revenue"]}
    for dataset in datasets:
        name, frame = dataset.table.name, frames[dataset.table.name]
        revenue, sales = Decimal(frame[dataset.revenue].sum()), int(frame[dataset.sales].sum())
        sums |= {f"{name}_transactions": sales, f"{name}_revenue": revenue}
        if dataset.subject:
            lacks_sales, lacks_revenue = f"transactions_without_{dataset.subject}", f"revenue_without_{dataset.subject}"
            sums |= {lacks_sales: totals[lacks_sales], lacks_revenue: totals[lacks_revenue]}
            sales, revenue = sales + totals[lacks_sales], revenue + totals[lacks_revenue]
        if (sales, revenue) != (totals["transactions"], totals["revenue"]):
            message = (
                f"{name} does not reconcile with silver: {sales:,} sales for {revenue:,} "
                f"against {totals['transactions']:,} for {totals['revenue']:,}"
            )
            raise DataRefusedError(message)
    return sums | {"agrees": True}


def _read_missing(
    store: Store,
    datasets: Sequence[GoldDataset],
    silver: SilverParts,
    recorded: Mapping[str, Recorded],
    memory: Memory,
    executor: Executor,
) -> None:
    """Add from the lake what the datasets need and nobody has added."""
    needed = {"transactions"} | {name for dataset in datasets for name in dataset.table.inputs}
    missing = [table for table in tables.CLEANED_TABLES if table.name in needed and not silver.has(table)]
    size, used = memory.batch_bytes, gold.USED
    files = [
        (table, CsvObject(store, table.silver_key, recorded, batch_bytes=size, known=used[table.name]))
        for table in missing
    ]
    for table, file in files:
        file.require_columns(table)
        with reading(file.key), closing(executor.map(partial(_partial_sums, table), file.chunks())) as found:
            for sums in found:
                memory.require_room()
                silver.add(table, sums)


def _partial_sums(table: Table, chunk: Chunk) -> gold.Frames:
    return partial_sums(chunk.frame(gold.USED[table.name]), table)


def _require_sums_fit(silver: gold.Frames, datasets: Sequence[GoldDataset]) -> None:
    for dataset in datasets:
        for column, keys in dataset.too_large(silver).items():
            found = keys.to_series().sort()
            if len(found):
                key, named = dataset.table.columns[0].name, ", ".join(map(str, found.head(MOST_NAMED)))
                more = f" and {len(found) - MOST_NAMED:,} more" if len(found) > MOST_NAMED else ""
                message = f"{dataset.table.name}: {column} does not fit decimal(18,2) for {key} {named}{more}"
                raise DataRefusedError(message, hint="correct quantity or unit_price of these sales in the source")


def _build(
    silver: gold.Frames, datasets: Sequence[GoldDataset], written: Publication
) -> tuple[Totals, dict[str, pl.DataFrame]]:
    with reading(tables.TRANSACTIONS.silver_key, written):
        frames = {item.table.name: gold.finished(item.compose(silver), item.table).rechunk() for item in datasets}
    return silver["totals"].row(0, named=True), frames


def _write(dataset: GoldDataset, frame: pl.DataFrame, written: Publication, *, rows_in: int) -> DatasetResult:
    upload = written.upload(dataset.table.key)
    with reading(dataset.table.key, written):
        frame.write_parquet(cast("IO[bytes]", upload), compression="zstd", statistics=True)
    name = dataset.table.name
    return DatasetResult(tables.GOLD, name, dataset.table.key, rows_in, frame.height, upload.bytes, upload.sha256)
