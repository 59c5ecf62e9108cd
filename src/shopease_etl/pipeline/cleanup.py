"""Cleaning up a lake: the selected objects are listed, then deleted under the lock."""

from collections.abc import Sequence

from shopease_etl.contract import layout
from shopease_etl.errors import ConfigurationError
from shopease_etl.lake.cleanup import (
    Garbage,
    OrphanedUploads,
    abort_uploads,
    delete_objects,
    orphaned_uploads,
    owned_objects,
)
from shopease_etl.pipeline.recovery import finish, recover
from shopease_etl.pipeline.wiring import Pipeline


def find_garbage(
    shop: Pipeline,
    *,
    uploads: bool,
    older_than: float,
    layers: Sequence[str],
    everything: bool,
    dry_run: bool,
    wait: float = 0,
) -> Garbage:
    """What `cleanup` was asked to delete, listed; `older_than` is in seconds.

    Unless it is a `dry_run`, it first finishes what a dead run began to publish.

    Raises:
        ConfigurationError: nothing was asked for.
        LakeLockedError: a run holds the lake.
    """
    if not (uploads or layers or everything):
        message = "say what to clean up: --uploads, --layer NAME or --all"
        raise ConfigurationError(message, hint="--dry-run only lists it")
    shop.lake.check()
    if not dry_run:
        with shop.lock("cleanup", wait=wait):
            finish(shop)
    orphans = orphaned_uploads(shop.lake, older_than=older_than) if uploads else OrphanedUploads((), 0, 0)
    chosen = layout.LAYERS if everything else layers
    return Garbage(shop.lake.location, orphans, owned_objects(shop.lake, chosen, everything=everything))


def delete_garbage(shop: Pipeline, garbage: Garbage, *, wait: float = 0) -> None:
    """Delete what was listed, and what dead runs left half-written, under the lock.

    Raises:
        LakeLockedError: a run holds the lake.
    """
    with shop.lock("cleanup", wait=wait) as lock:
        recover(shop)
        abort_uploads(shop.lake, garbage.uploads.uploads)
        lock.require()
        delete_objects(shop.lake, garbage.datasets.objects)
