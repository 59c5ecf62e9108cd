"""Copies of what a run on S3 has not published, in a folder of this machine: the run reads them."""

import hashlib
import logging
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from shopease_etl.errors import UnreachableError
from shopease_etl.lake.store import PendingWrite, RawWriter
from shopease_etl.nofollow import make_folder, open_file, refuse_link

log = logging.getLogger(__name__)

_PIECE: Final = 1024 * 1024


def clear_spool(spool: Path, kept: Collection[Path] = ()) -> None:
    """Delete the copies of a run, except those to keep; warns of what cannot be deleted."""
    refuse_link(spool)
    try:
        for path in list(spool.iterdir()) if spool.is_dir() else ():
            if path not in kept:
                path.unlink()
        if spool.is_dir() and not kept:
            spool.rmdir()
    except OSError as error:
        log.warning("copies of a run's objects stay behind in %s: %s", spool, error.strerror)


class SpooledWriter:
    """A writer that keeps a copy of the bytes in a file; a late one sends them from it when they are complete."""

    staged = None

    def __init__(self, writer: RawWriter, path: Path, *, is_late: bool = False) -> None:
        self.is_sending = not is_late
        self._is_late = is_late
        self._writer = writer
        self._path = path
        with spooled("write", path):
            # customers' data: only this user may read it
            make_folder(path.parent, 0o700)
            self._file = open_file(path, "wb", 0o600)

    def write(self, data: bytes | bytearray) -> None:
        """Take the next bytes."""
        if not self._is_late:
            self._writer.write(data)
        with spooled("write", self._path):
            self._file.write(data)

    def complete(self) -> None:
        """Wait until all bytes have arrived."""
        with spooled("write", self._path):
            self._file.close()
        for piece in _pieces(self._path) if self._is_late else ():
            self._writer.write(piece)
        self._writer.complete()
        self.is_sending = False

    def publish(self) -> None:
        """Publish the object; the copy stays."""
        self._writer.publish()

    def discard(self) -> None:
        """Delete what was sent; the copy stays."""
        self.is_sending = False
        # closing writes the buffer, which fails on a full disk
        with suppress(OSError):
            self._file.close()
        self._writer.discard()

    def pending_write(self) -> PendingWrite:
        """What another process needs to publish the object."""
        return self._writer.pending_write()


def _pieces(path: Path) -> Iterator[bytes]:
    with spooled("read", path), path.open("rb") as file:
        while piece := file.read(_PIECE):
            yield piece


def hash_of(path: Path) -> str:
    """The SHA-256, in hex, of a file."""
    digest = hashlib.sha256()
    for piece in _pieces(path):
        digest.update(piece)
    return digest.hexdigest()


@contextmanager
def spooled(action: str, path: Path) -> Iterator[None]:
    """Turn an OSError in the block into an UnreachableError that names the path."""
    try:
        yield
    except OSError as error:
        message = f"cannot {action} {path}, which the run needs: {error.strerror}"
        is_write = action == "write"  # only to the copies of a lake on S3
        hint = "set SHOPEASE_HOME to a folder on a disk with room for the lake" if is_write else "run the command again"
        raise UnreachableError(message, hint=hint) from error
