"""Connections whose output is the contract's, within limits, and broken off where need be."""

import math
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Final

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from shopease_etl.errors import ConfigurationError
from shopease_etl.postgres.errors import refusal, translating

_LONGEST_LIMIT: Final = 2**31 - 1  # milliseconds
# What the URL may say otherwise. A network that is dead ends even an idle connection after about a minute.
_CONNECTION: Final = {
    "fallback_application_name": "shopease",
    "connect_timeout": "10",
    "keepalives": "1",
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "3",
    "tcp_user_timeout": "30000",
}


@dataclass(frozen=True)
class Limits:
    """Seconds that a statement, a wait for a lock and an idle transaction may take on the server; 0 is no limit."""

    statement: float = 0
    lock: float = 0
    idle: float = 0


NO_LIMITS: Final = Limits()


@contextmanager
def connect(url: str, timezone: str = "UTC", limits: Limits = NO_LIMITS) -> Iterator[psycopg.Connection]:
    """A connection whose text output is the contract's: UTF-8, ISO dates, the business time zone.

    Row-level security is off, so that a policy which would hide rows is an error and not a loss.

    Raises:
        SourceFaultError: the server cannot be reached now, or the connection is lost.
        UnreachableError: the server refuses the login.
        ConfigurationError: the URL is not one.
    """
    with opened(url) as connection:
        connection.execute(session_settings(timezone, limits))
        yield connection


@contextmanager
def opened(url: str) -> Iterator[psycopg.Connection]:
    """A connection as the server gives it; what it raises is translated."""
    named = parameters(url)
    defaults = {name: value for name, value in _CONNECTION.items() if name not in named}
    try:
        connection = psycopg.connect(make_conninfo(url, **defaults), autocommit=True)
    except psycopg.DatabaseError as error:
        raise refusal(error) from error
    try:
        with translating("the database"):
            yield connection
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


def session_settings(timezone: str, limits: Limits) -> sql.Composed:
    """The statements that make a connection's text output the contract's, and set its limits."""
    settings = {
        "client_encoding": "UTF8",
        "DateStyle": "ISO",
        "TimeZone": timezone,
        "IntervalStyle": "postgres",
        "bytea_output": "hex",
        "extra_float_digits": "1",
        "row_security": "off",
        "statement_timeout": _milliseconds(limits.statement),
        "lock_timeout": _milliseconds(limits.lock),
        "idle_in_transaction_session_timeout": _milliseconds(limits.idle),
    }
    assignments = (sql.SQL("SET {} = {}").format(sql.Identifier(name), value) for name, value in settings.items())
    return sql.SQL("; ").join(assignments)


def _milliseconds(seconds: float) -> str:
    return str(min(math.ceil(seconds * 1000), _LONGEST_LIMIT))


def hang_up(connection: psycopg.Connection) -> None:
    """Let whoever reads from the connection see its end."""
    with suppress(OSError, psycopg.Error), socket.socket(fileno=os.dup(connection.fileno())) as network:
        network.shutdown(socket.SHUT_RDWR)
