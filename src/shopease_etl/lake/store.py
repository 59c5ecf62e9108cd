"""The interface of stores, which keep the lake's objects by key: in a local folder or on S3."""

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol

from shopease_etl.errors import ShopeaseError
from shopease_etl.lake.csv_bytes import RowCounter
from shopease_etl.lake.lock.lock import LakeLock

if TYPE_CHECKING:
    from shopease_etl.lake.bucket import Bucket

# What a store needs to publish an object after its writer has died, as JSON: its `key`, and more.
PendingWrite = Mapping[str, Any]

LEAVE_SECONDS: Final = 2.0  # what bytes on their way may take when a write is given up


class RawWriter(Protocol):
    """Takes an object's bytes; readers see the object after `publish`."""

    @property
    def staged(self) -> Path | None:
        """The file that becomes the object, in a store whose objects are files."""

    def write(self, data: bytes | bytearray) -> None:
        """Take the next bytes; the caller must not change them afterwards."""

    def complete(self) -> None:
        """Wait until all bytes are stored safely."""

    def publish(self) -> None:
        """Show readers this object in place of the former one."""

    def discard(self) -> None:
        """Delete what was written; does nothing after `publish`."""

    def pending_write(self) -> PendingWrite:
        """What `LakeStore.finish` needs to publish the object, once it is complete, without this writer."""


@dataclass(frozen=True)
class StoredObject:
    """An object in the store: its key, size in bytes, and time of last change in seconds since 1970."""

    key: str
    bytes: int
    modified: float


@dataclass(frozen=True)
class UnfinishedUpload:
    """A half-written object: its key, the store's name for the upload, and its start in seconds since 1970."""

    key: str
    upload_id: str
    started: float


@dataclass(frozen=True)
class Encryption:
    """How S3 encrypts each object; without a key, aws:kms takes the account's own key for S3."""

    algorithm: Literal["AES256", "aws:kms"]
    kms_key: str | None = None


class Writer:
    """A binary file for an object's bytes, which it counts and hashes.

    `failure` keeps the error of a write, as Polars reports such errors in its own words. Set `counts_rows` to False
    before the first write if `csv_rows` is not needed.
    """

    def __init__(self, key: str, writer: RawWriter) -> None:
        self.key = key
        self.bytes = 0
        self.failure: ShopeaseError | None = None
        self.counts_rows = True
        self._writer = writer
        self._hash = hashlib.sha256()
        self._rows = RowCounter()
        self._is_complete = False

    @property
    def sha256(self) -> str:
        """The hash of the bytes so far, in hex."""
        return self._hash.hexdigest()

    @property
    def csv_rows(self) -> int:
        """The number of records of a CSV file without its header, counted from its bytes."""
        return self._rows.records - 1

    def write(self, data: bytes | bytearray | memoryview) -> int:
        """Take the next bytes; returns how many, as a binary file does. Do not change a bytearray afterwards."""
        chunk = bytes(data) if isinstance(data, memoryview) else data
        try:
            self._writer.write(chunk)
        except ShopeaseError as error:
            self.failure = error
            raise
        self._hash.update(chunk)
        if self.counts_rows:
            self._rows.update(chunk)
        self.bytes += len(chunk)
        return len(chunk)

    def flush(self) -> None:
        """Does nothing: `complete` makes bytes safe."""

    def complete(self) -> None:
        """Wait until all bytes are stored safely; once is enough."""
        if not self._is_complete:
            self._writer.complete()
        self._is_complete = True

    def publish(self) -> None:
        """Show readers this object in place of the former one."""
        self._writer.publish()

    def discard(self) -> None:
        """Delete what was written; does nothing after `publish`."""
        self._writer.discard()


