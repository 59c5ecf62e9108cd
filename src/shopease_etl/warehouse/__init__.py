"""Where the lake's tables are registered and SQL is run: Glue and Athena, or a file and DuckDB on this machine."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

import pyarrow as pa

from shopease_etl.report import Scan
from shopease_etl.warehouse.schema import CatalogTable, CatalogView


class SqlEngine(Protocol):
    """Answers reading statements in Athena's SQL; to be closed."""

    def query(self, sql: str) -> pa.RecordBatchReader:
        """Run one statement; its rows can be read once, as they come."""

    def answer(self, sql: str) -> pa.RecordBatchReader:
        """Run one statement of our own, which needs no check."""

    def bytes_named(self, sql: str) -> int:
        """The size of all files that a statement names: the most that it reads."""

    def scan_limit(self) -> int | None:
        """The bytes at which the engine itself stops a statement, if it does."""

    def scan(self) -> Scan | None:
        """What the statements so far have scanned, where that is paid for."""

    def close(self) -> None:
        """Stop what is running and free what is held."""


class Registration(Protocol):
    """Tables and views that were made queryable, to be verified before they are kept."""

    @property
    def engine(self) -> SqlEngine:
        """Answers on what was made queryable."""

    @property
    def changes(self) -> Mapping[str, str]:
        """By name what was done to a table or view, where somebody else could have it otherwise."""

    def drifts(self) -> Sequence[str]:
        """What is registered by now otherwise than it was asked for, told for a person."""

    def keep(self) -> None:
        """Everything answers: let others see it, where they do not yet."""


class Warehouse(Protocol):
    """One database of tables and views over one lake."""

    @property
    def database(self) -> str:
        """The database's name."""

    @property
    def place(self) -> str:
        """Where the catalog is, told for a person."""

    @property
    def reads_unpublished(self) -> bool:
        """Whether its SQL reads what a run has written and not published yet."""

    @property
    def concurrency(self) -> int:
        """How many statements may run at a time."""

    def check(self) -> None:
        """Raise what a registration would raise at its start; changes nothing."""

    def clear(self) -> None:
        """See to it that no query returns what an empty lake once held."""

    def registering(
        self, tables: Sequence[CatalogTable], views: Sequence[CatalogView], commit: Callable[[], None]
    ) -> AbstractContextManager[Registration]:
        """Make the tables and views queryable; what was registered before comes back when the context fails.

        `commit` publishes the files. It is called before anything is registered, or, where SQL reads what is not
        published, when the registration is kept: everything has answered by then.
        """

    def engine(self) -> SqlEngine:
        """An engine on what is registered."""
