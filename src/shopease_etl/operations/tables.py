"""What can be queried: the tables and views of the catalog, what they mean, and what the lake has of them."""

from dataclasses import dataclass, replace
from typing import Final

from shopease_etl.contract import layout, meanings
from shopease_etl.contract.tables import TABLES
from shopease_etl.errors import ConfigurationError, ShopeaseError
from shopease_etl.lake.manifests import own_objects
from shopease_etl.lake.store import Store
from shopease_etl.operations.status import DatasetStatus, lake_datasets
from shopease_etl.warehouse import Warehouse
from shopease_etl.warehouse.metadata_statements import nearest
from shopease_etl.warehouse.schema import DATASETS, ListedTable, quoted

GOLD: Final = "gold"
VIEW: Final = "view"
OTHER: Final = "other"
RAW: Final = "raw"
_KINDS: Final = (GOLD, VIEW, OTHER, RAW)
_NAMES: Final = [*(table.name for table in TABLES), *(dataset.name for dataset in DATASETS)]


@dataclass(frozen=True)
class ColumnDescription:
    """A column of a table or view; `meaning` is empty if it is not known."""

    name: str
    type: str
    meaning: str


@dataclass(frozen=True)
class TableDescription:
    """A table or view that can be queried, and the dataset behind it.

    `kind` is `gold`, `view` for a typed view, `raw` for the text of bronze, silver or quarantine, or `other` for what
    others have created. `key` is the file in the lake, or the folder of its files by month, of which there are
    `months`. `rows` is None if no manifest has them, `run_id` is the last run that wrote rows, `modified` its time in
    seconds since 1970; `key` and all that is known of files is None if there are none.
    """

    name: str
    kind: str
    meaning: str
    columns: tuple[ColumnDescription, ...]
    rows: int | None = None
    bytes: int | None = None
    modified: float | None = None
    run_id: str | None = None
    key: str | None = None
    months: int | None = None


@dataclass(frozen=True)
class LakeTables:
    """What can be queried, gold first; `uncatalogued` are tables that the lake has files of, but the catalog lacks."""

    location: str
    database: str
    tables: tuple[TableDescription, ...]
    uncatalogued: tuple[str, ...]


def lake_tables(store: Store, warehouse: Warehouse) -> LakeTables:
    """The tables and views of the warehouse's catalog, with what the lake has of them.

    Raises:
        ShopeaseError: none of the lake's tables is catalogued.
    """
    listed = warehouse.tables()
    datasets = {
        layout.dataset_of(item.key): item for item in lake_datasets(store) if item.months or layout.owns(item.key)
    }
    if not any(table.folder in datasets for table in listed):
        hint = "run `shopease crawl`, or `shopease run-all` if the lake is empty"
        raise ShopeaseError(f"nothing of {store.location} is catalogued in {warehouse.place} yet", hint=hint)
    found = [_description(table, datasets.get(table.folder)) for table in listed]
    names = {table.name for table in found}
    missing = (item.name for item in DATASETS if layout.dataset_of(item.key) in datasets and item.name not in names)
    return LakeTables(store.location, warehouse.database, tuple(sorted(found, key=_place)), tuple(missing))


def find_table(tables: LakeTables, name: str) -> TableDescription:
    """The table or view with this name, in any case, with or without the database's.

    Raises:
        ConfigurationError: there is none; the hint has similar names.
    """
    wanted = name.lower().removeprefix(f"{tables.database.lower()}.")
    if found := next((table for table in tables.tables if table.name.lower() == wanted), None):
        return found
    known = [table.name for table in tables.tables]
    raise ConfigurationError(f"there is no table or view {name}", hint=nearest(wanted, known))


def first_rows(store: Store, database: str, table: TableDescription, rows: int) -> str:
    """The SQL for some rows of a table: if it is kept by month, of the last month, so that no other is read."""
    last = None
    if table.key and layout.SALE_MONTH in {column.name for column in table.columns}:
        months = filter(None, (layout.month_of(item.key) for item in own_objects(store, [table.key])))
        last = max(months, key=lambda month: (month != layout.NO_MONTH, month), default=None)
    where = f" WHERE {quoted(layout.SALE_MONTH)} = '{last}'" if last else ""
    return f"SELECT * FROM {quoted(database)}.{quoted(table.name)}{where} LIMIT {rows}"  # noqa: S608 - names are quoted


def _description(table: ListedTable, dataset: DatasetStatus | None) -> TableDescription:
    kind = _kind(table)
    columns = tuple(
        ColumnDescription(column.name, column.type, meanings.of_column(table.name, column.name))
        for column in table.columns
    )
    described = TableDescription(table.name, kind, "" if kind == OTHER else meanings.of_table(table.name), columns)
    if dataset is None:
        return described
    return replace(
        described,
        rows=dataset.rows,
        bytes=dataset.bytes,
        modified=dataset.modified,
        run_id=dataset.run_id,
        key=dataset.key,
        months=dataset.months,
    )


def _kind(table: ListedTable) -> str:
    if table.is_view:
        return VIEW if table.folder else OTHER
    if table.folder not in {layout.dataset_of(dataset.key) for dataset in DATASETS}:
        return OTHER
    return GOLD if table.folder.startswith(f"{layout.GOLD}/") else RAW


def _place(table: TableDescription) -> tuple[int, int, str]:
    """Gold, views, what others have created, and raw tables; each in the contract's order."""
    place = _NAMES.index(table.name) if table.name in _NAMES else len(_NAMES)
    return _KINDS.index(table.kind), place, table.name
