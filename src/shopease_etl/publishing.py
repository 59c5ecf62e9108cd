"""A run's objects published all together: a journal says what, so that another command can finish it."""

import json
import logging
import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import FrameType
from typing import Any, Final

from shopease_etl import tables
from shopease_etl.errors import DataRefusedError, ShopeaseError, UnreachableError
from shopease_etl.storage import LakeStore, put_stream
from shopease_etl.storage.pending import PendingStore

log = logging.getLogger(__name__)

VERSION: Final = 1
_held: Final[list[int]] = []


def publish_run(store: LakeStore, pending: PendingStore, manifest: Mapping[str, Any]) -> None:
    """Let everybody see what a run wrote, and its manifest. An interrupt is held back, until `deliver_interrupt`.

    The journal is what decides: before it nothing has changed; once it is written, the run's objects are published,
    if not by this command, then by the next (`recover`).

    Raises:
        UnreachableError: the store refuses something; `pending.is_committed` tells on which side of the journal.
    """
    key = tables.JOURNAL + str(manifest["run_id"])
    journal = {"version": VERSION, "manifest": manifest, "objects": pending.tickets()}
    with uninterrupted():
        log.info("publishing %d objects", pending.waiting)
        put_stream(store, key, [json.dumps(journal, default=str).encode()])
        try:
            pending.publish()
            write_manifest(store, manifest)
        except ShopeaseError as error:
            message = f"{error}; all the run's objects are whole, and the next run, clean or crawl publishes the rest"
            raise type(error)(message, hint=error.hint) from error
        _forget(store, key)


def recover(store: LakeStore) -> None:
    """Finish what commands that died had begun to publish; the lake's lock is held.

    Raises:
        DataRefusedError: a journal is not one that this version reads.
        UnreachableError: the store refuses an object.
    """
    keys = [item.key for item in store.list(f"{tables.RUNS}/") if item.key.startswith(tables.JOURNAL)]
    for key in sorted(keys):
        manifest, objects = _read(store, key)
        try:
            lost = [item["key"] for item in objects if not store.finish(item)]
        except UnreachableError as error:
            hint = f"mend that and run it again; to give that run up, delete {key} and run `shopease run-all`"
            raise UnreachableError(f"the run {manifest['run_id']} is published in part: {error}", hint=hint) from error
        _tell(manifest, len(objects), lost)
        if _was_running(store, manifest):
            end = {"status": "interrupted", "error": "it died while it published; a later command went on with it"}
            write_manifest(store, {**manifest, **end, "published": not lost})
        _forget(store, key)


def _tell(manifest: Mapping[str, Any], count: int, lost: list[str]) -> None:
    if lost:
        log.error(
            "the run %s died while it published, and is lost in part: %s stay as they were; "
            "`shopease run-all` makes the lake whole",
            manifest["run_id"],
            ", ".join(lost),
        )
    else:
        log.warning("the run %s died while it published; its %d objects are published now", manifest["run_id"], count)


def _read(store: LakeStore, key: str) -> tuple[Mapping[str, Any], list[Mapping[str, Any]]]:
    try:
        journal = json.loads(store.read(key))
        manifest, objects = journal["manifest"], journal["objects"]
        is_ours = key == tables.JOURNAL + manifest["run_id"] and journal["version"] == VERSION
        if is_ours and all(item["key"] in tables.KEYS for item in objects):
            return manifest, objects
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        pass
    message = f"{store.uri(key)} tells what a run was publishing when it died, and cannot be read by this version"
    raise DataRefusedError(message, hint="delete it to give that run up, then run `shopease run-all`")


def _was_running(store: LakeStore, manifest: Mapping[str, Any]) -> bool:
    """Whether the run never came to write how it ended."""
    key = _manifest_key(manifest)
    if store.find(key) is None:
        return True
    try:
        return bool(json.loads(store.read(key))["status"] == manifest["status"])
    except (ValueError, LookupError, TypeError):
        return True


def write_manifest(store: LakeStore, manifest: Mapping[str, Any]) -> None:
    """Write what a run tells of itself."""
    put_stream(store, _manifest_key(manifest), [json.dumps(manifest, indent=2, default=str).encode() + b"\n"])


def _manifest_key(manifest: Mapping[str, Any]) -> str:
    return f"{tables.RUNS}/{manifest['run_id']}.json"


def _forget(store: LakeStore, key: str) -> None:
    """Delete a journal whose work is done; one that stays does no harm."""
    try:
        store.delete([key])
    except UnreachableError as error:
        log.warning("%s is done with, but stays: %s", key, error)


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Hold an interrupt back until `deliver_interrupt`; one that is ignored stays so."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = [number for number in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(number) != signal.SIG_IGN]
    former = {number: signal.signal(number, _hold) for number in numbers}
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)


def _hold(number: int, _frame: FrameType | None) -> None:
    _held.append(number)


def deliver_interrupt() -> None:
    """Raise the KeyboardInterrupt that was held back, if there was one."""
    if _held:
        _held.clear()
        raise KeyboardInterrupt
