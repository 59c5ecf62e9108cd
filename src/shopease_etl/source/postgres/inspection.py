"""What a server tells of itself that an extract depends on: room for connections, clock, encoding, replication."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import psycopg

from shopease_etl.errors import SourceFaultError
from shopease_etl.source.postgres.connections import answering, opened

# What this connection and the snapshot's own take will be free again when a run begins.
OURS: Final = 2
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
# Where all that was received is replayed, nothing is missing, however long ago the last change was.
_REPLICA: Final = """
SELECT EXISTS (SELECT FROM pg_stat_wal_receiver WHERE pid IS NOT NULL),
       CASE WHEN pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() THEN 0
            ELSE EXTRACT(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp()) END::float8,
       current_setting('hot_standby_feedback')::boolean,
       (SELECT setting::integer FROM pg_settings WHERE name = 'max_standby_streaming_delay'),
       (SELECT confl_tablespace + confl_lock + confl_snapshot + confl_bufferpin + confl_deadlock
        FROM pg_stat_database_conflicts WHERE datname = current_database())
"""
_POLICIES: Final = """
SELECT c.relname, row_security_active(c.oid)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = %s AND c.relname = ANY(%s)
"""


SESSION: Final = "session"
TRANSACTION: Final = "transaction"
_POOLER_SECONDS: Final = 5.0


@dataclass(frozen=True)
class Replica:
    """A hot standby: `lag` and `patience` in seconds, None where it is not known, and where it waits for ever.

    `patience` is how long it lets a query hold the primary's changes up before it ends the query, `conflicts` how
    many it has ended so.
    """

    is_streaming: bool
    lag: float | None
    has_feedback: bool
    patience: float | None
    conflicts: int


@dataclass(frozen=True)
class Server:
    """A server as this user sees it; names are written as SQL has them, and `clock_ahead` is in seconds.

    `has_schema` is None where there is no such schema, `room` the connections that this user could open now.
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
    """Ask the server; `policies` tells by table whether row-level security would hide rows from this user.

    Raises:
        psycopg.Error: it does not answer.
    """
    rows = connection.execute(_SERVER, [schema, schema]).fetchall()
    user, encoding, is_standby, has_schema, schema_name, *rooms = rows[0]
    return Server(
        user,
        schema_name,
        encoding,
        has_schema,
        min(room for room in rooms if room is not None) + OURS,
        _clock_ahead(connection),
        _replica(connection) if is_standby else None,
        dict(connection.execute(_POLICIES, [schema, list(tables)]).fetchall()),
    )


def pooler_mode(connection: psycopg.Connection, url: str) -> str | None:
    """The mode of the pooler between the URL and the server; None where there is none.

    `connection` is one to the URL, in a transaction. Only a pooler says another process id at login than the server.
    """
    if _process(connection) == connection.info.backend_pid:
        return None
    with opened(url) as idle, opened(url) as other:
        with answering(idle, _POOLER_SECONDS):
            before = _process(idle)
        try:
            with answering(other, _POOLER_SECONDS):
                other.execute("BEGIN")
                # In transaction mode it gets the connection that the other client has just used.
                if _process(other) == before:
                    return TRANSACTION
            with answering(idle, _POOLER_SECONDS):
                return SESSION if _process(idle) == before else TRANSACTION
        except (psycopg.Error, SourceFaultError):
            return SESSION  # the idle client keeps the last connection of the pool


def _process(connection: psycopg.Connection) -> int:
    return int(connection.execute("SELECT pg_backend_pid()").fetchall()[0][0])


def _clock_ahead(connection: psycopg.Connection) -> float:
    before = time.time()
    row = connection.execute("SELECT EXTRACT(epoch FROM clock_timestamp())::float8").fetchone()
    return float(row[0] if row else before) - (before + time.time()) / 2


def _replica(connection: psycopg.Connection) -> Replica:
    rows = connection.execute(_REPLICA).fetchall()
    is_streaming, lag, has_feedback, milliseconds, conflicts = rows[0]
    return Replica(
        is_streaming, lag, has_feedback, None if milliseconds < 0 else milliseconds / 1_000, int(conflicts or 0)
    )
