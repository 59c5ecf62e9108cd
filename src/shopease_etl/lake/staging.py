"""A store as a run sees it before it publishes: it reads its own objects, which other readers do not see yet."""

import logging
import time
from collections.abc import Callable, Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final
from urllib.parse import quote

from shopease_etl import cancel
from shopease_etl.contract import layout
from shopease_etl.contract.tables import TABLES
from shopease_etl.errors import ShopeaseError, UnreachableError
from shopease_etl.lake.foreign_uploads import ForeignUpload, ForeignWriter
from shopease_etl.lake.spool import SpooledWriter, clear_spool, hash_of, spooled
from shopease_etl.lake.store import LakeStore, PendingWrite, RawWriter, StoredObject, Writer
from shopease_etl.report import DatasetResult

log = logging.getLogger(__name__)

UPLOADS_AT_ONCE: Final = 8
MOST_SENDING: Final = 4  # months that are sent as they are written; each takes memory for several parts


class Transaction:
    """Objects written here are visible only through this store until `publish`, and so are deletions.

    They are read from a local store's staged files, or else from a copy in the folder `spool`. `on_write` gets the key
    and that file of each object that is begun; what it returns is called when the object is complete.
    """

    def __init__(self, base: LakeStore, spool: Path) -> None:
        self.location = base.location
        self._base = base
        self._spool = spool
        self.is_committed = False
        self.on_write: Callable[[str, Path], Callable[[], None]] = lambda _key, _path: lambda: None
        self._begun: list[RawWriter] = []
        self._months: list[SpooledWriter] = []
        self._waiting: dict[str, RawWriter] = {}
        self._paths: dict[str, Path] = {}
        self._foreign: dict[str, ForeignUpload] = {}
        self._others: dict[str, frozenset[str]] = {}

    @property
    def deletes(self) -> tuple[str, ...]:
        """The keys of the objects to delete with the publication."""
        return tuple(sorted(frozenset().union(*self._others.values()) - self._waiting.keys()))

    @property
    def waiting(self) -> tuple[str, ...]:
        """The keys of the objects to publish."""
        return tuple(self._waiting)

    def pending_writes(self) -> list[PendingWrite]:
        """What another process needs to publish the objects."""
        return [writer.pending_write() for writer in self._waiting.values()]

    def publish(self) -> None:
        """Publish all objects, files one after the other, uploads side by side; nothing is discarded any more."""
        self.is_committed = True
        # staged files are gone once they are published
        self._paths = {key: path for key, path in self._paths.items() if not self._waiting[key].staged}
        self._foreign.clear()
        if self._base.folder:
            for writer in self._waiting.values():
                writer.publish()
            return
        with ThreadPoolExecutor(UPLOADS_AT_ONCE) as pool:
            for published in [pool.submit(writer.publish) for writer in self._waiting.values()]:
                published.result()

    def discard(self, keep: Collection[str] = ()) -> None:
        """Delete what is not published, and all copies; warns of what cannot be deleted.

        The bytes of the objects in `keep` stay on this machine, for `reuse`.
        """
        kept = {self._paths[key] for key in keep if key in self._paths}
        stay = {id(writer) for key, writer in self._waiting.items() if key in keep and writer.staged}
        for writer in () if self.is_committed else self._begun:
            if id(writer) in stay:
                continue
            try:
                writer.discard()
            except (ShopeaseError, OSError) as error:
                log.warning("unpublished objects of a run stay behind: %s", error)
        clear_spool(self._spool, kept)

    def reuse(self, key: str, sha256: str) -> bool:
        """Take over an object that an ended run wrote, if its bytes are there and have this hash."""
        left = (*self._base.staged(key), self._spool / quote(key, safe=""))
        path = next((path for path in left if path.is_file() and hash_of(path) == sha256), None)
        if path is None:
            return False
        with spooled("read", path):
            writer = self._base.from_file(key, path)
        self._begun.append(writer)
        self._stage(key, writer, writer.staged or path)
        return True

    def drop_others(self, results: Iterable[DatasetResult]) -> None:
        """Let the datasets of these results, which may be kept by month, have no other files than theirs.

        All others of the lake's own, and the state of months that silver no longer has, are invisible from now on, and
        deleted when the run publishes. What the run wrote and the results do not have is discarded. A later call for
        the same datasets replaces what an earlier one decided.
        """
        by_month = {table.name for table in TABLES if table.month_column}
        files: dict[str, list[DatasetResult]] = {}
        for item in (item for item in results if item.name in by_month):
            files.setdefault(layout.dataset_of(item.key), []).append(item)
        for folder, items in files.items():
            keys, written = {item.key for item in items}, {item.key for item in items if item.run_id is None}
            self._keep(folder, keys.__contains__, written.__contains__)
            if items[0].layer == layout.SILVER:
                self._keep_state(items[0].name, {layout.month_of(key) for key in keys} - {None})

    def _keep_state(self, name: str, months: Collection[str | None]) -> None:
        """Of a table's state, keep only that of these months."""

        def is_kept(key: str) -> bool:
            return layout.month_of(key) in months

        self._keep(f"{layout.STATE}/{name}", is_kept, is_kept)

    def _keep(self, folder: str, is_kept: Callable[[str], bool], is_written: Callable[[str], bool]) -> None:
        """Keep only these of the published and of this run's own objects in a folder."""
        for key in [key for key in self._waiting if layout.dataset_of(key) == folder and not is_written(key)]:
            self._waiting.pop(key).discard()
            self._paths.pop(key, None)
            self._foreign.pop(key, None)
        own = (item.key for item in self._base.list(f"{folder}/") if layout.owns(item.key))
        self._others[folder] = frozenset(key for key in own if not is_kept(key))

    def _is_deleted(self, key: str) -> bool:
        return key in self._others.get(layout.dataset_of(key), ())

    def adopt(self, upload: ForeignUpload) -> None:
        """Publish with the other objects what another process uploaded; until then only its first line can be read."""
        writer = ForeignWriter(self._base, upload)
        self._begun.append(writer)
        self._stage(upload.key, writer, writer.staged)
        if not writer.staged:
            self._foreign[upload.key] = upload

    def has_copy(self, key: str) -> bool:
        """Whether this machine has the bytes of an object that the run wrote, for a retry."""
        return key in self._paths

    def abort_other_uploads(self, folders: Collection[str]) -> None:
        """Abort unfinished uploads to datasets that other processes write, except those that were adopted."""
        own = {upload.upload_id for upload in self._foreign.values()} | {path.name for path in self._paths.values()}
        try:
            for upload in list(self._base.unfinished_uploads()):
                if layout.dataset_of(upload.key) in folders and upload.upload_id not in own:
                    self._base.abort(upload)
        except UnreachableError as error:
            log.warning("uploads of tasks that were tried again stay behind until the next command: %s", error)

    def sweep(self) -> None:
        """Delete what an ended run left and `reuse` has not taken over."""
        reused = frozenset(self._paths.values())
        self._base.sweep(reused)
        clear_spool(self._spool, reused)

    def restore_version(self, key: str, name: str) -> None:
        """Publish, with the other objects, the former object that the store keeps under this name.

        Raises:
            DataRefusedError: the object is no longer kept.
        """
        writer = self._base.former_writer(key, name)
        self._begun.append(writer)
        self._stage(key, writer, writer.staged)

    def raw_writer(self, key: str) -> RawWriter:
        """Begin to write an object; its `publish` makes it visible through this store."""
        with cancel.deferred(None):  # else an upload could begin that is not in the list
            writer: RawWriter = self._base.raw_writer(key)
            self._begun.append(writer)
        cancel.check()
        path = writer.staged
        if path is None:
            path = self._spool / quote(key, safe="")
            writer = self._spooled_month(writer, path) if layout.month_of(key) else SpooledWriter(writer, path)
        return _StagedWriter(writer, lambda: self._stage(key, writer, path), self.on_write(key, path))

    def _spooled_month(self, writer: RawWriter, path: Path) -> RawWriter:
        is_late = sum(month.is_sending for month in self._months) >= MOST_SENDING
        self._months.append(SpooledWriter(writer, path, is_late=is_late))
        return self._months[-1]

    def _stage(self, key: str, writer: RawWriter, path: Path | None) -> None:
        if former := self._waiting.get(key):  # reused, but written again with the other objects of its stage
            former.discard()
            self._foreign.pop(key, None)
        self._waiting[key] = writer
        if path:
            self._paths[key] = path

    def writer(self, key: str) -> Writer:
        """Begin to write an object; its `publish` makes it visible through this store."""
        return Writer(key, self.raw_writer(key))

    def check(self) -> None:
        """Raise UnreachableError if it is certain that objects cannot be written."""
        self._base.check()

    def uri(self, key: str) -> str:
        """The object's address: of its staged file or copy, if it is not published yet."""
        return str(self._paths[key]) if key in self._paths else self._base.uri(key)

    def find(self, key: str) -> StoredObject | None:
        """The object with this key, if there is one."""
        if key in self._foreign:
            return StoredObject(key, self._foreign[key].size, time.time())
        if key not in self._paths:
            return None if self._is_deleted(key) else self._base.find(key)
        with spooled("read", self._paths[key]):
            status = self._paths[key].stat()
        return StoredObject(key, status.st_size, status.st_mtime)

    def list(self, prefix: str) -> Iterable[StoredObject]:
        """The objects below a prefix, by key: this run's own, and the published ones that stay."""
        found = {item.key: item for item in self._base.list(prefix) if not self._is_deleted(item.key)}
        for key in (*self._paths, *self._foreign):
            if key.startswith(prefix) and (own := self.find(key)):
                found[key] = own
        return [found[key] for key in sorted(found)]

    def read(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        """The object's bytes from `start`, at most `length`; a negative `start` counts from its end."""
        if (upload := self._foreign.get(key)) and start == 0 and length is not None:
            return upload.head[:length]
        if key not in self._paths:
            if upload:
                message = f"{key} was written on another machine, and cannot be read before it is published"
                raise UnreachableError(message)
            if self._is_deleted(key):
                message = f"{key} is no longer in the lake {self.location}: this run deletes it"
                raise UnreachableError(message)
            return self._base.read(key, start, length)
        path = self._paths[key]
        with spooled("read", path), path.open("rb") as file:
            file.seek(max(0, path.stat().st_size + start) if start < 0 else start)
            return file.read(-1 if length is None else length)


class _StagedWriter:
    """A writer whose `publish` makes the object visible to its own run only."""

    def __init__(self, writer: RawWriter, stage: Callable[[], None], completed: Callable[[], None]) -> None:
        self.staged = writer.staged
        self._writer = writer
        self._stage = stage
        self._completed = completed
        self._is_staged = False

    def write(self, data: bytes | bytearray) -> None:
        self._writer.write(data)

    def complete(self) -> None:
        self._writer.complete()
        self._completed()

    def publish(self) -> None:
        self._stage()
        self._is_staged = True

    def discard(self) -> None:
        if not self._is_staged:
            self._writer.discard()

    def pending_write(self) -> PendingWrite:
        return self._writer.pending_write()
