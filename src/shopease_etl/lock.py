"""One run at a time per lake: an operating-system lock, which dies with its holder."""

import fcntl
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from shopease_etl.errors import LakeLockedError, UnreachableError


@contextmanager
def held(path: Path, run_id: str) -> Iterator[None]:
    """Hold the lock file for as long as the context lasts; the file tells who holds it, and goes with it.

    Raises:
        LakeLockedError: another process holds it; the message names it.
        UnreachableError: the file cannot be made.
    """
    with _acquired(path) as file:
        try:
            _write_holder(file, run_id)
            yield
        finally:
            path.unlink(missing_ok=True)


def _write_holder(file: BinaryIO, run_id: str) -> None:
    holder = {"run_id": run_id, "host": socket.gethostname(), "pid": os.getpid(), "since": _now()}
    try:
        os.truncate(file.fileno(), 0)
        os.write(file.fileno(), json.dumps(holder).encode())
    except OSError as error:
        message = f"cannot write the lock: {error.strerror}"
        raise UnreachableError(message) from error


@contextmanager
def _acquired(path: Path) -> Iterator[BinaryIO]:
    """The open, locked file that is at the path now; one unlinked by its former holder is tried again."""
    while True:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            file = path.open("a+b")
        except OSError as error:
            message = f"cannot make the lock {path}: {error.strerror}"
            raise UnreachableError(message) from error
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise LakeLockedError(_holder(file), hint="wait until it has ended, then try again") from None
            if _is_at(file, path):
                yield file
                return


def _is_at(file: BinaryIO, path: Path) -> bool:
    try:
        return os.fstat(file.fileno()).st_ino == path.stat().st_ino
    except FileNotFoundError:
        return False


def _holder(file: BinaryIO) -> str:
    file.seek(0)
    try:
        holder = json.loads(file.read())
        return "another run holds the lake: {run_id} on {host}, process {pid}, since {since}".format(**holder)
    except (ValueError, KeyError, TypeError):
        return "another run holds the lake"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
