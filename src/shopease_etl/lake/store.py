"""Where the lake's objects live: one interface, a local folder or S3 behind it."""

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from shopease_etl.errors import ConfigurationError, ShopeaseError
from shopease_etl.lake.csv_bytes import RowCounter
from shopease_etl.lake.lock.lock import LakeLock

if TYPE_CHECKING:
    from shopease_etl.lake.bucket import Bucket

# What a store needs to publish an object whose writer has died, as JSON has it: its `key`, and more.
PendingWrite = Mapping[str, Any]


class RawWriter(Protocol):
    """Where an object's bytes go; nobody sees the object before `publish`."""

    @property
    def staged(self) -> Path | None:
        """The file that has the bytes and becomes the object, in a store whose objects are files."""

    def write(self, data: bytes | bytearray) -> None:
        """Take the next bytes, which nobody changes any more."""

    def complete(self) -> None:
        """Return when all bytes have arrived and are safe."""

    def publish(self) -> None:
        """Let readers see the object in place of the former one."""

    def discard(self) -> None:
        """Leave nothing behind; harmless after `publish`."""

    def pending_write(self) -> PendingWrite:
        """What `LakeStore.finish` needs to publish the object, once it is complete, in this writer's place."""


@dataclass(frozen=True)
class StoredObject:
    """An object that is there: its key, size in bytes, and time of last change in seconds since 1970."""

    key: str
    bytes: int
    modified: float


@dataclass(frozen=True)
class UnfinishedUpload:
    """An object half written: its key, the store's own name of the upload, and its start in seconds since 1970."""

    key: str
    upload_id: str
    started: float


@dataclass(frozen=True)
class Encryption:
    """What S3 is asked to encrypt each object with; without a key, aws:kms takes the account's own for S3."""

    algorithm: Literal["AES256", "aws:kms"]
    kms_key: str | None = None


class Upload:
    """A binary file to write an object's bytes to; counts and hashes them on the way.

    `failure` keeps what a write raised, for a caller whose writer (Polars) reports it in words of its own. Who has no
    use for `csv_rows` sets `counts_rows` to False before the first write.
    """

    def __init__(self, key: str, writer: RawWriter) -> None:
        self.key = key
        self.bytes = 0
        self.failure: ShopeaseError | None = None
        self.counts_rows = True
        self._writer = writer
        self._hash = hashlib.sha256()
        self._rows = RowCounter()

    @property
    def sha256(self) -> str:
        """The hash of the bytes so far, in hex."""
        return self._hash.hexdigest()

    @property
    def csv_rows(self) -> int:
        """The records of a CSV file with a header, counted from its bytes."""
        return self._rows.records - 1

    def write(self, data: bytes | bytearray | memoryview) -> int:
        """Take the next bytes; returns how many, as a binary file does. A bytearray must not be changed any more."""
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
        """Nothing waits here; `complete` is what makes bytes safe."""

    def complete(self) -> None:
        """Return when all bytes have arrived and are safe."""
        self._writer.complete()

    def publish(self) -> None:
        """Let readers see the object in place of the former one."""
        self._writer.publish()

    def discard(self) -> None:
        """Leave nothing behind; harmless after `publish`."""
        self._writer.discard()


