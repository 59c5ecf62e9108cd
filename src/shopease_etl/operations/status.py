"""The lake as it is now: its datasets, its last runs, and whether a monitor should raise an alarm."""

import logging
import time
from collections import Counter
from collections.abc import Mapping, Sequence, Set
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

from shopease_etl import units
from shopease_etl.contract import layout
from shopease_etl.errors import UnreachableError
from shopease_etl.lake.lock.holder import LockStatus
from shopease_etl.lake.manifests import Manifest, manifests, newer_datasets, recorded_datasets
from shopease_etl.lake.publish import warn_of_unfinished_publications
from shopease_etl.lake.store import Store, StoredObject
from shopease_etl.pipeline.wiring import lake_store
from shopease_etl.report import ObjectRecord, RunSummary, Status
from shopease_etl.settings import Settings
from shopease_etl.wording import one_line

log = logging.getLogger(__name__)

MAX_CLOCK_SKEW: Final = 300.0


@dataclass(frozen=True)
class DatasetStatus:
    """An object of the lake as it is now; `rows` is None if no manifest has it, `modified` is seconds since 1970.

    `rejects` counts the rows that its run rejected, by rule. All months of a table are one, with the number of `months`
    and the ids of the `runs` that wrote them; `key` is then their folder, and `run_id` the last of these runs.
    """

    layer: str
    name: str
    key: str
    rows: int | None
    rejected: int | None
    bytes: int
    modified: float
    run_id: str | None
    rejects: Mapping[str, int] = field(default_factory=dict)
    months: int | None = None
    runs: tuple[str, ...] = ()


@dataclass(frozen=True)
class RunStatus(RunSummary):
    """A run as `status` shows it: also its times in UTC, the seconds of each stage, and the rows that its first stage
    wrote, None if that writes none.
    """

    started_at: str
    finished_at: str
    stage_seconds: Mapping[str, float]
    rows: int | None
    published: bool


@dataclass(frozen=True)
class LakeStatus:
    """The lake as it is: its datasets by layer, and its last runs, latest first.

    `last_success` is the end of the last successful run that read the source, `under_way` the holder of the lock,
    `publishing` the runs that are publishing or died while they were, `from_future` those shown runs that ended in the
    future by their manifests, and `problem` the reason for a monitor to raise an alarm.
    """

    location: str
    datasets: tuple[DatasetStatus, ...]
    runs: tuple[RunStatus, ...]
    last_success: str | None = None
    under_way: str | None = None
    publishing: tuple[str, ...] = ()
    from_future: tuple[str, ...] = ()
    problem: str | None = None


@dataclass(frozen=True)
class _History:
    """The manifests that were read, latest first, and by key what is recorded of an object."""

    manifests: Sequence[Manifest]
    recorded: Mapping[str, ObjectRecord]
    last_success: RunStatus | None


def lake_status(settings: Settings, *, runs: int, max_age: float | None) -> LakeStatus:
    """The lake of the settings, as `status` shows it; `max_age` is in seconds."""
    store = lake_store(settings)
    return status(store, store.lock(settings.home).status(), runs=runs, max_age=max_age)


def status(
    store: Store,
    lock: LockStatus | None = None,
    *,
    runs: int = 10,
    max_age: float | None = None,
    now: float | None = None,
) -> LakeStatus:
    """What is in the lake, and what the last `runs` manifests say about it.

    `lock` is the lake's lock. It is a problem if the last success is more than `max_age` seconds old. `now` is in
    seconds since 1970.
    """
    holder = lock.holder.description if lock and lock.is_alive else None
    time_now = time.time() if now is None else now
    publishing = warn_of_unfinished_publications(store)
    objects = [item for layer in layout.LAYERS for item in store.list(f"{layer}/")]
    datasets = {layout.dataset_of(item.key) for item in objects if layout.owns(item.key)}
    history = _read_history(store, datasets, runs, time_now - max_age if max_age else None)
    shown = [run_status(manifest) for manifest in history.manifests[: max(runs, 2)]]
    for place, run in enumerate(shown):  # only the latest can be in progress
        if run.status == Status.RUNNING and (place or not holder):
            shown[place] = replace(run, status=Status.DIED)
    from_future = tuple(run.run_id for run in shown if is_from_future(run.finished_at, time_now))
    if from_future:
        warning = "%s ended in the future, by its manifest: check the clocks of the machines that run shopease"
        log.warning(warning, ", ".join(from_future))
    return LakeStatus(
        store.location,
        _datasets(objects, history.recorded),
        tuple(shown[:runs]),
        history.last_success.finished_at if history.last_success else None,
        holder,
        publishing,
        from_future,
        problem(shown, history.last_success, is_held=holder is not None, max_age=max_age, now=time_now),
    )


def lake_datasets(store: Store) -> tuple[DatasetStatus, ...]:
    """What is in the lake's layers; without a right to read manifests, which an analyst may lack, only the files."""
    objects = [item for layer in layout.LAYERS for item in store.list(f"{layer}/")]
    recorded: Mapping[str, ObjectRecord] = {}
    with suppress(UnreachableError):
        warn_of_unfinished_publications(store)
        recorded = recorded_datasets(store, {layout.dataset_of(item.key) for item in objects if layout.owns(item.key)})
    return _datasets(objects, recorded)


