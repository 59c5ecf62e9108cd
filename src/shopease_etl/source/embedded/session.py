"""The user's side of the embedded server: find it or have it started, and hold a share in it."""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from shopease_etl import wording
from shopease_etl.errors import ConfigurationError, UnreachableError
from shopease_etl.source.embedded import folders, locks
from shopease_etl.source.embedded.folders import ADMINISTRATOR, USER
from shopease_etl.source.embedded.programs import binaries

if TYPE_CHECKING:
    import psycopg

_PATIENCE: Final = 60.0  # seconds; a start takes 0.1, after a crash of a large restore longer
_LONGEST_LOG: Final = 10_000_000  # bytes; started anew beyond it


@contextlib.contextmanager
def running(home: Path, database: str = "sales_db") -> Iterator[str]:
    """Yields the URL of `database`, made when missing, on the server of `home`, which runs at least that long.

    The server listens on a Unix socket only, which lets in nobody but this operating-system user (`peer`), as a role
    that owns its databases but is no superuser: a dump cannot make the server run programs.
    """
    binaries()
    base = folders.base_folder(home)
    with contextlib.ExitStack() as stack:
        with locks.held(base / "start.lock"):
            stack.enter_context(locks.held(base / "users.lock", shared=True))
            socket = _attach(base, home.absolute() / "postgres.log", database)
        yield _url(socket, USER, database)


def _url(socket: str, user: str, database: str) -> str:
    # sslmode and port are named so that PGSSLMODE and PGPORT of the environment change nothing.
    return f"postgresql://{user}@/{quote(database, safe='')}?host={quote(socket, safe='')}&port=5432&sslmode=disable"


def _attach(base: Path, log: Path, database: str) -> str:
    """The folder of the server's socket, once the server answers; called with the start lock held."""
    deadline = time.monotonic() + _PATIENCE
    while True:
        if not locks.is_held(base / "supervisor.lock"):
            _launch(base, log)
        try:
            socket = _socket(base)
            _ensure_database(socket, database)
        except (OSError, IndexError) as error:
            if time.monotonic() > deadline:
                raise UnreachableError(
                    f"the embedded PostgreSQL does not answer: {wording.one_line(error)}", hint=f"see {log}"
                ) from error
            time.sleep(0.05)
        else:
            return socket


def _socket(base: Path) -> str:
    """The folder of the socket as the server itself has noted it (line 5 of postmaster.pid)."""
    return (base / "data" / "postmaster.pid").read_text(errors="surrogateescape").splitlines()[4]


def _launch(base: Path, log: Path) -> None:
    """Starts the supervisor, which leaves our process group and parentage, and waits for its one-line report."""
    command = [sys.executable, "-m", "shopease_etl.source.embedded.supervisor", str(base), str(log)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    try:
        _tidy(log)
        with (
            log.open("ab") as errors,
            subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                cwd="/",
                env=environment,
                start_new_session=True,
            ) as process,
        ):
            report = process.stdout.readline().decode(errors="replace").strip() if process.stdout else ""
    except OSError as error:
        raise ConfigurationError(
            f"the embedded PostgreSQL cannot start: {wording.reason(error)}",
            hint="set SHOPEASE_HOME to a writable folder",
        ) from error
    if report != "ready":
        reason = report or f"its supervisor ended: {last_line(log)}"
        raise UnreachableError(f"the embedded PostgreSQL did not start: {reason}", hint=f"see {log}")


def _tidy(log: Path) -> None:
    log.touch(mode=0o600)
    if log.stat().st_size > _LONGEST_LOG:
        os.truncate(log, 0)


def last_line(log: Path) -> str:
    """The last line of the server's log that is not empty."""
    with contextlib.suppress(OSError):
        lines = log.read_bytes()[-10_000:].decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else "its log is empty"
    return "its log cannot be read"


def _ensure_database(socket: str, database: str) -> None:
    """Makes role and database when missing; ConnectionError where the server does not answer."""
    import psycopg  # here, as the supervisor imports this package too and is to start quickly

    try:
        with psycopg.connect(
            _url(socket, ADMINISTRATOR, "postgres"), autocommit=True, connect_timeout=10
        ) as connection:
            _create_missing(connection, database)
    except psycopg.OperationalError as error:
        raise ConnectionError(*error.args) from error


def _create_missing(connection: "psycopg.Connection", database: str) -> None:
    from psycopg import sql

    owner, name = sql.Identifier(USER), sql.Identifier(database)
    if not connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [USER]).fetchone():
        connection.execute(sql.SQL("CREATE ROLE {} LOGIN CREATEDB").format(owner))
    if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [database]).fetchone():
        connection.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(name, owner))
