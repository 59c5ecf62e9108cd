"""One snapshot shared by several connections."""

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Final

import psycopg
from psycopg import sql

from shopease_etl.errors import SourceFaultError
from shopease_etl.postgres.connections import NO_LIMITS, Limits, connect, hang_up, opened, session_settings
from shopease_etl.postgres.errors import first_line, translating
from shopease_etl.postgres.source_tables import SourceTable, tables_of

CANCEL_SECONDS: Final = 2.0
ANSWER_SECONDS: Final = 30.0  # what the leader may take to say that it is there
SAMPLE_CHARACTERS: Final = 60

# Rows come in the order of their blocks, whoever else reads the table, and a range is found without reading the rest.
_IN_ORDER: Final = sql.SQL("; SET synchronize_seqscans = off; SET enable_tidscan = on")
_JOIN: Final = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET TRANSACTION SNAPSHOT {}"
# How servers of different ages say that a snapshot is not there any more.
_NO_SNAPSHOT: Final = (
    psycopg.errors.UndefinedObject,
    psycopg.errors.InvalidParameterValue,
    psycopg.errors.ObjectNotInPrerequisiteState,
)


class Snapshot:
    """One moment of the source, seen alike by every connection that joins it."""

    def __init__(self, url: str, timezone: str, schema: str, limits: Limits, leader: psycopg.Connection) -> None:
        self._url = url
        self._timezone = timezone
        self._schema = schema
        self._limits = limits
        self._leader = leader
        self._workers: set[psycopg.Connection] = set()
        self._guard = threading.Lock()
        self.id = _value(leader, "SELECT pg_export_snapshot()")
        self.server_version = _value(leader, "SHOW server_version")
        self.host = leader.info.host
        self.database = leader.info.dbname
        self._heard = time.monotonic()

    def tables(self, names: Sequence[str]) -> dict[str, SourceTable]:
        """Those of the named tables that the schema has."""
        return tables_of(self._leader, self._schema, list(names))

    def sample_row(self, table: SourceTable) -> Mapping[str, str | None]:
        """The table's first row as COPY writes it, long values cut off; empty where the table is."""
        query = sql.SQL("COPY (SELECT * FROM {} LIMIT 1) TO STDOUT")
        with self._leader.cursor().copy(query.format(sql.Identifier(table.schema, table.name))) as copy:
            rows = list(copy.rows())
        return {name: _cut(value) for row in rows for name, value in zip(table.columns, row, strict=True)}

    @contextmanager
    def worker(self) -> Iterator[psycopg.Connection]:
        """A connection of its own that sees this snapshot.

        Raises:
            SourceFaultError: the snapshot is not there any more.
        """
        with opened(self._url) as connection, self._counted(connection):
            connection.execute(sql.Composed([session_settings(self._timezone, self._limits), _IN_ORDER]))
            try:
                connection.execute(sql.SQL(_JOIN).format(self.id))
            except _NO_SNAPSHOT as error:
                message = f"the snapshot of the source is gone: {first_line(error)}"
                hint = "SHOPEASE_DATABASE_URL must lead to one server, and not to one of several by turns"
                raise SourceFaultError(message, hint=hint) from error
            yield connection

    @contextmanager
    def _counted(self, connection: psycopg.Connection) -> Iterator[None]:
        with self._guard:
            self._workers.add(connection)
        try:
            yield
        finally:
            with self._guard:
                self._workers.discard(connection)

    def keep_alive(self) -> None:
        """Let the snapshot's own transaction not idle for long; called often, it asks the server only now and then.

        Raises:
            SourceFaultError: the connection is lost, and the snapshot with it.
        """
        often = min(ANSWER_SECONDS, self._limits.idle / 3) if self._limits.idle else ANSWER_SECONDS
        if time.monotonic() - self._heard < often:
            return
        patience = threading.Timer(ANSWER_SECONDS, hang_up, [self._leader])
        patience.start()
        try:
            with translating("the snapshot of the source is gone"):
                self._leader.execute("SELECT 1")
        finally:
            patience.cancel()
        self._heard = time.monotonic()

    def cancel(self) -> None:
        """End what the workers are doing, from another thread; a server that does not answer is not told."""
        with self._guard:
            for connection in self._workers:
                with suppress(psycopg.Error):
                    connection.cancel_safe(timeout=CANCEL_SECONDS)

    def hang_up(self) -> None:
        """Break off the workers' connections, so that nobody waits for a server that does not answer."""
        with self._guard:
            for connection in self._workers:
                hang_up(connection)


def _cut(value: str | None) -> str | None:
    if value is None or len(value) <= SAMPLE_CHARACTERS:
        return value
    return f"{value[: SAMPLE_CHARACTERS - 1]}…"


@contextmanager
def snapshot(url: str, timezone: str, schema: str, limits: Limits = NO_LIMITS) -> Iterator[Snapshot]:
    """Open a REPEATABLE READ, read-only transaction and export its snapshot for as long as the context lasts."""
    with connect(url, timezone, limits) as leader:
        leader.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        yield Snapshot(url, timezone, schema, limits, leader)


def _value(connection: psycopg.Connection, query: str) -> str:
    row = connection.execute(query.encode()).fetchone()
    return str(row[0]) if row else ""
