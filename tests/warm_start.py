"""Commands that start warm: each is forked from a process that has imported what commands import.

Such a command is a process of its own, with its own streams, environment, folder and signals; it only spares the
imports, which take most of the time of a small command. `python tests/warm_start.py` is the process that forks.
"""

import array
import atexit
import functools
import gc
import importlib
import json
import os
import pkgutil
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

HEAVY: Final = ("boto3", "duckdb", "polars", "psycopg", "pyarrow.csv", "pyarrow.parquet", "rich.progress", "sqlglot")
# What else is in an environment may be read at an import: such a command starts with a new interpreter.
HARMLESS: Final = ("AWS_", "SHOPEASE_", "HOME", "PATH")


class Request(NamedTuple):
    """A command to start; its streams and the pipe for its exit status come beside it."""

    arguments: list[str]
    folder: str
    environment: dict[str, str]


def may_start_warm(environment: Mapping[str, str]) -> bool:
    """Whether nothing in the environment can matter to what is imported."""
    known = (name.startswith(HARMLESS) or (name, value) == ("LANG", "C.UTF-8") for name, value in environment.items())
    return all(known) and not os.environ.get("SHOPEASE_TESTS_START_COLD")


class WarmProcess(subprocess.Popen[str]):
    """A command that the forking process starts for this one; the exit status comes through a pipe."""

    _status: int  # the pipe's end

    def _execute_child(self, args: list[str], *rest: Any) -> None:
        """In place of fork and exec; the order of `rest` is that of Python 3.11 to 3.14."""
        folder, environment = rest[4], rest[5]
        child_in, ours_in, ours_out, child_out, ours_error, child_error = rest[9:15]
        self._status, theirs = os.pipe()
        streams = (child_in, child_out, child_error)
        try:
            self.pid = _forking().start(Request(args[1:], str(folder), environment), (*streams, theirs))
        finally:
            os.close(theirs)
            for end, other in zip(streams, (ours_in, ours_out, ours_error), strict=True):
                if other != -1:
                    os.close(end)  # a pipe made for the child
        self._child_created = True

    def _try_wait(self, wait_flags: int) -> tuple[int, int]:
        if wait_flags & os.WNOHANG and not select.select([self._status], [], [], 0)[0]:
            return 0, 0
        status = os.read(self._status, 4)
        os.close(self._status)
        assert status, "the process that forks is gone"
        return self.pid, struct.unpack("i", status)[0]

    def _internal_poll(self, **_defaults: Any) -> int | None:
        if self.returncode is None and self._waitpid_lock.acquire(blocking=False):  # type: ignore[attr-defined]
            try:
                pid, status = self._try_wait(os.WNOHANG)
                if pid:
                    self._handle_exitstatus(status)  # type: ignore[attr-defined]
            finally:
                self._waitpid_lock.release()  # type: ignore[attr-defined]
        return self.returncode


class _Forking:
    """This side of the process that forks."""

    def __init__(self) -> None:
        self._socket, theirs = socket.socketpair()
        self._guard = threading.Lock()
        environment = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8"}
        self._process = subprocess.Popen(
            [sys.executable, __file__, str(theirs.fileno())], pass_fds=[theirs.fileno()], env=environment
        )
        theirs.close()
        atexit.register(self._end)

    def start(self, request: Request, descriptors: tuple[int, ...]) -> int:
        """Start a command; returns its pid."""
        with self._guard:
            _send(self._socket, json.dumps(request).encode(), descriptors)
            return int(struct.unpack("i", self._socket.recv(4))[0])

    def _end(self) -> None:
        self._socket.close()
        self._process.wait()


@functools.cache
def _forking() -> _Forking:
    return _Forking()


def _send(connection: socket.socket, data: bytes, descriptors: tuple[int, ...]) -> None:
    head = struct.pack("i", len(data))
    connection.sendmsg([head], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))])
    connection.sendall(data)


def _receive(connection: socket.socket) -> tuple[Request, list[int]] | None:
    head, descriptors, _, _ = socket.recv_fds(connection, 4, 4)
    if not head:
        return None
    data = b""
    while len(data) < struct.unpack("i", head)[0]:
        data += connection.recv(1 << 16)
    return Request(*json.loads(data)), descriptors


def _fork_on_request(connection: socket.socket) -> Request | None:
    """Fork for each request. Returns in each child, with its request, and None once nobody asks any more."""
    running: dict[int, int] = {}
    reader, writer = os.pipe()
    for end in (reader, writer):
        os.set_blocking(end, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    while True:
        ready, _, _ = select.select([connection.fileno(), reader], [], [])
        if reader in ready:
            os.read(reader, 4096)
            while running and (ended := os.waitpid(-1, os.WNOHANG))[0]:
                pipe = running.pop(ended[0])
                os.write(pipe, struct.pack("i", ended[1]))
                os.close(pipe)
        if connection.fileno() in ready:
            received = _receive(connection)
            if received is None:
                return None
            request, (*streams, pipe) = received
            if not (pid := os.fork()):
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                _become(request, streams)
                for descriptor in (reader, writer, pipe, *running.values()):
                    os.close(descriptor)
                return request
            running[pid] = pipe
            for descriptor in streams:
                os.close(descriptor)
            connection.sendall(struct.pack("i", pid))


def _become(request: Request, streams: list[int]) -> None:
    for number, descriptor in enumerate(streams):
        os.dup2(descriptor, number)
        os.close(descriptor)
    os.environ.clear()
    os.environ.update(request.environment)
    time.tzset()
    os.chdir(request.folder)
    # as an interpreter makes them for LANG=C.UTF-8
    sys.stdin = os.fdopen(0, encoding="utf-8", errors="surrogateescape", closefd=False)
    sys.stdout = os.fdopen(1, "w", encoding="utf-8", errors="surrogateescape", closefd=False)
    sys.stderr = os.fdopen(2, "w", 1, encoding="utf-8", errors="backslashreplace", closefd=False)
    sys.argv = [str(Path(sys.executable).with_name("shopease")), *request.arguments]


def main() -> None:
    """Import what commands import, then fork on request."""
    import shopease_etl.aws

    for name in HEAVY:
        importlib.import_module(name)
    for module in pkgutil.walk_packages(shopease_etl.__path__, "shopease_etl."):
        # the tests of Spark have an environment of their own
        if not module.name.endswith(("__main__", ".spark")):
            importlib.import_module(module.name)
    for service in ("s3", "glue", "athena"):
        shopease_etl.aws.client(service, region="us-east-1")
    gc.collect()
    gc.freeze()
    connection = socket.socket(fileno=int(sys.argv[1]))
    if _fork_on_request(connection):
        connection.close()
        from shopease_etl.cli import main as command

        command()


if __name__ == "__main__":
    sys.path.pop(0)  # a command does not see the tests' folder
    main()
