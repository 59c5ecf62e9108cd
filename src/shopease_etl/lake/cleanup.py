"""What `cleanup` may delete: uploads that killed runs left behind, and the lake's own objects; nothing else."""

import re
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from shopease_etl.contract import layout
from shopease_etl.errors import ConfigurationError
from shopease_etl.lake.store import LakeStore, StoredObject, UnfinishedUpload
from shopease_etl.wording import counted

# What is made of another goes first, and last the manifests: those that are left tell what was there.
DELETE_ORDER: Final = (layout.GOLD, layout.SILVER, layout.QUARANTINE, layout.BRONZE, layout.RUNS)
_MANIFEST: Final = re.compile(rf"{layout.RUNS}/[^/]+\.json")


@dataclass(frozen=True)
class OrphanedUploads:
    """Unfinished uploads to the lake's own keys: those old enough to abort, and how many younger and others stay."""

    uploads: tuple[UnfinishedUpload, ...]
    younger: int
    strays: int


@dataclass(frozen=True)
class OwnedObjects:
    """The lake's own objects in the order of their deletion, and how many beside them are not its own and stay."""

    objects: tuple[StoredObject, ...]
    bytes: int
    strays: int


@dataclass(frozen=True)
class Garbage:
    """What was chosen to be deleted from a lake."""

    location: str
    uploads: OrphanedUploads
    datasets: OwnedObjects

    @property
    def count(self) -> int:
        """How many uploads and objects."""
        return len(self.uploads.uploads) + len(self.datasets.objects)

    @property
    def told(self) -> str:
        """How much, in words."""
        objects = f"{counted(len(self.datasets.objects), 'object')}, {self.datasets.bytes / 1e6:,.1f} MB"
        uploads = counted(len(self.uploads.uploads), "unfinished upload")
        chosen = [objects] * bool(self.datasets.objects) + [uploads] * bool(self.uploads.uploads)
        return f"{' and '.join(chosen)} of {self.location}"


def is_own(key: str) -> bool:
    """Whether the lake's layout has this key: a dataset of the contract, or a run's manifest."""
    return layout.owns(key) or _MANIFEST.fullmatch(key) is not None or key.startswith(layout.JOURNAL)


def orphaned_uploads(store: LakeStore, *, older_than: float, now: float | None = None) -> OrphanedUploads:
    """Uploads to the lake's own keys that began more than `older_than` seconds before `now`, in seconds since 1970.

    The younger ones are left alone: a run may be writing them.
    """
    limit = (time.time() if now is None else now) - older_than
    found = list(store.unfinished_uploads())
    own = [upload for upload in found if is_own(upload.key)]
    old = tuple(upload for upload in own if upload.started < limit)
    return OrphanedUploads(old, younger=len(own) - len(old), strays=len(found) - len(own))


def abort_uploads(store: LakeStore, uploads: Iterable[UnfinishedUpload]) -> None:
    """Delete what `orphaned_uploads` found.

    Raises:
        ConfigurationError: an upload is not to a key of the lake's own; nothing is aborted.
        UnreachableError: the store refuses; uploads before the refused one are gone.
    """
    chosen = tuple(uploads)
    _require_own(upload.key for upload in chosen)
    for upload in chosen:
        store.abort(upload)


def owned_objects(store: LakeStore, layers: Sequence[str], *, everything: bool) -> OwnedObjects:
    """The layers' datasets, and with `everything` the manifests of runs too, in the order of their deletion.

    Hidden files, such as the lock in `_runs`, are neither the lake's objects nor strays.
    """
    listed = [item for folder in _folders(layers, everything=everything) for item in store.list(f"{folder}/")]
    own = tuple(item for item in listed if is_own(item.key))
    strays = sum(not is_own(item.key) and not _is_hidden(item.key) for item in listed)
    return OwnedObjects(own, sum(item.bytes for item in own), strays)


def delete_objects(store: LakeStore, objects: Iterable[StoredObject]) -> None:
    """Delete what `owned_objects` found, one layer after the other, so that an interruption leaves the manifests.

    Raises:
        ConfigurationError: an object is not of the lake's own; nothing is deleted.
        UnreachableError: the store refuses; the layers before the refused one are gone.
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
        message = f"{unknown[0]} is no layer of the lake"
        raise ConfigurationError(message, hint=f"the layers are {', '.join(layout.LAYERS)}")
    wanted = {*layers, *([layout.RUNS] if everything else [])}
    return (folder for folder in DELETE_ORDER if folder in wanted)


def _is_hidden(key: str) -> bool:
    return key.rpartition("/")[2].startswith(".")


def _require_own(keys: Iterable[str]) -> None:
    for key in keys:
        if not is_own(key):
            message = f"{key} is not of the lake's own layout, and stays"
            raise ConfigurationError(message)
