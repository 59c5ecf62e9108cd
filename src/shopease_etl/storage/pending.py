"""A store as a run sees it that has published nothing yet: what it wrote is there for itself, and for nobody else."""

import logging
import os
import shutil
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote

from shopease_etl.errors import ShopeaseError, UnreachableError
from shopease_etl.storage import LakeStore, Sink, StoredObject, Ticket, Upload
from shopease_etl.storage.local import FileSink

log = logging.getLogger(__name__)


class PendingStore:
    """Objects written here wait until `publish`; until then only this store's own readers see them.

    Those whose keys are in `readable` can be read: where a local store has staged them, or else from a copy in the
    folder `spool`.
    """

    def __init__(self, base: LakeStore, spool: Path, readable: Collection[str] = ()) -> None:
        self.location = base.location
        self._base = base
        self._spool = spool
        self._readable = readable
        self.is_committed = False
        self._begun: list[Sink] = []
        self._waiting: dict[str, Sink] = {}
        self._paths: dict[str, Path] = {}

    @property
    def waiting(self) -> int:
        """How many objects wait to be published."""
        return len(self._waiting)

    def tickets(self) -> list[Ticket]:
        """What another process needs to publish the objects."""
        return [sink.ticket() for sink in self._waiting.values()]

    def publish(self) -> None:
        """Let everybody see what was written, one object right after the other; from now on nothing is discarded."""
        self.is_committed = True
        for sink in self._waiting.values():
            sink.publish()

    def discard(self) -> None:
        """Leave nothing of what was never to be published, and no copies; what cannot be deleted is told of."""
        for sink in () if self.is_committed else self._begun:
            try:
                sink.discard()
            except (ShopeaseError, OSError) as error:
                log.warning("what a run has not published stays behind: %s", error)
        shutil.rmtree(self._spool, ignore_errors=True)

    def sink(self, key: str) -> Sink:
        """Begin to write an object; its `publish` lets this store's readers see it."""
        sink: Sink = self._base.sink(key)
        path = None
        self._begun.append(sink)
        if key in self._readable and isinstance(sink, FileSink):
            path = sink.staged
        elif key in self._readable:
            path = self._spool / quote(key, safe="")
            sink = _SpooledSink(sink, path)
        return _HeldSink(sink, lambda: self._hold(key, sink, path))

    def _hold(self, key: str, sink: Sink, path: Path | None) -> None:
        self._waiting[key] = sink
        if path:
            self._paths[key] = path

    def upload(self, key: str) -> Upload:
        """Begin to write an object; when it is published, this store's readers see it."""
        return Upload(key, self.sink(key))

    def check(self) -> None:
        """Raise UnreachableError where it is plain that objects cannot be written."""
        self._base.check()

    def uri(self, key: str) -> str:
        """The address of the object as this store's readers see it."""
        return str(self._paths[key]) if key in self._paths else self._base.uri(key)

    def storage_options(self, key: str) -> Mapping[str, str]:
        """What Polars needs besides the object's address."""
        return {} if key in self._paths else self._base.storage_options(key)

    def find(self, key: str) -> StoredObject | None:
        """The object with this key, or None."""
        if key not in self._paths:
            return self._base.find(key)
        with _spooled("read", self._paths[key]):
            status = self._paths[key].stat()
        return StoredObject(key, status.st_size, status.st_mtime)

    def list(self, prefix: str) -> Iterable[StoredObject]:
        """The objects below a prefix that everybody sees."""
        return self._base.list(prefix)

    def read(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        """The object's bytes from `start`, at most `length`; a negative `start` counts from its end."""
        if key not in self._paths:
            return self._base.read(key, start, length)
        path = self._paths[key]
        with _spooled("read", path), path.open("rb") as file:
            file.seek(max(0, path.stat().st_size + start) if start < 0 else start)
            return file.read(-1 if length is None else length)


class _HeldSink:
    """A sink whose publication only the run itself is told of."""

    def __init__(self, sink: Sink, hold: Callable[[], None]) -> None:
        self._sink = sink
        self._hold = hold
        self._is_held = False

    def write(self, data: bytes) -> None:
        self._sink.write(data)

    def complete(self) -> None:
        self._sink.complete()

    def publish(self) -> None:
        self._hold()
        self._is_held = True

    def discard(self) -> None:
        if not self._is_held:
            self._sink.discard()

    def ticket(self) -> Ticket:
        return self._sink.ticket()


class _SpooledSink:
    """A sink that keeps a copy of the bytes in a file."""

    def __init__(self, sink: Sink, path: Path) -> None:
        self._sink = sink
        self._path = path
        with _spooled("write", path):
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            # customers' data: for nobody but the user
            self._file: BinaryIO = os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb")

    def write(self, data: bytes) -> None:
        self._sink.write(data)
        with _spooled("write", self._path):
            self._file.write(data)

    def complete(self) -> None:
        with _spooled("write", self._path):
            self._file.close()
        self._sink.complete()

    def publish(self) -> None:
        self._sink.publish()

    def discard(self) -> None:
        # closing writes what is buffered, for which a full disk has no room
        with suppress(OSError):
            self._file.close()
        self._sink.discard()

    def ticket(self) -> Ticket:
        return self._sink.ticket()


@contextmanager
def _spooled(action: str, path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        message = f"cannot {action} {path}, which a lake on S3 needs while a run is at work: {error.strerror}"
        raise UnreachableError(
            message, hint="set SHOPEASE_HOME to a folder on a disk with room for bronze and silver"
        ) from error
