"""Advisory file locks, which the operating system drops when their holder dies, however it dies."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from shopease_etl import cancel, file_locks


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)


@contextlib.contextmanager
def held(path: Path, *, shared: bool = False) -> Iterator[int]:
    """Waits for the lock and holds it; yields its descriptor, through which a child can hold it too."""
    descriptor = _open(path)
    try:
        cancel.call(lambda: file_locks.lock(descriptor, shared=shared, wait=True))
        yield descriptor
    finally:
        os.close(descriptor)


def take(path: Path) -> int | None:
    """The lock's descriptor, exclusive until it is closed, or None if the lock is held."""
    descriptor = _open(path)
    if file_locks.lock(descriptor):
        return descriptor
    os.close(descriptor)
    return None


def is_held(path: Path) -> bool:
    """Whether the lock is held now."""
    descriptor = take(path)
    if descriptor is not None:
        os.close(descriptor)
    return descriptor is None
