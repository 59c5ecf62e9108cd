"""Silver to gold: the business datasets as Parquet, reconciled to the cent before they are published."""

import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from functools import partial
from typing import IO, Final, cast

import polars as pl

from shopease_etl.contract import layout
from shopease_etl.contract.gold import GoldDataset
from shopease_etl.contract.gold.dataset import TOTALS, Frames
from shopease_etl.contract.gold.formulas import finished
from shopease_etl.contract.tables import MONEY, Table
from shopease_etl.errors import DataRefusedError
from shopease_etl.lake.manifests import WriteGroup, write_group
from shopease_etl.lake.store import Store
from shopease_etl.progress import SILENT, Progress
from shopease_etl.report import DatasetResult, ObjectRecord, StageResult
from shopease_etl.transform.chunks import Chunk, CsvObject, reading
from shopease_etl.transform.executor import LOCAL, Executor
from shopease_etl.transform.memory import Memory
from shopease_etl.transform.partials import PartialSums, partial_sums
from shopease_etl.wording import counted

MAX_NAMES_SHOWN: Final = 5
MEMORY: Final = Memory()
_TOO_LARGE: Final = 10**16


def aggregate(
    store: Store,
    datasets: Sequence[GoldDataset],
    *,
    recorded: Mapping[str, ObjectRecord],
    memory: Memory = MEMORY,
    made: PartialSums | None = None,
    progress: Progress = SILENT,
    executor: Executor = LOCAL,
) -> StageResult:
    """Build the datasets; gold changes when all of them are built and reconcile with what they are made of.

    `recorded` holds by key what earlier stages wrote. `made` is what `clean` fed of the same silver: what it has is
    not read again.

    Raises:
        DataRefusedError: what a dataset is made of is missing or cut short, or a sum does not agree or does not fit.
        ShopeaseError: `memory` does not suffice.
    """
    started = time.monotonic()
    with write_group(store) as written, made or PartialSums(memory, datasets) as parts:
        progress.start("gold")
        _read_missing(store, parts, recorded, memory, executor)
        found = parts.frames()
        built = _built(datasets, found, written)
        reconciliation = reconcile(datasets, found, built)
        results = tuple(_write(dataset, found, built[dataset.name], written) for dataset in datasets)
        revenue = f", revenue {found[TOTALS]['revenue'].item():,}" if TOTALS in found else ""
        progress.finish("gold", counted(len(results), "dataset") + revenue)
    return StageResult("aggregate", round(time.monotonic() - started, 3), results, reconciliation)


def reconcile(datasets: Sequence[GoldDataset], frames: Frames, built: Frames) -> dict[str, object]:
    """The sums by which gold and what it is made of agree, to the cent and to the row.

    `frames` is what the datasets are made of, `built` what they are, by their names.

    Raises:
        DataRefusedError: they do not; the message names the sums.
    """
    totals = frames[TOTALS].row(0, named=True) if TOTALS in frames else {}
    sums: dict[str, object] = {f"silver_{what}": totals[what] for what in ("transactions", "revenue") if totals}
    for dataset in datasets:
        law, frame = dataset.reconciles, built[dataset.name]
        whole, apart = law.whole(frames), law.apart(frames)
        for what, column in law.columns.items():
            total = frame.height if column is None else frame[column].sum()
            found = total + apart.get(f"{what}_without_{law.subject}", 0)
            if found != whole[what]:
                message = f"{dataset.name} does not reconcile with silver: {what} {found:,} instead of {whole[what]:,}"
                raise DataRefusedError(message)
            sums[f"{dataset.name}_{what}"] = total
        sums |= apart
    return sums | {"agrees": True}


def _read_missing(
    store: Store, parts: PartialSums, recorded: Mapping[str, ObjectRecord], memory: Memory, executor: Executor
) -> None:
    """Add from the lake what is needed and was not added yet."""
    files = [
        (table, columns, CsvObject(store, table.best_key, recorded, batch_bytes=memory.batch_bytes, known=columns))
        for table, columns in parts.missing().items()
    ]
    for table, columns, file in files:
        file.require_columns(table)
        work = partial(_partial_sums, table, columns, parts.datasets)
        with reading(file.key), closing(executor.map(work, file.chunks())) as found:
            for sums in found:
                memory.require_room()
                parts.add(table, sums)


def _partial_sums(table: Table, columns: Sequence[str], datasets: Sequence[GoldDataset], chunk: Chunk) -> Frames:
    return partial_sums(chunk.frame(columns), table, datasets)


def _built(datasets: Sequence[GoldDataset], frames: Frames, written: WriteGroup) -> dict[str, pl.DataFrame]:
    """The datasets by name; what their types do not hold is refused, with the first of its keys."""
    for dataset in datasets:
        for sums in dataset.sums:
            money = [name for name, measure in sums.measures.items() if measure.column == "total_amount"]
            _require_fit(dataset, frames[sums.name], sums.keys[0], money)
    built = {}
    for dataset in datasets:
        with reading(dataset.reads[0], written):
            frame = dataset.build(frames)
            money = [column.name for column in dataset.columns if column.type == MONEY]
            _require_fit(dataset, frame, dataset.columns[0].name, money)
            built[dataset.name] = finished(frame, dataset).rechunk()
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
    with reading(dataset.key, written):
        frame.write_parquet(cast("IO[bytes]", upload), compression="zstd", statistics=True)
    rows_in = next(iter(dataset.reconciles.whole(frames).values()))
    return DatasetResult(layout.GOLD, dataset.name, dataset.key, rows_in, frame.height, upload.bytes, upload.sha256)
