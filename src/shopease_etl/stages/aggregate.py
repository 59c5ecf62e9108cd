"""Silver to gold: the business datasets as Parquet, reconciled to the cent before they are published."""

import logging
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from datetime import date
from functools import partial
from pathlib import Path
from typing import IO, Final, cast

import polars as pl

from shopease_etl.contract import layout, meanings
from shopease_etl.contract.gold import GoldDataset
from shopease_etl.contract.gold.customer_lifetime_value import HISTORIES, VALUES
from shopease_etl.contract.gold.dataset import TOTALS, Frames, needed
from shopease_etl.contract.gold.formulas import conform
from shopease_etl.contract.layout import BRONZE, SILVER
from shopease_etl.contract.tables import MONEY, TRANSACTIONS, Table
from shopease_etl.errors import DataRefusedError
from shopease_etl.lake.manifests import WriteGroup, write_group
from shopease_etl.lake.store import Store
from shopease_etl.progress import SILENT, Progress
from shopease_etl.report import DatasetResult, ObjectRecord, StageResult
from shopease_etl.stages.carry_over import parts_of, read_state
from shopease_etl.transform.chunks import Chunk, CsvObject, translate_read_errors
from shopease_etl.transform.executor import LOCAL, Executor, LocalExecutor
from shopease_etl.transform.memory import Memory
from shopease_etl.transform.month_state import SUMS, are_sums_for, pack_sums, unpack_sums
from shopease_etl.transform.partials import PartialSums, add_up
from shopease_etl.wording import counted

log = logging.getLogger(__name__)

MAX_NAMES_SHOWN: Final = 5
MEMORY: Final = Memory()

Elsewhere = tuple[Callable[[], Executor], Store]
"""What starts a cluster, and the lake as its machines see it."""

_TOO_LARGE: Final = 10**16


def aggregate(
    store: Store,
    datasets: Sequence[GoldDataset],
    *,
    recorded: Mapping[str, ObjectRecord],
    memory: Memory = MEMORY,
    partial_sums: PartialSums | None = None,
    progress: Progress = SILENT,
    executor: Executor = LOCAL,
    elsewhere: Elsewhere | None = None,
) -> StageResult:
    """Build the datasets; gold changes when all of them are built and reconcile with their inputs.

    `recorded` has by key what earlier stages wrote. `partial_sums` is what `clean` added up of the same silver; only
    what it lacks is read; months are added up `elsewhere`, if that is given: a cluster, and the lake for its machines.

    Raises:
        DataRefusedError: an input of a dataset is missing or cut short, or a sum does not agree or does not fit.
        ShopeaseError: `memory` does not suffice.
    """
    started = time.monotonic()
    with write_group(store) as written, partial_sums or PartialSums(memory, datasets) as parts:
        progress.start("gold")
        _read_missing(store, parts, recorded, memory, executor, elsewhere)
        found = parts.frames()
        found, models = _with_lifetime_values(found)
        built = _built(datasets, found, written)
        reconciliation = reconcile(datasets, found, built)
        results = tuple(_write(dataset, found, built[dataset.name], written) for dataset in datasets)
        revenue = f", revenue {found[TOTALS]['revenue'].item():,}" if TOTALS in found else ""
        progress.finish("gold", counted(len(results), "dataset") + revenue)
    seconds = round(time.monotonic() - started, 3)
    return StageResult("aggregate", seconds, results, reconciliation, lifetime_value=models)


def _with_lifetime_values(frames: Frames) -> tuple[Frames, dict[str, object] | None]:
    """The frames, with customers' lifetime values if there are purchase histories, and the models that gave them."""
    if HISTORIES not in frames:
        return frames, None
    # NumPy is slow to import
    from shopease_etl.transform.lifetime_value import lifetime_values

    found = lifetime_values(frames[HISTORIES], frames[TOTALS]["latest"].item() or date.max)
    for warning in found.warnings:
        log.warning("%s", warning)
    return {**frames, VALUES: found.customers}, {**found.model, "warnings": list(found.warnings)}


def reconcile(datasets: Sequence[GoldDataset], frames: Frames, built: Frames) -> dict[str, object]:
    """The sums by which gold and its inputs agree, to the cent and to the row.

    `frames` has the inputs and `built` the datasets, by their names.

    Raises:
        DataRefusedError: they do not; the message names the sums.
    """
    totals = frames[TOTALS].row(0, named=True) if TOTALS in frames else {}
    sums: dict[str, object] = {f"silver_{what}": totals[what] for what in ("transactions", "revenue") if totals}
    for dataset in datasets:
        law, frame = dataset.reconciles, built[dataset.name]
        expected, excluded = law.input_totals(frames), law.excluded(frames)
        for what, column in law.columns.items():
            total = frame.height if column is None else frame[column].sum()
            found = total + excluded.get(f"{what}_without_{law.subject}", 0)
            if found != expected[what]:
                message = (
                    f"{dataset.name} does not reconcile with silver: {what} {found:,} instead of {expected[what]:,}"
                )
                raise DataRefusedError(message)
            sums[f"{dataset.name}_{what}"] = total
        sums |= excluded
    return sums | {"agrees": True}


