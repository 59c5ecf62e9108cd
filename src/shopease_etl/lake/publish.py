"""Publishes a run's objects together; a journal lets the next command finish what a dead one began."""

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
from shopease_etl.lake.staging import Transaction
from shopease_etl.lake.store import LakeStore, PendingWrite, Store, put_stream
from shopease_etl.report import Status

log = logging.getLogger(__name__)

FINISHING: Final = "finishing what is being published"

VERSION: Final = 3
_RUN_ID: Final = re.compile(r"[0-9A-Za-z.-]+")
_READABLE: Final = {2, VERSION}  # version 2 has no `others`


@dataclass(frozen=True)
class _Journal:
    """What a command was publishing; `is_final` if the manifest replaces the present one unchanged.

    `others` are manifests of other runs that change with it.
    """

    key: str
    manifest: Mapping[str, Any]
    objects: Sequence[PendingWrite]
    deletes: Sequence[str]
    is_final: bool
    others: Sequence[Mapping[str, Any]]


def publish_run(
    store: LakeStore,
    pending: Transaction,
    manifest: Mapping[str, Any],
    *,
    deletes: Sequence[str] = (),
    is_final: bool = False,
    others: Sequence[Mapping[str, Any]] = (),
) -> None:
    """Publish what a run wrote, and its manifest. An interrupt waits until that is done.

    The journal decides. Before it is written nothing changes; it is not written if an object certainly cannot be
    replaced or deleted. Once it is written, the run's objects are published and those in `deletes` deleted, by this
    command or by the next one (`recover`). The manifest of a run that publishes is written once more at its end; that
    of a run that is undone is not (`is_final`). `others` are manifests of other runs.

    Raises:
        UnreachableError: the store refuses something; `pending.is_committed` says whether the journal was written.
    """
    key = layout.JOURNAL + str(manifest["run_id"])
    journal = {"version": VERSION, "manifest": manifest, "objects": pending.pending_writes(), "deletes": list(deletes)}
    with cancel.deferred(FINISHING):
        store.check_targets([*pending.waiting, *deletes, _manifest_key(manifest)])
        log.info("publishing %d objects", len(pending.waiting))
        put_stream(store, key, [sealed({**journal, "is_final": is_final, "others": list(others)})])
        try:
            pending.publish()
            store.delete(deletes)
            for changed in (*others, manifest):
                write_manifest(store, changed)
        except ShopeaseError as error:
            message = (
                f"{error}; all the run's objects are complete, and the next run, clean or crawl publishes the rest"
            )
            raise type(error)(message, hint=error.hint, details=error.details) from error
        _delete_journal(store, key)


def recover(store: LakeStore) -> bool:
    """Finish publications that dead commands began; returns whether there was one. The caller holds the lake's lock.

    Raises:
        DataRefusedError: this version cannot read a journal.
        UnreachableError: the store refuses an object.
    """
    keys = sorted(item.key for item in store.list(layout.JOURNAL))
    for key in keys:
        journal = _read_journal(store, key)
        run_id = journal.manifest["run_id"]
        try:
            lost = [item["key"] for item in journal.objects if not store.finish(item)]
            if journal.is_final or not lost:  # the former files are the only ones, if new ones are lost
                store.delete(journal.deletes)
        except UnreachableError as error:
            hint = f"fix that and run it again; to discard that run, delete {key} and run `shopease run-all`"
            raise UnreachableError(f"the run {run_id} is partly published: {error}", hint=hint) from error
        _log_recovery(journal, lost)
        _write_outcome(store, journal, is_lost=bool(lost))
        _delete_journal(store, key)
    return bool(keys)


def unfinished_publications(store: Store) -> tuple[str, ...]:
    """The runs that are publishing, or died while they were."""
    return tuple(sorted(item.key.removeprefix(layout.JOURNAL) for item in store.list(layout.JOURNAL)))


def warn_of_unfinished_publications(store: Store) -> tuple[str, ...]:
    """The runs of `unfinished_publications`, with a warning: readers may see new and former objects together."""
    if unfinished := unfinished_publications(store):
        log.warning(
            "the run %s is publishing, or died while it did: some objects may be older than others until the next run, "
            "`shopease clean` or `shopease crawl` finishes it",
            ", ".join(unfinished),
        )
    return unfinished


def _log_recovery(journal: _Journal, lost: Sequence[str]) -> None:
    run_id, doing = journal.manifest["run_id"], "was undone" if journal.is_final else "published"
    if lost:
        log.error(
            "the run %s died while it %s, and some objects are lost: %s stay as they were; "
            "`shopease run-all` repairs the lake",
            run_id,
            doing,
            ", ".join(lost),
        )
    elif journal.is_final:
        log.warning("a command died while it undid the run %s; the run is undone now", run_id)
    else:
        log.warning(
            "the run %s died while it published; its %d objects are published now", run_id, len(journal.objects)
        )


def _write_outcome(store: LakeStore, journal: _Journal, *, is_lost: bool) -> None:
    """Write the manifest of a run that died before it could, or whose manifest names lost objects."""
    present = _manifest(store, journal.manifest)
    for other in journal.others:
        write_manifest(store, other)
    if journal.is_final:
        write_manifest(store, journal.manifest)
    elif present is None or present.get("status") == journal.manifest["status"]:
        end = {"status": Status.INTERRUPTED, "error": "it died while it published; a later command finished that"}
        write_manifest(store, {**journal.manifest, **end, "published": not is_lost})
    elif is_lost:
        write_manifest(store, {**present, "published": False})


def sealed(journal: Mapping[str, Any]) -> bytes:
    """A journal as it is stored, with its hash in the first line: a damaged one is refused."""
    body = json.dumps(journal, default=str).encode()
    return _hash(body) + b"\n" + body


def _hash(body: bytes) -> bytes:
    return sha256(body).hexdigest().encode()


def _read_journal(store: LakeStore, key: str) -> _Journal:
    try:
        seal, _, body = store.read(key).partition(b"\n")
        document = json.loads(body)
        manifest, objects, deletes = (document[name] for name in ("manifest", "objects", "deletes"))
        is_ours = key == layout.JOURNAL + manifest["run_id"] and document["version"] in _READABLE
        if seal == _hash(body) and is_ours and all(map(layout.owns, (*(item["key"] for item in objects), *deletes))):
            others = [{**other} for other in document.get("others", ())]
            if all(_RUN_ID.fullmatch(other["run_id"]) for other in others):
                return _Journal(key, manifest, objects, deletes, bool(document["is_final"]), others)
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        pass
    message = f"this version cannot read {store.uri(key)}, the journal of a run that died while it published"
    raise DataRefusedError(message, hint="delete it to discard that run, then run `shopease run-all`")


def _manifest(store: LakeStore, manifest: Mapping[str, Any]) -> dict[str, Any] | None:
    """A run's present manifest, if there is one that can be read."""
    key = _manifest_key(manifest)
    if store.find(key) is None:
        return None
    try:
        document = json.loads(store.read(key))
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def write_manifest(store: LakeStore, manifest: Mapping[str, Any]) -> None:
    """Write a run's manifest."""
    put_stream(store, _manifest_key(manifest), [json.dumps(manifest, indent=2, default=str).encode() + b"\n"])


def _manifest_key(manifest: Mapping[str, Any]) -> str:
    return f"{layout.RUNS}/{manifest['run_id']}.json"


def _delete_journal(store: LakeStore, key: str) -> None:
    """Delete a finished journal; it does no harm if it stays."""
    try:
        store.delete([key])
    except UnreachableError as error:
        log.warning("%s is finished, but cannot be deleted: %s", key, error)
