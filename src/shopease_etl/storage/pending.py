"""A store as a run sees it that has published nothing yet: what it wrote is there for itself, and for nobody else."""

import shutil
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote

from shopease_etl.errors import UnreachableError
from shopease_etl.storage import LakeStore, Sink, StoredObject, Ticket, Upload
from shopease_etl.storage.local import FileSink


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
        self.published: list[str] = []
        self._is_intended = False
        self._begun: list[Sink] = []
        self._waiting: dict[str, Sink] = {}
        self._paths: dict[str, Path] = {}

    @property
    def waiting(self) -> int:
        """How many objects wait to be published."""
        return len(self._waiting)

    def intend(self) -> None:
        """Write down what is about to be published, so that the next command can go on with it."""
        self._is_intended = True
        self._base.intend([sink.ticket() for sink in self._waiting.values()])

    def publish(self) -> None:
        """Let everybody see what was written, one object right after the other.

        Raises:
            UnreachableError: the store refuses an object; the message names those that are new already, and the rest
                is left for the next command.
        """
        for key, sink in self._waiting.items():
            try:
                sink.publish()
            except UnreachableError as error:
                if not self.published:
                    raise
                # what is left of them is for the next command, and must not be discarded
                self._begun.clear()
                message = f"{error}; new already: {', '.join(self.published)}"
                raise UnreachableError(message, hint="the next run publishes the rest before it begins") from error
            self.published.append(key)
        self._base.settle()

    def discard(self) -> None:
        """Leave nothing of what is not published, and no copies; harmless after `publish`."""
        if self._is_intended and not self.published:
            with suppress(UnreachableError):  # what is written down of uploads that are gone does no harm
                self._base.settle()
        for sink in self._begun:
            sink.discard()
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
        with path.open("rb") as file:
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
        with _written(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file: BinaryIO = path.open("wb")

    def write(self, data: bytes) -> None:
        self._sink.write(data)
        with _written(self._path):
            self._file.write(data)

    def complete(self) -> None:
        with _written(self._path):
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
def _written(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        message = f"cannot write {path}, which a lake on S3 needs while a run is at work: {error.strerror}"
        raise UnreachableError(
            message, hint="set SHOPEASE_HOME to a folder on a disk with room for bronze and silver"
        ) from error