def _read_missing(
    store: Store,
    parts: PartialSums,
    recorded: Mapping[str, ObjectRecord],
    memory: Memory,
    executor: Executor,
    elsewhere: Elsewhere | None,
) -> None:
    """Add from the lake what is needed and missing."""
    files = [
        (table, month, _file(store, table, month, recorded, memory, columns))
        for table, columns in parts.missing().items()
        for month in parts_of(store, table, SILVER if table.key else BRONZE, recorded)
    ]
    far = []
    for table, month, file in files:
        known = recorded.get(file.key)
        kept = read_state(store, month.state_key(SUMS), known.result) if known and month.month else None
        if kept and are_sums_for(kept, parts.datasets):
            parts.add_month(unpack_sums(kept))
        elif month.month and elsewhere:
            far.append((month, {key: recorded[key] for key in [file.key] if key in recorded}))
        elif month.month:
            parts.add_month(_sums_of_month(file, table, parts.datasets, memory, executor))
        else:
            _add_file(parts, file, table, memory, executor)
    if elsewhere and far:
        start, lake = elsewhere
        work = partial(_work_on_month, lake, parts.datasets, memory.limit)
        for sums in start().map(work, far):
            parts.add_month(unpack_sums(sums))


def _file(
    store: Store,
    table: Table,
    month: Table,
    recorded: Mapping[str, ObjectRecord],
    memory: Memory,
    columns: Sequence[str],
) -> CsvObject:
    file = CsvObject(store, month.best_key, recorded, batch_bytes=memory.batch_bytes, known=columns)
    file.require_columns(table)
    return file


def _work_on_month(
    lake: Store, datasets: Sequence[GoldDataset], limit: int | None, item: tuple[Table, Mapping[str, ObjectRecord]]
) -> bytes:
    """Add up a month of sales, on whatever machine; the sums, packed."""
    month, recorded = item
    with tempfile.TemporaryDirectory(prefix="shopease-") as folder:
        memory = Memory(limit, Path(folder))
        file = _file(lake, month, month, recorded, memory, needed(datasets)[TRANSACTIONS])
        return pack_sums(_sums_of_month(file, TRANSACTIONS, datasets, memory, LocalExecutor(2)), datasets)


def _sums_of_month(
    file: CsvObject, table: Table, datasets: Sequence[GoldDataset], memory: Memory, executor: Executor
) -> Frames:
    with PartialSums(memory, datasets) as sums:
        _add_file(sums, file, table, memory, executor)
        return sums.of_month()


def _add_file(parts: PartialSums, file: CsvObject, table: Table, memory: Memory, executor: Executor) -> None:
    work = partial(_add_up, table, parts.datasets)
    with translate_read_errors(file.key), closing(executor.map(work, file.chunks())) as found:
        for of_chunk in found:
            memory.require_room()
            parts.add(table, of_chunk)


def _add_up(table: Table, datasets: Sequence[GoldDataset], chunk: Chunk) -> Frames:
    return add_up(chunk.frame(needed(datasets)[table]), table, datasets)


def _built(datasets: Sequence[GoldDataset], frames: Frames, written: WriteGroup) -> dict[str, pl.DataFrame]:
    """The datasets by name; what their types do not hold is refused, with the first of its keys."""
    for dataset in datasets:
        for sums in (sums for sums in dataset.sums if not sums.summaries):
            money = [name for name, measure in sums.measures.items() if measure.column == "total_amount"]
            _require_fit(dataset, frames[sums.name], sums.keys[0], money)
    built = {}
    for dataset in datasets:
        with translate_read_errors(dataset.reads[0], written):
            frame = dataset.build(frames)
            money = [column.name for column in dataset.columns if column.type == MONEY]
            _require_fit(dataset, frame, dataset.columns[0].name, money)
            built[dataset.name] = conform(frame, dataset).rechunk()
    return built


def _require_fit(dataset: GoldDataset, frame: pl.DataFrame, key: str, columns: Sequence[str]) -> None:
    for column in columns:
        found = frame.filter(pl.col(column) >= _TOO_LARGE)[key].sort()
        if len(found):
            named = ", ".join(map(str, found.head(MAX_NAMES_SHOWN)))
            more = f" and {len(found) - MAX_NAMES_SHOWN:,} more" if len(found) > MAX_NAMES_SHOWN else ""
            message = f"{dataset.name}: {column} does not fit {MONEY} for {dataset.columns[0].name} {named}{more}"
            raise DataRefusedError(message, hint="correct quantity or unit_price of these sales in the source")


def _write(dataset: GoldDataset, frames: Frames, frame: pl.DataFrame, written: WriteGroup) -> DatasetResult:
    upload = written.writer(dataset.key)
    with translate_read_errors(dataset.key, written):
        metadata = meanings.parquet_metadata(dataset.name)
        frame.write_parquet(cast("IO[bytes]", upload), compression="zstd", statistics=True, metadata=metadata)
    rows_in = next(iter(dataset.reconciles.input_totals(frames).values()))
    return DatasetResult(layout.GOLD, dataset.name, dataset.key, rows_in, frame.height, upload.bytes, upload.sha256)
