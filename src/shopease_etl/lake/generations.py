"""The lake as it was before one or more runs: what they replaced is restored, what was new is deleted, all at once."""

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from shopease_etl.contract.tables import KEYS, LAYERS, RUNS
from shopease_etl.errors import ConfigurationError, DataRefusedError
from shopease_etl.lake.manifests import Manifest, manifests
from shopease_etl.lake.publish import publish_run
from shopease_etl.lake.staging import PendingStore
from shopease_etl.lake.store import LakeStore, Store
from shopease_etl.report import ObjectChange, RollbackPlan, RollbackResult

ROLLED_BACK = "rolled back"
_CHUNK: Final = 8 * 1024 * 1024
_NAMED: Final = 10  # runs that a refusal names


def runs_to_undo(store: LakeStore, to: str | None = None) -> list[Manifest]:
    """The manifests of the last run that published, or of all that published after the run `to`; the last one first.

    Raises:
        ConfigurationError: `to` is the last of them.
        DataRefusedError: there is none, or `to` is no run that the lake can go back to.
    """
    found = list(itertools.islice(_published(store), 1)) if to is None else _published_after(store, to)
    if not found:
        message = f"no run has published anything in {store.location}, so there is nothing to go back from"
        raise DataRefusedError(message, hint="`shopease run-all` fills the lake")
    return found


def _published(store: Store) -> Iterator[Manifest]:
    """The manifests of the runs whose objects readers see, the last one first."""
    return (manifest for manifest in manifests(store) if manifest.recorded)


def _published_after(store: LakeStore, run_id: str) -> list[Manifest]:
    found: list[Manifest] = []
    for manifest in _published(store) if store.find(f"{RUNS}/{run_id}.json") else ():
        if manifest.run.run_id == run_id:
            if not found:
                message = f"the lake is as the run {run_id} left it"
                raise ConfigurationError(message, hint="`shopease rollback` without --to goes back before it")
            return found
        found.append(manifest)
    message = f"the lake cannot go back to {run_id}: no run with that id has published objects, or it was rolled back"
    raise DataRefusedError(message, hint=_offer(store))


def plan_rollback(store: LakeStore, undone: Sequence[Manifest]) -> RollbackPlan:
    """What undoing these runs, the last of the lake, changes.

    Raises:
        DataRefusedError: a former object is not kept (any more), or an object is not as the runs recorded it.
    """
    objects, new = _replaced([manifest.document for manifest in undone])
    try:
        _require_kept(store, undone[-1].run.run_id, objects)
    except DataRefusedError as error:
        raise DataRefusedError(str(error), hint=_offer(store) if undone[1:] else error.hint) from error
    _require_unchanged(store, undone)
    run_ids = tuple(manifest.run.run_id for manifest in undone)
    earlier = (manifest for manifest in _published(store) if manifest.run.run_id not in run_ids)
    to = next(earlier, None)
    now = _rows(undone, {*objects, *new})
    after = _rows(itertools.chain([to] if to else [], earlier), set(objects))
    changes = [ObjectChange(key, now.get(key), after.get(key), is_deleted=False) for key in sorted(objects)]
    changes += [ObjectChange(key, now.get(key), None, is_deleted=True) for key in new]
    there = {item.key for layer in LAYERS for item in store.list(f"{layer}/")} & KEYS
    return RollbackPlan(
        store.location,
        run_ids,
        to.run.run_id if to else None,
        str(to.document["finished_at"]) if to else None,
        tuple(changes),
        leaves_nothing=not objects and there <= set(new),
    )


def undo(
    store: LakeStore,
    aside: Path,
    documents: Sequence[Mapping[str, Any]],
    require_lock: Callable[[], None],
    **changes: object,
) -> RollbackResult:
    """Restore all that the lake's last runs replaced, at once; `documents` are their manifests, the last one's first.

    `changes` are what the manifests say otherwise then. `aside` is a folder for copies, which must be this command's
    own; `require_lock` raises if the lake's lock was lost while they were made.

    Raises:
        DataRefusedError: a former object is not kept (any more); nothing has changed.
        UnreachableError: the store refuses; the next command that takes the lake's lock goes on with it.
    """
    run_ids = tuple(str(document["run_id"]) for document in documents)
    objects, new = _replaced(documents)
    pending = PendingStore(store, aside)
    try:
        for key, name in objects.items():
            pending.bring_back(key, _required(run_ids[-1], key, name))
        require_lock()
        last, *others = ({**document, "published": False, **changes} for document in documents)
        publish_run(store, pending, last, deletes=new, is_final=True, others=others)
    finally:
        pending.discard()
    return RollbackResult(run_ids[0], tuple(objects), tuple(new), undone=run_ids)