class Store(Protocol):
    """A place for objects by key; an object is visible only when whole."""

    location: str

    def check(self) -> None:
        """Raise UnreachableError where it is plain that objects cannot be written here; changes nothing."""

    def upload(self, key: str) -> Upload:
        """Begin to write an object; it stays invisible until published."""

    def uri(self, key: str) -> str:
        """The object's address: a path, or an s3:// address."""

    def find(self, key: str) -> StoredObject | None:
        """The object with this key, or None."""

    def list(self, prefix: str) -> Iterable[StoredObject]:
        """The objects below a prefix, by key."""

    def read(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        """The object's bytes from `start`, at most `length`; a negative `start` counts from its end."""


class LakeStore(Store, Protocol):
    """A lake's store: its lock, and what only those need who hold it."""

    @property
    def is_on_aws(self) -> bool:
        """Whether AWS keeps the objects: Glue and Athena read them there, and room and requests cost money."""

    def lock(self, home: Path) -> LakeLock:
        """The lake's lock; where it is no folder of this machine, a file in shopease's home is a part of it."""

    def impatient(self, timeout: float) -> "LakeStore":
        """The same lake for calls that are of no use after so many seconds."""

    @property
    def bucket_setup(self) -> "Bucket | None":
        """The bucket that has the objects, to ask how it is set up, if one has."""

    @property
    def folder(self) -> Path | None:
        """The folder on this machine that has the objects as files, if there is one."""

    def raw_writer(self, key: str) -> RawWriter:
        """Begin to write an object; it stays invisible until published."""

    def keep(self, run_id: str, keys: Sequence[str]) -> Mapping[str, str | None]:
        """Keep the objects that a run is about to replace.

        Returns by key, for those that are there, the name by which `former` finds them again; None where this store
        keeps no former objects.
        """

    def require_kept(self, key: str, name: str) -> None:
        """Raise DataRefusedError unless the former object is kept under this name."""

    def read_kept(self, key: str, name: str, start: int = 0, length: int | None = None) -> bytes:
        """The bytes of the former object that is kept under this name, from `start`, at most `length`."""

    def from_kept(self, key: str, name: str) -> RawWriter:
        """A writer that has the bytes of a kept object already, complete and not yet published.

        Raises:
            DataRefusedError: it is not kept any more.
        """

    def prune(self, run_ids: Iterable[str]) -> None:
        """Keep no former objects but those that these runs replaced; unasked where a store's own rules do that."""

    def finish(self, pending: PendingWrite) -> bool:
        """Publish an object in its dead writer's place; True also where that was done, False where it is lost."""

    def delete(self, keys: Sequence[str]) -> None:
        """Delete objects, every one that can be; one that is not there is no error."""

    def unfinished_uploads(self) -> Iterable[UnfinishedUpload]:
        """What is half written, be it by a run that is at work or by one that was killed."""

    def abort(self, upload: UnfinishedUpload) -> None:
        """Delete what is half written; harmless where it is gone."""

    def abort_stale_uploads(self) -> None:
        """Abort the lake's own unfinished uploads, so that a former holder of the lock who wakes up publishes nothing.

        A file that a run left for a retry stays.
        """

    def staged(self, key: str) -> Sequence[Path]:
        """Files in the lake's folder that a run which has ended left for this key."""

    def from_file(self, key: str, path: Path) -> RawWriter:
        """A writer that has a file's bytes already, complete and not yet published; what `staged` named is moved."""

    def sweep(self, kept: Collection[Path] = ()) -> None:
        """Delete what a killed run left half written, but not the files to keep; a publication is finished before."""

    def check_targets(self, keys: Collection[str]) -> None:
        """Raise UnreachableError where it can be foreseen that objects or manifests cannot be written.

        It is tried without changing anything.
        """


def put_stream(store: Store, key: str, chunks: Iterable[bytes]) -> Upload:
    """Write an object from a stream and publish it; on any exception nothing is left and nothing changed."""
    upload = store.upload(key)
    try:
        for chunk in chunks:
            upload.write(chunk)
        upload.complete()
        upload.publish()
    except BaseException:
        upload.discard()
        raise
    return upload


def private_path(home: Path, folder: str, location: str) -> Path:
    """A lake's own path in a folder of shopease's home."""
    return home / folder / hashlib.sha256(location.encode()).hexdigest()[:16]


def open_store(lake: str, encryption: Encryption | None = None) -> LakeStore:
    """The store that a lake setting names: `s3://BUCKET[/PREFIX]`, or a local folder, which is never encrypted."""
    if lake.startswith("s3://"):
        from shopease_etl.lake.s3 import S3Store

        bucket, _, prefix = lake.removeprefix("s3://").rstrip("/").partition("/")
        return S3Store(bucket, prefix, encryption)
    from shopease_etl.lake.local import LocalStore

    try:
        return LocalStore(Path(lake))
    except RuntimeError as error:  # of expanduser
        message = f"the lake {lake!r} begins with the home folder of a user who is not known"
        raise ConfigurationError(message, hint="write the folder's whole path") from error
