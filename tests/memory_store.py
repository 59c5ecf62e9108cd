"""A lake's store in this process's memory: the least that the protocol asks of one."""

import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self
from uuid import uuid4

from shopease_etl.contract.layout import RUNS
from shopease_etl.errors import DataRefusedError, UnreachableError
from shopease_etl.lake.cleanup import is_own
from shopease_etl.lake.lock.lock import LakeLock
from shopease_etl.lake.open import open_store
from shopease_etl.lake.store import LakeStore, PendingWrite, StoredObject, UnfinishedUpload, Writer


@dataclass
class MemoryWriter:
    """Bytes that become an object when they are published."""

    store: "MemoryStore"
    key: str
    staged: None = None
    data: bytes = b""
    started: float = field(default_factory=time.time)
    upload_id: str = field(default_factory=lambda: uuid4().hex)

    def __post_init__(self) -> None:
        self.store.uploads[self.upload_id] = self

    def write(self, data: bytes | bytearray) -> None:
        self.data += data

    def complete(self) -> None:
        pass

    def publish(self) -> None:
        if self.store.uploads.pop(self.upload_id, None):
            self.store.objects[self.key] = self

    def discard(self) -> None:
        self.store.uploads.pop(self.upload_id, None)

    def pending_write(self) -> PendingWrite:
        return {"key": self.key, "upload": self.upload_id}


class MemoryStore:
    """Objects, uploads and former objects in dictionaries; only the lock is a file."""

    location = "memory"
    is_on_aws = False
    bucket_setup = None
    folder = None

    def __init__(self) -> None:
        self.objects: dict[str, MemoryWriter] = {}
        self.uploads: dict[str, MemoryWriter] = {}
        self.kept: dict[str, bytes] = {}

    def lock(self, home: Path) -> LakeLock:
        return LakeLock(home / RUNS / ".lock")

    def with_timeout(self, timeout: float) -> Self:  # noqa: ARG002 - memory answers at once
        return self

    def check(self) -> None:
        pass

    def check_targets(self, keys: Collection[str]) -> None:
        pass

    def writer(self, key: str) -> Writer:
        return Writer(key, self.raw_writer(key))

    def raw_writer(self, key: str) -> MemoryWriter:
        return MemoryWriter(self, key)

    def uri(self, key: str) -> str:
        return f"{self.location}://{key}"

    def find(self, key: str) -> StoredObject | None:
        found = self.objects.get(key)
        return StoredObject(key, len(found.data), found.started) if found else None

    def list(self, prefix: str) -> Iterator[StoredObject]:
        keys = [key for key in sorted(self.objects) if key.startswith(prefix)]
        return (StoredObject(key, len(self.objects[key].data), self.objects[key].started) for key in keys)

    def read(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        if key not in self.objects:
            raise UnreachableError(f"there is no {key}")
        return self.objects[key].data[start:][:length]

    def delete(self, keys: Sequence[str]) -> None:
        for key in keys:
            self.objects.pop(key, None)

    def keep_former(self, run_id: str, keys: Sequence[str]) -> Mapping[str, str | None]:
        there = {key: f"{run_id}/{key}" for key in keys if key in self.objects}
        self.kept |= {name: self.objects[key].data for key, name in there.items()}
        return there

    def require_former(self, key: str, name: str) -> None:
        if name not in self.kept:
            raise DataRefusedError(f"the former {key} is no longer kept")

    def read_former(self, key: str, name: str, start: int = 0, length: int | None = None) -> bytes:
        self.require_former(key, name)
        return self.kept[name][start:][:length]

    def former_writer(self, key: str, name: str) -> MemoryWriter:
        self.require_former(key, name)
        return MemoryWriter(self, key, data=self.kept[name])

    def prune(self, run_ids: Iterable[str]) -> None:
        runs = set(run_ids)
        self.kept = {name: data for name, data in self.kept.items() if name.partition("/")[0] in runs}

    def finish(self, pending: PendingWrite) -> bool:
        if writer := self.uploads.get(pending["upload"]):
            writer.publish()
        found = self.objects.get(pending["key"])
        return found is not None and found.upload_id == pending["upload"]

    def unfinished_uploads(self) -> Iterator[UnfinishedUpload]:
        return (UnfinishedUpload(writer.key, name, writer.started) for name, writer in list(self.uploads.items()))

    def abort(self, upload: UnfinishedUpload) -> None:
        self.uploads.pop(upload.upload_id, None)

    def abort_stale_uploads(self) -> None:
        for name in [name for name, writer in self.uploads.items() if is_own(writer.key)]:
            del self.uploads[name]

    def staged(self, key: str) -> Sequence[Path]:  # noqa: ARG002 - nothing here is a file
        return ()

    def from_file(self, key: str, path: Path) -> MemoryWriter:
        return MemoryWriter(self, key, data=path.read_bytes())

    def sweep(self, kept: Collection[Path] = ()) -> None:
        pass


def reopened(store: LakeStore) -> LakeStore:
    """The store as another command opens it."""
    return store if isinstance(store, MemoryStore) else open_store(store.location)
