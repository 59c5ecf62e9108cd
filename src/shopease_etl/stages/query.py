"""One SQL statement on the catalogued lake, and the queries that ship with the tool."""

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

import pyarrow as pa

from shopease_etl.catalog.local import LocalCatalog, load, read_table
from shopease_etl.catalog.schema import CatalogTable, Dataset
from shopease_etl.errors import ConfigurationError, DataRefusedError, ShopeaseError
from shopease_etl.tables import SILVER

if TYPE_CHECKING:
    from shopease_etl.engines.duckdb import Engine

_DATABASE: Final = "shopease_catalog"


@dataclass(frozen=True)
class ShippedQuery:
    """A query that ships with the tool, in Athena's SQL."""

    name: str
    description: str
    sql: str


@dataclass(frozen=True)
class QueryResult:
    """A running query: its columns, and its rows as batches that can be read once; to be closed."""

    columns: tuple[str, ...]
    reader: pa.RecordBatchReader
    engine: "Engine"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.engine.close()


def query(
    sql: str, *, lake: Path, catalog_file: Path, max_memory: int | None = None, max_scan: int | None = None
) -> QueryResult:
    """Runs one reading statement of Athena's SQL on a local lake; use the result as a context manager.

    It is refused if the files that it names are larger than `max_scan` bytes.
    """
    engine = open_engine(load(catalog_file), lake, max_memory=max_memory)
    try:
        if max_scan is not None and (size := engine.bytes_named(sql)) > max_scan:
            raise DataRefusedError(
                f"the statement may read {size:,} bytes, more than the {max_scan:,} of --max-scan",
                hint="gold is smaller than silver, and silver's columns are all in one file",
            )
        reader = engine.query(sql)
    except BaseException:
        engine.close()
        raise
    return QueryResult(tuple(reader.schema.names), reader, engine)


def open_engine(catalog: LocalCatalog, lake: Path, *, max_memory: int | None = None) -> "Engine":
    """DuckDB with the catalog's tables and views; a broken or changed file fails only the queries that ask for it."""
    # duckdb and sqlglot are an extra, and slow to import: only who asks for them pays
    from shopease_etl.engines.duckdb import Engine

    engine = Engine(lake, catalog.database, max_memory=max_memory)
    for table in catalog.tables:
        try:
            _check_unchanged(table, lake)
        except ShopeaseError as error:
            engine.mark_broken(table.name, error)
            continue
        add_table(engine, table, lake)
    for view in catalog.views:
        engine.add_view(view.name, view.sql)
    return engine


def add_table(engine: "Engine", table: CatalogTable, lake: Path) -> None:
    """Makes the table's file queryable under the table's name."""
    path = lake.resolve() / table.key
    if table.is_parquet:
        engine.add_parquet(table.name, path, made_by=table.made_by)
    else:
        has_line_breaks = table.layer != SILVER
        engine.add_csv(table.name, path, table.column_names, made_by=table.made_by, has_line_breaks=has_line_breaks)


def _check_unchanged(table: CatalogTable, lake: Path) -> None:
    found = read_table(lake, Dataset(table.name, table.key))
    if found is None:
        raise ShopeaseError(f"{lake / table.key} is not there", hint=f"run `{table.made_by}` to make it again")
    if found != table:
        raise ShopeaseError(f"{lake / table.key} has other columns than its catalog", hint="run `shopease crawl`")


@cache
def shipped_queries(database: str = _DATABASE) -> tuple[ShippedQuery, ...]:
    """All queries that ship with the tool, by name, on the tables of `database`."""
    entries = sorted(files("shopease_etl").joinpath("queries").iterdir(), key=lambda entry: entry.name)
    return tuple(
        _shipped(entry.name.removesuffix(".sql"), entry.read_text(encoding="utf-8"), database)
        for entry in entries
        if entry.name.endswith(".sql")
    )


def shipped_query(name: str, database: str = _DATABASE) -> ShippedQuery:
    """The shipped query of a name; ConfigurationError where there is none."""
    for candidate in shipped_queries(database):
        if candidate.name == name:
            return candidate
    names = ", ".join(candidate.name for candidate in shipped_queries(database))
    raise ConfigurationError(f"no query named {name!r} ships with shopease", hint=f"there are these: {names}")


def _shipped(name: str, text: str, database: str) -> ShippedQuery:
    first_line, _, sql = text.partition("\n")
    if database != _DATABASE:
        sql = sql.replace(f"{_DATABASE}.", f'"{database}".')
    return ShippedQuery(name, first_line.removeprefix("--").strip(), sql.strip())
