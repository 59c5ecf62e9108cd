"""The lake as it is now: its datasets, its last runs, and whether a monitor should call somebody."""

import logging
import time
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from shopease_etl import units
from shopease_etl.contract import layout
from shopease_etl.lake.lock.holder import LockStatus
from shopease_etl.lake.manifests import Manifest, manifests
from shopease_etl.lake.publish import warn_of_publishing
from shopease_etl.lake.store import Store, StoredObject
from shopease_etl.report import DatasetStatus, LakeStatus, Recorded, RunStatus, Status
from shopease_etl.wording import one_line

log = logging.getLogger(__name__)

RUNS: Final = 10
FUTURE_SECONDS: Final = 300.0  # by which clocks may differ before it is worth a warning


@dataclass(frozen=True)
class _Past:
    """The manifests that were read, latest first, and by key which of them tells of an object that is there."""

    manifests: Sequence[Manifest]
    told_by: Mapping[str, Manifest]
    last_success: RunStatus | None


def status(
    store: Store,
    occupied: LockStatus | None = None,
    *,
    runs: int = RUNS,
    max_age: float | None = None,
    now: float | None = None,
) -> LakeStatus:
    """Look at what is in the lake, and what the last `runs` manifests tell of it.

    `occupied` is the lake's lock, `max_age` the seconds after which the last success is too old, `now` is in seconds
    since 1970.
    """
    held = occupied.holder.told if occupied and occupied.is_alive else None
    time_now = time.time() if now is None else now
    begun = warn_of_publishing(store)
    objects = [item for layer in layout.LAYERS for item in store.list(f"{layer}/")]
    past = _past(
        store, {item.key for item in objects if layout.owns(item.key)}, runs, time_now - max_age if max_age else None
    )
    known = [run_status(manifest) for manifest in past.manifests[: max(runs, 2)]]
    shown = tuple(_as_it_is(run, is_under_way=held is not None and run is known[0]) for run in known)
    from_future = tuple(run.run_id for run in shown if is_from_future(run.finished_at, time_now))
    if from_future:
        warning = "%s ended in the future, by its manifest: check the clocks of the machines that run shopease"
        log.warning(warning, ", ".join(from_future))
    return LakeStatus(
        store.location,
        tuple(_dataset(item, past.told_by.get(item.key)) for item in objects),
        shown[:runs],
        past.last_success.finished_at if past.last_success else None,
        held,
        begun,
        from_future,
        problem(shown, past.last_success, is_held=held is not None, max_age=max_age, now=time_now),
    )


def problem(
    runs: Sequence[RunStatus], last_success: RunStatus | None, *, is_held: bool, max_age: float | None, now: float
) -> str | None:
    """What a monitor should call somebody for: the last run did not succeed, or the last success is too old.

    A run under way is passed over for the one before it. A rollback is somebody's decision, and no failure; what it
    took back is no success.
    """
    ended = runs[1:] if is_held and runs and runs[0].status == Status.RUNNING else runs
    if ended and ended[0].status not in {Status.SUCCEEDED, Status.ROLLED_BACK}:
        last = ended[0]
        how = Status.DIED if last.status == Status.RUNNING else last.status
        return f"the last run, {last.run_id}, {how}" + (f": {last.error}" if last.error else "")
    if max_age is None:
        return None
    if last_success is None:
        return f"no run has brought data in the last {units.told(max_age)}"
    age = now - datetime.fromisoformat(last_success.finished_at).timestamp()
    if is_from_future(last_success.finished_at, now):
        return f"the last data, of the run {last_success.run_id}, is dated in the future, so its age is not known"
    if age <= max_age:
        return None
    return f"the last data, of the run {last_success.run_id}, came {units.told(age)} ago"


def is_from_future(time: str, now: float) -> bool:
    """Whether a time of a manifest is later than clocks differ; `now` is in seconds since 1970."""
    return datetime.fromisoformat(time).timestamp() > now + FUTURE_SECONDS


def _as_it_is(run: RunStatus, *, is_under_way: bool) -> RunStatus:
    """A run that its manifest leaves running has died, unless it holds the lake."""
    return replace(run, status=Status.DIED) if run.status == Status.RUNNING and not is_under_way else run


def run_status(manifest: Manifest) -> RunStatus:
    """The run as its manifest tells it; what the manifest has in another form than ours is left out."""
    document, run = manifest.document, manifest.run
    stages = document["stages"]
    seconds = {str(stage["name"]): stage.get("seconds") for stage in stages}
    rows = [int(item["rows_out"]) for stage in stages[:1] for item in stage["datasets"]]
    return RunStatus(
        run.run_id,
        run.status,
        run.stages,
        run.seconds,
        None if run.error is None else one_line(run.error),
        str(document["started_at"]),
        str(document["finished_at"]),
        {name: float(value) for name, value in seconds.items() if isinstance(value, int | float)},
        sum(rows) if rows else None,
        bool(document.get("published", True)),
    )


def _past(store: Store, keys: Set[str], runs: int, oldest: float | None) -> _Past:
    """Read as many manifests as tell of the runs asked for, of every object, and of a success that is young enough."""
    read: list[Manifest] = []
    told_by: dict[str, Manifest] = {}
    success: RunStatus | None = None
    for manifest in manifests(store):
        read.append(manifest)
        told_by = {**dict.fromkeys(manifest.recorded, manifest), **told_by}
        if success is None and brought_data(manifest):
            success = run_status(manifest)
        is_enough = success is not None or oldest is None or _ended(manifest) < oldest
        if len(read) > runs and keys <= told_by.keys() and is_enough:
            break
    return _Past(read, told_by, success)


def brought_data(manifest: Manifest) -> bool:
    """Whether the run read the source; a crawl after a rollback, say, makes nothing newer."""
    return manifest.run.status == Status.SUCCEEDED and "extract" in manifest.run.stages


def _ended(manifest: Manifest) -> float:
    return datetime.fromisoformat(manifest.document["finished_at"]).timestamp()


def _dataset(item: StoredObject, told_by: Manifest | None) -> DatasetStatus:
    known: Recorded | None = told_by.recorded[item.key] if told_by else None
    if known and known.bytes != item.bytes:
        known = None
    return DatasetStatus(
        layer=item.key.split("/")[0],
        name=item.key.split("/")[1],
        key=item.key,
        rows=known.rows if known else None,
        rejected=known.rejected if known else None,
        bytes=item.bytes,
        modified=item.modified,
        run_id=known.run_id if known else None,
        rejects=dict(_rejects(told_by.document, item.key)) if known and told_by else {},
    )


def _rejects(document: Mapping[str, Any], key: str) -> Iterator[tuple[str, int]]:
    for stage in document["stages"]:
        for dataset in stage["datasets"]:
            if dataset["key"] == key:
                yield from ((str(rule), int(count)) for rule, count in dataset["rejected"].items())
