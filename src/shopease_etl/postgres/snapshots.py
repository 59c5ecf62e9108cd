"""One snapshot shared by several connections, and tables as streams of CSV bytes."""

import selectors
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Final

import psycopg
from psycopg import pq, sql

from shopease_etl.errors import SourceFaultError
from shopease_etl.postgres.connections import NO_LIMITS, Limits, connect, hang_up, opened, session_settings
from shopease_etl.postgres.errors import first_line, translating

CHUNK_BYTES: Final = 1024 * 1024
CANCEL_SECONDS: Final = 2.0
ANSWER_SECONDS: Final = 30.0  # what the leader may take to say that it is there
SAMPLE_CHARACTERS: Final = 60

# How servers of different ages say that a snapshot is not there any more.
_NO_SNAPSHOT: Final = (
    psycopg.errors.UndefinedObject,
    psycopg.errors.InvalidParameterValue,
    psycopg.errors.ObjectNotInPrerequisiteState,
)

_TABLES: Final = """
SELECT c.relname,
       c.relkind = 'r' AND NOT c.relhassubclass
         AND NOT EXISTS (SELECT FROM pg_attribute g WHERE g.attrelid = c.oid AND g.attgenerated <> ''),
       pg_table_size(c.oid),
       has_table_privilege(c.oid, 'SELECT'),
       ARRAY(SELECT a.attname::text FROM pg_attribute a
             WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum),
       ARRAY(SELECT format_type(a.atttypid, a.atttypmod) FROM pg_attribute a
             WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = %s AND c.relname = ANY(%s) AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
"""


@dataclass(frozen=True)
class SourceTable:
    """A table of the source: its columns and their types in order, its size on disk in bytes, and whether plain COPY
    takes all of it.

    COPY of a table leaves out generated columns, child tables and partitions; `plain` is false where there are any.
    """

    schema: str
    name: str
    columns: tuple[str, ...]
    types: tuple[str, ...]
    bytes: int
    readable: bool
    plain: bool

    @property
    def copy_statement(self) -> sql.Composed:
        """The COPY that gives bronze's bytes."""
        table = sql.Identifier(self.schema, self.name)
        target = table if self.plain else sql.SQL("(SELECT * FROM {})").format(table)
        return sql.SQL("COPY {} TO STDOUT (FORMAT csv, HEADER)").format(target)


class CopyOut:
    """The rows of one table as CSV bytes, in chunks of about a mebibyte; `rows` is what COPY reported at its end."""

    def __init__(self, connection: psycopg.Connection, table: SourceTable) -> None:
        self.rows = 0
        self._connection = connection
        self._table = table

    def __iter__(self) -> Iterator[bytes]:
        """Yield the bytes as the server sends them.

        Raises:
            ShopeaseError: the server ended the COPY with an error.
            SourceFaultError: the connection broke.
        """
        with translating(f"COPY of {self._table.schema}.{self._table.name}"):
            yield from self._chunks()

    def _chunks(self) -> Iterator[bytes]:
        """libpq's own loop: psycopg's iterator makes a Python object of each row and costs twice as much."""
        server = self._connection.pgconn
        server.send_query(self._table.copy_statement.as_string(self._connection).encode())
        self._result(pq.ExecStatus.COPY_OUT)
        buffer = bytearray()
        while (received := server.get_copy_data(1))[0] >= 0:
            buffer += received[1]
            if not received[0]:
                self._receive()
            elif len(buffer) >= CHUNK_BYTES:
                yield bytes(buffer)
                buffer.clear()
        yield bytes(buffer)
        self.rows = self._result(pq.ExecStatus.COMMAND_OK).command_tuples or 0

    def _result(self, expected: pq.ExecStatus) -> pq.abc.PGresult:
        server = self._connection.pgconn
        while server.is_busy():
            self._receive()
        result = server.get_result()
        if result is None:
            message = "the server closed the connection"
            raise psycopg.OperationalError(message)
        if result.status != expected:
            raise psycopg.errors.error_from_result(result)
        return result

    def _receive(self) -> None:
        """Wait for the server. psycopg holds Python's lock while libpq waits: no other thread could do anything."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._connection.fileno(), selectors.EVENT_READ)
            selector.select()
        self._connection.pgconn.consume_input()


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
        rows = self._leader.execute(_TABLES, [self._schema, list(names)]).fetchall()
        found = (
            SourceTable(self._schema, name, tuple(columns), tuple(types), size or 0, readable, plain)
            for name, plain, size, readable, columns, types in rows
        )
        return {table.name: table for table in found}

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
            connection.execute(session_settings(self._timezone, self._limits))
            connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            try:
                connection.execute(sql.SQL("SET TRANSACTION SNAPSHOT {}").format(self.id))
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
