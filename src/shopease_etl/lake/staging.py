"""A store as a run sees it that has published nothing yet: what it wrote is there for itself, and for nobody else."""

import hashlib
import logging
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final
from urllib.parse import quote

from shopease_etl import cancel
from shopease_etl.errors import ShopeaseError, UnreachableError
from shopease_etl.lake.store import LakeStore, Sink, StoredObject, Ticket, Upload
from shopease_etl.nofollow import make_folder, open_file, refuse_link

log = logging.getLogger(__name__)

_PIECE: Final = 1024 * 1024


class PendingStore:
    """Objects written here wait until `publish`; until then only this store's own readers see them.

    They are read where a local store has staged them, or else from a copy in the folder `spool`.
    """

    def __init__(self, base: LakeStore, spool: Path) -> None:
        self.location = base.location
        self._base = base
        self._spool = spool
        self.is_committed = False
        self._begun: list[Sink] = []
        self._waiting: dict[str, Sink] = {}
        self._paths: dict[str, Path] = {}

    @property
    def waiting(self) -> tuple[str, ...]:
        """The keys of the objects that wait to be published."""
        return tuple(self._waiting)

    def tickets(self) -> list[Ticket]:
        """What another process needs to publish the objects."""
        return [sink.ticket() for sink in self._waiting.values()]

    def publish(self) -> None:
        """Let everybody see what was written, one object right after the other; from now on nothing is discarded."""
        self.is_committed = True
        # staged files are gone once they are published
        self._paths = {key: path for key, path in self._paths.items() if not self._waiting[key].staged}
        for sink in self._waiting.values():
            sink.publish()

    def discard(self, keep: Collection[str] = ()) -> None:
        """Leave nothing of what was never to be published, and no copies; what cannot be deleted is told of.

        The bytes of objects whose keys are in `keep` stay, for `adopt`, but no part of them on S3.
        """
        kept = {self._paths[key] for key in keep if key in self._paths}
        stay = {id(sink) for key, sink in self._waiting.items() if key in keep and sink.staged}
        for sink in () if self.is_committed else self._begun:
            if id(sink) in stay:
                continue
            try:
                sink.discard()
            except (ShopeaseError, OSError) as error:
                log.warning("what a run has not published stays behind: %s", error)
        clear_spool(self._spool, kept)

    def adopt(self, key: str, sha256: str) -> bool:
        """Take over an object that a run which ended had written, if its bytes are there and have this hash."""
        left = (*self._base.staged(key), self._spool / quote(key, safe=""))
        path = next((path for path in left if path.is_file() and _hash(path) == sha256), None)
        if path is None:
            return False
        with _spooled("read", path):
            sink = self._base.from_file(key, path)
        self._begun.append(sink)
        self._hold(key, sink, sink.staged or path)
        return True

    def sweep(self) -> None:
        """Delete what a run that ended left and `adopt` has not taken over."""
        adopted = frozenset(self._paths.values())
        self._base.sweep(adopted)
        clear_spool(self._spool, adopted)

    def bring_back(self, key: str, name: str) -> None:
        """Let the object that the store keeps under this name wait to be published.

        Raises:
            DataRefusedError: it is not kept any more.
        """
        sink = self._base.former(key, name)
        self._begun.append(sink)
        self._hold(key, sink, sink.staged)

    def sink(self, key: str) -> Sink:
        """Begin to write an object; its `publish` lets this store's readers see it."""
        with cancel.deferred(None):  # or an upload could begin that is not in the list of those to abort
            sink: Sink = self._base.sink(key)
            self._begun.append(sink)
        cancel.check()
        path = sink.staged
        if path is None:
            path = self._spool / quote(key, safe="")
            sink = _SpooledSink(sink, path)
        return _HeldSink(sink, lambda: self._hold(key, sink, path))

    def _hold(self, key: str, sink: Sink, path: Path | None) -> None:
        if former := self._waiting.get(key):  # adopted, but made again with the others of its stage
            former.discard()
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

    def find(self, key: str) -> StoredObject | None:
        """The object with this key, or None."""
        if key not in self._paths:
            return self._base.find(key)
        with _spooled("read", self._paths[key]):
            status = self._paths[key].stat()
        return StoredObject(key, status.st_size, status.st_mtime)

    def list(self, prefix: str) -> Iterable[StoredObject]:
        """The objects below a prefix, by key: those that everybody sees, and over them this run's own."""
        found = {item.key: item for item in self._base.list(prefix)}
        for key in self._paths:
            if key.startswith(prefix) and (own := self.find(key)):
                found[key] = own
        return [found[key] for key in sorted(found)]

    def read(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        """The object's bytes from `start`, at most `length`; a negative `start` counts from its end."""
        if key not in self._paths:
            return self._base.read(key, start, length)
        path = self._paths[key]
        with _spooled("read", path), path.open("rb") as file:
            file.seek(max(0, path.stat().st_size + start) if start < 0 else start)
            return file.read(-1 if length is None else length)


def clear_spool(spool: Path, kept: Collection[Path] = ()) -> None:
    """Delete the copies that a run made, but those to keep; what cannot be deleted is told of."""
    refuse_link(spool)
    try:
        for path in list(spool.iterdir()) if spool.is_dir() else ():
            if path not in kept:
                path.unlink()
        if spool.is_dir() and not kept:
            spool.rmdir()
    except OSError as error:
        log.warning("copies of a run's objects stay behind in %s: %s", spool, error.strerror)


class _HeldSink:
    """A sink whose publication only the run itself is told of."""

    def __init__(self, sink: Sink, hold: Callable[[], None]) -> None:
        self.staged = sink.staged
        self._sink = sink
        self._hold = hold
        self._is_held = False

    def write(self, data: bytes | bytearray) -> None:
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

    staged = None

    def __init__(self, sink: Sink, path: Path) -> None:
        self._sink = sink
        self._path = path
        with _spooled("write", path):
            # customers' data: only for the user
            make_folder(path.parent, 0o700)
            self._file = open_file(path, "wb", 0o600)

    def write(self, data: bytes | bytearray) -> None:
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


def _pieces(path: Path) -> Iterator[bytes]:
    with _spooled("read", path), path.open("rb") as file:
        while piece := file.read(_PIECE):
            yield piece


def _hash(path: Path) -> str:
    digest = hashlib.sha256()
    for piece in _pieces(path):
        digest.update(piece)
    return digest.hexdigest()


@contextmanager
def _spooled(action: str, path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        message = f"cannot {action} {path}, which a lake on S3 needs while a run is at work: {error.strerror}"
        raise UnreachableError(
            message, hint="set SHOPEASE_HOME to a folder on a disk with room for the lake"
        ) from error
