"""Connections to the source, and how to break them off."""

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final, TypeVar

import psycopg
from psycopg.abc import PQGen
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from shopease_etl import cancel
from shopease_etl.errors import ConfigurationError, SourceFaultError, TimeLimitError
from shopease_etl.source.postgres.errors import connection_error, translate_errors

WAKE_SECONDS: Final = 0.1
CANCEL_SECONDS: Final = 2.0
QUERY_SECONDS: Final = 30.0  # time limit for a short query
# Defaults, which the URL may change. If the network is dead, even an idle connection ends after about a minute.
_CONNECTION: Final = {
    "fallback_application_name": "shopease",
    "connect_timeout": "10",
    "keepalives": "1",
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "3",
    "tcp_user_timeout": "30000",
}

_Result = TypeVar("_Result")


class _Connection(psycopg.Connection):
    """A connection on which an interrupt and a time limit end the statement that is waited for."""

    def wait(self, gen: PQGen[_Result], interval: float = WAKE_SECONDS, timeout: float | None = None) -> _Result:
        """Wait for the server, as psycopg does."""
        try:
            return super().wait(_check_cancelled(gen), interval, timeout)
        except TimeLimitError:
            with suppress(psycopg.Error):
                self.cancel_safe(timeout=CANCEL_SECONDS)
            raise


def _check_cancelled(steps: PQGen[_Result]) -> PQGen[_Result]:
    """The same steps; psycopg takes one whenever it wakes, whether the server has answered or not."""
    try:
        wanted = next(steps)
        while True:
            ready = yield wanted
            if not ready:
                cancel.check()
            wanted = steps.send(ready)
    except StopIteration as end:
        result: _Result = end.value
        return result


@contextmanager
def open_connection(url: str) -> Iterator[psycopg.Connection]:
    """A new connection; its errors are translated."""
    named = parameters(url)
    defaults = {name: value for name, value in _CONNECTION.items() if name not in named}
    try:
        # A prepared statement would stay on the server's connection, which a pooler gives to other clients.
        information = make_conninfo(url, **defaults)
        connection = cancel.call(lambda: _Connection.connect(information, autocommit=True, prepare_threshold=None))
    except psycopg.DatabaseError as error:
        raise connection_error(error) from error
    try:
        with translate_errors("the database"):
            yield connection
    finally:
        connection.close()


def parameters(url: str) -> dict[str, str]:
    """The connection parameters that a libpq URL or conninfo string gives.

    Raises:
        ConfigurationError: it is neither; the message does not show it, as it may contain a password.
    """
    message = "the database URL is not valid"
    try:
        named = {name: str(value) for name, value in conninfo_to_dict(url).items()}
    except psycopg.ProgrammingError:
        raise ConfigurationError(message, hint="write it as postgresql://USER:PASSWORD@HOST:PORT/DATABASE") from None
    if "@" in named.get("host", "").lstrip("@"):
        raise ConfigurationError(message, hint="write an @ in the user or the password as %40")
    return named


@contextmanager
def query_deadline(
    connection: psycopg.Connection,
    seconds: float = QUERY_SECONDS,
    *,
    doing: str = "the database",
    hint: str | None = None,
) -> Iterator[None]:
    """Break the connection off if the block's queries take longer than this.

    Raises:
        SourceFaultError: it took longer.
    """
    is_late = threading.Event()

    def give_up() -> None:
        is_late.set()
        disconnect(connection)

    patience = threading.Timer(seconds, give_up)
    patience.daemon = True
    patience.start()
    try:
        yield
    except psycopg.Error as error:
        if not is_late.is_set():
            raise
        message = f"{doing}: no answer within {seconds:g} s"
        raise SourceFaultError(message, hint=hint) from error
    finally:
        patience.cancel()


def disconnect(connection: psycopg.Connection) -> None:
    """Break the connection off, so that a thread that reads from it gets an error."""
    with suppress(OSError, psycopg.Error), socket.socket(fileno=os.dup(connection.fileno())) as network:
        network.shutdown(socket.SHUT_RDWR)
