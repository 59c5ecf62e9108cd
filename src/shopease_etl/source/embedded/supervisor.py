"""The process that starts the embedded server, watches over it, and stops it once nobody uses it any more.

Four locks in the server's folder tell who lives: `users.lock` is shared by every user, `start.lock` is held by a user
while it attaches, `supervisor.lock` by this process, and `server.lock` by this process and, inherited, by every process
of PostgreSQL: once that one is free, nothing touches the data, and a postmaster.pid that is there is stale.
"""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from shutil import rmtree
from typing import Final

from shopease_etl.errors import ShopeaseError, UnreachableError
from shopease_etl.source.embedded import locks
from shopease_etl.source.embedded.folders import (
    ADMINISTRATOR,
    USER,
    Account,
    runnable_binaries,
    socket_folder,
    user_name,
)
from shopease_etl.source.embedded.programs import MAJOR
from shopease_etl.source.embedded.session import last_line

_PATIENCE: Final = 50.0  # seconds, less than a user's patience
_SETTINGS: Final = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "port": "5432",
    "max_connections": "60",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
    # One server, never replicated: bulk loads into new tables then skip the write-ahead log.
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_wal_size": "4GB",
    "shared_buffers": "128MB",
    "maintenance_work_mem": "128MB",
    "jit": "off",
}


def main(base: Path, log: Path) -> None:
    """Leaves the caller's parentage, reports `ready` or the reason why not on stdout, and stays until all have left."""
    if os.fork():
        os._exit(0)  # so that init, not a user of the server, is our parent and reaps us
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    if (lock := locks.take(base / "supervisor.lock")) is None:
        return
    try:
        _serve(base, log)
    except (ShopeaseError, OSError) as error:
        _report(str(error))
    finally:
        os.close(lock)


def _report(line: str) -> None:
    with suppress(BrokenPipeError):  # the user who started us has died
        os.write(sys.stdout.fileno(), f"{line}\n".encode())
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, sys.stdout.fileno())
    os.close(null)


def _serve(base: Path, log: Path) -> None:
    account = Account.ours(base / "data")
    lock = _sole_server(base)
    try:
        programs = runnable_binaries(base, account)
        _ensure_data(base, log, programs, account, lock)
        socket = socket_folder(base, account)
        try:
            _watch(base, log, _start(base, log, programs, account, socket, lock))
        finally:
            rmtree(socket, ignore_errors=True)
    finally:
        os.close(lock)


def _sole_server(base: Path) -> int:
    """Takes the server's lock; a server whose supervisor was killed, and that did not die with it, is stopped first."""
    deadline = time.monotonic() + _PATIENCE
    while (lock := locks.take(base / "server.lock")) is None:
        if time.monotonic() > deadline:
            raise UnreachableError("an earlier server does not end")
        with suppress(OSError, ValueError, IndexError):
            os.kill(int((base / "data" / "postmaster.pid").read_text().split()[0]), signal.SIGINT)
        time.sleep(0.1)
    (base / "data" / "postmaster.pid").unlink(missing_ok=True)
    return lock


def _ensure_data(base: Path, log: Path, programs: Path, account: Account, lock: int) -> None:
    """Makes the data folder under another name and renames it, so that one that is there is whole."""
    data = base / "data"
    for remains in base.glob("data.new-*"):
        rmtree(remains, ignore_errors=True)
    if not data.exists():
        fresh = account.make_folder(base, "data.new-")
        _initialise(fresh, log, programs, account, lock)
        fresh.rename(data)
    if not (data / "PG_VERSION").exists():
        raise UnreachableError(f"{data} is not a whole data folder; move it away")
    if (found := (data / "PG_VERSION").read_text().strip()) != str(MAJOR):
        raise UnreachableError(f"{data} is of PostgreSQL {found}, not {MAJOR}; move it away and restore again")


def _initialise(folder: Path, log: Path, programs: Path, account: Account, lock: int) -> None:
    options = ["--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--auth=peer"]
    command = [str(programs / "initdb"), "-D", str(folder), "-U", ADMINISTRATOR, *options]
    if _spawn(command, log, account, lock).wait() != 0:
        raise UnreachableError(f"initdb failed: {last_line(log)}")


def _start(base: Path, log: Path, programs: Path, account: Account, socket: Path, lock: int) -> subprocess.Popen[bytes]:
    """Starts the server; the two files that say who may connect are ours, not the server's."""
    (base / "pg_hba.conf").write_text("local all all peer map=shopease\n")
    name = user_name().replace('"', '""')
    (base / "pg_ident.conf").write_text("".join(f'shopease "{name}" {role}\n' for role in (ADMINISTRATOR, USER)))
    for file in ("pg_hba.conf", "pg_ident.conf"):
        (base / file).chmod(0o644)
    files = {"hba_file": base / "pg_hba.conf", "ident_file": base / "pg_ident.conf"}
    settings = _SETTINGS | {key: str(path) for key, path in files.items()} | {"unix_socket_directories": str(socket)}
    options = [part for key, value in settings.items() for part in ("-c", f"{key}={value}")]
    return _spawn([str(programs / "postgres"), "-D", str(base / "data"), *options], log, account, lock)


def _spawn(command: list[str], log: Path, account: Account, lock: int) -> subprocess.Popen[bytes]:
    with log.open("ab") as output:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd="/",
            env=os.environ | {"LC_ALL": "C"},
            user=account.user,
            group=account.group,
            extra_groups=account.groups,
            pass_fds=(lock,),
            preexec_fn=_dies_with_us(),
        )


def _dies_with_us() -> Callable[[], None] | None:
    """What makes a child get SIGINT when we are killed (Linux); run in the child, after it has changed its user."""
    if sys.platform != "linux":
        return None
    library, parent = ctypes.CDLL(None), os.getpid()

    def ask() -> None:
        library.prctl(1, signal.SIGINT)  # PR_SET_PDEATHSIG
        if os.getppid() != parent:
            os._exit(1)

    return ask


def _watch(base: Path, log: Path, server: subprocess.Popen[bytes]) -> None:
    """Reports once the server is ready, then waits until nobody uses it; later users wait until it has stopped."""
    users: int | None = None
    try:
        _await_ready(base, log, server)
        _report("ready")
        while server.poll() is None and (users := locks.take(base / "users.lock")) is None:
            time.sleep(0.1)
    finally:
        _stop(server)
        if users is not None:
            os.close(users)


def _await_ready(base: Path, log: Path, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _PATIENCE
    while not _is_ready(base / "data" / "postmaster.pid"):
        if server.poll() is not None:
            raise UnreachableError(last_line(log))
        if time.monotonic() > deadline:
            raise UnreachableError(f"not ready after {_PATIENCE:.0f} seconds: {last_line(log)}")
        time.sleep(0.02)


def _is_ready(postmaster: Path) -> bool:
    with suppress(OSError, IndexError):
        return postmaster.read_text(errors="replace").splitlines()[7].strip() == "ready"
    return False


def _stop(server: subprocess.Popen[bytes]) -> None:
    for number, patience in ((signal.SIGINT, _PATIENCE), (signal.SIGQUIT, 10), (signal.SIGKILL, 10)):
        if server.poll() is None:
            server.send_signal(number)
            with suppress(subprocess.TimeoutExpired):
                server.wait(patience)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
