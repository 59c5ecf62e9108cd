"""The source: rights on its tables, room for connections, clock and encoding, and what a standby does to long reads."""

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from typing import Final

from shopease_etl.contract import tables
from shopease_etl.errors import ConfigurationError, ShopeaseError, UnreachableError
from shopease_etl.operations.check.columns import unfit_columns
from shopease_etl.operations.check.lines import failed, skewed, tried, warned
from shopease_etl.operations.check.past import Past
from shopease_etl.report import CheckLine
from shopease_etl.settings import Settings
from shopease_etl.source.postgres import Snapshot
from shopease_etl.source.postgres.inspection import TRANSACTION, Replica, Server, inspect
from shopease_etl.stages.extract import CONNECTIONS, resolve

Source = Callable[[], AbstractContextManager[Snapshot]]

OLDEST_SERVER: Final = 15
LONG_LAG: Final = 300
ANSWER_SECONDS: Final = 15.0


def database(settings: Settings, source: Source, past: Past) -> Iterator[CheckLine]:
    """A line for each thing that an extract needs of the source."""
    try:
        with source() as snapshot:
            yield _version(snapshot)
            server = None
            try:
                server = _server(snapshot, settings.source_schema)
            except ShopeaseError as error:
                yield failed("database snapshot", error)
            if server:
                yield from _of_server(settings, server, past)
                yield from _pooler(settings, snapshot)
            for table in tables.TABLES:
                yield tried(f"table {table.source}", partial(_table, snapshot, table, server))
                for found in snapshot.tables([table.source]).values():
                    yield from unfit_columns(table, found)
    except ShopeaseError as error:
        yield failed("database", error)


def _server(snapshot: Snapshot, schema: str) -> Server:
    """What the server tells on a second connection, which must join the snapshot as those of an extract do."""
    patience = threading.Timer(ANSWER_SECONDS, snapshot.hang_up)
    patience.daemon = True
    with snapshot.worker() as connection:
        patience.start()
        try:
            return inspect(connection, schema, [table.source for table in tables.TABLES])
        finally:
            patience.cancel()


def _version(snapshot: Snapshot) -> CheckLine:
    detail = f"{snapshot.database} on {snapshot.host}, PostgreSQL {snapshot.server_version}, snapshots work"
    old = int(snapshot.server_version.partition(".")[0]) < OLDEST_SERVER
    return warned("database", detail, f"upgrade to PostgreSQL {OLDEST_SERVER} or later", is_bad=old)


def _of_server(settings: Settings, server: Server, past: Past) -> Iterator[CheckLine]:
    yield CheckLine("database snapshot", f"a second connection of {server.user} sees the same moment")
    yield _schema(settings.source_schema, server)
    is_plain = server.encoding == "SQL_ASCII"
    fix = "the server checks no text: bytes that are not UTF-8 are refused as they are read"
    yield warned("database encoding", server.encoding, fix, is_bad=is_plain)
    yield skewed("database clock", "the database's", server.clock_ahead, float("inf"))
    yield _connections(settings.source_connections or CONNECTIONS, server)
    yield _timeouts(settings, past.extract_seconds)
    if server.replica:
        yield _replica(server.replica, past.extract_seconds)


def _schema(name: str, server: Server) -> CheckLine:
    if server.has_schema is None:
        code, fix = ConfigurationError.exit_code, "set SHOPEASE_SOURCE_SCHEMA to the schema of the source tables"
        return CheckLine("schema", f"there is no schema {name}", code, fix)
    if not server.has_schema:
        fix = f"GRANT USAGE ON SCHEMA {server.schema} TO {server.user}"
        return CheckLine("schema", f"{server.user} may not use {name}", UnreachableError.exit_code, fix)
    return CheckLine("schema", f"{name} can be used")


def _connections(wanted: int, server: Server) -> CheckLine:
    """An extract has one connection more, which holds the snapshot."""
    detail = f"an extract opens {wanted + 1}, the server has room for {server.room}"
    fix = f"set SHOPEASE_SOURCE_CONNECTIONS to {max(1, server.room - 1)}, or let the server take more"
    return warned("database connections", detail, fix, is_bad=server.room < wanted + 1)


def _pooler(settings: Settings, snapshot: Snapshot) -> Iterator[CheckLine]:
    mode = snapshot.pooler_mode()
    if not mode:
        return
    wanted = (settings.source_connections or CONNECTIONS) + 1
    detail = f"a pooler in {mode} mode; an extract keeps {wanted} of its connections for as long as it lasts"
    fix = f"let its pool have {wanted} free connections, or use session mode or the server's own address"
    yield warned("database pooler", detail, fix, is_bad=mode == TRANSACTION)


def _timeouts(settings: Settings, extract: float | None) -> CheckLine:
    limits = {
        "a statement": settings.source_statement_timeout,
        "a lock": settings.source_lock_timeout,
        "idling": settings.source_idle_timeout,
    }
    detail = ", ".join(f"{name} {f'{limit:g} s' if limit else 'no limit'}" for name, limit in limits.items())
    limit = settings.source_statement_timeout
    is_short = bool(limit and extract and 2 * extract > limit)
    if extract:
        detail += f"; the last extract took {extract:,.1f} s"
    return warned("database timeouts", detail, "raise SHOPEASE_SOURCE_STATEMENT_TIMEOUT", is_bad=is_short)


def _replica(replica: Replica, extract: float | None) -> CheckLine:
    """A standby ends queries that hold up what it replays: reads that are longer than its patience fail."""
    lag = "an unknown time" if replica.lag is None else f"{replica.lag:,.0f} s"
    patience = "for ever" if replica.patience is None else f"{replica.patience:g} s"
    detail = f"a standby, {lag} behind; it waits {patience} for queries, and has ended {replica.conflicts} of them"
    if not replica.is_streaming:
        fix = "see the standby's log: nothing reaches it, and what is read there gets older"
        return warned("database replica", f"{detail}; it is not connected to its primary", fix)
    if replica.lag is None or replica.lag > LONG_LAG:
        return warned("database replica", detail, "what is read is that old: see the standby's load and network")
    is_risky = not replica.has_feedback and replica.patience is not None and replica.patience < 2 * (extract or 0)
    if replica.has_feedback:
        detail += "; hot_standby_feedback is on"
    elif extract:
        detail += f"; the last extract took {extract:,.1f} s"
    fix = "set hot_standby_feedback = on at the standby, or max_standby_streaming_delay to more"
    return warned("database replica", detail, fix, is_bad=is_risky)


def _table(snapshot: Snapshot, table: tables.Table, server: Server | None) -> str:
    there = snapshot.tables([table.source]).get(table.source)
    if there and not there.readable:
        raise UnreachableError(f"{snapshot.user} may not read it", hint=snapshot.grant([table.source]))
    if server and server.policies.get(table.source):
        message = f"row-level security would hide rows from {snapshot.user}, so that the extract is refused"
        raise UnreachableError(message, hint=f"ALTER ROLE {snapshot.user} BYPASSRLS")
    found = resolve(snapshot, [table]).get(table.source)
    return f"{len(found.columns)} columns, {found.bytes / 1e6:,.1f} MB, readable" if found else "missing; optional"
