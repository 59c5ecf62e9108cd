"""The source database: connections, one snapshot shared by all of them, and tables as streams of CSV bytes."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Final

import psycopg
from psycopg import pq, sql
from psycopg.conninfo import conninfo_to_dict

from shopease_etl.errors import ConfigurationError, ShopeaseError, UnreachableError

CHUNK_BYTES: Final = 1024 * 1024
CANCEL_SECONDS: Final = 5.0

_TABLES: Final = """
SELECT c.relname,
       c.relkind = 'r' AND NOT c.relhassubclass
         AND NOT EXISTS (SELECT FROM pg_attribute g WHERE g.attrelid = c.oid AND g.attgenerated <> ''),
       pg_table_size(c.oid),
       has_table_privilege(c.oid, 'SELECT'),
       ARRAY(SELECT a.attname::text FROM pg_attribute a
             WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = %s AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
"""


@dataclass(frozen=True)
class SourceTable:
    """A table of the source: its columns in order, its size on disk in bytes, and whether plain COPY takes all of it.

    COPY of a table leaves out generated columns, child tables and partitions; `plain` is false where there are any.
    """

    schema: str
    name: str
    columns: tuple[str, ...]
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
            UnreachableError: the connection broke.
        """
        try:
            yield from self._chunks()
        except psycopg.Error as error:
            raise _translated(error, f"COPY of {self._table.schema}.{self._table.name}") from error

    def _chunks(self) -> Iterator[bytes]:
        """libpq's own loop: psycopg's iterator makes a Python object of each row and costs twice as much."""
        server = self._connection.pgconn
        server.send_query(self._table.copy_statement.as_string(self._connection).encode())
        self._result(pq.ExecStatus.COPY_OUT)
        buffer = bytearray()
        while (received := server.get_copy_data(0))[0] > 0:
            buffer += received[1]
            if len(buffer) >= CHUNK_BYTES:
                yield bytes(buffer)
                buffer.clear()
        yield bytes(buffer)
        self.rows = self._result(pq.ExecStatus.COMMAND_OK).command_tuples or 0
        server.get_result()

    def _result(self, expected: pq.ExecStatus) -> pq.abc.PGresult:
        result = self._connection.pgconn.get_result()
        if result is None:
            message = "the server closed the connection"
            raise psycopg.OperationalError(message)
        if result.status != expected:
            raise psycopg.errors.error_from_result(result)
        return result


class Snapshot:
    """One moment of the source, seen alike by every connection that joins it."""

    def __init__(self, url: str, timezone: str, schema: str, leader: psycopg.Connection) -> None:
        self._url = url
        self._timezone = timezone
        self._schema = schema
        self._leader = leader
        self._workers: set[psycopg.Connection] = set()
        self._guard = threading.Lock()
        self.id = _value(leader, "SELECT pg_export_snapshot()")
        self.server_version = _value(leader, "SHOW server_version")
        self.host = leader.info.host
        self.database = leader.info.dbname

    def tables(self, names: Sequence[str]) -> dict[str, SourceTable]:
        """Those of the named tables that the schema has."""
        rows = self._leader.execute(_TABLES, [self._schema]).fetchall()
        found = (
            SourceTable(self._schema, name, tuple(columns), size or 0, readable, plain)
            for name, plain, size, readable, columns in rows
        )
        return {table.name: table for table in found if table.name in names}

    @contextmanager
    def worker(self) -> Iterator[psycopg.Connection]:
        """A connection of its own that sees this snapshot."""
        with ExitStack() as stack:
            connection = stack.enter_context(connect(self._url, self._timezone))
            with self._guard:
                self._workers.add(connection)
            stack.callback(self._leave, connection)
            connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            connection.execute(sql.SQL("SET TRANSACTION SNAPSHOT {}").format(self.id))
            yield connection

    def _leave(self, connection: psycopg.Connection) -> None:
        with self._guard:
            self._workers.discard(connection)

    def cancel(self) -> None:
        """End what the workers are doing, from another thread."""
        with self._guard:
            for connection in self._workers:
                connection.cancel_safe(timeout=CANCEL_SECONDS)


@contextmanager
def connect(url: str, timezone: str = "UTC") -> Iterator[psycopg.Connection]:
    """A connection whose text output is the contract's: UTF-8, ISO dates, the business time zone.

    Row-level security is off, so that a policy which would hide rows is an error and not a loss.

    Raises:
        UnreachableError: the server cannot be reached or refuses the login.
        ConfigurationError: the URL is not one.
    """
    parameters(url)
    try:
        connection = psycopg.connect(url, autocommit=True, connect_timeout=10, application_name="shopease")
    except psycopg.OperationalError as error:
        message = f"cannot connect to the database: {_first_line(error)}"
        raise UnreachableError(message, hint="see SHOPEASE_DATABASE_URL, or run `shopease check`") from error
    try:
        connection.execute(_session(timezone))
        yield connection
    except psycopg.Error as error:
        raise _translated(error, "the database") from error
    finally:
        connection.close()


def parameters(url: str) -> dict[str, str]:
    """The connection parameters that a libpq URL or conninfo string gives.

    Raises:
        ConfigurationError: it is neither; the message tells nothing of it, as it may hold a password.
    """
    message = "the database URL is not valid"
    try:
        named = {name: str(value) for name, value in conninfo_to_dict(url).items()}
    except psycopg.ProgrammingError:
        raise ConfigurationError(message, hint="write it as postgresql://USER:PASSWORD@HOST:PORT/DATABASE") from None
    if "@" in named.get("host", "").lstrip("@"):
        raise ConfigurationError(message, hint="write an @ in the user or the password as %40")
    return named


def _session(timezone: str) -> sql.Composed:
    settings = {
        "client_encoding": "UTF8",
        "DateStyle": "ISO",
        "TimeZone": timezone,
        "IntervalStyle": "postgres",
        "bytea_output": "hex",
        "extra_float_digits": "1",
        "row_security": "off",
    }
    assignments = (sql.SQL("SET {} = {}").format(sql.Identifier(name), value) for name, value in settings.items())
    return sql.SQL("; ").join(assignments)


@contextmanager
def snapshot(url: str, timezone: str, schema: str) -> Iterator[Snapshot]:
    """Open a REPEATABLE READ, read-only transaction and export its snapshot for as long as the context lasts."""
    with connect(url, timezone) as leader:
        leader.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        yield Snapshot(url, timezone, schema, leader)


def _value(connection: psycopg.Connection, query: str) -> str:
    row = connection.execute(query.encode()).fetchone()
    return str(row[0]) if row else ""


def _translated(error: psycopg.Error, doing: str) -> ShopeaseError:
    kind = UnreachableError if isinstance(error, psycopg.OperationalError) else ShopeaseError
    if isinstance(error, psycopg.errors.InsufficientPrivilege):
        return UnreachableError(f"{doing}: {_first_line(error)}", hint="grant SELECT on the table to this user")
    return kind(f"{doing}: {_first_line(error)}")


def _first_line(error: psycopg.Error) -> str:
    """The server's own words, without psycopg's list of attempts and the notes below them."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    telling = [line for line in lines if "FATAL:" in line] or [line for line in lines if " failed: " in line]
    return (telling or lines or [type(error).__name__])[0].removeprefix("- ").removeprefix("connection failed: ")
