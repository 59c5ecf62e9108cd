"""A command's use of the embedded server: find it or start it, and keep it running."""

import contextlib
import os
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import quote

from shopease_etl import cancel, wording
from shopease_etl.errors import ConfigurationError, UnreachableError
from shopease_etl.source.embedded import folders, locks
from shopease_etl.source.embedded.folders import ADMINISTRATOR, USER
from shopease_etl.source.embedded.programs import binaries

_PATIENCE: Final = 60.0  # seconds; a start takes 0.1, or longer after a crash during a large restore
_LONGEST_LOG: Final = 10_000_000  # bytes; a longer one is emptied at the next start


@contextlib.contextmanager
def running(home: Path, database: str = "sales_db") -> Iterator[str]:
    """The URL of `database`, created if missing, on the server of `home`, which runs as long as the context.

    The server listens only on a Unix socket and accepts only this operating-system user (`peer`). The role owns its
    databases but is not a superuser: a dump cannot make the server run programs.
    """
    binaries()
    base = folders.base_folder(home)
    with contextlib.ExitStack() as stack:
        with locks.held(base / "start.lock"):
            stack.enter_context(locks.held(base / "users.lock", shared=True))
            socket = _attach(base, home.absolute() / "postgres.log", database)
        yield _url(socket, USER, database)


def _url(socket: str, user: str, database: str) -> str:
    # sslmode and port override PGSSLMODE and PGPORT
    return f"postgresql://{user}@/{quote(database, safe='')}?host={quote(socket, safe='')}&port=5432&sslmode=disable"


def _attach(base: Path, log: Path, database: str) -> str:
    """The folder of the socket of a server that answers; the caller holds the start lock."""
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
            cancel.wait(0.05)
        else:
            return socket


def _socket(base: Path) -> str:
    """The folder of the socket as the server itself has noted it (line 5 of postmaster.pid)."""
    return (base / "data" / "postmaster.pid").read_text(errors="surrogateescape").splitlines()[4]


def _launch(base: Path, log: Path) -> None:
    """Start the supervisor, which detaches from us, and wait for its report of one line."""
    command = [sys.executable, "-m", "shopease_etl.source.embedded.supervisor", str(base), str(log)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    try:
        log.touch(mode=0o600)
        if log.stat().st_size > _LONGEST_LOG:
            os.truncate(log, 0)
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
            output = process.stdout
            if output:  # a thread that reads could not be left: it keeps the pipe from being closed
                cancel.call(lambda: select.select([output], [], []))
            report = output.readline().decode(errors="replace").strip() if output else ""
    except OSError as error:
        raise ConfigurationError(
            f"the embedded PostgreSQL cannot start: {wording.reason(error)}",
            hint="set SHOPEASE_HOME to a writable folder",
        ) from error
    if report != "ready":
        reason = report or f"its supervisor ended: {last_line(log)}"
        raise UnreachableError(f"the embedded PostgreSQL did not start: {reason}", hint=f"see {log}")


def last_line(log: Path) -> str:
    """The last line of the server's log."""
    with contextlib.suppress(OSError):
        lines = log.read_bytes()[-10_000:].decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else "its log is empty"
    return "its log cannot be read"


def _ensure_database(socket: str, database: str) -> None:
    """Create role and database if missing; ConnectionError if the server does not answer."""
    import psycopg  # not needed by the supervisor, which imports this module and must start quickly
    from psycopg import sql

    owner, name = sql.Identifier(USER), sql.Identifier(database)
    try:
        with psycopg.connect(
            _url(socket, ADMINISTRATOR, "postgres"), autocommit=True, connect_timeout=10
        ) as connection:
            if not connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [USER]).fetchone():
                connection.execute(sql.SQL("CREATE ROLE {} LOGIN CREATEDB").format(owner))
            if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [database]).fetchone():
                connection.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(name, owner))
    except psycopg.OperationalError as error:
        raise ConnectionError(*error.args) from error
