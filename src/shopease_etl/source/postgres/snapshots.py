"""One snapshot shared by several connections."""

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from itertools import chain
from typing import Any, Final

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from shopease_etl.errors import ShopeaseError, SourceFaultError
from shopease_etl.source.postgres.changes import MonthTable, month_table
from shopease_etl.source.postgres.connections import (
    CANCEL_SECONDS,
    QUERY_SECONDS,
    disconnect,
    open_connection,
    query_deadline,
)
from shopease_etl.source.postgres.errors import first_line, translate_errors
from shopease_etl.source.postgres.inspection import pooler_mode
from shopease_etl.source.postgres.locking import lock_tables, locked_tables
from shopease_etl.source.postgres.marks import read_marks
from shopease_etl.source.postgres.source_tables import SourceTable, read_tables, unique_columns
from shopease_etl.source.postgres.transactions import NO_LIMITS, Exported, Limits, begin

SAMPLE_CHARACTERS: Final = 60

# The errors of different versions for a snapshot that no longer exists.
_NO_SNAPSHOT: Final = (
    psycopg.errors.UndefinedObject,
    psycopg.errors.InvalidParameterValue,
    psycopg.errors.ObjectNotInPrerequisiteState,
)


class JoinedSnapshot:
    """The source at one point in time, which another transaction keeps, for the connections of this process.

    It can be pickled, and then has the source's URL with its password.
    """

    def __init__(self, url: str, timezone: str, limits: Limits, exported: Exported) -> None:
        self._url = url
        self._timezone = timezone
        self._limits = limits
        self._exported = exported
        self._workers: set[psycopg.Connection] = set()
        self._guard = threading.Lock()

    def __reduce__(self) -> tuple[type["JoinedSnapshot"], tuple[object, ...]]:
        """What is pickled: how it is joined."""
        return JoinedSnapshot, (self._url, self._timezone, self._limits, self._exported)

    def keep_alive(self) -> None:
        """Does nothing: another process keeps it alive."""

    @contextmanager
    def worker(self) -> Iterator[psycopg.Connection]:
        """A new connection that sees this snapshot.

        Raises:
            SourceFaultError: the snapshot no longer exists.
        """
        with open_connection(self._url) as connection, self._registered(connection):
            try:
                begin(connection, self._timezone, self._limits, self._exported)
            except _NO_SNAPSHOT as error:
                message = f"the snapshot of the source is gone: {first_line(error)}"
                hint = "SHOPEASE_DATABASE_URL must lead to one server, not to several in turn"
                raise SourceFaultError(message, hint=hint) from error
            yield connection

    @contextmanager
    def _registered(self, connection: psycopg.Connection) -> Iterator[None]:
        with self._guard:
            self._workers.add(connection)
        try:
            yield
        finally:
            with self._guard:
                self._workers.discard(connection)

    def cancel(self) -> None:
        """Cancel what the workers are doing, from another thread, if the server answers."""
        with self._guard:
            for connection in self._workers:
                with suppress(psycopg.Error):
                    connection.cancel_safe(timeout=CANCEL_SECONDS)

    def disconnect(self) -> None:
        """Break off the workers' connections, so that no thread waits for a server that does not answer."""
        with self._guard:
            for connection in self._workers:
                disconnect(connection)


