"""Manifests, which record what each run wrote, and objects checked against them."""

import json
import logging
import re
import secrets
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass, fields
from datetime import MAXYEAR, UTC, datetime, timedelta
from functools import partial
from hashlib import sha256
from typing import Any, Final

from shopease_etl import cancel
from shopease_etl.contract import layout
from shopease_etl.errors import DataRefusedError, ShopeaseError
from shopease_etl.lake.store import LEAVE_SECONDS, Store, StoredObject, Writer
from shopease_etl.report import DatasetResult, ObjectRecord, RunSummary

log = logging.getLogger(__name__)

_RUN_KEY: Final = re.compile(rf"{layout.RUNS}/([0-9]{{8}}T[0-9]{{6}}\.[0-9]{{6}}Z)-[0-9a-f]{{4}}\.json")
PIECE_BYTES: Final = 8 * 1024 * 1024
_ARRIVALS: Final = ThreadPoolExecutor(4, thread_name_prefix="arrive")


@dataclass(frozen=True)
class Manifest:
    """A run's manifest: a summary, and by key what it recorded of the datasets that it published.

    Of each of these datasets it has all files, also those that are carried over from earlier runs, whose ids their
    records have. `document` is the complete manifest.
    """

    run: RunSummary
    recorded: Mapping[str, ObjectRecord]
    document: Mapping[str, Any]


class WriteGroup:
    """Objects of one stage, which are published together or not at all."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._uploads: list[Writer] = []
        self._arriving: list[Future[None]] = []

    def writer(self, key: str) -> Writer:
        """Begin to write one of the objects."""
        upload = self._store.writer(key)
        self._uploads.append(upload)
        return upload

    def complete(self, upload: Writer) -> None:
        """Nothing more is written to one of the objects: let it arrive while others are written."""
        self._arriving.append(_ARRIVALS.submit(upload.complete))

    def failure(self) -> ShopeaseError | None:
        """The error of the first failed write, if one failed."""
        return next((upload.failure for upload in self._uploads if upload.failure), None)

    def publish(self) -> None:
        """Wait until every object has arrived, then publish them to the store's readers."""
        for arriving in self._arriving:
            cancel.result(arriving)
        for upload in self._uploads:
            upload.complete()
        for upload in self._uploads:
            upload.publish()

    def discard(self) -> None:
        """Delete what is not published; an object that does not arrive is given up."""
        wait([arriving for arriving in self._arriving if not arriving.cancel()], timeout=LEAVE_SECONDS)
        for upload in self._uploads:
            upload.discard()


@contextmanager
def write_group(store: Store) -> Iterator[WriteGroup]:
    """Publish to the store what the block wrote; an exception discards it.

    In a run the store is a `Transaction`, whose objects only the run sees until `publish.publish_run`.
    """
    written = WriteGroup(store)
    try:
        yield written
        written.publish()
    except BaseException:
        written.discard()
        raise


def run_keys(store: Store) -> list[str]:
    """The keys of all manifests in the order of the runs, which does not depend on clocks.

    Each run's id is greater than those of all earlier runs (`next_run_id`). Names that are not run ids come first.
    """
    keys = [item.key for item in store.list(f"{layout.RUNS}/") if item.key.endswith(".json")]
    return sorted(keys, key=lambda key: (time_of_run(key) is not None, key))


def time_of_run(key: str) -> datetime | None:
    """The time in a run's id, given the key of its manifest; None if it is not a run id."""
    found = _RUN_KEY.fullmatch(key)
    try:
        moment = datetime.fromisoformat(found[1]) if found else None
    except ValueError:
        return None
    return moment if moment and moment.year < MAXYEAR else None  # a next one needs room


def next_run_id(store: Store, wanted: str = "") -> str:
    """The id of a new run: the time in UTC, or just after the last run's id, if that is in the future.

    `wanted` is returned if it is greater than all others. The id is reliable only while the lake's lock is held.
    """
    last = max(filter(None, map(time_of_run, run_keys(store))), default=None)
    moment = time_of_run(f"{layout.RUNS}/{wanted}.json")
    if moment and (last is None or last < moment):
        return wanted
    moment = max(datetime.now(UTC), last + timedelta(microseconds=1)) if last else datetime.now(UTC)
    return f"{moment:%Y%m%dT%H%M%S.%fZ}-{secrets.token_hex(2)}"


