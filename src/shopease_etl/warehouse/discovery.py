"""Finds what can be queried in a lake now: tables by the headers and schemas of their files, and views on them."""

from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from shopease_etl.contract import gold
from shopease_etl.contract.layout import LAYERS, dataset_of, month_of, owns
from shopease_etl.contract.tables import TABLES
from shopease_etl.errors import DataRefusedError, ShopeaseError
from shopease_etl.lake.csv_bytes import csv_header
from shopease_etl.lake.store import Store
from shopease_etl.warehouse.schema import (
    DATASETS,
    CatalogTable,
    CatalogView,
    Dataset,
    base_of,
    csv_table,
    parquet_table,
    typed_view,
)
from shopease_etl.wording import one_line

_FIRST_READ: Final = 1 << 16


@dataclass(frozen=True)
class Discovery:
    """What can be queried, what has no file with the reason, and the sizes in bytes of the files by key.

    `unexpected_files` are files in tables' folders that are not files of the tables, each with the table in which
    Athena would read it.
    """

    database: str
    tables: tuple[CatalogTable, ...]
    views: tuple[CatalogView, ...]
    skipped: Mapping[str, str]
    sizes: Mapping[str, int]
    unexpected_files: tuple[tuple[str, str], ...]


# Nothing is said of these if the lake does not have them.
_OPTIONAL: Final = {dataset.name for dataset in gold.GOLD if dataset.is_optional}


def discover(store: Store, database: str, recorded: Collection[str] = ()) -> Discovery:
    """Find every dataset of the lake; a file with the wrong content raises ShopeaseError.

    Of a dataset with files among the keys `recorded`, the last run's, other files are unexpected.
    """
    objects = {item.key: item for layer in LAYERS for item in store.list(f"{layer}/")}
    tables = {}
    for dataset in DATASETS:
        keys = [key for key in sorted(objects) if dataset_of(key) == dataset_of(dataset.key) and owns(key)]
        keys = [key for key in keys if key in recorded] or keys
        if months := [key for key in keys if month_of(key)]:
            _refuse_both_layouts(store, dataset, keys)
            tables[dataset.name] = read_table(store, dataset, months)
        elif keys:
            tables[dataset.name] = read_table(store, dataset)
    skipped = {
        dataset.name: f"no {dataset.key} (run `{dataset.made_by}`)"
        for dataset in DATASETS
        if dataset.name not in tables and dataset.name not in _OPTIONAL
    }
    views = []
    for table in TABLES:
        base = base_of(table)
        if base in tables:
            views.append(typed_view(table, tables[base], database))
        else:
            skipped[table.name] = f"a view on {base}, which is missing"
    sizes = {key: item.bytes for key, item in objects.items()}
    unexpected = _unexpected_files(objects, [*tables.values()])
    return Discovery(database, tuple(tables.values()), tuple(views), skipped, sizes, unexpected)


def _refuse_both_layouts(store: Store, dataset: Dataset, keys: Collection[str]) -> None:
    if dataset.key in keys:
        raise DataRefusedError(
            f"there are both {store.uri(dataset.key)} and files by month: only one of the two is the data",
            hint="run `shopease run-all --full`, which writes all files and deletes the others",
        )


def _unexpected_files(objects: Collection[str], tables: Sequence[CatalogTable]) -> tuple[tuple[str, str], ...]:
    """Athena reads every file below a table's folder as rows, except those whose names begin with _ or a dot.

    Of a table by month it reads the folders of the months.
    """
    names = {dataset_of(dataset.key): dataset.name for dataset in DATASETS}
    ours = {key for table in tables for key in table.keys}
    folders = {key.rpartition("/")[0] for table in tables for key in table.months.values()}
    by_month = {table.name for table in tables if table.months}
    found = []
    for key in sorted(objects):
        name, rest = names.get(dataset_of(key)), key.split("/")[2:]
        hidden = any(part.startswith(("_", ".")) for part in rest)
        is_folder = rest[-1:] == [""]  # S3's console creates such empty objects
        if not name or not rest or key in ours or hidden or is_folder:
            continue
        if name not in by_month or any(key.startswith(f"{folder}/") for folder in folders):
            found.append((key, name))
    return tuple(found)


def read_table(store: Store, dataset: Dataset, months: Sequence[str] = ()) -> CatalogTable:
    """The table with the columns that its file, or each of the files by month, has now.

    Raises:
        ShopeaseError: a file cannot be read, or has the wrong content.
        DataRefusedError: the files do not have the same columns.
    """
    if months:
        with ThreadPoolExecutor(8) as pool:  # on S3 each takes as long as the network
            headers = dict(zip(months, pool.map(lambda key: _header(store, key), months), strict=True))
        first = headers[months[0]]
        if other := next((key for key, header in headers.items() if header != first), None):
            raise DataRefusedError(
                f"{store.uri(other)} has other columns than {store.uri(months[0])}",
                hint="run `shopease run-all --full`, so that all months have the same columns",
            )
        return csv_table(dataset, first, months)
    if not dataset.is_parquet:
        return csv_table(dataset, _header(store, dataset.key))
    try:
        return parquet_table(dataset, _parquet_schema(store, dataset.key))
    except (pa.ArrowException, ValueError, OSError) as error:
        raise ShopeaseError(
            f"{store.uri(dataset.key)} cannot be read: {one_line(error)}", hint=f"run `{dataset.made_by}`"
        ) from error


def _header(store: Store, key: str) -> tuple[str, ...]:
    length = _FIRST_READ
    while True:
        head = store.read(key, length=length)
        is_whole = len(head) < length
        header = csv_header(store.uri(key), head, is_whole_file=is_whole)
        if header is not None:
            return header
        if is_whole:
            raise DataRefusedError(f"the header of {store.uri(key)} ends in the middle of a quoted name")
        length *= 8


def _parquet_schema(store: Store, key: str) -> pa.Schema:
    """The schema from the footer at the file's end; the four bytes before the last four have its length."""
    tail = store.read(key, start=-_FIRST_READ)
    length = int.from_bytes(tail[-8:-4], "little") + 8
    if length > len(tail) and tail.endswith(b"PAR1"):
        tail = store.read(key, start=-length)
    return pq.read_schema(pa.BufferReader(tail))