def problem(
    runs: Sequence[RunStatus], last_success: RunStatus | None, *, is_held: bool, max_age: float | None, now: float
) -> str | None:
    """Why a monitor should raise an alarm: the last run did not succeed, or the last success is too old; else None.

    If a run is in progress, the one before it counts. A rollback is a decision and no failure, but the runs that it
    took back are no successes.
    """
    ended = runs[1:] if is_held and runs and runs[0].status == Status.RUNNING else runs
    if ended and ended[0].status not in {Status.SUCCEEDED, Status.ROLLED_BACK}:
        last = ended[0]
        outcome = Status.DIED if last.status == Status.RUNNING else last.status
        return f"the last run, {last.run_id}, {outcome}" + (
            f": {last.error}" if last.error and last.error != outcome else ""
        )
    if max_age is None:
        return None
    if last_success is None:
        return f"no run has brought data in the last {units.format_seconds(max_age)}"
    age = now - datetime.fromisoformat(last_success.finished_at).timestamp()
    if is_from_future(last_success.finished_at, now):
        return f"the last data, of the run {last_success.run_id}, is dated in the future, so its age is not known"
    if age <= max_age:
        return None
    return f"the last data, of the run {last_success.run_id}, came {units.format_seconds(age)} ago"


def is_from_future(time: str, now: float) -> bool:
    """Whether a time of a manifest is more than five minutes after `now`, in seconds since 1970; clocks may differ."""
    return datetime.fromisoformat(time).timestamp() > now + MAX_CLOCK_SKEW


def run_status(manifest: Manifest) -> RunStatus:
    """The run that a manifest describes; values of an unknown form are left out."""
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


def brought_data(manifest: Manifest) -> bool:
    """Whether the run read the source and succeeded; a crawl after a rollback, for example, brings no new data."""
    return manifest.run.status == Status.SUCCEEDED and "extract" in manifest.run.stages


def _read_history(store: Store, datasets: Set[str], runs: int, oldest: float | None) -> _History:
    """Read manifests until they cover `runs` runs, these datasets, and a success since `oldest`, if given.

    `oldest` is in seconds since 1970.
    """
    read: list[Manifest] = []
    recorded: dict[str, ObjectRecord] = {}
    success: RunStatus | None = None
    for manifest in manifests(store):
        read.append(manifest)
        recorded = newer_datasets(manifest.recorded, recorded)
        if success is None and brought_data(manifest):
            success = run_status(manifest)
        if len(read) > runs and datasets <= {*map(layout.dataset_of, recorded)}:
            finished = datetime.fromisoformat(manifest.document["finished_at"]).timestamp()
            if success or oldest is None or finished < oldest:
                break
    return _History(read, recorded, success)


def _datasets(objects: Sequence[StoredObject], recorded: Mapping[str, ObjectRecord]) -> tuple[DatasetStatus, ...]:
    """The objects with what is recorded of them; all months of a table are one."""
    found: dict[str, list[DatasetStatus]] = {}
    for item in objects:
        is_month = layout.month_of(item.key) and layout.owns(item.key)
        found.setdefault(layout.dataset_of(item.key) if is_month else item.key, []).append(_object(item, recorded))
    return tuple(files[0] if key == files[0].key else _months(key, files) for key, files in found.items())


def _object(item: StoredObject, recorded: Mapping[str, ObjectRecord]) -> DatasetStatus:
    """The object with what is recorded of it, unless its size has changed since."""
    record = recorded.get(item.key)
    if record and record.bytes != item.bytes:
        record = None
    layer, name, *_ = item.key.split("/")
    rejects = record.result.rejected if record and record.result else {}
    return DatasetStatus(
        layer=layer,
        name=name,
        key=item.key,
        rows=record.rows if record else None,
        rejected=record.rejected if record else None,
        bytes=item.bytes,
        modified=item.modified,
        run_id=record.run_id if record else None,
        rejects={str(rule): int(count) for rule, count in rejects.items()},
    )


def _months(folder: str, files: Sequence[DatasetStatus]) -> DatasetStatus:
    """All months of a table as one; what is not known of a month is not known of them."""
    run_ids = {item.run_id for item in files if item.run_id}
    rejects: Counter[str] = Counter()
    for item in files:
        rejects.update(item.rejects)
    return replace(
        files[0],
        key=folder,
        rows=_total([item.rows for item in files]),
        rejected=_total([item.rejected for item in files]),
        bytes=sum(item.bytes for item in files),
        modified=max(item.modified for item in files),
        run_id=max(run_ids, default=None),
        rejects=dict(rejects),
        months=len(files),
        runs=tuple(sorted(run_ids)),
    )


def _total(counts: Sequence[int | None]) -> int | None:
    known = [count for count in counts if count is not None]
    return sum(known) if len(known) == len(counts) else None
