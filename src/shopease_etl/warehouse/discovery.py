"""What a lake's files allow to be queried now: tables from their own headers and schemas, and views on them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from shopease_etl.contract.layout import LAYERS
from shopease_etl.contract.tables import TABLES
from shopease_etl.errors import DataRefusedError, ShopeaseError
from shopease_etl.lake.csv_bytes import csv_header
from shopease_etl.lake.store import Store, StoredObject
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

_HEADER_PIECE: Final = 1 << 16
_FOOTER_PIECE: Final = 1 << 16


@dataclass(frozen=True)
class Discovery:
    """What can be queried, what has no file with the reason, and the sizes in bytes of the files by key.

    `strangers` are files in tables' folders that are not of the lake's layout, each with the table that Athena would
    read it as rows of.
    """

    database: str
    tables: tuple[CatalogTable, ...]
    views: tuple[CatalogView, ...]
    skipped: Mapping[str, str]
    sizes: Mapping[str, int]
    strangers: tuple[tuple[str, str], ...]


def discover(store: Store, database: str) -> Discovery:
    """Look at every dataset of the lake; a file that cannot be read as what it should be raises ShopeaseError."""
    objects = {item.key: item for layer in LAYERS for item in store.list(f"{layer}/")}
    tables = {dataset.name: read_table(store, dataset) for dataset in DATASETS if dataset.key in objects}
    skipped = {
        dataset.name: f"no {dataset.key} (`{dataset.made_by}` makes it)"
        for dataset in DATASETS
        if dataset.name not in tables
    }
    views = []
    for table in TABLES:
        base = base_of(table)
        if base in tables:
            views.append(typed_view(table, tables[base], database))
        else:
            skipped[table.name] = f"a view on {base}, which is missing"
    sizes = {key: item.bytes for key, item in objects.items()}
    return Discovery(database, tuple(tables.values()), tuple(views), skipped, sizes, _strangers(objects))


def _strangers(objects: Mapping[str, StoredObject]) -> tuple[tuple[str, str], ...]:
    """Athena takes every file below a table's folder for rows, but those whose names begin with _ or a point."""
    folders = {dataset.key.rpartition("/")[0]: dataset for dataset in DATASETS}
    found = []
    for key in sorted(objects):
        layer, folder, *rest = key.split("/")
        dataset = folders.get(f"{layer}/{folder}")
        hidden = any(part.startswith(("_", ".")) for part in rest)
        is_folder = rest == [""]  # as S3's console makes them, empty
        if rest and dataset and key != dataset.key and not hidden and not is_folder:
            found.append((key, dataset.name))
    return tuple(found)


def read_table(store: Store, dataset: Dataset) -> CatalogTable:
    """The table as its file has it now.

    Raises:
        ShopeaseError: the file cannot be read, or not as what it should be.
    """
    if not dataset.is_parquet:
        return csv_table(dataset, _header(store, dataset.key))
    try:
        return parquet_table(dataset, _parquet_schema(store, dataset.key))
    except (pa.ArrowException, ValueError, OSError) as error:
        raise ShopeaseError(
            f"{store.uri(dataset.key)} cannot be read: {one_line(error)}", hint=f"run `{dataset.made_by}`"
        ) from error


def _header(store: Store, key: str) -> tuple[str, ...]:
    length = _HEADER_PIECE
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
    """The schema from the file's end: the footer, whose length stands before the last four bytes."""
    tail = store.read(key, start=-_FOOTER_PIECE)
    length = int.from_bytes(tail[-8:-4], "little") + 8
    if length > len(tail) and tail.endswith(b"PAR1"):
        tail = store.read(key, start=-length)
    return pq.read_schema(pa.BufferReader(tail))
