"""Registers the lake's tables and runs SQL: Glue and Athena, or a file and DuckDB on this machine."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

import pyarrow as pa

from shopease_etl.report import Scan
from shopease_etl.warehouse.schema import CatalogTable, CatalogView, ListedTable


class SqlEngine(Protocol):
    """Runs read-only statements in Athena's SQL; the caller closes it."""

    def execute(self, sql: str) -> pa.RecordBatchReader:
        """Run one statement; its rows can be read once."""

    def execute_trusted(self, sql: str) -> pa.RecordBatchReader:
        """Run one statement of shopease's own, without checks."""

    def estimated_bytes(self, sql: str) -> int:
        """The size of the files of the tables in a statement: the most that it can read.

        Of a table by month, if the statement limits it to literal months, only theirs.
        """

    def scan_limit(self) -> int | None:
        """The bytes at which the engine itself stops a statement; None if it does not."""

    def scan(self) -> Scan | None:
        """What the statements have scanned so far, if that is charged for."""

    def close(self) -> None:
        """Stop running statements and free all resources."""


class Registration(Protocol):
    """Tables and views that can be queried, to verify them before `commit`."""

    @property
    def engine(self) -> SqlEngine:
        """Runs SQL on these tables and views."""

    @property
    def changes(self) -> Mapping[str, str]:
        """What was done to each table or view, by name, if the catalog is shared with others."""

    def conflicts(self) -> Sequence[str]:
        """What others have changed in the registered tables, for a person."""

    def commit(self) -> None:
        """Make the tables and views, and the files, visible to others, if they are not yet."""


class Warehouse(Protocol):
    """One database of tables and views over one lake."""

    @property
    def database(self) -> str:
        """The database's name."""

    @property
    def place(self) -> str:
        """The place of the catalog, for a person."""

    @property
    def reads_unpublished(self) -> bool:
        """Whether its SQL reads what a run has written but not published yet."""

    @property
    def concurrency(self) -> int:
        """How many statements can run at a time."""

    def check(self) -> None:
        """Raise the errors that a registration would raise at its start, without changes."""

    def clear(self) -> None:
        """Make sure that queries return nothing from a lake that is now empty."""

    def register(
        self, tables: Sequence[CatalogTable], views: Sequence[CatalogView], publish: Callable[[], None]
    ) -> AbstractContextManager[Registration]:
        """Make the tables and views queryable; what was registered before comes back when the context fails.

        `publish` publishes the files. It is called before anything is registered, or, if SQL reads unpublished files,
        by the registration's `commit`, when all tables and views have been queried.
        """

    def tables(self) -> Sequence[ListedTable]:
        """The tables and views that can be queried now.

        Raises:
            ShopeaseError: there is no catalog yet.
        """

    def engine(self) -> SqlEngine:
        """An engine on the registered tables."""
