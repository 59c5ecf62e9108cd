"""A lake's warehouse on AWS: its tables in Glue, its views and SQL in Athena."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, Self

import pyarrow as pa

from shopease_etl.contract.layout import RESULTS, dataset_of, month_of, owns
from shopease_etl.contract.tables import TABLES, Column
from shopease_etl.errors import ConfigurationError, ShopeaseError, UnreachableError
from shopease_etl.lake.store import Store
from shopease_etl.report import Scan
from shopease_etl.warehouse.athena import Athena
from shopease_etl.warehouse.athena_errors import unknown_name
from shopease_etl.warehouse.formats import declared_tables
from shopease_etl.warehouse.glue import VIEW, GlueCatalog
from shopease_etl.warehouse.metadata_statements import nearest
from shopease_etl.warehouse.schema import DATASETS, CatalogTable, CatalogView, ListedTable, quoted
from shopease_etl.warehouse.statements import run_together


@dataclass(frozen=True)
class AwsWarehouse:
    """Tables over a lake on S3 in one database of Glue, and the Athena workgroup that queries them."""

    store: Store
    database: str
    workgroup: str
    timeout: float

    concurrency: int = 5  # Athena lets an account run at least 20 statements at a time
    reads_unpublished: bool = False

    @property
    def place(self) -> str:
        """The database in Glue."""
        return f"{self.database} in the Glue catalog"

    def check(self) -> None:
        """Raise unless database and workgroup can be used and a crawl can replace all entries of the same names."""
        self._catalog.check()
        former = self._catalog.tables()
        self._catalog.require_writing(former)
        self._catalog.refuse_foreign(declared_tables(), [table.name for table in TABLES], former)
        with self.engine() as engine:
            engine.check()

    def clear(self) -> None:
        """Do nothing: without objects the tables return no rows."""

    @contextmanager
    def register(
        self, tables: Sequence[CatalogTable], views: Sequence[CatalogView], publish: Callable[[], None]
    ) -> Iterator["AwsRegistration"]:
        """Publish, update the tables in Glue to match the files, and create or replace the views through Athena."""
        publish()
        catalog = self._catalog
        catalog.check()
        former = catalog.tables()
        catalog.refuse_foreign(tables, [view.name for view in views], former)
        partitions = catalog.partitions(former, [table.name for table in tables])
        try:
            changes = {table.name: catalog.put(table, former.get(table.name)) for table in tables}
            with self.engine() as engine:
                jobs = [partial(engine.replace_view, self.database, view) for view in views]
                run_together(engine, jobs, self.concurrency)
                changes |= {view.name: "replaced" if view.name in former else "created" for view in views}
                yield AwsRegistration(engine, catalog, tables, changes)
        except ShopeaseError:
            names = [*(table.name for table in tables), *(view.name for view in views)]
            catalog.restore_tables(former, partitions, names)
            raise

    def tables(self) -> tuple[ListedTable, ...]:
        """All tables and views of the database in Glue, also those that others have created."""
        self._catalog.check()
        return self._all_tables()

    def _all_tables(self) -> tuple[ListedTable, ...]:
        return tuple(self._listed(name, found) for name, found in self._catalog.tables().items())

    def _listed(self, name: str, found: Mapping[str, Any]) -> ListedTable:
        storage, is_view = found.get("StorageDescriptor", {}), found.get("TableType") == VIEW
        columns = (*storage.get("Columns", ()), *(found.get("PartitionKeys") or ()))
        views = {table.name: dataset_of(table.best_key) for table in TABLES}
        location = storage.get("Location") or ""
        in_lake = location.removeprefix(self.store.uri("")) if location.startswith(self.store.uri("")) else ""
        return ListedTable(
            name,
            is_view,
            tuple(Column(column["Name"], column.get("Type", "")) for column in columns),
            views.get(name, "") if is_view else in_lake.rstrip("/"),
        )

    def engine(self) -> "AwsEngine":
        """Athena on the database; results go to the lake's folder for them, unless the workgroup has its own."""
        results = self.store.uri(f"{RESULTS}/")
        athena = Athena(self.database, self.workgroup, results, timeout=self.timeout)
        return AwsEngine(athena, self.store, self.database, self._all_tables)

    @cached_property
    def _catalog(self) -> GlueCatalog:
        return GlueCatalog(self.database, self.store.location)