class Store(Protocol):
    """Objects by key; an object is visible only when it is complete."""

    location: str

    def check(self) -> None:
        """Raise UnreachableError if it is certain that objects cannot be written; changes nothing."""

    def writer(self, key: str) -> Writer:
        """Begin to write an object, which is invisible until it is published."""

    def uri(self, key: str) -> str:
        """The object's address: a path, or an s3:// address."""

    def find(self, key: str) -> StoredObject | None:
        """The object with this key, if there is one."""

    def list(self, prefix: str) -> Iterable[StoredObject]:
        """The objects below a prefix, by key."""

    def read(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        """The object's bytes from `start`, at most `length`; a negative `start` counts from its end."""


class LakeStore(Store, Protocol):
    """A lake's store: its lock, and the methods for the holder of the lock."""

    @property
    def is_on_aws(self) -> bool:
        """Whether the objects are on AWS, where Glue and Athena read them, and storage and requests cost money."""

    def lock(self, home: Path) -> LakeLock:
        """The lake's lock; for a lake that is not a local folder, it includes a file in shopease's home."""

    def with_timeout(self, timeout: float) -> "LakeStore":
        """The same lake, with a time limit in seconds for each call."""

    @property
    def bucket_setup(self) -> "Bucket | None":
        """The bucket of the objects, to check its configuration, if they are in one."""

    @property
    def folder(self) -> Path | None:
        """The local folder with the objects as files, if there is one."""

    def raw_writer(self, key: str) -> RawWriter:
        """Begin to write an object, which is invisible until it is published."""

    def keep_former(self, run_id: str, keys: Sequence[str]) -> Mapping[str, str | None]:
        """Keep the objects that a run is about to replace.

        Returns for each existing key the name by which `former_writer` finds the object, or None if this store does not
        keep former objects.
        """

    def require_former(self, key: str, name: str) -> None:
        """Raise DataRefusedError unless the former object is still kept under this name."""

    def read_former(self, key: str, name: str, start: int = 0, length: int | None = None) -> bytes:
        """The bytes of the former object with this name, from `start`, at most `length`."""

    def former_writer(self, key: str, name: str) -> RawWriter:
        """A complete, unpublished writer with the bytes of a former object.

        Raises:
            DataRefusedError: the object is no longer kept.
        """

    def prune(self, run_ids: Iterable[str]) -> None:
        """Delete former objects, except those that these runs replaced; S3 does this by the bucket's own rules."""

    def finish(self, pending: PendingWrite) -> bool:
        """Publish an object whose writer has died; False if its bytes are lost, True if it is (or was) published."""

    def delete(self, keys: Sequence[str]) -> None:
        """Delete as many of the objects as possible; a missing one is no error."""

    def unfinished_uploads(self) -> Iterable[UnfinishedUpload]:
        """Half-written objects, of a run in progress or of one that was killed."""

    def abort(self, upload: UnfinishedUpload) -> None:
        """Delete a half-written object; a missing one is no error."""

    def abort_stale_uploads(self) -> None:
        """Abort the lake's own unfinished uploads, so that a stalled run that lost the lock cannot publish anything.

        A file that a run left for a retry stays.
        """

    def staged(self, key: str) -> Sequence[Path]:
        """Files in the lake's folder that an ended run left for this key."""

    def from_file(self, key: str, path: Path) -> RawWriter:
        """A complete, unpublished writer with a file's bytes; a file from `staged` is moved."""

    def sweep(self, kept: Collection[Path] = ()) -> None:
        """Delete half-written files of killed runs, except those to keep; call it after `recover`."""

    def check_targets(self, keys: Collection[str]) -> None:
        """Raise UnreachableError if objects or manifests could not be written; tries it without changing anything."""


def put_stream(store: Store, key: str, chunks: Iterable[bytes]) -> Writer:
    """Write an object from a stream and publish it; an exception leaves the lake unchanged."""
    upload = store.writer(key)
    try:
        for chunk in chunks:
            upload.write(chunk)
        upload.complete()
        upload.publish()
    except BaseException:
        upload.discard()
        raise
    return upload


def state_path(home: Path, folder: str, location: str) -> Path:
    """The path, in a folder of shopease's home, for files about the lake at this location."""
    return home / folder / hashlib.sha256(location.encode()).hexdigest()[:16]
