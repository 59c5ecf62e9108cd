"""The lake in a local folder: objects are files, written aside, synced, and renamed into place."""

import glob
import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Final, Self
from urllib.parse import quote, unquote
from uuid import uuid4

from shopease_etl.contract import layout
from shopease_etl.errors import DataRefusedError, UnreachableError
from shopease_etl.lake.files import (
    HINT,
    delete_all,
    entries,
    files_below,
    is_file,
    link,
    put_in_place,
    remove,
    remove_if_empty,
    sync,
    translated,
)
from shopease_etl.lake.lock.lock import LakeLock
from shopease_etl.lake.store import StoredObject, Ticket, UnfinishedUpload, Upload
from shopease_etl.lake.targets import PROBE, require_creatable, require_no_links, require_replaceable
from shopease_etl.nofollow import make_folder, open_file, refuse_link

STAGING: Final = "_staging"
SYNC_BYTES: Final = 32 * 1024 * 1024
_SYNCS: Final = ThreadPoolExecutor(1, thread_name_prefix="sync")


class LocalStore:
    """Objects below a folder; half-written ones are in `_staging`, which catalogs do not see."""

    is_on_aws = False
    bucket_setup = None

    def __init__(self, root: Path) -> None:
        self._given = root.expanduser()
        self.root = self._given.resolve()
        self.location = str(self.root)

    @property
    def folder(self) -> Path:
        """The lake's folder."""
        return self.root

    def lock(self, home: Path) -> LakeLock:  # noqa: ARG002 - the lake has it in its own folder
        """A file in `_runs`, which all who reach the folder share."""
        return LakeLock(self.root / layout.RUNS / ".lock")

    def impatient(self, timeout: float) -> Self:  # noqa: ARG002 - a disk answers at once
        """The same lake."""
        return self

    def check(self) -> None:
        """Raise UnreachableError unless the folder, or what is to hold it, can be written to; changes nothing."""
        there = self._require_root()
        if not os.access(there, os.W_OK | os.X_OK):
            message = f"cannot write to {self.root}: Permission denied in {there}"
            raise UnreachableError(message, hint=HINT)

    def _require_root(self) -> Path:
        """The lake's folder, or the nearest one above it that is there.

        A link to a disk that is not mounted, or a file in a folder's place, must not pass for a lake that is empty.
        """
        if os.path.islink(self._given) and not os.path.lexists(self.root):  # noqa: PTH114 - pathlib's can raise
            message = f"the lake {self._given} is a symbolic link to {self.root}, which is not there"
            raise UnreachableError(message, hint=f"mount its disk, or make the folder: mkdir -p {self.root}")
        with translated("read", self.root):
            there = next(path for path in (self.root, *self.root.parents) if path.exists())
        if not there.is_dir():
            message = f"{self.root} cannot be a lake: {there} is not a folder"
            raise UnreachableError(message, hint=HINT)
        return there

    def check_targets(self, keys: Collection[str]) -> None:
        """Raise UnreachableError where objects could not be replaced, or a run's manifest not be written.

        The message names what is in the way: rights, another disk, a folder in an object's place, an immutable file,
        a symbolic link in place of any object or its folder. It is tried without changing anything.
        """
        require_no_links(self.root, map(self._path, sorted(layout.keys())))
        ours = [self._path(folder) for folder in (layout.RUNS, STAGING)]
        require_replaceable(self.root, [self._path(key) for key in sorted(keys)], ours)
        require_creatable(self._path(layout.GENERATIONS))

    def _path(self, key: str) -> Path:
        """The object's path; a folder of our own is never a symbolic link, which others could let lead anywhere."""
        first = key.partition("/")[0]
        if first.startswith("_"):
            refuse_link(self.root / first)
        return self.root / key

    def upload(self, key: str) -> Upload:
        """Begin to write an object; it stays invisible until published."""
        return Upload(key, self.sink(key))

    def sink(self, key: str) -> "FileSink":
        """Begin to write an object; it stays invisible until published."""
        return FileSink(self._path(STAGING), self._path(key), key)

    def uri(self, key: str) -> str:
        """The object's path."""
        return str(self.root / key)

    def find(self, key: str) -> StoredObject | None:
        """The object with this key, or None."""
        path = self._path(key)
        with translated("read", path):
            if not is_file(path):
                return None
            status = path.stat()
        return StoredObject(key, status.st_size, status.st_mtime)

    def list(self, prefix: str) -> Iterator[StoredObject]:
        """The objects below a prefix, by key."""
        self._require_root()
        folder = self._path(prefix.rpartition("/")[0])
        with translated("read", folder):
            files = files_below(folder)
        for key in (path.relative_to(self.root).as_posix() for path in files):
            if key.startswith(prefix) and (found := self.find(key)):
                yield found

    def read(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        """The object's bytes from `start`, at most `length`; a negative `start` counts from its end."""
        path = self._path(key)
        with translated("read", path), open_file(path, "rb") if key.startswith("_") else path.open("rb") as file:
            size = path.stat().st_size
            file.seek(max(0, size + start) if start < 0 else start)
            return file.read(-1 if length is None else length)

    def delete(self, keys: Sequence[str]) -> None:
        """Delete objects, and the folders that they leave empty; one that is not there is no error."""
        for key in keys:
            path = self._path(key)
            with translated("delete", path):
                path.unlink(missing_ok=True)
            for folder in path.parents[: len(path.relative_to(self.root).parts) - 1]:
                remove_if_empty(folder)

    def unfinished_uploads(self) -> Iterator[UnfinishedUpload]:
        """The files of `_staging`, whose names tell the keys that they were meant for."""
        folder = self._path(STAGING)
        with translated("read", folder):
            staged = [path for path in entries(folder) if "." in path.name]
        for path in staged:
            with translated("read", path), suppress(FileNotFoundError):  # published meanwhile
                yield UnfinishedUpload(unquote(path.stem), path.name, path.stat().st_mtime)

    def abort(self, upload: UnfinishedUpload) -> None:
        """Delete what is half written; harmless where it is gone."""
        remove(self._path(f"{STAGING}/{upload.upload_id}"))

    def keep(self, run_id: str, keys: Sequence[str]) -> Mapping[str, str | None]:
        """Keep the objects that a run is about to replace, as hard links, which take no room until then."""
        kept: dict[str, str | None] = {}
        for key in keys:
            name = f"{layout.GENERATIONS}/{run_id}/{key}"
            if is_file(self.root / key):
                link(self.root / key, self._path(name))
                kept[key] = name
        return kept

    def require_kept(self, key: str, name: str) -> None:
        """Raise DataRefusedError unless the former object is kept under this name."""
        kept = self._path(name)
        # a link in its place could bring a file into the lake that only this user may read
        if not name.startswith(f"{layout.GENERATIONS}/") or kept.resolve() != kept or not kept.is_file():
            message = f"the former {key} is not kept any more"
            where = f"{self.root / layout.GENERATIONS} has what the last SHOPEASE_KEEP_GENERATIONS runs replaced"
            hint = f"{where}, unless that or their manifests were deleted; `shopease run-all` makes the lake again"
            raise DataRefusedError(message, hint=hint)

    def read_kept(self, key: str, name: str, start: int = 0, length: int | None = None) -> bytes:
        """The bytes of the former object that is kept under this name, from `start`, at most `length`."""
        self.require_kept(key, name)
        return self.read(name, start, length)

    def former(self, key: str, name: str) -> "FileSink":
        """A sink that has the bytes of a kept object already, complete and not yet published."""
        self.require_kept(key, name)
        copy = self._path(f"{STAGING}/{uuid4().hex}")
        link(self._path(name), copy)
        return self.from_file(key, copy)

    def prune(self, run_ids: Iterable[str]) -> None:
        """Keep no former objects but those that these runs replaced."""
        kept = set(run_ids)
        folder = self._path(layout.GENERATIONS)
        with translated("clean up", folder):
            for generation in entries(folder):
                if generation.name not in kept:
                    delete_all(generation)
        remove_if_empty(folder)

    def abort_stale_uploads(self) -> None:
        """Nothing to do: a retry takes what is in `_staging` over, any other run deletes it."""

    def staged(self, key: str) -> Sequence[Path]:
        """Files that a run which has ended left for this key."""
        return sorted(self._path(STAGING).glob(f"{glob.escape(quote(key, safe=''))}.*"))

    def from_file(self, key: str, path: Path) -> "FileSink":
        """A sink that has a staged file's bytes already, not yet published; the file is moved."""
        sink = self.sink(key)
        sink.take(path)
        return sink

    def finish(self, ticket: Ticket) -> bool:
        """Rename a staged file in its dead writer's place; a file that was renamed is known by its inode."""
        target = self.root / ticket["key"]
        staged = self._path(f"{STAGING}/{Path(ticket['staged']).name}")
        if staged.is_file():
            put_in_place(staged, target)
            return True
        return target.is_file() and bool(target.stat().st_ino == ticket["inode"])

    def sweep(self, kept: Collection[Path] = ()) -> None:
        """Delete what a killed command left half written, but the files to keep."""
        folder = self._path(STAGING)
        with translated("clean up", folder):
            for path in (*entries(folder), *self.root.rglob(f"{PROBE}*")):
                if path not in kept:
                    delete_all(path)
        remove_if_empty(folder)


class FileSink:
    """A file written aside, at `staged`, and renamed into its place."""

    def __init__(self, folder: Path, target: Path, key: str) -> None:
        self.staged = folder / f"{quote(key, safe='')}.{uuid4().hex}"
        self._key = key
        self._target = target
        self._file = self._open()
        self._unsynced = 0
        self._syncing: Future[None] | None = None

    def _open(self) -> BinaryIO:
        with translated("write", self._target):
            make_folder(self.staged.parent)
            return self.staged.open("xb", buffering=0)

    def write(self, data: bytes | bytearray) -> None:
        """Take the next bytes."""
        with translated("write", self._target):
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
        self._syncing = _SYNCS.submit(sync, os.dup(self._file.fileno()))

    def complete(self) -> None:
        """Return when all bytes are on the disk."""
        with translated("write", self._target):
            if self._syncing:
                self._syncing.result()
            os.fsync(self._file.fileno())
            self._file.close()

    def take(self, path: Path) -> None:
        """Let a staged file that is there already be the object, whole."""
        with translated("write", self._target):
            self._file.close()
            path.replace(self.staged)

    def publish(self) -> None:
        """Rename the file into its place."""
        put_in_place(self.staged, self._target)

    def discard(self) -> None:
        """Delete the file, unless it is published."""
        self._file.close()
        remove(self.staged)

    def ticket(self) -> Ticket:
        """The staged file's name and inode, and its key."""
        return {"key": self._key, "staged": self.staged.name, "inode": self.staged.stat().st_ino}
