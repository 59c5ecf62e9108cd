"""Undoes one or more runs: restores what they replaced and deletes what was new, all at once."""

import itertools
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from shopease_etl.contract import layout
from shopease_etl.errors import ConfigurationError, DataRefusedError
from shopease_etl.lake.manifests import Manifest, latest_records, manifests, missing_objects, own_objects, sha256_of
from shopease_etl.lake.publish import publish_run
from shopease_etl.lake.staging import Transaction
from shopease_etl.lake.store import LakeStore, Store
from shopease_etl.report import ObjectChange, ObjectRecord, RollbackPlan, RollbackResult


def runs_to_undo(store: LakeStore, to: str | None = None) -> list[Manifest]:
    """The manifests of the last run that published, or of all that published after the run `to`; the last one first.

    Raises:
        ConfigurationError: `to` is the last of them, or not a run of the lake.
        DataRefusedError: there is none, or the run `to` published nothing or was rolled back.
    """
    found = list(itertools.islice(_published(store), 1)) if to is None else _published_after(store, to)
    if not found:
        message = f"no run has published anything in {store.location}: there is nothing to roll back"
        raise DataRefusedError(message, hint="`shopease run-all` fills the lake")
    return found


def _published(store: Store) -> Iterator[Manifest]:
    """The manifests of the runs that published, the last one first."""
    return (manifest for manifest in manifests(store) if manifest.recorded)


def _published_after(store: LakeStore, run_id: str) -> list[Manifest]:
    if not store.find(f"{layout.RUNS}/{run_id}.json"):
        message = f"{store.location} has no run {run_id!r}"
        raise ConfigurationError(message, hint=_rollback_hint(store) or "`shopease status` shows the last runs")
    found: list[Manifest] = []
    for manifest in _published(store):
        if manifest.run.run_id == run_id:
            if not found:
                message = f"the lake is as the run {run_id} left it"
                raise ConfigurationError(message, hint="`shopease rollback` without --to goes back before it")
            return found
        found.append(manifest)
    message = f"the lake cannot go back to {run_id}: that run has published nothing, or it was rolled back"
    raise DataRefusedError(message, hint=_rollback_hint(store) or "what earlier runs replaced is no longer kept")


def plan_rollback(store: LakeStore, undone: Sequence[Manifest]) -> RollbackPlan:
    """What changes if these runs, the last of the lake, are undone.

    Raises:
        DataRefusedError: a former object is not kept, or a former or present object is missing or not as its run wrote
            it.
    """
    objects, new = _replaced([manifest.document for manifest in undone])
    run_ids = tuple(manifest.run.run_id for manifest in undone)
    there = _sizes(store)
    leaves_nothing = not objects and there.keys() <= {*new}
    try:
        _require_former(store, run_ids[-1], objects)
    except DataRefusedError as error:
        raise DataRefusedError(str(error), hint=(undone[1:] and _rollback_hint(store)) or error.hint) from error
    now = latest_records(undone, {*map(layout.dataset_of, (*objects, *new))})
    after = _records_before(store, run_ids)
    _require_unchanged(store, {key: now[key] for key in (*objects, *new) if key in now and key in there})
    try:
        _require_restorable(store, run_ids[-1], (objects, new), ({} if leaves_nothing else after, now), there)
    except DataRefusedError as error:
        hint = "the lake stays as the last run left it; `shopease run-all` rebuilds it from the source"
        raise DataRefusedError(str(error), hint=_rollback_hint(store, is_read=True) or hint) from error
    to = next(_runs_before(store, run_ids), None)
    rows = {key: _rows(now, key) if key in now or key in there else 0 for key in (*objects, *new)}
    changes = [ObjectChange(key, rows[key], _rows(after, key), is_deleted=False) for key in sorted(objects)]
    changes += [ObjectChange(key, rows[key], None, is_deleted=True) for key in new]
    return RollbackPlan(
        store.location,
        run_ids,
        to.run.run_id if to else None,
        str(to.document["finished_at"]) if to else None,
        tuple(changes),
        leaves_nothing=leaves_nothing,
    )


