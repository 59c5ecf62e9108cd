"""Locks that keep tables as they are from before the snapshot until the last COPY has ended.

TRUNCATE, CLUSTER, REFRESH MATERIALIZED VIEW and an ALTER TABLE that rewrites are not MVCC-safe: a snapshot taken before
they commit sees an empty table. ACCESS SHARE locks prevent them, and do not block reads or writes of rows.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import psycopg
from psycopg import sql

from shopease_etl.errors import SourceFaultError
from shopease_etl.source.postgres.transactions import Limits, begin

MISSING_ERRORS: Final = (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName)

_NAMED: Final = sql.SQL("""
SELECT c.relname, c.relkind IN ('r', 'p'), c.oid
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = %s AND c.relname = ANY(%s) AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
  AND has_table_privilege(c.oid, 'SELECT')
""")
# Each named table with all its partitions and child tables, and whether this transaction locks every one of them.
_LOCKED: Final = sql.SQL("""
WITH RECURSIVE named(name, lockable, oid) AS ({}),
  family(name, oid) AS (
    SELECT name, oid FROM named
    UNION SELECT family.name, i.inhrelid FROM family JOIN pg_inherits i ON i.inhparent = family.oid)
SELECT name, array_agg(oid::bigint ORDER BY oid),
       bool_and(oid = ANY (ARRAY(SELECT relation FROM pg_locks
                                 WHERE pid = pg_backend_pid() AND locktype = 'relation' AND granted)))
FROM family GROUP BY name
""").format(_NAMED)


@dataclass(frozen=True)
class Relation:
    """A table or view; it `is_lockable` if LOCK TABLE locks all of it, as it does for tables with their partitions."""

    schema: str
    name: str
    is_lockable: bool


def lock_nowait(connection: psycopg.Connection, relation: Relation) -> None:
    """Lock it, its partitions and what it reads in ACCESS SHARE mode until the end of the transaction.

    Raises:
        psycopg.errors.LockNotAvailable: another session has an exclusive lock on it, or waits for one.
    """
    if relation.is_lockable:
        connection.execute(_lock_statement(relation) + sql.SQL(" NOWAIT"))
        return
    query = "SELECT current_setting('lock_timeout'), set_config('lock_timeout', %s, true)"
    before = connection.execute(query, ["100ms"]).fetchall()[0][0]
    connection.execute(_lock_statement(relation))
    connection.execute("SELECT set_config('lock_timeout', %s, true)", [before])


def _lock_statement(relation: Relation) -> sql.Composed:
    """LOCK TABLE refuses materialized views and foreign tables, and views that read such. Planning a query locks all of
    them, but indexes too, so for tables it would block a REINDEX.
    """
    text = "LOCK TABLE {} IN ACCESS SHARE MODE" if relation.is_lockable else "EXPLAIN SELECT * FROM {}"
    return sql.SQL(text).format(sql.Identifier(relation.schema, relation.name))


def lock_tables(
    connection: psycopg.Connection, timezone: str, limits: Limits, schema: str, names: Sequence[str]
) -> Mapping[str, Sequence[int]]:
    """Begin a READ COMMITTED transaction that locks the tables, except those that do not exist or may not be read.

    Returns the ids of each table and its partitions by name.

    Raises:
        SourceFaultError: another session kept one of them locked for longer than the limit.
    """
    until = time.monotonic() + limits.lock if limits.lock else float("inf")
    while True:
        begin(connection, timezone, limits)
        relations = [
            Relation(schema, name, lockable)
            for name, lockable, _ in connection.execute(_NAMED, [schema, list(names)]).fetchall()
        ]
        if (blocked := _first_blocked(connection, relations)) is None:
            return locked_tables(connection, schema, names)
        connection.execute("ROLLBACK")  # while waiting, block no other session
        _wait_for_lock(connection, timezone, limits, blocked, until)


def locked_tables(connection: psycopg.Connection, schema: str, names: Sequence[str]) -> Mapping[str, Sequence[int]]:
    """The ids of each table and its partitions as they are now, all of them locked by this transaction.

    Raises:
        SourceFaultError: a table or a partition is not locked, because it got the name after the locks were taken.
    """
    rows = connection.execute(_LOCKED, [schema, list(names)]).fetchall()
    if unlocked := sorted(name for name, _, is_locked in rows if not is_locked):
        message = f"{', '.join(unlocked)} became another table while the extract began"
        raise SourceFaultError(message)
    return {name: tuple(oids) for name, oids, _ in rows}


def _first_blocked(connection: psycopg.Connection, relations: Sequence[Relation]) -> Relation | None:
    """Lock them; return the first that cannot be locked at once, after which the transaction has failed."""
    for relation in relations:
        try:
            lock_nowait(connection, relation)
        except (psycopg.errors.LockNotAvailable, *MISSING_ERRORS):
            return relation
    return None


def _wait_for_lock(
    connection: psycopg.Connection, timezone: str, limits: Limits, relation: Relation, until: float
) -> None:
    """Wait until it can be locked, in a transaction that locks nothing else."""
    hint = "SHOPEASE_SOURCE_LOCK_TIMEOUT sets how many seconds an extract waits for locks"
    message = f"{relation.schema}.{relation.name} is locked by another session; waited {limits.lock:g} s for it"
    left = until - time.monotonic() if limits.lock else 0
    if limits.lock and left <= 0:
        raise SourceFaultError(message, hint=hint)
    begin(connection, timezone, replace(limits, lock=left, statement=0))
    try:
        connection.execute(_lock_statement(relation))
    except psycopg.errors.LockNotAvailable as error:
        raise SourceFaultError(message, hint=hint) from error
    except MISSING_ERRORS:
        """It was dropped or renamed; the next try reads the names again."""
    connection.execute("ROLLBACK")
