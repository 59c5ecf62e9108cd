"""Facts about a server that an extract depends on: free connections, clock, encoding, replication."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import psycopg

from shopease_etl.errors import SourceFaultError
from shopease_etl.source.postgres.connections import open_connection, query_deadline

_SERVER: Final = """
SELECT quote_ident(current_user), current_setting('server_encoding'), pg_is_in_recovery(),
       (SELECT has_schema_privilege(oid, 'USAGE') FROM pg_namespace WHERE nspname = %s), quote_ident(%s),
       current_setting('max_connections')::integer - current_setting('superuser_reserved_connections')::integer
         - coalesce(nullif(current_setting('reserved_connections', true), '')::integer, 0)
         - (SELECT sum(numbackends) FROM pg_stat_database)::integer,
       (SELECT nullif(r.rolconnlimit, -1) - (SELECT count(*) FROM pg_stat_activity a WHERE a.usename = r.rolname)
        FROM pg_roles r WHERE r.rolname = session_user),
       (SELECT nullif(d.datconnlimit, -1) - s.numbackends
        FROM pg_database d JOIN pg_stat_database s ON s.datid = d.oid WHERE d.datname = current_database())
"""

SESSION: Final = "session"
TRANSACTION: Final = "transaction"


@dataclass(frozen=True)
class Replica:
    """A hot standby; `lag` in seconds, None if it is not known.

    `patience` is how many seconds a query may delay the primary's changes before the standby ends the query, None for
    any time; `conflicts` is how many queries it has ended.
    """

    is_streaming: bool
    lag: float | None
    has_feedback: bool
    patience: float | None
    conflicts: int


@dataclass(frozen=True)
class Server:
    """A server as this user sees it; names are quoted as in SQL, and `clock_ahead` is in seconds.

    `has_schema` is None if there is no such schema, `room` is the connections that this user could open now.
    """

    user: str
    schema: str
    encoding: str
    has_schema: bool | None
    room: int
    clock_ahead: float
    replica: Replica | None
    policies: Mapping[str, bool]


def inspect(connection: psycopg.Connection, schema: str, tables: Sequence[str]) -> Server:
    """Ask the server; `policies` says by table whether row-level security would hide rows from this user.

    Raises:
        psycopg.Error: it does not answer.
    """
    rows = connection.execute(_SERVER, [schema, schema]).fetchall()
    user, encoding, is_standby, has_schema, schema_name, *rooms = rows[0]
    before = time.time()
    (clock,) = connection.execute("SELECT EXTRACT(epoch FROM clock_timestamp())::float8").fetchall()[0]
    after = time.time()
    policies = """
        SELECT c.relname, row_security_active(c.oid)
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = %s AND c.relname = ANY(%s)
    """
    return Server(
        user,
        schema_name,
        encoding,
        has_schema,
        min(room for room in rooms if room is not None) + 2,  # this connection and the snapshot's will be free again
        float(clock) - (before + after) / 2,
        _replica(connection) if is_standby else None,
        dict(connection.execute(policies, [schema, list(tables)]).fetchall()),
    )


def pooler_mode(connection: psycopg.Connection, url: str) -> str | None:
    """The mode of the pooler between the URL and the server; None if there is none.

    `connection` is one to the URL, in a transaction. Only a pooler gives another process id at login than the server.
    """
    seconds = 5.0
    if _process(connection) == connection.info.backend_pid:
        return None
    with open_connection(url) as idle, open_connection(url) as other:
        with query_deadline(idle, seconds):
            before = _process(idle)
        try:
            with query_deadline(other, seconds):
                other.execute("BEGIN")
                # In transaction mode it gets the connection that the other client has just used.
                if _process(other) == before:
                    return TRANSACTION
            with query_deadline(idle, seconds):
                return SESSION if _process(idle) == before else TRANSACTION
        except (psycopg.Error, SourceFaultError):
            return SESSION  # the idle client keeps the last connection of the pool


def _process(connection: psycopg.Connection) -> int:
    return int(connection.execute("SELECT pg_backend_pid()").fetchall()[0][0])


def _replica(connection: psycopg.Connection) -> Replica:
    # If all that was received is replayed, nothing is missing, however long ago the last change was.
    query = """
        SELECT EXISTS (SELECT FROM pg_stat_wal_receiver WHERE pid IS NOT NULL),
               CASE WHEN pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() THEN 0
                    ELSE EXTRACT(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp()) END::float8,
               current_setting('hot_standby_feedback')::boolean,
               (SELECT setting::integer FROM pg_settings WHERE name = 'max_standby_streaming_delay'),
               (SELECT confl_tablespace + confl_lock + confl_snapshot + confl_bufferpin + confl_deadlock
                FROM pg_stat_database_conflicts WHERE datname = current_database())
    """
    is_streaming, lag, has_feedback, milliseconds, conflicts = connection.execute(query).fetchall()[0]
    patience = None if milliseconds < 0 else milliseconds / 1_000
    return Replica(is_streaming, lag, has_feedback, patience, int(conflicts or 0))