def manifests(store: Store) -> Iterator[Manifest]:
    """The manifests of the lake's runs, the last run first; skips files that are not manifests, with a warning."""
    for key in reversed(run_keys(store)):
        try:
            yield _manifest(key, json.loads(store.read(key)))
        except (ArithmeticError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
            log.warning("%s is not a manifest of a run and is ignored", key)


def _manifest(key: str, document: Any) -> Manifest:
    started, finished = (datetime.fromisoformat(document[name]) for name in ("started_at", "finished_at"))
    run_id = document["run_id"]
    if key != f"{layout.RUNS}/{run_id}.json":
        raise ValueError(run_id)
    recorded = {
        str(item["key"]): ObjectRecord(
            int(item["bytes"]),
            int(item["rows_out"]),
            sum(map(int, item["rejected"].values())),
            str(item.get("run_id") or run_id),
            str(item["sha256"]) if item.get("sha256") else None,
            _result(item),
        )
        for stage in document["stages"]
        for item in stage["datasets"]
        if document.get("published", True)
    }
    stages = tuple(str(stage["name"]) for stage in document["stages"])
    seconds = (finished - started).total_seconds()
    return Manifest(RunSummary(run_id, str(document["status"]), stages, seconds, document["error"]), recorded, document)


def _result(entry: Mapping[str, Any]) -> DatasetResult | None:
    """The entry as a result; None if it is not one, as then nothing can be carried over from it."""
    known = {field.name: entry[field.name] for field in fields(DatasetResult) if field.name in entry}
    try:
        result = DatasetResult(**known)
        maps = (result.state, result.sums, result.keys)
        texts = (
            result.layer,
            result.name,
            result.key,
            result.sha256,
            *(text for each in maps for text in each.values()),
        )
        others = (result.run_id, result.verified_by, result.made_of)
        counts = (result.rows_in, result.rows_out, result.bytes)
        is_valid = {*map(type, texts)} == {str} and {*map(type, others)} <= {str, type(None)}
        return result if is_valid and {*map(type, counts)} == {int} else None
    except (TypeError, AttributeError):
        return None


def recorded_datasets(store: Store, datasets: Collection[str] | None = None) -> dict[str, ObjectRecord]:
    """By key, the files of each dataset, as the latest run that published the dataset recorded them.

    Reads manifests until all `datasets`, given by their folders, are found; without them, all that are in the lake.
    """
    wanted = {layout.dataset_of(item.key) for item in own_objects(store)} if datasets is None else datasets
    return latest_records(manifests(store), wanted)


def latest_records(found: Iterable[Manifest], datasets: Collection[str]) -> dict[str, ObjectRecord]:
    """By key, the files of each dataset as the first of these manifests that has the dataset recorded them.

    Reads manifests until all `datasets`, given by their folders, are found.
    """
    recorded: dict[str, ObjectRecord] = {}
    for manifest in found:
        recorded = newer_datasets(manifest.recorded, recorded)
        if {*datasets} <= {*map(layout.dataset_of, recorded)}:
            break
    return recorded


def newer_datasets(older: Mapping[str, ObjectRecord], newer: Mapping[str, ObjectRecord]) -> dict[str, ObjectRecord]:
    """What is recorded after a run that recorded `newer`: its datasets replace those of the same folders."""
    replaced = {*map(layout.dataset_of, newer)}
    return {**{key: known for key, known in older.items() if layout.dataset_of(key) not in replaced}, **newer}


def own_objects(store: Store, folders: Iterable[str] = layout.LAYERS) -> list[StoredObject]:
    """The lake's own objects in these folders: layers or datasets."""
    return [item for folder in folders for item in store.list(f"{folder}/") if layout.owns(item.key)]


def missing_objects(recorded: Mapping[str, ObjectRecord], there: Collection[str]) -> dict[str, ObjectRecord]:
    """The recorded objects that are not `there`, in layers that have others: `cleanup` deletes complete layers."""
    layers = {key.partition("/")[0] for key in there if layout.owns(key)}
    return {key: known for key, known in recorded.items() if key not in there and key.partition("/")[0] in layers}


def require_whole(store: Store, key: str, recorded: Mapping[str, ObjectRecord]) -> int:
    """The object's size in bytes.

    Raises:
        ShopeaseError: no run has written it yet.
        DataRefusedError: it is missing, cut short, or not of the recorded size.
    """
    found, expected = store.find(key), recorded.get(key)
    if found is None:
        command = layout.PRODUCED_BY.get(key.partition("/")[0], "run-all")
        kind = DataRefusedError if expected else ShopeaseError
        raise kind(f"{key} is not in the lake {store.location}", hint=f"run `shopease {command}` first")
    if expected and found.bytes != expected.bytes:
        message = f"{key} has {found.bytes:,} bytes, but the run {expected.run_id} wrote {expected.bytes:,}"
        raise DataRefusedError(message, hint=rerun_hint(key))
    if not found.bytes or store.read(key, start=-1) != b"\n":
        message = f"{key} is cut short: it does not end with a line end"
        raise DataRefusedError(message, hint=rerun_hint(key))
    return found.bytes


def require_unchanged(store: Store, key: str, recorded: ObjectRecord | None) -> None:
    """Read an object completely, and raise DataRefusedError if it is not what its run recorded."""
    if recorded and recorded.sha256:
        require_hash(key, sha256_of(partial(store.read, key)), recorded)


def sha256_of(read: Callable[[int, int], bytes]) -> str:
    """The SHA-256, in hex, of what `read` returns in pieces; it takes a start and a maximum number of bytes."""
    digest, place = sha256(), 0
    while True:
        piece = read(place, PIECE_BYTES)
        digest.update(piece)
        place += len(piece)
        if len(piece) < PIECE_BYTES:
            return digest.hexdigest()


def require_hash(key: str, found: str, recorded: ObjectRecord) -> None:
    """Raise DataRefusedError unless `found`, a SHA-256 in hex, is the one that the object's run recorded."""
    if recorded.sha256 not in {None, found}:
        message = f"{key} is not what the run {recorded.run_id} wrote: it was changed since, its SHA-256 differs"
        raise DataRefusedError(message, hint=rerun_hint(key))


def rerun_hint(key: str) -> str:
    """A hint that names the command which writes the object, also if its month would be carried over."""
    command = layout.PRODUCED_BY.get(key.partition("/")[0], "run-all")
    return f"run `shopease {command}{' --full' if layout.month_of(key) else ''}` to rebuild it"
