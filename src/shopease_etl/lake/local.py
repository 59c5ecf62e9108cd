"""The lake in a local folder: objects are files, written to `_staging`, synced, and renamed into place."""

import glob
import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Final, Self
from urllib.parse import quote, unquote
from uuid import uuid4

from shopease_etl import atomic
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
    translated,
)
from shopease_etl.lake.lock.lock import LakeLock
from shopease_etl.lake.store import PendingWrite, StoredObject, UnfinishedUpload, Writer
from shopease_etl.lake.targets import PROBE, require_creatable, require_no_links, require_replaceable
from shopease_etl.nofollow import make_folder, open_file, refuse_link

STAGING: Final = "_staging"
SYNC_BYTES: Final = 32 * 1024 * 1024
_SYNCS: Final = ThreadPoolExecutor(1, thread_name_prefix="sync")


class LocalStore:
    """Objects as files below a folder; half-written ones are in `_staging`, which catalogs ignore."""

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

    def lock(self, home: Path) -> LakeLock:  # noqa: ARG002 - the lock is in the lake's folder
        """A file in `_runs`, shared by all users of the folder."""
        return LakeLock(self.root / layout.RUNS / ".lock")

    def with_timeout(self, timeout: float) -> Self:  # noqa: ARG002 - a disk answers at once
        """The same lake."""
        return self

    def check(self) -> None:
        """Raise UnreachableError unless the folder, or the nearest one above it, can be written; changes nothing."""
        there = self._require_root()
        if not os.access(there, os.W_OK | os.X_OK):
            message = f"cannot write to {self.root}: Permission denied in {there}"
            raise UnreachableError(message, hint=HINT)

    def _require_root(self) -> Path:
        """The lake's folder, or the nearest existing one above it.

        A link to a disk that is not mounted, or a file in place of a folder, is refused: it is not an empty lake.
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
        """Raise UnreachableError if objects could not be replaced, or a manifest not be written; changes nothing.

        The key of a table's only object stands for its months, too.
        The message names the reason: permissions, another disk, a folder in place of an object, an immutable file,
        a symbolic link in place of any object or its folder.
        """
        own = layout.all_keys()
        require_no_links(self.root, map(self._path, sorted({*own, *keys, *self._months(own)})))
        ours = [self._path(folder) for folder in (layout.RUNS, STAGING)]
        require_replaceable(self.root, [self._path(key) for key in sorted({*keys, *self._months(keys)})], ours)
        require_creatable(self._path(layout.GENERATIONS))

    def _months(self, keys: Collection[str]) -> Iterator[str]:
        """The keys of the months that are there of the datasets that have these keys if they are one object."""
        for folder, _, name in (key.rpartition("/") for key in keys):
            months = (f"{folder}/{month.name}/{name}" for month in self.root.glob(f"{folder}/{layout.SALE_MONTH}=*"))
            yield from filter(layout.owns, months)

    def _path(self, key: str) -> Path:
        """The object's path; the lake's private folders must not be symbolic links, which could lead anywhere."""
        first = key.partition("/")[0]
        if first.startswith("_"):
            refuse_link(self.root / first)
        return self.root / key

    def writer(self, key: str) -> Writer:
        """Begin to write an object, which is invisible until it is published."""
        return Writer(key, self.raw_writer(key))

    def raw_writer(self, key: str) -> "FileWriter":
        """Begin to write an object, which is invisible until it is published."""
        return FileWriter(self._path(STAGING), self._path(key), key)

    def uri(self, key: str) -> str:
        """The object's path."""
        return str(self.root / key)

    def find(self, key: str) -> StoredObject | None:
        """The object with this key, if there is one."""
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
        """Delete objects, and the folders that are empty then; a missing one is no error."""
        for key in keys:
            path = self._path(key)
            with translated("delete", path):
                path.unlink(missing_ok=True)
            for folder in path.parents[: len(path.relative_to(self.root).parts) - 1]:
                remove_if_empty(folder)

    def unfinished_uploads(self) -> Iterator[UnfinishedUpload]:
        """The files of `_staging`; their names contain the keys."""
        folder = self._path(STAGING)
        with translated("read", folder):
            staged = [path for path in entries(folder) if "." in path.name]
        for path in staged:
            with translated("read", path), suppress(FileNotFoundError):  # published meanwhile
                yield UnfinishedUpload(unquote(path.stem), path.name, path.stat().st_mtime)

    def abort(self, upload: UnfinishedUpload) -> None:
        """Delete a half-written object; a missing one is no error."""
        remove(self._path(f"{STAGING}/{upload.upload_id}"))

    def keep_former(self, run_id: str, keys: Sequence[str]) -> Mapping[str, str | None]:
        """Keep the objects that a run is about to replace, as hard links, which use no space until then."""
        kept: dict[str, str | None] = {}
        for key in keys:
            name = f"{layout.GENERATIONS}/{run_id}/{key}"
            if is_file(self.root / key):
                link(self.root / key, self._path(name))
                kept[key] = name
        return kept

    def require_former(self, key: str, name: str) -> None:
        """Raise DataRefusedError unless the former object is still kept under this name."""
        kept = self._path(name)
        # a link in its place could publish a file that only this user may read
        if not name.startswith(f"{layout.GENERATIONS}/") or kept.resolve() != kept or not kept.is_file():
            message = f"the former {key} is no longer kept"
            where = f"{self.root / layout.GENERATIONS} has what the last SHOPEASE_KEEP_GENERATIONS runs replaced"
            hint = f"{where}, unless it or their manifests were deleted; `shopease run-all` rebuilds the lake"
            raise DataRefusedError(message, hint=hint)

    def read_former(self, key: str, name: str, start: int = 0, length: int | None = None) -> bytes:
        """The bytes of the former object with this name, from `start`, at most `length`."""
        self.require_former(key, name)
        return self.read(name, start, length)

    def former_writer(self, key: str, name: str) -> "FileWriter":
        """A complete, unpublished writer with the bytes of a former object."""
        self.require_former(key, name)
        copy = self._path(f"{STAGING}/{uuid4().hex}")
        link(self._path(name), copy)
        return self.from_file(key, copy)

    def prune(self, run_ids: Iterable[str]) -> None:
        """Delete former objects, except those that these runs replaced."""
        kept = set(run_ids)
        folder = self._path(layout.GENERATIONS)
        with translated("clean up", folder):
            for generation in entries(folder):
                if generation.name not in kept:
                    delete_all(generation)
        remove_if_empty(folder)

    def abort_stale_uploads(self) -> None:
        """Nothing to do: a retry takes over what is in `_staging`, any other run deletes it."""

    def staged(self, key: str) -> Sequence[Path]:
        """Files that an ended run left for this key."""
        return sorted(self._path(STAGING).glob(f"{glob.escape(quote(key, safe=''))}.*"))

    def from_file(self, key: str, path: Path) -> "FileWriter":
        """A complete, unpublished writer with a staged file's bytes; the file is moved."""
        writer = self.raw_writer(key)
        writer.take(path)
        return writer

    def finish(self, pending: PendingWrite) -> bool:
        """Rename a staged file whose writer has died; an already renamed file is recognised by its inode."""
        target = self.root / pending["key"]
        staged = self._path(f"{STAGING}/{Path(pending['staged']).name}")
        if staged.is_file():
            put_in_place(staged, target)
            return True
        return target.is_file() and bool(target.stat().st_ino == pending["inode"])

    def sweep(self, kept: Collection[Path] = ()) -> None:
        """Delete half-written files of killed commands, except those to keep."""
        folder = self._path(STAGING)
        with translated("clean up", folder):
            for path in (*entries(folder), *self.root.rglob(f"{PROBE}*")):
                if path not in kept:
                    delete_all(path)
        remove_if_empty(folder)


class FileWriter:
    """A file written at `staged` and renamed into its place."""

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
        """Sync in the background while more bytes come, so that little is left to sync at the end."""
        if self._syncing:
            if not self._syncing.done():
                return
            self._syncing.result()
        self._unsynced = 0
        self._syncing = _SYNCS.submit(atomic.sync, os.dup(self._file.fileno()))

    def complete(self) -> None:
        """Wait until all bytes are on the disk."""
        with translated("write", self._target):
            if self._syncing:
                self._syncing.result()
            os.fsync(self._file.fileno())
            self._file.close()

    def take(self, path: Path) -> None:
        """Use an existing staged file as the object."""
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

    def pending_write(self) -> PendingWrite:
        """The staged file's name and inode, and its key."""
        return {"key": self._key, "staged": self.staged.name, "inode": self.staged.stat().st_ino}
