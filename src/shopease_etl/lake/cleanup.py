"""What `cleanup` may delete: uploads that killed runs left behind, and the lake's own objects."""

import re
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from shopease_etl.contract import layout
from shopease_etl.errors import ConfigurationError
from shopease_etl.lake.store import LakeStore, StoredObject, UnfinishedUpload
from shopease_etl.wording import counted

# Derived layers first, manifests last: if a deletion is interrupted, they still describe what was there.
DELETE_ORDER: Final = (layout.GOLD, layout.STATE, layout.SILVER, layout.QUARANTINE, layout.BRONZE, layout.RUNS)
_MANIFEST: Final = re.compile(rf"{layout.RUNS}/[^/]+\.json")


@dataclass(frozen=True)
class OrphanedUploads:
    """Unfinished uploads to the lake's own keys that are old enough to abort; how many younger ones and others stay."""

    uploads: tuple[UnfinishedUpload, ...]
    younger: int
    strays: int


@dataclass(frozen=True)
class OwnedObjects:
    """The lake's own objects in the order of their deletion, and how many foreign objects stay."""

    objects: tuple[StoredObject, ...]
    bytes: int
    strays: int


@dataclass(frozen=True)
class Garbage:
    """What to delete from a lake."""

    location: str
    uploads: OrphanedUploads
    datasets: OwnedObjects

    @property
    def count(self) -> int:
        """How many uploads and objects."""
        return len(self.uploads.uploads) + len(self.datasets.objects)

    @property
    def description(self) -> str:
        """The number and size of what is deleted, as text."""
        objects = f"{counted(len(self.datasets.objects), 'object')}, {self.datasets.bytes / 1e6:,.1f} MB"
        uploads = counted(len(self.uploads.uploads), "unfinished upload")
        chosen = [objects] * bool(self.datasets.objects) + [uploads] * bool(self.uploads.uploads)
        return f"{' and '.join(chosen)} of {self.location}"


def is_own(key: str) -> bool:
    """Whether a key belongs to the lake: a dataset of the contract or its state, a run's manifest, or a journal."""
    return layout.owns(key) or _MANIFEST.fullmatch(key) is not None or key.startswith(layout.JOURNAL)


def orphaned_uploads(store: LakeStore, *, older_than: float, now: float | None = None) -> OrphanedUploads:
    """Uploads to the lake's own keys that began more than `older_than` seconds before `now`, in seconds since 1970.

    A run may still be writing the younger ones.
    """
    limit = (time.time() if now is None else now) - older_than
    found = list(store.unfinished_uploads())
    own = [upload for upload in found if is_own(upload.key)]
    old = tuple(upload for upload in own if upload.started < limit)
    return OrphanedUploads(old, younger=len(own) - len(old), strays=len(found) - len(own))


def abort_uploads(store: LakeStore, uploads: Iterable[UnfinishedUpload]) -> None:
    """Abort what `orphaned_uploads` found.

    Raises:
        ConfigurationError: an upload is not to one of the lake's own keys; nothing is aborted.
        UnreachableError: the store refuses; the uploads before are aborted.
    """
    chosen = tuple(uploads)
    _require_own(upload.key for upload in chosen)
    for upload in chosen:
        store.abort(upload)


def owned_objects(store: LakeStore, layers: Sequence[str], *, everything: bool) -> OwnedObjects:
    """The datasets of the layers, with `everything` also the manifests, in the order of their deletion.

    Silver includes the state that was derived with it.
    Hidden files, such as the lock in `_runs`, are not counted at all.
    """
    listed = [item for folder in _folders(layers, everything=everything) for item in store.list(f"{folder}/")]
    own = tuple(item for item in listed if is_own(item.key))
    strays = sum(not is_own(item.key) and not item.key.rpartition("/")[2].startswith(".") for item in listed)
    return OwnedObjects(own, sum(item.bytes for item in own), strays)


def delete_objects(store: LakeStore, objects: Iterable[StoredObject]) -> None:
    """Delete what `owned_objects` found, layer by layer, manifests last.

    Raises:
        ConfigurationError: an object does not belong to the lake; nothing is deleted.
        UnreachableError: the store refuses; the layers before are deleted.
    """
    keys = [item.key for item in objects]
    _require_own(keys)
    for layer in DELETE_ORDER:
        chosen = [key for key in keys if key.startswith(f"{layer}/")]
        if chosen:
            store.delete(chosen)


def _folders(layers: Sequence[str], *, everything: bool) -> Iterator[str]:
    unknown = sorted(set(layers) - set(layout.LAYERS))
    if unknown:
        message = f"{unknown[0]} is not a layer of the lake"
        raise ConfigurationError(message, hint=f"the layers are {', '.join(layout.LAYERS)}")
    wanted = {*layers, *([layout.RUNS] if everything else [])}
    if layout.SILVER in wanted:
        wanted.add(layout.STATE)
    return (folder for folder in DELETE_ORDER if folder in wanted)


def _require_own(keys: Iterable[str]) -> None:
    for key in keys:
        if not is_own(key):
            message = f"{key} does not belong to the lake and is not deleted"
            raise ConfigurationError(message)
