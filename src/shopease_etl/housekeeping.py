"""What needs the lake's lock besides runs: finishing what a dead run began, and cleaning up."""

import shutil
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Final

from shopease_etl import lock, tables
from shopease_etl.errors import ConfigurationError
from shopease_etl.publishing import recover
from shopease_etl.resources import lake_store
from shopease_etl.settings import Settings
from shopease_etl.stages.cleanup import (
    Garbage,
    OrphanedUploads,
    abort_uploads,
    delete_objects,
    orphaned_uploads,
    owned_objects,
)
from shopease_etl.storage import LakeStore, Store
from shopease_etl.storage.local import LocalStore

SPOOL: Final = "spool"


def tidy(store: LakeStore, settings: Settings) -> None:
    """Finish or clear away what a command left that died; the lake's lock is held."""
    recover(store)
    store.sweep()
    shutil.rmtree(private_path(store, settings, SPOOL), ignore_errors=True)


def find_garbage(
    settings: Settings, *, uploads: bool, older_than: float, layers: Sequence[str], everything: bool, dry_run: bool
) -> Garbage:
    """What `cleanup` was asked to delete, listed; `older_than` is in seconds.

    Unless it is a `dry_run`, what a run that died had begun to publish is finished before.

    Raises:
        ConfigurationError: nothing was asked for.
        LakeLockedError: a run holds the lake.
    """
    if not (uploads or layers or everything):
        message = "say what to clean up: --uploads, --layer NAME or --all"
        raise ConfigurationError(message, hint="--dry-run only lists it")
    store = lake_store(settings)
    store.check()
    if not dry_run:
        with lock.held(lock_path(store, settings), "cleanup"):
            tidy(store, settings)
    orphans = orphaned_uploads(store, older_than=older_than) if uploads else OrphanedUploads((), 0, 0)
    chosen = tables.LAYERS if everything else layers
    return Garbage(store.location, orphans, owned_objects(store, chosen, everything=everything))


def delete_garbage(settings: Settings, garbage: Garbage) -> None:
    """Delete what was listed, while no run has the lake.

    Raises:
        LakeLockedError: a run holds the lake.
    """
    store = lake_store(settings)
    with lock.held(lock_path(store, settings), "cleanup"):
        tidy(store, settings)
        abort_uploads(store, garbage.uploads.uploads)
        delete_objects(store, garbage.datasets.objects)


def lock_path(store: Store, settings: Settings) -> Path:
    """In a local lake itself; for a lake elsewhere in the home, where it parts the runs of this machine."""
    if isinstance(store, LocalStore):
        return store.root / tables.RUNS / ".lock"
    return private_path(store, settings, "locks").with_suffix(".lock")


def private_path(store: Store, settings: Settings, folder: str) -> Path:
    """The lake's own path in a folder of the home."""
    return settings.home / folder / sha256(store.location.encode()).hexdigest()[:16]