def prune(store: LakeStore, generations: int) -> None:
    """Keep what the last so many runs replaced, and no more; on S3 the bucket's own rules do that."""
    store.prune(found.run.run_id for found in itertools.islice(undoable(store), generations))


def undoable(store: Store) -> Iterator[Manifest]:
    """The manifests of the runs that can be undone, the last one first, as far as what they replaced is kept."""
    return (found for found in _published(store) if found.document.get("replaced") is not None)


def _replaced(documents: Sequence[Mapping[str, Any]]) -> tuple[dict[str, str | None], list[str]]:
    """The names of former objects by key, and the keys that were new, when the first of the runs began.

    What the first run that wrote an object replaced counts: a later one replaced only what that had made.
    """
    objects: dict[str, str | None] = {}
    new: list[str] = []
    for document in reversed(documents):
        replaced, made = _replaced_by(document)
        objects |= {key: name for key, name in replaced.items() if key not in objects and key not in new}
        new += [key for key in made if key not in objects and key not in new]
    return objects, new


def _replaced_by(document: Mapping[str, Any]) -> tuple[Mapping[str, str | None], Sequence[str]]:
    try:
        objects, new = document["replaced"]["objects"], document["replaced"]["new"]
        if {*objects, *new} <= KEYS:
            return dict(objects), list(new)
    except (LookupError, TypeError):
        pass
    message = f"the manifest of the run {document['run_id']} does not tell what it replaced"
    raise DataRefusedError(message, hint="a run of this version tells it; until then `shopease run-all` is the way")


def _require_kept(store: LakeStore, run_id: str, objects: Mapping[str, str | None]) -> None:
    for key, name in objects.items():
        store.require_kept(key, _required(run_id, key, name))


def _required(run_id: str, key: str, name: str | None) -> str:
    if name is None:
        message = f"the {key} that the run {run_id} replaced was not kept"
        hint = "the bucket must keep versions: `make deploy-bucket`, or aws s3api put-bucket-versioning"
        raise DataRefusedError(message, hint=hint)
    return name


def _require_unchanged(store: Store, undone: Sequence[Manifest]) -> None:
    """Raise DataRefusedError where an object is not the one that its run wrote; one that is missing cannot be lost."""
    expected: dict[str, tuple[str, str]] = {}
    for manifest in reversed(undone):
        items = (item for stage in manifest.document["stages"] for item in stage["datasets"])
        expected |= {str(item["key"]): (str(item.get("sha256")), manifest.run.run_id) for item in items}
    for key, (hash_then, run_id) in expected.items():
        found = store.find(key) if key in KEYS else None
        if found and _hash(store, key, found.bytes) != hash_then:
            message = f"{store.uri(key)} is not as the run {run_id} wrote it: it was changed or replaced since"
            raise DataRefusedError(message, hint="keep a copy of it if you need it, then `shopease run-all`")


def _hash(store: Store, key: str, size: int) -> str:
    digest = sha256()
    for start in range(0, size, _CHUNK):
        digest.update(store.read(key, start, _CHUNK))
    return digest.hexdigest()


def _rows(found: Iterable[Manifest], keys: Set[str]) -> dict[str, int]:
    """The rows of objects by key, as the first manifest that knows an object tells them."""
    rows: dict[str, int] = {}
    for manifest in found:
        rows = {**{key: recorded.rows for key, recorded in manifest.recorded.items()}, **rows}
        if keys <= rows.keys():
            break
    return rows


def _offer(store: LakeStore) -> str:
    """A hint that names the runs which the lake can go back to."""
    ids: list[str] = []
    undone: list[Mapping[str, Any]] = []
    for manifest in itertools.islice(_published(store), _NAMED + 1):
        if undone:
            try:
                _require_kept(store, manifest.run.run_id, _replaced(undone)[0])
            except DataRefusedError:
                break
            ids.append(manifest.run.run_id)
        undone.append(manifest.document)
    return f"the lake can go back to {', '.join(ids)}" if ids else "what earlier runs replaced is not kept any more"
