"""One run at a time per lake: a locked file, which the operating system unlocks when its holder dies."""

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import BinaryIO

from shopease_etl import file_locks
from shopease_etl.errors import LakeLockedError, UnreachableError
from shopease_etl.lake.lock.holder import LOCKED_HINT, Holder, LockStatus, holder_in, this_process
from shopease_etl.nofollow import make_folder, open_file
from shopease_etl.wording import room_hint


@contextmanager
def locked_file(path: Path, run_id: str, token: str = "") -> Iterator[Holder | None]:
    """Hold the lock file during the block; the file names its holder, and is deleted at the end.

    Yields the former holder if it was killed and so could not delete the file.

    Raises:
        LakeLockedError: another process holds it; the message names it.
        UnreachableError: the file cannot be created, or it or its folder is a symbolic link.
    """
    with _acquired(path) as file:
        try:
            former = _holder(file)
            _write_holder(file, path, this_process(run_id, token))
            yield former
        finally:
            path.unlink(missing_ok=True)


def file_lock_status(path: Path) -> LockStatus | None:
    """The holder of the lock file, without locking it; None if there is none, or it cannot be read.

    Raises:
        UnreachableError: it or its folder is a symbolic link.
    """
    try:
        with open_file(path, "rb") as file:
            holder = _holder(file)
    except OSError:
        return None
    return LockStatus(holder, _is_alive(holder, path)) if holder else None


def _is_alive(holder: Holder, path: Path) -> bool:
    """On this machine, look for the process: to try the lock would block a run that begins at that moment."""
    if holder.host != socket.gethostname():
        return _is_locked(path)
    try:
        os.kill(holder.pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


def _is_locked(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return not file_locks.lock(file, shared=True)
    except FileNotFoundError:
        return False
    except OSError:
        return True


def _write_holder(file: BinaryIO, path: Path, holder: Holder) -> None:
    try:
        os.truncate(file.fileno(), 0)
        os.write(file.fileno(), json.dumps(asdict(holder)).encode())
    except OSError as error:
        message = f"cannot write the lock {path}: {error.strerror}"
        raise UnreachableError(message, hint=room_hint(error, path.parent)) from error


@contextmanager
def _acquired(path: Path) -> Iterator[BinaryIO]:
    """The open, locked file at the path; if its former holder has just deleted it, a new one."""
    while True:
        try:
            make_folder(path.parent)
            file = open_file(path, "a+b")
        except OSError as error:
            message = f"cannot create the lock {path}: {error.strerror}"
            hint = room_hint(error, path.parent) or "set SHOPEASE_LAKE and SHOPEASE_HOME to folders that can be written"
            raise UnreachableError(message, hint=hint) from error
        with file:
            _lock(file, path)
            if _is_at(file, path):
                yield file
                return


def _lock(file: BinaryIO, path: Path) -> None:
    try:
        is_ours = file_locks.lock(file)
    except OSError as error:
        message = f"cannot lock {path}: {error.strerror}"
        raise UnreachableError(message, hint="it must be on a file system that supports locks") from error
    if not is_ours:
        holder = _holder(file)
        raise LakeLockedError(holder.description if holder else "another run holds the lake", hint=LOCKED_HINT)


def _is_at(file: BinaryIO, path: Path) -> bool:
    try:
        return os.fstat(file.fileno()).st_ino == path.stat().st_ino
    except FileNotFoundError:
        return False


def _holder(file: BinaryIO) -> Holder | None:
    file.seek(0)
    try:
        return holder_in(json.loads(file.read()))
    except (ValueError, RecursionError):
        return None