def _sizes(store: Store) -> dict[str, int]:
    """The lake's objects by key, in bytes."""
    return {item.key: item.bytes for item in own_objects(store)}


def _records_before(store: Store, run_ids: Collection[str]) -> dict[str, ObjectRecord]:
    """The objects of the lake, by key, as it was before these runs."""
    every = {*map(layout.dataset_of, layout.all_keys())}
    recorded = latest_records(_runs_before(store, run_ids), every)
    return {key: known for key, known in recorded.items() if layout.owns(key)}


def _runs_before(store: Store, run_ids: Collection[str]) -> Iterator[Manifest]:
    """The manifests of the runs that published, except these, the last one first."""
    return (manifest for manifest in _published(store) if manifest.run.run_id not in run_ids)


def undo(
    store: LakeStore,
    aside: Path,
    documents: Sequence[Mapping[str, Any]],
    require_lock: Callable[[], None],
    **changes: object,
) -> RollbackResult:
    """Restore at once what the lake's last runs replaced; `documents` are their manifests, the last one first.

    `changes` are fields to change in the manifests. `aside` is a folder for copies that no other command uses;
    `require_lock` raises if the lake's lock was lost during the copying.

    Raises:
        DataRefusedError: a former object is not kept; nothing has changed.
        UnreachableError: the store refuses; the next command that takes the lake's lock finishes it.
    """
    run_ids = tuple(str(document["run_id"]) for document in documents)
    objects, new = _replaced(documents)
    pending = Transaction(store, aside)
    try:
        for key, name in objects.items():
            pending.restore_version(key, _require_name(run_ids[-1], key, name))
        require_lock()
        last, *others = ({**document, "published": False, **changes} for document in documents)
        publish_run(store, pending, last, deletes=[*new, *_state_of(store, new)], is_final=True, others=others)
    finally:
        pending.discard()
    return RollbackResult(run_ids[0], tuple(objects), tuple(new), undone=run_ids)


def _state_of(store: Store, keys: Collection[str]) -> list[str]:
    """The keys of the state of the months that these files are of, if any of them is of a month."""
    months = {(layout.month_of(key), key.split("/")[1]) for key in keys if layout.month_of(key)}
    there = own_objects(store, [layout.STATE]) if months else []
    return [item.key for item in there if (layout.month_of(item.key), item.key.split("/")[1]) in months]


def prune(store: LakeStore, generations: int) -> None:
    """Delete what runs replaced, except for the last `generations` runs; on S3 the bucket's rules do that."""
    store.prune(found.run.run_id for found in itertools.islice(undoable(store), generations))


def undoable(store: Store) -> Iterator[Manifest]:
    """The manifests of the runs that can be undone if what they replaced is still kept, the last one first."""
    return (found for found in _published(store) if found.document.get("replaced") is not None)


def _replaced(documents: Sequence[Mapping[str, Any]]) -> tuple[dict[str, str | None], list[str]]:
    """The names of former objects by key, and the keys that did not exist, when the first of the runs began.

    For each object the first run that wrote it counts: later ones replaced what that run had written.
    """
    objects: dict[str, str | None] = {}
    new: list[str] = []
    for document in reversed(documents):
        replaced, created = _replaced_in(document)
        objects |= {key: name for key, name in replaced.items() if key not in objects and key not in new}
        new += [key for key in created if key not in objects and key not in new]
    return objects, new


def _replaced_in(document: Mapping[str, Any]) -> tuple[Mapping[str, str | None], Sequence[str]]:
    try:
        objects, new = document["replaced"]["objects"], document["replaced"]["new"]
        if all(map(layout.owns, (*objects, *new))):
            return dict(objects), list(new)
    except (LookupError, TypeError):
        pass
    message = f"the manifest of the run {document['run_id']} does not say what it replaced"
    raise DataRefusedError(message, hint="`shopease run-all` writes such a manifest, and rebuilds the lake")


def _require_former(store: LakeStore, run_id: str, objects: Mapping[str, str | None]) -> None:
    for key, name in objects.items():
        store.require_former(key, _require_name(run_id, key, name))


