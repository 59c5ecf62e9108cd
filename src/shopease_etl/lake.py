"""The lake's layers: datasets read as frames, written aside, published together, and the manifests of runs."""

import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from shopease_etl import tables
from shopease_etl.errors import DataRefusedError, ShopeaseError
from shopease_etl.results import Recorded, RunSummary
from shopease_etl.storage import Store, Upload

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Manifest:
    """What a run's manifest tells: how it went, and by key what it recorded of the objects that readers see.

    `document` is the whole of it.
    """

    run: RunSummary
    recorded: Mapping[str, Recorded]
    document: Mapping[str, Any]


class Publication:
    """Objects written by one stage, which are whole all together or not at all."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._uploads: list[Upload] = []

    def upload(self, key: str) -> Upload:
        """Begin to write one of the objects."""
        upload = self._store.upload(key)
        self._uploads.append(upload)
        return upload

    def failure(self) -> ShopeaseError | None:
        """What the first failed write raised."""
        return next((upload.failure for upload in self._uploads if upload.failure), None)

    def publish(self) -> None:
        """Wait until every object has arrived whole, then let the store's readers see them."""
        for upload in self._uploads:
            upload.complete()
        for upload in self._uploads:
            upload.publish()

    def discard(self) -> None:
        """Leave nothing of what is not published."""
        for upload in self._uploads:
            upload.discard()


@contextmanager
def publication(store: Store) -> Iterator[Publication]:
    """Publish to the store what the block wrote when it ends well; on any exception nothing is left of it.

    In a run the store is a `PendingStore`, whose objects only the run itself sees, until `publishing.publish_run`.
    """
    written = Publication(store)
    try:
        yield written
        written.publish()
    except BaseException:
        written.discard()
        raise


def manifests(store: Store) -> Iterator[Manifest]:
    """The manifests of the lake's runs, latest first; a file that is not one is passed over."""
    keys = [item.key for item in store.list(f"{tables.RUNS}/") if item.key.endswith(".json")]
    for key in sorted(keys, reverse=True):
        try:
            yield _manifest(key, json.loads(store.read(key)))
        except (ArithmeticError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
            log.warning("%s is not a manifest of a run, and is passed over", key)


def _manifest(key: str, document: Any) -> Manifest:
    started, finished = (datetime.fromisoformat(document[name]) for name in ("started_at", "finished_at"))
    run_id = document["run_id"]
    if key != f"{tables.RUNS}/{run_id}.json":
        raise ValueError(run_id)
    recorded = {
        str(item["key"]): Recorded(
            int(item["bytes"]), int(item["rows_out"]), sum(map(int, item["rejected"].values())), run_id
        )
        for stage in document["stages"]
        for item in stage["datasets"]
        if document.get("published", True)
    }
    stages = tuple(str(stage["name"]) for stage in document["stages"])
    seconds = (finished - started).total_seconds()
    return Manifest(RunSummary(run_id, str(document["status"]), stages, seconds, document["error"]), recorded, document)


def recorded_datasets(store: Store) -> dict[str, Recorded]:
    """By key, what the latest run that wrote an object recorded of it."""
    keys = {item.key for layer in tables.LAYERS for item in store.list(f"{layer}/")} & tables.KEYS
    found: dict[str, Recorded] = {}
    for manifest in manifests(store):
        found = {**manifest.recorded, **found}
        if keys <= found.keys():
            break
    return found


def require_whole(store: Store, key: str, recorded: Mapping[str, Recorded]) -> int:
    """The object's size in bytes.

    Raises:
        ShopeaseError: it was never there.
        DataRefusedError: it is missing, cut short, or not of the size that its run recorded.
    """
    found, expected = store.find(key), recorded.get(key)
    if found is None:
        command = tables.MADE_BY.get(key.partition("/")[0], "run-all")
        kind = DataRefusedError if expected else ShopeaseError
        raise kind(f"{key} is not in the lake {store.location}", hint=f"run `shopease {command}` first")
    if expected and found.bytes != expected.bytes:
        message = f"{key} has {found.bytes:,} bytes, but the run {expected.run_id} wrote {expected.bytes:,}"
        raise DataRefusedError(message, hint=remake(key))
    if not found.bytes or store.read(key, start=-1) != b"\n":
        message = f"{key} is cut short: it does not end with a line end"
        raise DataRefusedError(message, hint=remake(key))
    return found.bytes


def remake(key: str) -> str:
    """A hint that names the command which makes the object."""
    return f"make it again: `shopease {tables.MADE_BY.get(key.partition('/')[0], 'run-all')}`"
