"""The lake in a local folder: objects are files, written aside, synced, and renamed into place."""

import glob
import os
import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Final
from urllib.parse import quote, unquote
from uuid import uuid4

from shopease_etl.errors import DataRefusedError, UnreachableError
from shopease_etl.storage import StoredObject, Ticket, UnfinishedUpload, Upload
from shopease_etl.tables import GENERATIONS

STAGING: Final = "_staging"
SYNC_BYTES: Final = 32 * 1024 * 1024
_SYNCS: Final = ThreadPoolExecutor(1, thread_name_prefix="sync")
_HINT: Final = "set SHOPEASE_LAKE to a folder that can be written"


class LocalStore:
    """Objects below a folder; half-written ones are in `_staging`, which catalogs do not see."""

    def __init__(self, root: Path) -> None:
        self.root = root.expanduser().resolve()
        self.location = str(self.root)

    @property
    def folder(self) -> Path:
        """The lake's folder."""
        return self.root

    def check(self) -> None:
        """Raise UnreachableError unless the folder, or what is to hold it, can be written to; changes nothing."""
        there = next(path for path in (self.root, *self.root.parents) if path.exists())
        if not there.is_dir():
            raise _unwritable(self.root, f"{there} is not a folder")
        if not os.access(there, os.W_OK | os.X_OK):
            raise _unwritable(self.root, f"Permission denied in {there}")

    def upload(self, key: str) -> Upload:
        """Begin to write an object; it stays invisible until published."""
        return Upload(key, self.sink(key))

    def sink(self, key: str) -> "FileSink":
        """Begin to write an object; it stays invisible until published."""
        return FileSink(self.root, key)

    def uri(self, key: str) -> str:
        """The object's path."""
        return str(self.root / key)

    def find(self, key: str) -> StoredObject | None:
        """The object with this key, or None."""
        path = self.root / key
        with _translated("read", path):
            if not path.is_file():
                return None
            status = path.stat()
        return StoredObject(key, status.st_size, status.st_mtime)

    def list(self, prefix: str) -> Iterator[StoredObject]:
        """The objects below a prefix, by key."""
        folder = self.root / prefix
        with _translated("read", folder):
            files = sorted(path for path in folder.rglob("*") if path.is_file())
        for path in files:
            found = self.find(path.relative_to(self.root).as_posix())
            if found:
                yield found

    def read(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        """The object's bytes from `start`, at most `length`; a negative `start` counts from its end."""
        path = self.root / key
        with _translated("read", path), path.open("rb") as file:
            size = path.stat().st_size
            file.seek(max(0, size + start) if start < 0 else start)
            return file.read(-1 if length is None else length)

    def delete(self, keys: Sequence[str]) -> None:
        """Delete objects, and the folders that they leave empty; one that is not there is no error."""
        for key in keys:
            path = self.root / key
            with _translated("delete", path):
                path.unlink(missing_ok=True)
            for folder in path.parents[: len(path.relative_to(self.root).parts) - 1]:
                _remove_if_empty(folder)

    def unfinished_uploads(self) -> Iterator[UnfinishedUpload]:
        """The files of `_staging`, whose names tell the keys that they were meant for."""
        with _translated("read", self.root / STAGING):
            staged = sorted((self.root / STAGING).glob("*.*"))
        for path in staged:
            with _translated("read", path), suppress(FileNotFoundError):  # published meanwhile
                yield UnfinishedUpload(unquote(path.stem), path.name, path.stat().st_mtime)

    def abort(self, upload: UnfinishedUpload) -> None:
        """Delete what is half written; harmless where it is gone."""
        with _translated("delete", self.root / STAGING / upload.upload_id):
            _remove(self.root / STAGING / upload.upload_id)

    def keep(self, run_id: str, keys: Sequence[str]) -> Mapping[str, str | None]:
        """Keep the objects that a run is about to replace, as hard links, which take no room until then."""
        kept: dict[str, str | None] = {}
        for key in keys:
            name = f"{GENERATIONS}/{run_id}/{key}"
            if (self.root / key).is_file():
                _link(self.root / key, self.root / name)
                kept[key] = name
        return kept

    def require_kept(self, key: str, name: str) -> None:
        """Raise DataRefusedError unless the former object is kept under this name."""
        kept = self.root / name
        if not name.startswith(f"{GENERATIONS}/") or ".." in kept.parts or not kept.is_file():
            message = f"the former {key} is not kept any more"
            raise DataRefusedError(message, hint="SHOPEASE_KEEP_GENERATIONS says how many former lakes are kept")

    def former(self, key: str, name: str) -> "FileSink":
        """A sink that has the bytes of a kept object already, complete and not yet published."""
        self.require_kept(key, name)
        copy = self.root / STAGING / uuid4().hex
        _link(self.root / name, copy)
        sink = self.sink(key)
        sink.take(copy)
        return sink

    def prune(self, run_ids: Collection[str]) -> None:
        """Keep no former objects but those that these runs replaced."""
        folder = self.root / GENERATIONS
        with _translated("clean up", folder):
            for generation in list(folder.iterdir()) if folder.is_dir() else ():
                if generation.name not in run_ids:
                    shutil.rmtree(generation)
        _remove_if_empty(folder)

    def staged(self, key: str) -> Sequence[Path]:
        """Files that a run which has ended left for this key."""
        return sorted((self.root / STAGING).glob(f"{glob.escape(quote(key, safe=''))}.*"))

    def finish(self, ticket: Ticket) -> bool:
        """Rename a staged file in its dead writer's place; a file that was renamed is known by its inode."""
        target = self.root / ticket["key"]
        staged = self.root / STAGING / Path(ticket["staged"]).name
        if staged.is_file():
            _put_in_place(staged, target)
            return True
        return target.is_file() and bool(target.stat().st_ino == ticket["inode"])

    def sweep(self) -> None:
        """Delete what a killed run left half written."""
        with _translated("clean up", self.root / STAGING):
            if (self.root / STAGING).is_dir():
                shutil.rmtree(self.root / STAGING)


class FileSink:
    """A file written aside, at `staged`, and renamed into its place."""

    def __init__(self, root: Path, key: str) -> None:
        self.staged = root / STAGING / f"{quote(key, safe='')}.{uuid4().hex}"
        self._key = key
        self._target = root / key
        self._file = self._open()
        self._unsynced = 0
        self._syncing: Future[None] | None = None

    def _open(self) -> BinaryIO:
        with _translated("write", self._target):
            self.staged.parent.mkdir(parents=True, exist_ok=True)
            return self.staged.open("wb", buffering=0)

    def write(self, data: bytes | bytearray) -> None:
        """Take the next bytes."""
        with _translated("write", self._target):
            rest = memoryview(data)
            while rest:
                rest = rest[self._file.write(rest) :]
            self._unsynced += len(data)
            if self._unsynced >= SYNC_BYTES:
                self._sync_meanwhile()

    def _sync_meanwhile(self) -> None:
        """Let the disk be at work while more bytes come, so that little is left for the end."""
        if self._syncing:
            if not self._syncing.done():
                return
            self._syncing.result()
        self._unsynced = 0
        self._syncing = _SYNCS.submit(_sync, os.dup(self._file.fileno()))

    def complete(self) -> None:
        """Return when all bytes are on the disk."""
        with _translated("write", self._target):
            if self._syncing:
                self._syncing.result()
            os.fsync(self._file.fileno())
            self._file.close()

    def take(self, path: Path) -> None:
        """Let a file that is there already be the object, whole."""
        with _translated("write", self._target):
            self._file.close()
            path.replace(self.staged)

    def publish(self) -> None:
        """Rename the file into its place."""
        _put_in_place(self.staged, self._target)

    def discard(self) -> None:
        """Delete the file, unless it is published."""
        self._file.close()
        _remove(self.staged)

    def ticket(self) -> Ticket:
        """The staged file's name and inode, and its key."""
        return {"key": self._key, "staged": self.staged.name, "inode": self.staged.stat().st_ino}


def _link(path: Path, target: Path) -> None:
    """A second name for a file; a copy, synced, on file systems that know no hard links."""
    with _translated("write", target):
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        try:
            target.hardlink_to(path)
        except OSError:
            with path.open("rb") as source, target.open("wb") as copy:
                shutil.copyfileobj(source, copy)
                copy.flush()
                os.fsync(copy.fileno())
        _sync_folder(target.parent)


def _put_in_place(staged: Path, target: Path) -> None:
    with _translated("write", target):
        target.parent.mkdir(parents=True, exist_ok=True)
        staged.replace(target)
        _sync_folder(target.parent)
    _remove(staged)


def _remove(staged: Path) -> None:
    """Delete a staged file, and the staging folder with the last of them."""
    with _translated("delete", staged):
        staged.unlink(missing_ok=True)
    _remove_if_empty(staged.parent)


def _remove_if_empty(folder: Path) -> None:
    with suppress(OSError):
        folder.rmdir()


def _sync_folder(folder: Path) -> None:
    _sync(os.open(folder, os.O_RDONLY))


def _sync(descriptor: int) -> None:
    """Sync what a descriptor is of, and close the descriptor."""
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _translated(action: str, path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        message = f"cannot {action} {path}: {error.strerror or error}"
        raise UnreachableError(message, hint=_HINT if action == "write" else None) from error


def _unwritable(path: Path, reason: str) -> UnreachableError:
    return UnreachableError(f"cannot write to {path}: {reason}", hint=_HINT)
