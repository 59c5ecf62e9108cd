"""Transactions with the settings of text output that the contract expects, and with limits.

A pooler may give the server's connection to another client after each transaction: a setting of the session would reach
that client, and ours would be lost. So all are `SET LOCAL`, and those that matter are read back in the transaction.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import psycopg
from psycopg import pq, sql

from shopease_etl.errors import UnreachableError
from shopease_etl.source.postgres.connections import open_connection, query_deadline
from shopease_etl.source.postgres.errors import POOL_HINT

_OUTPUT: Final = {
    "client_encoding": "UTF8",
    "DateStyle": "ISO",
    "IntervalStyle": "postgres",
    "bytea_output": "hex",
    "extra_float_digits": "1",
    "row_security": "off",
    # Rows come in the order of their blocks even if others read the table; a range is found without reading the rest.
    "synchronize_seqscans": "off",
    "enable_tidscan": "on",
}
_POOLER_HINT: Final = (
    "if SHOPEASE_DATABASE_URL leads to a pooler, set it to session mode (pgbouncer: pool_mode = session; transaction "
    "works too), or use the server's own address"
)


@dataclass(frozen=True)
class Limits:
    """Seconds that a statement, a wait for a lock and an idle transaction may take on the server; 0 is no limit."""

    statement: float = 0
    lock: float = 0
    idle: float = 0


NO_LIMITS: Final = Limits()


@dataclass(frozen=True)
class Exported:
    """A snapshot that a transaction exported: its id, and the transactions that it sees, as the server gives them."""

    id: str
    sees: str


@contextmanager
def connect(url: str, timezone: str = "UTC", limits: Limits = NO_LIMITS) -> Iterator[psycopg.Connection]:
    """A connection in one read-only transaction with text in UTF-8, ISO dates and this time zone.

    Row-level security is off, so that a policy that would hide rows is an error and loses none.

    Raises:
        SourceFaultError: the server cannot be reached now, or the connection is lost.
        UnreachableError: the server refuses the login, or a pooler does not keep a transaction together.
        ConfigurationError: the URL is not valid.
    """
    with open_connection(url) as connection:
        begin(connection, timezone, limits)
        yield connection


def begin(connection: psycopg.Connection, timezone: str, limits: Limits, joined: Exported | None = None) -> None:
    """Begin a read-only transaction with our settings: READ COMMITTED, or REPEATABLE READ on the `joined` snapshot.

    Raises:
        UnreachableError: the settings have no effect inside the transaction.
    """
    isolation = "repeatable read" if joined else "read committed"
    statements: list[sql.Composable] = [sql.SQL(f"BEGIN ISOLATION LEVEL {isolation} READ ONLY")]
    if joined:
        statements.append(sql.SQL("SET TRANSACTION SNAPSHOT {}").format(joined.id))
    settings = {**_OUTPUT, "TimeZone": timezone, **_limits(connection, limits)}
    for name, value in settings.items():
        statements.append(sql.SQL("SET LOCAL {} = {}").format(sql.Identifier(name), value))
    expected = {**_OUTPUT, "TimeZone": timezone, "transaction_isolation": isolation, "transaction_read_only": "on"}
    with query_deadline(connection, hint=POOL_HINT):
        try:
            connection.execute(sql.SQL("; ").join(statements))
        except psycopg.Error as error:
            if "statement pooling" in str(error):
                message = (
                    "the pooler in front of the database is in statement mode, which allows no consistent snapshot"
                )
                raise UnreachableError(message, hint=_POOLER_HINT) from error
            raise
        _require(connection, expected, joined)


def _limits(connection: psycopg.Connection, limits: Limits) -> dict[str, str]:
    """The settings for the limits, in milliseconds."""
    seconds = {
        "statement_timeout": limits.statement,
        "lock_timeout": limits.lock,
        "idle_in_transaction_session_timeout": limits.idle,
    }
    if connection.info.server_version >= 170_000:
        # The transaction lasts as long as the extract, which SHOPEASE_STAGE_TIMEOUT limits.
        seconds["transaction_timeout"] = 0
    return {name: str(min(math.ceil(value * 1000), 2**31 - 1)) for name, value in seconds.items()}


def _require(connection: psycopg.Connection, expected: dict[str, str], joined: Exported | None) -> None:
    """Refuse a transaction without the expected settings, or with another snapshot than the one it joined."""
    columns = sql.SQL(", ").join(sql.SQL("current_setting({})").format(name) for name in expected)
    query = sql.SQL("SELECT {}, pg_current_snapshot()::text").format(columns)
    *found, sees = connection.execute(query).fetchone() or ()
    wrong = [
        f"{name} is {value}"
        for (name, wanted), value in zip(expected.items(), found, strict=True)
        if value.partition(",")[0].lower() != wanted.lower()
    ]
    if connection.info.transaction_status != pq.TransactionStatus.INTRANS:
        wrong.append("no transaction is open")
    if joined and sees != joined.sees:
        wrong.append("the snapshot is another one")
    if wrong:
        message = f"the database does not keep the settings of a transaction: {', '.join(wrong)}"
        raise UnreachableError(message, hint=_POOLER_HINT)
