"""The warehouse of a local lake: a file as its catalog, DuckDB for SQL."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from shopease_etl import extras
from shopease_etl.contract.layout import SILVER, dataset_of
from shopease_etl.errors import ShopeaseError
from shopease_etl.lake.store import Store
from shopease_etl.warehouse.discovery import read_table
from shopease_etl.warehouse.local_catalog import LocalCatalog, delete, load, save
from shopease_etl.warehouse.schema import CatalogTable, CatalogView, Dataset, ListedTable

if TYPE_CHECKING:
    from shopease_etl.warehouse.duckdb import Engine


@dataclass(frozen=True)
class LocalWarehouse:
    """Tables over a lake's files, listed in a JSON file under the home folder.

    `store` is the lake, or a `Transaction` over it, whose objects are files in the lake's folder `root` too.
    """

    store: Store
    root: Path
    catalog_file: Path
    database: str
    max_memory: int | None = None
    timeout: float | None = None

    concurrency: int = 1
    reads_unpublished: bool = True

    @property
    def place(self) -> str:
        """The catalog's file."""
        return str(self.catalog_file)

    def check(self) -> None:
        """Raise ConfigurationError if DuckDB or sqlglot is not installed."""
        extras.require("query", "the catalog of a local lake", otherwise="use --skip-crawl")

    def clear(self) -> None:
        """Delete the catalog of a lake that is empty now."""
        delete(self.catalog_file)

    @contextmanager
    def register(
        self, tables: Sequence[CatalogTable], views: Sequence[CatalogView], publish: Callable[[], None]
    ) -> Iterator["LocalRegistration"]:
        """Open an engine on the tables and views; the former catalog stays until `commit`."""
        catalog = LocalCatalog(self.database, self.store.location, tuple(tables), tuple(views))
        engine = self._engine(catalog)
        try:
            yield LocalRegistration(engine, catalog, self.catalog_file, publish)
        finally:
            engine.close()

    def tables(self) -> tuple[ListedTable, ...]:
        """The catalog's tables and views, also those whose files cannot be read."""
        catalog = load(self.catalog_file)
        folders = {table.name: dataset_of(table.keys[0]) for table in catalog.tables}
        return (
            *(
                ListedTable(
                    table.name,
                    is_view=False,
                    columns=(*table.columns, *table.partition_columns),
                    folder=folders[table.name],
                )
                for table in catalog.tables
            ),
            *(
                ListedTable(view.name, is_view=True, columns=view.columns, folder=folders.get(view.base, ""))
                for view in catalog.views
            ),
        )

    def engine(self) -> "Engine":
        """DuckDB on the catalog's tables; a broken or changed file fails only the queries that read it."""
        return self._engine(load(self.catalog_file))

    def _engine(self, catalog: LocalCatalog) -> "Engine":
        # duckdb and sqlglot are an extra, and slow to import
        from shopease_etl.warehouse.duckdb import Engine

        engine = Engine(self.root, catalog.database, max_memory=self.max_memory, timeout=self.timeout)
        for table in catalog.tables:
            try:
                self._check_unchanged(table)
            except ShopeaseError as error:
                engine.mark_broken(table.name, error)
                continue
            self._add(engine, table)
        for view in catalog.views:
            engine.add_view(view.name, view.sql)
        return engine

    def _add(self, engine: "Engine", table: CatalogTable) -> None:
        paths = [Path(self.store.uri(key)) for key in table.keys]
        if table.is_parquet:
            engine.add_parquet(table.name, paths[0], made_by=table.made_by)
            return
        engine.add_csv(
            table.name,
            paths,
            [column.name for column in table.columns],
            made_by=table.made_by,
            has_line_breaks=table.layer != SILVER,
            is_by_month=bool(table.months),
        )

    def _check_unchanged(self, table: CatalogTable) -> None:
        for key in table.keys:
            if self.store.find(key) is None:
                # a run without a crawl may have deleted a month
                crawl = "run `shopease crawl` if a run deleted that month, else `shopease run-all`"
                hint = crawl if table.months else f"run `{table.made_by}` to rebuild it"
                raise ShopeaseError(f"{self.store.uri(key)} does not exist", hint=hint)
        dataset = Dataset(table.name, table.keys[0])
        if read_table(self.store, dataset, tuple(table.months.values())) != table:
            message = f"{self.store.uri(table.keys[0])} has other columns than its catalog"
            raise ShopeaseError(message, hint="run `shopease crawl`")


@dataclass(frozen=True)
class LocalRegistration:
    """An engine on tables and views that others see only after `commit`."""

    engine: "Engine"
    catalog: LocalCatalog
    catalog_file: Path
    publish: Callable[[], None]
    changes: Mapping[str, str] = field(default_factory=dict)

    def conflicts(self) -> Sequence[str]:
        """None: others cannot change them yet."""
        return ()

    def commit(self) -> None:
        """Publish the files and replace the catalog."""
        self.publish()
        save(self.catalog, self.catalog_file)
