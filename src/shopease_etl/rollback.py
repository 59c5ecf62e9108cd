"""The lake as it was before a run: what the run replaced brought back, what was new deleted, all at once."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from shopease_etl.errors import DataRefusedError
from shopease_etl.lake import Manifest, manifests
from shopease_etl.publishing import publish_run
from shopease_etl.results import RollbackResult
from shopease_etl.storage import LakeStore
from shopease_etl.storage.local import LocalStore
from shopease_etl.storage.pending import PendingStore
from shopease_etl.tables import KEYS

ROLLED_BACK = "rolled back"


def last_published(store: LakeStore) -> Manifest:
    """The manifest of the last run whose objects readers see.

    Raises:
        DataRefusedError: there is none.
    """
    found = next((manifest for manifest in manifests(store) if _is_published(manifest)), None)
    if found is None:
        message = f"no run has published anything in {store.location}, so there is nothing to go back from"
        raise DataRefusedError(message)
    return found


def undo(
    store: LakeStore, aside: Path, document: Mapping[str, Any], require_lock: Callable[[], None], **changes: object
) -> RollbackResult:
    """Bring back all that a run replaced, at once; `changes` are what its manifest, `document`, says otherwise then.

    `aside` is a folder for copies, which must be this command's own; `require_lock` raises if the lake's lock was lost
    while they were made.

    Raises:
        DataRefusedError: a former object is not kept (any more); nothing has changed.
        UnreachableError: the store refuses; the next command that takes the lake's lock goes on with it.
    """
    run_id = str(document["run_id"])
    objects, new = _replaced(document)
    pending = PendingStore(store, aside)
    try:
        for key, name in objects.items():
            pending.bring_back(key, _required(run_id, key, name, on_s3=not isinstance(store, LocalStore)))
        require_lock()
        publish_run(store, pending, {**document, "published": False, **changes}, deletes=new, is_final=True)
    finally:
        pending.discard()
    return RollbackResult(run_id, tuple(objects), tuple(new))


def prune(store: LakeStore, generations: int) -> None:
    """Keep what the last so many runs replaced, and no more; on S3 the bucket's own rules do that."""
    if isinstance(store, LocalStore):
        undoable = (found.run.run_id for found in manifests(store) if _is_published(found) and _replaces(found))
        store.prune(set(itertools.islice(undoable, generations)))


def _is_published(manifest: Manifest) -> bool:
    return bool(manifest.recorded)


def _replaces(manifest: Manifest) -> bool:
    return manifest.document.get("replaced") is not None


def _replaced(document: Mapping[str, Any]) -> tuple[Mapping[str, str | None], Sequence[str]]:
    """The names of former objects by key, and the keys that were new."""
    try:
        objects, new = document["replaced"]["objects"], document["replaced"]["new"]
        if {*objects, *new} <= KEYS:
            return dict(objects), list(new)
    except (LookupError, TypeError):
        pass
    message = f"the manifest of the run {document['run_id']} does not tell what it replaced"
    raise DataRefusedError(message, hint="a run of this version tells it; until then `shopease run-all` is the way")


def _required(run_id: str, key: str, name: str | None, *, on_s3: bool) -> str:
    if name is None:
        message = f"the {key} that the run {run_id} replaced was not kept"
        hint = "the bucket must keep versions: `make deploy-bucket`, or aws s3api put-bucket-versioning"
        raise DataRefusedError(message, hint=hint if on_s3 else None)
    return name
