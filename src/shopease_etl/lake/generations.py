"""The lake as it was before one or more runs: what they replaced is restored, what was new is deleted, all at once."""

import itertools
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence, Set
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, Final

from shopease_etl.contract import layout
from shopease_etl.errors import ConfigurationError, DataRefusedError
from shopease_etl.lake.manifests import Manifest, lost, manifests, sha256_of
from shopease_etl.lake.publish import publish_run
from shopease_etl.lake.staging import PendingStore
from shopease_etl.lake.store import LakeStore, Store
from shopease_etl.report import ObjectChange, Recorded, RollbackPlan, RollbackResult

_NAMED: Final = 10  # runs that a refusal names
_NOTHING_KEPT: Final = "what earlier runs replaced is not kept any more"
_STAYS: Final = "the lake stays as the last run left it; `shopease run-all` makes it again from the source"


def runs_to_undo(store: LakeStore, to: str | None = None) -> list[Manifest]:
    """The manifests of the last run that published, or of all that published after the run `to`; the last one first.

    Raises:
        ConfigurationError: `to` is the last of them, or no run of the lake.
        DataRefusedError: there is none, or the run `to` has published nothing or was rolled back.
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
    if not store.find(f"{layout.RUNS}/{run_id}.json"):
        message = f"{store.location} has no run {run_id!r}"
        raise ConfigurationError(message, hint=_offer(store) or "`shopease status` shows the last runs")
    found: list[Manifest] = []
    for manifest in _published(store):
        if manifest.run.run_id == run_id:
            if not found:
                message = f"the lake is as the run {run_id} left it"
                raise ConfigurationError(message, hint="`shopease rollback` without --to goes back before it")
            return found
        found.append(manifest)
    message = f"the lake cannot go back to {run_id}: that run has published nothing, or it was rolled back"
    raise DataRefusedError(message, hint=_offer(store) or _NOTHING_KEPT)


def plan_rollback(store: LakeStore, undone: Sequence[Manifest]) -> RollbackPlan:
    """What undoing these runs, the last of the lake, changes.

    Raises:
        DataRefusedError: a former object is not kept (any more), or an object, former or present, is missing or not as
            its run wrote it.
    """
    objects, new = _replaced([manifest.document for manifest in undone])
    run_ids = tuple(manifest.run.run_id for manifest in undone)
    there = _there(store)
    leaves_nothing = not objects and there <= set(new)
    try:
        _require_kept(store, run_ids[-1], objects)
    except DataRefusedError as error:
        raise DataRefusedError(str(error), hint=(undone[1:] and _offer(store)) or error.hint) from error
    now, after = _recorded(undone, {*objects, *new}), _recorded(_before(store, run_ids), layout.keys())
    _require_unchanged(store, {key: item for key, item in now.items() if key in there})
    try:
        _require_former(store, run_ids[-1], (objects, new), {} if leaves_nothing else after, there)
    except DataRefusedError as error:
        raise DataRefusedError(str(error), hint=_offer(store, is_read=True) or _STAYS) from error
    to = next(_before(store, run_ids), None)
    changes = [ObjectChange(key, _rows(now, key), _rows(after, key), is_deleted=False) for key in sorted(objects)]
    changes += [ObjectChange(key, _rows(now, key), None, is_deleted=True) for key in new]
    return RollbackPlan(
        store.location,
        run_ids,
        to.run.run_id if to else None,
        str(to.document["finished_at"]) if to else None,
        tuple(changes),
        leaves_nothing=leaves_nothing,
    )


def _there(store: Store) -> set[str]:
    return {item.key for layer in layout.LAYERS for item in store.list(f"{layer}/") if layout.owns(item.key)}


def _before(store: Store, run_ids: Collection[str]) -> Iterator[Manifest]:
    """The manifests of the runs that published, without these, the last one first."""
    return (manifest for manifest in _published(store) if manifest.run.run_id not in run_ids)


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
        if all(map(layout.owns, (*objects, *new))):
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


def _require_former(
    store: LakeStore,
    run_id: str,
    replaced: tuple[Mapping[str, str | None], Collection[str]],
    recorded: Mapping[str, Recorded],
    there: Collection[str],
) -> None:
    """Raise DataRefusedError where the lake that comes back is not the `recorded` one.

    `replaced` are the former objects and the keys that were new when the run began; `there` are the keys that are
    present now. Of a layer that no run touched since, all may be gone: `cleanup` deletes whole layers.
    """
    objects, new = replaced
    for key, known in recorded.items():
        if key in objects:
            name = _required(run_id, key, objects[key])
            if known.sha256 not in {None, sha256_of(partial(store.read_kept, key, name))}:
                message = f"the former {key} is not as the run {known.run_id} wrote it: it was changed before {run_id}"
                raise DataRefusedError(message)
        elif key in new:
            message = f"{key}, which the run {known.run_id} wrote, was missing when {run_id} began, and would be again"
            raise DataRefusedError(message)
        elif key in there and known.sha256 not in {None, sha256_of(partial(store.read, key))}:
            message = f"{store.uri(key)}, which would stay, is not as the run {known.run_id} wrote it"
            raise DataRefusedError(message)
    for key, known in lost(recorded, {*objects, *there} - {*new}).items():
        message = f"{key}, which the run {known.run_id} wrote, is missing in {store.location}"
        raise DataRefusedError(message)


def _require_unchanged(store: LakeStore, recorded: Mapping[str, Recorded]) -> None:
    """Raise DataRefusedError where an object is not the one that its run wrote; one that is missing cannot be lost."""
    for key, known in recorded.items():
        if known.sha256 not in {None, sha256_of(partial(store.read, key))}:
            move = f"{'mv' if store.folder else 'aws s3 mv'} {store.uri(key)} {PurePosixPath(key).name}"
            message = f"{store.uri(key)} is not as the run {known.run_id} wrote it: it was changed or replaced since"
            raise DataRefusedError(message, hint=f"move it out of the lake, and roll back then: {move}")


def _recorded(found: Iterable[Manifest], keys: Set[str]) -> dict[str, Recorded]:
    """What the first manifest that knows an object tells of it, by key."""
    recorded: dict[str, Recorded] = {}
    for manifest in found:
        recorded = {**manifest.recorded, **recorded}
        if keys <= recorded.keys():
            break
    return {key: known for key, known in recorded.items() if layout.owns(key)}


def _rows(recorded: Mapping[str, Recorded], key: str) -> int | None:
    return recorded[key].rows if key in recorded else None


def _offer(store: LakeStore, *, is_read: bool = False) -> str | None:
    """A hint that names the runs which the lake can go back to; with `is_read` what is kept is read for that."""
    ids: list[str] = []
    undone: list[Manifest] = []
    for manifest in itertools.islice(_published(store), _NAMED + 1):
        if undone and _can_come_back(store, undone, is_read=is_read):
            ids.append(manifest.run.run_id)
        undone.append(manifest)
    return f"the lake can go back to {', '.join(ids)} (`shopease rollback --to RUN_ID`)" if ids else None


def _can_come_back(store: LakeStore, undone: Sequence[Manifest], *, is_read: bool) -> bool:
    try:
        objects, new = _replaced([manifest.document for manifest in undone])
        _require_kept(store, undone[-1].run.run_id, objects)
        if is_read:
            run_ids = [manifest.run.run_id for manifest in undone]
            after = _recorded(_before(store, run_ids), layout.keys())
            _require_former(store, run_ids[-1], (objects, new), after, _there(store))
    except DataRefusedError:
        return False
    return True
