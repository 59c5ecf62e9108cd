"""The process that starts the embedded server, watches it, and stops it after its last user has left.

Four locks in the server's folder show who is alive. Each user shares `users.lock`, and holds `start.lock` while it
connects. This process holds `supervisor.lock`. It holds `server.lock` too, which all processes of PostgreSQL inherit:
if that one is free, nothing touches the data, and a `postmaster.pid` is stale.
"""

import ctypes
import os
import signal
import subprocess
import sys
import time
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

_PATIENCE: Final = 50.0  # seconds, less than a user waits
_SETTINGS: Final = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "port": "5432",
    "max_connections": "60",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
    # one server without replicas: loads into new tables skip the write-ahead log
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_wal_size": "4GB",
    "shared_buffers": "128MB",
    "maintenance_work_mem": "128MB",
    "jit": "off",
}


def main(base: Path, log: Path) -> None:
    """Detach from the caller, print `ready` or the reason for a failure, and stay until the last user has left."""
    if os.fork():
        os._exit(0)  # init becomes our parent and reaps us, not a user of the server
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    if (lock := locks.take(base / "supervisor.lock")) is None:
        return
    try:
        _Server(base, log).run()
    except (ShopeaseError, OSError) as error:
        _report(str(error))
    finally:
        os.close(lock)


def _report(line: str) -> None:
    with suppress(BrokenPipeError):  # the process that started us has died
        os.write(sys.stdout.fileno(), f"{line}\n".encode())
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, sys.stdout.fileno())
    os.close(null)


class _Server:
    """PostgreSQL on the data in `base`."""

    def __init__(self, base: Path, log: Path) -> None:
        self._base = base
        self._log = log
        self._data = base / "data"
        self._account = Account.ours(self._data)
        self._lock = self._stop_orphan()

    def run(self) -> None:
        """Start the server, report that it is ready, and stop it after its last user has left."""
        try:
            programs = runnable_binaries(self._base, self._account)
            self._ensure_data(programs)
            socket = socket_folder(self._base, self._account)
            try:
                self._watch(self._start(programs, socket))
            finally:
                rmtree(socket, ignore_errors=True)
        finally:
            os.close(self._lock)

    def _stop_orphan(self) -> int:
        """The server's lock, after a server that outlived its supervisor has been stopped."""
        deadline = time.monotonic() + _PATIENCE
        while (lock := locks.take(self._base / "server.lock")) is None:
            if time.monotonic() > deadline:
                raise UnreachableError("an earlier server does not stop")
            with suppress(OSError, ValueError, IndexError):
                os.kill(int((self._data / "postmaster.pid").read_text().split()[0]), signal.SIGINT)
            time.sleep(0.1)
        (self._data / "postmaster.pid").unlink(missing_ok=True)
        return lock

    def _ensure_data(self, programs: Path) -> None:
        """Create the data folder if it is missing, under another name first, so that it is always complete."""
        for leftover in self._base.glob("data.new-*"):
            rmtree(leftover, ignore_errors=True)
        if not self._data.exists():
            fresh = self._account.make_folder(self._base, "data.new-")
            options = ("--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8")
            command = (programs / "initdb", "-D", fresh, "-U", ADMINISTRATOR, "--auth=peer", *options)
            if self._spawn(*command).wait() != 0:
                raise UnreachableError(f"initdb failed: {last_line(self._log)}")
            fresh.rename(self._data)
        if not (self._data / "PG_VERSION").exists():
            raise UnreachableError(f"{self._data} is not a complete data folder; move it away")
        if (found := (self._data / "PG_VERSION").read_text().strip()) != str(MAJOR):
            raise UnreachableError(
                f"{self._data} is of PostgreSQL {found}, not {MAJOR}; move it away and restore again"
            )

    def _start(self, programs: Path, socket: Path) -> subprocess.Popen[bytes]:
        """Start the server; the two files that define who may connect are ours, not the server's."""
        name = user_name().replace('"', '""')
        access = {
            "hba_file": "local all all peer map=shopease\n",
            "ident_file": "".join(f'shopease "{name}" {role}\n' for role in (ADMINISTRATOR, USER)),
        }
        settings = _SETTINGS | {"unix_socket_directories": str(socket)}
        for setting, text in access.items():
            file = self._base / f"pg_{setting.removesuffix('_file')}.conf"
            file.write_text(text)
            file.chmod(0o644)
            settings[setting] = str(file)
        options = [part for key, value in settings.items() for part in ("-c", f"{key}={value}")]
        return self._spawn(programs / "postgres", "-D", self._data, *options)

    def _spawn(self, *command: str | Path) -> subprocess.Popen[bytes]:
        library = ctypes.CDLL(None) if sys.platform == "linux" else None
        parent = os.getpid()

        def die_with_us() -> None:  # in the child, after it has changed its user
            if library:
                library.prctl(1, signal.SIGINT)  # PR_SET_PDEATHSIG
                if os.getppid() != parent:
                    os._exit(1)

        with self._log.open("ab") as output:
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd="/",
                env=os.environ | {"LC_ALL": "C"},
                user=self._account.user,
                group=self._account.group,
                extra_groups=self._account.groups,
                pass_fds=(self._lock,),
                preexec_fn=die_with_us,
            )

    def _watch(self, server: subprocess.Popen[bytes]) -> None:
        """Wait until the last user has left; new users wait until the server has stopped."""
        users: int | None = None
        try:
            self._wait_until_ready(server)
            _report("ready")
            while server.poll() is None and (users := locks.take(self._base / "users.lock")) is None:
                time.sleep(0.1)
        finally:
            for number, patience in ((signal.SIGINT, _PATIENCE), (signal.SIGQUIT, 10), (signal.SIGKILL, 10)):
                if server.poll() is None:
                    server.send_signal(number)
                    with suppress(subprocess.TimeoutExpired):
                        server.wait(patience)
            if users is not None:
                os.close(users)

    def _wait_until_ready(self, server: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + _PATIENCE
        while True:
            with suppress(OSError, IndexError):
                # its line 8 is the server's status
                if (self._data / "postmaster.pid").read_text(errors="replace").splitlines()[7].strip() == "ready":
                    return
            if server.poll() is not None:
                raise UnreachableError(last_line(self._log))
            if time.monotonic() > deadline:
                raise UnreachableError(f"not ready after {_PATIENCE:.0f} seconds: {last_line(self._log)}")
            time.sleep(0.02)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
