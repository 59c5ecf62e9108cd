"""What needs the lake's lock besides runs: finishing what a dead run began, and cleaning up."""

import shutil
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Final

from shopease_etl.contract import tables
from shopease_etl.errors import ConfigurationError
from shopease_etl.lake.cleanup import (
    Garbage,
    OrphanedUploads,
    abort_uploads,
    delete_objects,
    orphaned_uploads,
    owned_objects,
)
from shopease_etl.lake.lock.lock import Held
from shopease_etl.lake.publish import recover
from shopease_etl.lake.store import LakeStore, private_path
from shopease_etl.pipeline import recovery
from shopease_etl.pipeline.wiring import lake_store
from shopease_etl.settings import Settings

SPOOL: Final = "spool"


def holding(store: LakeStore, settings: Settings, who: str, *, wait: float = 0) -> AbstractContextManager[Held]:
    """Hold the lake's lock, on S3 among all machines, as `LakeLock.hold` has it."""
    return store.lock(settings.home).hold(who, lease_seconds=settings.lease_seconds, wait=wait)


def tidy(store: LakeStore, settings: Settings, *, keep_outputs: bool = False) -> None:
    """Finish or clear away what a command left that died; the lake's lock is held.

    With `keep_outputs` what the stages of a run that ended wrote stays, for a retry.
    """
    _settle(store, settings)
    store.abort_stale_uploads()
    if not keep_outputs:
        _delete_outputs(store, settings)


def _delete_outputs(store: LakeStore, settings: Settings) -> None:
    store.sweep()
    shutil.rmtree(private_path(settings.home, SPOOL, store.location), ignore_errors=True)


def _settle(store: LakeStore, settings: Settings) -> None:
    """Finish what dead commands had begun to publish, record the death of a run, and delete what is kept no longer."""
    if recover(store):
        _delete_outputs(store, settings)  # what else they wrote is of no use any more
    recovery.record_death(store)
    recovery.prune(store, settings)


def find_garbage(
    settings: Settings,
    *,
    uploads: bool,
    older_than: float,
    layers: Sequence[str],
    everything: bool,
    dry_run: bool,
    wait: float = 0,
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
        with holding(store, settings, "cleanup", wait=wait):
            _settle(store, settings)
    orphans = orphaned_uploads(store, older_than=older_than) if uploads else OrphanedUploads((), 0, 0)
    chosen = tables.LAYERS if everything else layers
    return Garbage(store.location, orphans, owned_objects(store, chosen, everything=everything))


def delete_garbage(settings: Settings, garbage: Garbage, *, wait: float = 0) -> None:
    """Delete what was listed, and what dead runs left half written, while no run has the lake.

    Raises:
        LakeLockedError: a run holds the lake.
    """
    store = lake_store(settings)
    with holding(store, settings, "cleanup", wait=wait) as hold:
        tidy(store, settings)
        abort_uploads(store, garbage.uploads.uploads)
        hold.require()
        delete_objects(store, garbage.datasets.objects)