class AwsEngine:
    """Athena, with the sizes of the files behind the tables; several threads may use it at a time."""

    def __init__(
        self, athena: Athena, store: Store, database: str, tables: Callable[[], Sequence[ListedTable]]
    ) -> None:
        self._athena = athena
        self._store = store
        self._database = database
        self._tables = tables

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def check(self) -> None:
        """Raise UnreachableError if the workgroup cannot be used."""
        self._athena.check()

    def execute(self, sql: str) -> pa.RecordBatchReader:
        """Run one read-only statement and wait for it; its rows come in pages."""
        try:
            return self._athena.execute(sql)
        except ConfigurationError as error:
            if hint := self._nearest(str(error), sql):
                error.hint = hint
            raise

    def _nearest(self, message: str, sql: str) -> str | None:
        """A hint for an error that is about an unknown table or column; None if Glue does not say which there are."""
        # sqlglot is an extra, which only statements of users need
        from shopease_etl.warehouse.dialect import tables_in

        table, column = unknown_name(message)
        if not (table or column):
            return None
        try:
            listed = self._tables()
        except UnreachableError:
            return None
        if table:
            return nearest(table, [each.name for each in listed])
        read = tables_in(sql)
        known = {known.name for each in listed if each.name in read for known in each.columns}
        return nearest(column, known) if column and known else None

    def execute_trusted(self, sql: str) -> pa.RecordBatchReader:
        """Run one statement of shopease's own, without checks."""
        return self._athena.execute_trusted(sql)

    def replace_view(self, database: str, view: CatalogView) -> None:
        """Create the view, or replace its definition."""
        self._athena.execute_ddl(f"CREATE OR REPLACE VIEW {quoted(database)}.{quoted(view.name)} AS\n{view.sql}")

    def estimated_bytes(self, sql: str) -> int:
        """The size of the files of all tables and views in the statement; a table that is named twice counts twice.

        Of a table by month only the months count to which `months_in` limits it.

        Raises:
            ShopeaseError: it names a table of another database, or cannot be parsed: its size is not known.
        """
        # sqlglot is an extra, which only estimates need
        from shopease_etl.warehouse.dialect import months_in, table_references

        references = table_references(sql)
        known = {dataset.name: dataset_of(dataset.key) for dataset in DATASETS}
        known |= {table.name: dataset_of(table.best_key) for table in TABLES}
        unknown = [
            ".".join(part for part in reference if part)
            for reference in references or ()
            if reference[0] not in {"", self._database.lower()} or reference[1] not in known
        ]
        if references is None or unknown:
            what = f"{unknown[0]} is not of this lake" if unknown else "the statement cannot be parsed"
            hint = "leave out --max-scan, or give the workgroup a cutoff that is not higher"
            raise ShopeaseError(f"cannot estimate how much it reads: {what}", hint=hint)
        months = months_in(sql)
        return sum(
            item.bytes
            for _, name in references
            for item in self._store.list(f"{known[name]}/")
            if owns(item.key) and _is_read(item.key, months[name])
        )

    def scan_limit(self) -> int | None:
        """The bytes at which the workgroup stops a statement; None if it does not."""
        return self._athena.cutoff

    def scan(self) -> Scan:
        """The bytes that the statements have scanned so far, and those that are charged."""
        return Scan(self._athena.scanned, self._athena.charged)

    def close(self) -> None:
        """Stop running statements."""
        self._athena.close()


def _is_read(key: str, months: Collection[str] | None) -> bool:
    month = month_of(key)
    return month is None or months is None or month in months


@dataclass(frozen=True)
class AwsRegistration:
    """Tables and views as they are in Glue now, where others see them at once."""

    engine: AwsEngine
    catalog: GlueCatalog
    tables: Sequence[CatalogTable]
    changes: Mapping[str, str]

    def conflicts(self) -> Sequence[str]:
        """What others, such as a crawler, have changed since."""
        found = self.catalog.tables()
        return [conflict for table in self.tables for conflict in self.catalog.conflicts(table, found.get(table.name))]

    def commit(self) -> None:
        """Do nothing: they are in Glue already."""
