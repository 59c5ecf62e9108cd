"""Files that readers see complete or not at all: written beside their place, synced, then renamed into it."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO


@contextmanager
def replacing(path: Path, permissions: int = 0o666) -> Iterator[BinaryIO]:
    """A file to write, which takes the place of `path` when the block ends well; if it raises, nothing is left.

    A symbolic link at `path` is replaced, not followed. A new file has the permissions, less the umask.

    Raises:
        OSError: it cannot be written, or another process began to write it in the meantime.
    """
    # always the same name, so that the next command writes over what a killed one left
    temporary = path.with_name(f".{path.name}.part")
    temporary.unlink(missing_ok=True)
    file = os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, permissions), "wb")
    ours = os.fstat(file.fileno())
    try:
        with file:
            yield file
            file.flush()
            os.fsync(file.fileno())
            if not os.path.samestat(ours, temporary.lstat()):
                raise BlockingIOError(errno.EAGAIN, "another process writes it", str(path))
        put_in_place(temporary, path)
    except BaseException:
        with suppress(OSError):
            if os.path.samestat(ours, temporary.lstat()):
                temporary.unlink()
        raise


def put_in_place(temporary: Path, path: Path) -> None:
    """Rename a synced file into its place, and return when its new name is on the disk, too."""
    temporary.replace(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Return when the names in the folder are on the disk; a folder that this user may not list is skipped."""
    with suppress(PermissionError):
        sync(os.open(folder, os.O_RDONLY))


def sync(descriptor: int) -> None:
    """Sync what a descriptor is of, and close the descriptor."""
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