def _require_name(run_id: str, key: str, name: str | None) -> str:
    if name is None:
        message = f"the {key} that the run {run_id} replaced was not kept"
        hint = "the bucket must keep versions: `make deploy-bucket`, or aws s3api put-bucket-versioning"
        raise DataRefusedError(message, hint=hint)
    return name


def _require_restorable(
    store: LakeStore,
    run_id: str,
    replaced: tuple[Mapping[str, str | None], Collection[str]],
    recorded: tuple[Mapping[str, ObjectRecord], Mapping[str, ObjectRecord]],
    there: Mapping[str, int],
) -> None:
    """Raise DataRefusedError if the restored lake would not be the recorded one.

    `replaced` are the former objects and the keys that did not exist when the run began; `recorded` is what the
    restored lake has and what the undone runs have; `there` are the present objects with their sizes.
    A layer that no run has written since may be missing: `cleanup` deletes complete layers. Of a file that the undone
    runs carried over only the size is compared.
    """
    (objects, new), (after, now) = replaced, recorded
    for key, known in after.items():
        if key in objects:
            name = _require_name(run_id, key, objects[key])
            if known.sha256 not in {None, sha256_of(partial(store.read_former, key, name))}:
                message = f"the former {key} is not as the run {known.run_id} wrote it: it was changed before {run_id}"
                raise DataRefusedError(message)
        elif key in new:
            message = f"{key}, which the run {known.run_id} wrote, was missing when {run_id} began, and would be again"
            raise DataRefusedError(message)
        elif key in there and not _is_as_recorded(store, key, there[key], known, is_carried_over=key in now):
            message = f"{store.uri(key)}, which would stay, is not as the run {known.run_id} wrote it"
            raise DataRefusedError(message)
    for key, known in missing_objects(after, {*objects, *there} - {*new}).items():
        message = f"{key}, which the run {known.run_id} wrote, is missing in {store.location}"
        raise DataRefusedError(message)


def _is_as_recorded(store: LakeStore, key: str, size: int, known: ObjectRecord, *, is_carried_over: bool) -> bool:
    if is_carried_over:
        return size == known.bytes
    return known.sha256 in {None, sha256_of(partial(store.read, key))}


def _require_unchanged(store: LakeStore, recorded: Mapping[str, ObjectRecord]) -> None:
    """Raise DataRefusedError if an object was changed since its run wrote it; a missing one cannot be lost."""
    for key, known in recorded.items():
        if known.sha256 not in {None, sha256_of(partial(store.read, key))}:
            move = f"{'mv' if store.folder else 'aws s3 mv'} {store.uri(key)} {PurePosixPath(key).name}"
            message = f"{store.uri(key)} is not as the run {known.run_id} wrote it: it was changed or replaced since"
            raise DataRefusedError(message, hint=f"move it out of the lake, then roll back: {move}")


def _rows(recorded: Mapping[str, ObjectRecord], key: str) -> int | None:
    return recorded[key].rows if key in recorded else None


def _rollback_hint(store: LakeStore, *, is_read: bool = False) -> str | None:
    """A hint that names the runs to which the lake can go back; with `is_read` the kept objects are verified for it."""
    ids: list[str] = []
    undone: list[Manifest] = []
    for manifest in itertools.islice(_published(store), 11):  # the last run, and ten to go back to
        if undone and _can_come_back(store, undone, is_read=is_read):
            ids.append(manifest.run.run_id)
        undone.append(manifest)
    return f"the lake can go back to {', '.join(ids)} (`shopease rollback --to RUN_ID`)" if ids else None


def _can_come_back(store: LakeStore, undone: Sequence[Manifest], *, is_read: bool) -> bool:
    try:
        objects, new = _replaced([manifest.document for manifest in undone])
        _require_former(store, undone[-1].run.run_id, objects)
        if is_read:
            run_ids = [manifest.run.run_id for manifest in undone]
            now = latest_records(undone, {*map(layout.dataset_of, (*objects, *new))})
            recorded = _records_before(store, run_ids), now
            _require_restorable(store, run_ids[-1], (objects, new), recorded, _sizes(store))
    except DataRefusedError:
        return False
    return True
