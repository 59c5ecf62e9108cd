"""A lake's warehouse on AWS: its tables in Glue, its views and SQL in Athena."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Final, Self

import pyarrow as pa

from shopease_etl.contract.layout import RESULTS
from shopease_etl.contract.tables import TABLES
from shopease_etl.errors import ShopeaseError
from shopease_etl.lake.store import Store
from shopease_etl.report import Scan
from shopease_etl.warehouse.athena import Athena
from shopease_etl.warehouse.formats import declared_tables
from shopease_etl.warehouse.glue import GlueCatalog
from shopease_etl.warehouse.schema import DATASETS, CatalogTable, CatalogView, quoted
from shopease_etl.warehouse.statements import run_together

# Athena lets an account run 20 statements at a time or more; these are short.
CONCURRENCY: Final = 5
_VIEW_KEYS: Final = {table.name: table.best_key for table in TABLES}


@dataclass(frozen=True)
class AwsWarehouse:
    """Tables over a lake on S3 in one database of Glue, and one Athena workgroup that answers on them."""

    store: Store
    database: str
    workgroup: str
    timeout: float

    concurrency: int = CONCURRENCY
    reads_unpublished: bool = False

    @property
    def place(self) -> str:
        """The database in Glue."""
        return f"{self.database} in the Glue catalog"

    def check(self) -> None:
        """Raise unless database and workgroup can be used, and no table or view of another kind is in the way."""
        self._catalog.check()
        self._catalog.require_writing()
        self._catalog.refuse_foreign(declared_tables(), [table.name for table in TABLES], self._catalog.tables())
        with self.engine() as engine:
            engine.check()

    def clear(self) -> None:
        """Leave the tables of a lake that is empty now: without objects they return no rows."""

    @contextmanager
    def registering(
        self, tables: Sequence[CatalogTable], views: Sequence[CatalogView], commit: Callable[[], None]
    ) -> Iterator["AwsRegistration"]:
        """Publish, bring the tables in Glue to what the files are, and create or replace the views through Athena."""
        commit()
        catalog = self._catalog
        catalog.check()
        former = catalog.tables()
        catalog.refuse_foreign(tables, [view.name for view in views], former)
        try:
            changes = {table.name: catalog.put(table, former.get(table.name)) for table in tables}
            with self.engine() as engine:
                jobs = [partial(engine.replace_view, self.database, view) for view in views]
                run_together(engine, jobs, self.concurrency)
                changes |= {view.name: "replaced" if view.name in former else "created" for view in views}
                yield AwsRegistration(engine, catalog, tables, changes)
        except ShopeaseError:
            catalog.put_back(former, [*(table.name for table in tables), *(view.name for view in views)])
            raise

    def engine(self) -> "AwsEngine":
        """Athena on the database; the workgroup's own result location is over the lake's."""
        results = self.store.uri(f"{RESULTS}/")
        return AwsEngine(
            Athena(self.database, self.workgroup, results, timeout=self.timeout), self.store, self.database
        )

    @cached_property
    def _catalog(self) -> GlueCatalog:
        return GlueCatalog(self.database, self.store.location)


class AwsEngine:
    """Athena, which knows the files behind the tables; several threads may use it at a time."""

    def __init__(self, athena: Athena, store: Store, database: str) -> None:
        self._athena = athena
        self._store = store
        self._database = database

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

    def answer(self, sql: str) -> pa.RecordBatchReader:
        """Run one statement of our own, which needs no check."""
        return self._athena.answer(sql)

    def replace_view(self, database: str, view: CatalogView) -> None:
        """Create the view, or put its new definition in place of the former one."""
        self._athena.execute(f"CREATE OR REPLACE VIEW {quoted(database)}.{quoted(view.name)} AS\n{view.sql}")

    def bytes_named(self, sql: str) -> int:
        """The size of all files that the statement names, itself or by way of a view, once for each time.

        Raises:
            ShopeaseError: it names something else, or cannot be read here: its size is not known.
        """
        # sqlglot is an extra: only who asks for an estimate pays
        from shopease_etl.warehouse.dialect import table_references

        references = table_references(sql)
        known = {**{dataset.name: dataset.key for dataset in DATASETS}, **_VIEW_KEYS}
        strange = [
            ".".join(part for part in reference if part)
            for reference in references or ()
            if reference[0] not in {"", self._database.lower()} or reference[1] not in known
        ]
        if references is None or strange:
            what = f"{strange[0]} is not of this lake" if strange else "the statement cannot be read here"
            hint = "leave out --max-scan, or give the workgroup a cutoff that is not above it"
            raise ShopeaseError(f"cannot estimate how much it reads: {what}", hint=hint)
        found = (self._store.find(known[name]) for _, name in references)
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
