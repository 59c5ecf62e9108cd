"""The source database: rights, column types, connections, clock, encoding, and standbys that cancel long reads."""

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from typing import Final

from shopease_etl.contract import tables
from shopease_etl.contract.tables import BIGINT, MONEY, TIMESTAMP
from shopease_etl.errors import ConfigurationError, ShopeaseError, UnreachableError
from shopease_etl.operations.check.lakes import RunHistory
from shopease_etl.operations.check.lines import CheckLine, check, clock_skew, failure, warning
from shopease_etl.settings import Settings
from shopease_etl.source.postgres import Snapshot, SourceTable
from shopease_etl.source.postgres.inspection import TRANSACTION, Replica, Server, inspect
from shopease_etl.stages.extract import CONNECTIONS, resolve

Source = Callable[[], AbstractContextManager[Snapshot]]

# Types whose text is never a number or a date. Text, enums and extension types may fit, depending on their values.
_NEITHER: Final = (
    r"boolean|uuid|bytea|money|interval.*|time(\(\d\))? with(out)? time zone|inet|cidr|macaddr8?|pg_lsn|xml|tsvector"
    r"|tsquery|point|line|lseg|box|path|polygon|circle|\w+range|\w+multirange|.*\[\]"
)
_DATE: Final = r"date|timestamp(\(\d\))? with(out)? time zone"
_NUMBER: Final = r"smallint|integer|bigint|numeric(\(.*\))?|real|double precision|oid"
UNFIT_TYPES: Final = {
    # numeric(10,2) writes 3.00, which is no integer; numeric(10,0) and numeric write 3
    BIGINT: ("an integer", rf"{_NEITHER}|{_DATE}|numeric\(\d+,[1-9]\d*\)"),
    MONEY: ("a number", f"{_NEITHER}|{_DATE}"),
    TIMESTAMP: ("a timestamp or a date", f"{_NEITHER}|{_NUMBER}"),
}


def database(settings: Settings, source: Source, history: RunHistory) -> Iterator[CheckLine]:
    """A line for each thing that an extract needs of the source."""
    try:
        with source() as snapshot:
            yield _version(snapshot)
            server = None
            try:
                server = _inspect(snapshot, settings.source_schema)
            except ShopeaseError as error:
                yield failure("database snapshot", error)
            if server:
                yield from _server(settings, server, history)
                yield from _pooler(settings, snapshot)
            for table in tables.TABLES:
                yield check(f"table {table.source}", partial(_table, snapshot, table, server))
                for found in snapshot.tables([table.source]).values():
                    yield from _unfit_columns(table, found)
    except ShopeaseError as error:
        yield failure("database", error)


def _version(snapshot: Snapshot) -> CheckLine:
    detail = f"{snapshot.database} on {snapshot.host}, PostgreSQL {snapshot.server_version}"
    is_old = int(snapshot.server_version.partition(".")[0]) < 15
    return warning("database", detail, "upgrade to PostgreSQL 15 or later", is_bad=is_old)


def _inspect(snapshot: Snapshot, schema: str) -> Server:
    """What the server says on a second connection, which must join the snapshot as those of an extract do."""
    timeout = threading.Timer(15.0, snapshot.disconnect)
    timeout.daemon = True
    with snapshot.worker() as connection:
        timeout.start()
        try:
            return inspect(connection, schema, [table.source for table in tables.TABLES])
        finally:
            timeout.cancel()


def _server(settings: Settings, server: Server, history: RunHistory) -> Iterator[CheckLine]:
    yield CheckLine("database snapshot", f"a second connection of {server.user} sees the same snapshot")
    yield _schema(settings.source_schema, server)
    fix = "the server does not validate text: an extract refuses bytes that are not UTF-8"
    yield warning("database encoding", server.encoding, fix, is_bad=server.encoding == "SQL_ASCII")
    yield clock_skew("database clock", "the database's", server.clock_ahead, float("inf"))
    needed = (settings.source_connections or CONNECTIONS) + 1  # one holds the snapshot
    detail = f"an extract opens {needed}, the server has room for {server.room}"
    fix = f"set SHOPEASE_SOURCE_CONNECTIONS to {max(1, server.room - 1)}, or raise the server's limit"
    yield warning("database connections", detail, fix, is_bad=server.room < needed)
    yield _timeouts(settings, history.extract_seconds)
    if server.replica:
        yield _replica(server.replica, history.extract_seconds)