class Snapshot(JoinedSnapshot):
    """The source at one point in time, the same for every connection that joins it.

    The leader's transaction keeps it, and the locks on the tables of the run. That transaction is READ COMMITTED: in a
    REPEATABLE READ one the first query would fix the moment before all locks are taken.
    """

    def __init__(
        self,
        url: str,
        timezone: str,
        schema: str,
        limits: Limits,
        leader: psycopg.Connection,
        locked: Mapping[str, Sequence[int]],
    ) -> None:
        self._schema = schema
        self._leader = leader
        self._locked = locked
        # Read before the snapshot: an index that came later says nothing about the snapshot's rows.
        self._unique = unique_columns(leader, chain.from_iterable(locked.values()))
        query = """SELECT pg_export_snapshot(), pg_current_snapshot()::text, current_setting('server_version'),
                          quote_ident(current_user), quote_ident(%s)"""
        self.id, sees, self.server_version, self.user, self._sql_schema = leader.execute(query, [schema]).fetchall()[0]
        super().__init__(url, timezone, limits, Exported(self.id, sees))
        self.host = leader.info.host
        self.database = leader.info.dbname
        self._last_query = time.monotonic()

    def __reduce__(self) -> tuple[type[JoinedSnapshot], tuple[object, ...]]:
        """What is pickled: how other processes join it, which may lack this one's PG variables and password file."""
        info = self._leader.info
        url = make_conninfo("", **{**info.get_parameters(), "password": info.password or None})
        return JoinedSnapshot, (url, self._timezone, self._limits, self._exported)

    def tables(self, names: Sequence[str]) -> dict[str, SourceTable]:
        """The named tables that exist in the schema, by name."""
        found = read_tables(self._leader, self._schema, list(names))
        unique = self._unique
        return {name: replace(table, unique_columns=unique.get(table.oid, ())) for name, table in found.items()}

    def month_table(self, table: SourceTable, column: str, summed: Sequence[str]) -> MonthTable:
        """The table by month of a column; integers of the columns to be summed are.

        Raises:
            DataRefusedError: the column is no date or timestamp.
        """
        return month_table(self._leader, table, column, summed)

    def marks(self, table: SourceTable) -> dict[str, Any]:
        """Where the server and the table are in their history at this moment, for `why_not_comparable`."""
        return read_marks(self._leader, self._exported.sees, table)

    def grant(self, names: Sequence[str]) -> str:
        """The SQL that lets this user read the named tables."""
        return f"GRANT SELECT ON {', '.join(f'{self._sql_schema}.{name}' for name in names)} TO {self.user}"

    def require_locked(self, names: Sequence[str]) -> None:
        """Refuse tables that have not been locked since before this moment, or are no longer the same ones.

        Raises:
            SourceFaultError: a table was replaced, has other partitions, or was never locked.
        """
        with self._using_leader():
            now = locked_tables(self._leader, self._schema, names)
        if changed := sorted(name for name in names if name not in now or now[name] != self._locked.get(name)):
            message = f"{', '.join(changed)} did not stay the same table during the extract"
            raise SourceFaultError(message)

    def sample_row(self, table: SourceTable) -> Mapping[str, str | None]:
        """The table's first row as COPY writes it, long values cut off; empty if the table is."""
        query = sql.SQL("COPY (SELECT * FROM {} LIMIT 1) TO STDOUT")
        with self._leader.cursor().copy(query.format(sql.Identifier(table.schema, table.name))) as copy:
            rows = list(copy.rows())
        return {name: _cut(value) for row in rows for name, value in zip(table.columns, row, strict=True)}

    def pooler_mode(self) -> str | None:
        """The mode of the pooler in front of the source: `session` or `transaction`; None if there is none."""
        return pooler_mode(self._leader, self._url)

    @contextmanager
    def kept_alive(self) -> Iterator[None]:
        """Keep the snapshot while the block waits for other processes."""
        is_over = threading.Event()

        def keep() -> None:
            with suppress(ShopeaseError):  # the processes get the error, too
                while not is_over.wait(1):
                    self.keep_alive()

        thread = threading.Thread(target=keep, name="snapshot", daemon=True)
        thread.start()
        try:
            yield
        finally:
            is_over.set()
            thread.join()

    def keep_alive(self) -> None:
        """Keep the snapshot's own transaction from idling too long; it asks the server only when that is due.

        Raises:
            SourceFaultError: the connection is lost, and the snapshot with it.
        """
        often = min(QUERY_SECONDS, self._limits.idle / 3) if self._limits.idle else QUERY_SECONDS
        if time.monotonic() - self._last_query < often:
            return
        with self._using_leader():
            self._leader.execute("SELECT 1")
        self._last_query = time.monotonic()

    @contextmanager
    def _using_leader(self) -> Iterator[None]:
        gone = "the snapshot of the source is gone"
        with translate_errors(gone), query_deadline(self._leader, QUERY_SECONDS, doing=gone):
            yield


def _cut(value: str | None) -> str | None:
    if value is None or len(value) <= SAMPLE_CHARACTERS:
        return value
    return f"{value[: SAMPLE_CHARACTERS - 1]}…"


@contextmanager
def snapshot(
    url: str, timezone: str, schema: str, limits: Limits = NO_LIMITS, *, lock: Sequence[str] = ()
) -> Iterator[Snapshot]:
    """A moment of the source for as long as the context lasts.

    The tables to `lock` are locked from before the moment until its end, except those that do not exist or may not be
    read.

    Raises:
        SourceFaultError: the server cannot be reached now, or a table was locked for longer than the limit.
        UnreachableError: the server refuses the login, or a pooler does not keep a transaction together.
    """
    with open_connection(url) as leader:
        locked = lock_tables(leader, timezone, limits, schema, lock)
        yield Snapshot(url, timezone, schema, limits, leader, locked)
