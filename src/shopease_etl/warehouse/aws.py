"""A lake's warehouse on AWS: its tables in Glue, its views and SQL in Athena."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Final, Self

import pyarrow as pa

from shopease_etl.catalog.glue import GlueCatalog
from shopease_etl.catalog.schema import DATASETS, CatalogTable, CatalogView, base_of, quoted
from shopease_etl.engines.athena import Athena
from shopease_etl.results import Scan
from shopease_etl.storage import Store
from shopease_etl.tables import RESULTS, TABLES
from shopease_etl.warehouse.statements import run_together

# Athena lets an account run 20 statements at a time or more; these are short.
CONCURRENCY: Final = 5


@dataclass(frozen=True)
class AwsWarehouse:
    """Tables over a lake on S3 in one database of Glue, and one Athena workgroup that answers on them."""

    store: Store
    database: str
    workgroup: str
    timeout: float

    concurrency: int = CONCURRENCY

    @property
    def place(self) -> str:
        """The database in Glue."""
        return f"{self.database} in the Glue catalog"

    def check(self) -> None:
        """Raise UnreachableError unless database and workgroup are there."""
        self._catalog.check()
        with self.engine() as engine:
            engine.check()

    @contextmanager
    def registering(self, tables: Sequence[CatalogTable], views: Sequence[CatalogView]) -> Iterator["AwsRegistration"]:
        """Bring the tables in Glue to what the files are, and create or replace the views through Athena."""
        catalog = self._catalog
        catalog.check()
        former = catalog.tables()
        changes = {table.name: catalog.put(table, former.get(table.name)) for table in tables}
        with self.engine() as engine:
            jobs = [partial(engine.replace_view, self.database, view) for view in views]
            run_together(engine, jobs, self.concurrency)
            changes |= {view.name: "replaced" if view.name in former else "created" for view in views}
            yield AwsRegistration(engine, catalog, tables, changes)

    def engine(self) -> "AwsEngine":
        """Athena on the database; the workgroup's own result location is over the lake's."""
        results = self.store.uri(f"{RESULTS}/")
        return AwsEngine(Athena(self.database, self.workgroup, results, timeout=self.timeout), self.store)

    @cached_property
    def _catalog(self) -> GlueCatalog:
        return GlueCatalog(self.database, self.store.location)


class AwsEngine:
    """Athena, which knows the files behind the tables; several threads may use it at a time."""

    def __init__(self, athena: Athena, store: Store) -> None:
        self._athena = athena
        self._store = store

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def check(self) -> None:
        """Raise UnreachableError unless the workgroup can be used."""
        self._athena.check()

    def query(self, sql: str) -> pa.RecordBatchReader:
        """Run one reading statement and wait for it; its rows come in pages."""
        return self._athena.query(sql)

    def replace_view(self, database: str, view: CatalogView) -> None:
        """Create the view, or put its new definition in place of the former one."""
        self._athena.execute(f"CREATE OR REPLACE VIEW {quoted(database)}.{quoted(view.name)} AS\n{view.sql}")

    def bytes_named(self, sql: str) -> int:
        """The size of all files that the statement names, itself or by way of a view."""
        # sqlglot is an extra: only who asks for an estimate pays
        from shopease_etl.engines.athena_sql import tables_in

        names = tables_in(sql)
        names |= {base_of(table) for table in TABLES if table.name in names}
        found = (self._store.find(dataset.key) for dataset in DATASETS if dataset.name in names)
        return sum(item.bytes for item in found if item)

    def scan_limit(self) -> int | None:
        """The workgroup's cutoff for a statement, if it has one."""
        return self._athena.cutoff

    def scan(self) -> Scan:
        """What the statements so far have scanned, and what is charged for it."""
        return Scan(self._athena.scanned, self._athena.charged)

    def close(self) -> None:
        """Stop what is running."""
        self._athena.close()


@dataclass(frozen=True)
class AwsRegistration:
    """Tables and views as they are in Glue now, where others see them at once."""

    engine: AwsEngine
    catalog: GlueCatalog
    tables: Sequence[CatalogTable]
    changes: Mapping[str, str]

    def drifts(self) -> Sequence[str]:
        """What somebody else, such as a crawler, has changed since."""
        found = self.catalog.tables()
        return [drift for table in self.tables for drift in self.catalog.drifts(table, found.get(table.name))]

    def keep(self) -> None:
        """They are there already."""