def _schema(name: str, server: Server) -> CheckLine:
    if server.has_schema is None:
        code, fix = ConfigurationError.exit_code, "set SHOPEASE_SOURCE_SCHEMA to the schema of the source tables"
        return CheckLine("schema", f"there is no schema {name}", code, fix)
    if not server.has_schema:
        fix = f"GRANT USAGE ON SCHEMA {server.schema} TO {server.user}"
        return CheckLine("schema", f"{server.user} may not use {name}", UnreachableError.exit_code, fix)
    return CheckLine("schema", f"{name} can be used")


def _pooler(settings: Settings, snapshot: Snapshot) -> Iterator[CheckLine]:
    if mode := snapshot.pooler_mode():
        needed = (settings.source_connections or CONNECTIONS) + 1
        detail = f"a pooler in {mode} mode; an extract keeps {needed} of its connections until it ends"
        fix = f"give its pool {needed} free connections, or use session mode or the server's own address"
        yield warning("database pooler", detail, fix, is_bad=mode == TRANSACTION)


def _timeouts(settings: Settings, extract: float | None) -> CheckLine:
    limit = settings.source_statement_timeout
    limits = {"statement": limit, "lock": settings.source_lock_timeout, "idle": settings.source_idle_timeout}
    detail = ", ".join(f"{name} {f'{value:g} s' if value else 'no limit'}" for name, value in limits.items())
    if extract:
        detail += f"; the last extract took {extract:,.1f} s"
    is_short = bool(limit and extract and 2 * extract > limit)
    return warning("database timeouts", detail, "raise SHOPEASE_SOURCE_STATEMENT_TIMEOUT", is_bad=is_short)


def _replica(replica: Replica, extract: float | None) -> CheckLine:
    """A standby cancels queries that block its replay for too long, so a long extract may fail there."""
    lag = "an unknown time" if replica.lag is None else f"{replica.lag:,.0f} s"
    patience = "without limit" if replica.patience is None else f"{replica.patience:g} s"
    detail = f"a standby, {lag} behind; it waits {patience} for queries, and has canceled {replica.conflicts} of them"
    if not replica.is_streaming:
        fix = "see the standby's log: it receives no changes, so its data gets older"
        return warning("database replica", f"{detail}; it is not connected to its primary", fix)
    if replica.lag is None or replica.lag > 300:
        return warning("database replica", detail, "its data is that old: check the standby's load and network")
    is_risky = not replica.has_feedback and replica.patience is not None and replica.patience < 2 * (extract or 0)
    if replica.has_feedback:
        detail += "; hot_standby_feedback is on"
    elif extract:
        detail += f"; the last extract took {extract:,.1f} s"
    fix = "set hot_standby_feedback = on on the standby, or raise max_standby_streaming_delay"
    return warning("database replica", detail, fix, is_bad=is_risky)


def _table(snapshot: Snapshot, table: tables.Table, server: Server | None) -> str:
    found = snapshot.tables([table.source]).get(table.source)
    if found and not found.is_readable:
        raise UnreachableError(f"{snapshot.user} may not read it", hint=snapshot.grant([table.source]))
    if server and server.policies.get(table.source):
        message = f"row-level security would hide rows from {snapshot.user}, so an extract is refused"
        raise UnreachableError(message, hint=f"ALTER ROLE {snapshot.user} BYPASSRLS")
    found = resolve(snapshot, [table]).get(table.source)
    return f"{len(found.columns)} columns, {found.bytes / 1e6:,.1f} MB, readable" if found else "missing; optional"


def _unfit_columns(table: tables.Table, source: SourceTable) -> Iterator[CheckLine]:
    """A warning for each known column whose values would be rejected because of its type."""
    known = {column.name: column.type for column in table.columns}
    for name, kind in zip(source.columns, source.base_types, strict=True):
        expected, unfit = UNFIT_TYPES.get(known.get(name, ""), ("", None))
        if unfit and re.fullmatch(unfit, kind):
            detail = f"{kind}, but {expected} is expected: its values would be rejected or read as NULL"
            fix = f"change the type, or set SHOPEASE_SOURCE_SCHEMA to a schema of views that cast {name}"
            yield warning(f"column {table.source}.{name}", detail, fix)
