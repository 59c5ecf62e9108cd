"""A run's objects published all together: a journal says what, so that another command can finish it."""

import json
import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

from shopease_etl import cancel
from shopease_etl.contract import layout
from shopease_etl.errors import DataRefusedError, ShopeaseError, UnreachableError
from shopease_etl.lake.staging import PendingStore
from shopease_etl.lake.store import LakeStore, Store, Ticket, put_stream
from shopease_etl.report import Status

log = logging.getLogger(__name__)

VERSION: Final = 3
_RUN_ID: Final = re.compile(r"[0-9A-Za-z.-]+")
_READABLE: Final = {2, VERSION}  # in 2 there are no `others`


@dataclass(frozen=True)
class _Journal:
    """What a command was publishing; `is_final` where the manifest is to stand as it is, whatever it said before.

    `others` are manifests of further runs, which change with it.
    """

    key: str
    manifest: Mapping[str, Any]
    objects: Sequence[Ticket]
    deletes: Sequence[str]
    is_final: bool
    others: Sequence[Mapping[str, Any]]


def publish_run(
    store: LakeStore,
    pending: PendingStore,
    manifest: Mapping[str, Any],
    *,
    deletes: Sequence[str] = (),
    is_final: bool = False,
    others: Sequence[Mapping[str, Any]] = (),
) -> None:
    """Let everybody see what a run wrote, and its manifest. An interrupt waits until that is done.

    The journal is what decides: before it nothing has changed, and it is not written where it can be foreseen that an
    object could not be replaced or deleted; once it is written, the run's objects are published,
    and the objects in `deletes` are deleted, if not by this command, then by the next (`recover`). The manifest of a
    run that publishes is not its last; one that undoes a run is (`is_final`). `others` are further runs' manifests.

    Raises:
        UnreachableError: the store refuses something; `pending.is_committed` tells on which side of the journal.
    """
    key = layout.JOURNAL + str(manifest["run_id"])
    journal = {"version": VERSION, "manifest": manifest, "objects": pending.tickets(), "deletes": list(deletes)}
    with cancel.deferred("finishing what is being published"):
        store.check_targets([*pending.waiting, *deletes, _manifest_key(manifest)])
        log.info("publishing %d objects", len(pending.waiting))
        put_stream(store, key, [sealed({**journal, "is_final": is_final, "others": list(others)})])
        try:
            pending.publish()
            store.delete(deletes)
            for changed in (*others, manifest):
                write_manifest(store, changed)
        except ShopeaseError as error:
            message = f"{error}; all the run's objects are whole, and the next run, clean or crawl publishes the rest"
            raise type(error)(message, hint=error.hint, details=error.details) from error
        _forget(store, key)


def recover(store: LakeStore) -> bool:
    """Finish what commands that died had begun to publish, and tell whether there was any; the lake's lock is held.

    Raises:
        DataRefusedError: a journal is not one that this version reads.
        UnreachableError: the store refuses an object.
    """
    keys = sorted(item.key for item in store.list(layout.JOURNAL))
    for key in keys:
        journal = _read(store, key)
        run_id = journal.manifest["run_id"]
        try:
            lost = [item["key"] for item in journal.objects if not store.finish(item)]
            store.delete(journal.deletes)
        except UnreachableError as error:
            hint = f"mend that and run it again; to give that run up, delete {key} and run `shopease run-all`"
            raise UnreachableError(f"the run {run_id} is published in part: {error}", hint=hint) from error
        _tell(journal, lost)
        _end(store, journal, is_lost=bool(lost))
        _forget(store, key)
    return bool(keys)


def publishing(store: Store) -> tuple[str, ...]:
    """The runs whose publication has begun and is not over: under way, or broken off."""
    return tuple(sorted(item.key.removeprefix(layout.JOURNAL) for item in store.list(layout.JOURNAL)))


def warn_of_publishing(store: Store) -> tuple[str, ...]:
    """The runs that `publishing` gives, with a warning: readers may see new objects beside former ones."""
    if begun := publishing(store):
        told = (
            "the run %s is publishing, or died while it did: some objects may be older than others until the next run, "
            "`shopease clean` or `shopease crawl` finishes it"
        )
        log.warning(told, ", ".join(begun))
    return begun


def _tell(journal: _Journal, lost: Sequence[str]) -> None:
    run_id, doing = journal.manifest["run_id"], "was undone" if journal.is_final else "published"
    if lost:
        log.error(
            "the run %s died while it %s, and is lost in part: %s stay as they were; "
            "`shopease run-all` makes the lake whole",
            run_id,
            doing,
            ", ".join(lost),
        )
    elif journal.is_final:
        log.warning("a command died while it undid the run %s; that is done now", run_id)
    else:
        log.warning(
            "the run %s died while it published; its %d objects are published now", run_id, len(journal.objects)
        )


def _end(store: LakeStore, journal: _Journal, *, is_lost: bool) -> None:
    """Write the manifest of a run that never came to write how it ended, or whose manifest claims what is lost."""
    present = _manifest(store, journal.manifest)
    for other in journal.others:
        write_manifest(store, other)
    if journal.is_final:
        write_manifest(store, journal.manifest)
    elif present is None or present.get("status") == journal.manifest["status"]:
        end = {"status": Status.INTERRUPTED, "error": "it died while it published; a later command went on with it"}
        write_manifest(store, {**journal.manifest, **end, "published": not is_lost})
    elif is_lost:
        write_manifest(store, {**present, "published": False})


def sealed(journal: Mapping[str, Any]) -> bytes:
    """A journal as it is written, with its hash in the first line: of what is damaged nothing is begun."""
    body = json.dumps(journal, default=str).encode()
    return _seal(body) + b"\n" + body


def _seal(body: bytes) -> bytes:
    return sha256(body).hexdigest().encode()


def _read(store: LakeStore, key: str) -> _Journal:
    try:
        seal, _, body = store.read(key).partition(b"\n")
        document = json.loads(body)
        manifest, objects, deletes = (document[name] for name in ("manifest", "objects", "deletes"))
        is_ours = key == layout.JOURNAL + manifest["run_id"] and document["version"] in _READABLE
        if seal == _seal(body) and is_ours and all(map(layout.owns, (*(item["key"] for item in objects), *deletes))):
            others = [{**other} for other in document.get("others", ())]
            if all(_RUN_ID.fullmatch(other["run_id"]) for other in others):
                return _Journal(key, manifest, objects, deletes, bool(document["is_final"]), others)
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        pass
    message = f"{store.uri(key)} tells what a run was publishing when it died, and cannot be read by this version"
    raise DataRefusedError(message, hint="delete it to give that run up, then run `shopease run-all`")


def _manifest(store: LakeStore, manifest: Mapping[str, Any]) -> dict[str, Any] | None:
    """What a run's manifest says now; None where there is none that can be read."""
    key = _manifest_key(manifest)
    if store.find(key) is None:
        return None
    try:
        document = json.loads(store.read(key))
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def write_manifest(store: LakeStore, manifest: Mapping[str, Any]) -> None:
    """Write what a run tells of itself."""
    put_stream(store, _manifest_key(manifest), [json.dumps(manifest, indent=2, default=str).encode() + b"\n"])


def _manifest_key(manifest: Mapping[str, Any]) -> str:
    return f"{layout.RUNS}/{manifest['run_id']}.json"


def _forget(store: LakeStore, key: str) -> None:
    """Delete a journal whose work is done; one that stays does no harm."""
    try:
        store.delete([key])
    except UnreachableError as error:
        log.warning("%s is done with, but stays: %s", key, error)
