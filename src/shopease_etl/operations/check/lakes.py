"""The lake: can it be written, does its bucket keep what a rollback needs, and is a run at work in it."""

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from shopease_etl.contract import layout
from shopease_etl.errors import UnreachableError
from shopease_etl.lake.lock.holder import LockStatus
from shopease_etl.lake.publish import publishing
from shopease_etl.lake.store import LakeStore
from shopease_etl.operations.check.lines import asked, failed, skewed, tried, warned
from shopease_etl.operations.check.machine import disks
from shopease_etl.operations.check.past import Past
from shopease_etl.operations.status import is_from_future, problem
from shopease_etl.report import CheckLine, RunStatus, Status
from shopease_etl.settings import Settings

if TYPE_CHECKING:
    from shopease_etl.lake.bucket import Bucket, Reached

CALL_SECONDS: Final = 5.0
SIGNATURES_SECONDS: Final = 900
_ABORT_FIX: Final = "add a lifecycle rule with AbortIncompleteMultipartUpload, as terraform/ does"


def lake(settings: Settings, store: LakeStore, past: Past) -> Iterator[CheckLine]:
    """Lines on a folder or a bucket, its disk, and its lock; `past` learns the last run."""
    try:
        yield from _asked(settings, store.impatient(CALL_SECONDS), past)
    except UnreachableError as error:
        yield failed("lake", error)
    yield from disks(settings, store, past.bytes)


def _asked(settings: Settings, store: LakeStore, past: Past) -> Iterator[CheckLine]:
    store.check()
    if bucket := store.bucket_setup:
        reached = bucket.reached()
        yield CheckLine("lake", f"{store.location} can be reached")
        yield from _bucket(settings, bucket, reached)
    else:
        yield tried("lake", lambda: _replaceable(store))
    yield from _history(settings, store, past)


def _replaceable(store: LakeStore) -> str:
    store.check_targets(layout.all_keys())
    return f"{store.location} can be written, and each of its objects replaced"


def _history(settings: Settings, store: LakeStore, past: Past) -> Iterator[CheckLine]:
    try:
        past.learn(store)
        held, begun = store.lock(settings.home).status(), publishing(store)
    except UnreachableError as error:
        yield failed("lake runs", error)
        return
    yield _lock(held)
    if past.last:
        yield _last_run(past.last, is_held=held is not None and held.is_alive)
    if begun and not (held and held.is_alive):
        told = f"{', '.join(begun)} died while it was publishing"
        yield warned("lake publication", told, "the next run, clean or crawl finishes it")


def _lock(held: LockStatus | None) -> CheckLine:
    if held is None:
        return CheckLine("lake lock", "free")
    if held.is_alive:
        return CheckLine("lake lock", held.holder.told)
    told = f"{held.holder.run_id} on {held.holder.host}, process {held.holder.pid}, since {held.holder.since}, has died"
    return warned("lake lock", told, "the next command that changes the lake takes the lock over")


def _last_run(last: RunStatus, *, is_held: bool) -> CheckLine:
    """How the last run went, as `status` shows it and `retry` takes it."""
    if last.status == Status.RUNNING and is_held:
        return CheckLine("last run", f"{last.run_id} is under way")
    if is_from_future(last.finished_at, time.time()):
        fix = "check the clocks of the machines that run shopease"
        return warned("last run", f"{last.run_id} ended at {last.finished_at}, which is in the future", fix)
    is_bad = problem([last], None, is_held=False, max_age=None, now=time.time()) is not None
    how = Status.DIED if last.status == Status.RUNNING else last.status
    fix = "`shopease retry` goes on with the data already copied, `shopease run-all` reads the source again"
    return warned("last run", f"{last.run_id} {how}", fix, is_bad=is_bad)


def _bucket(settings: Settings, bucket: "Bucket", reached: "Reached") -> Iterator[CheckLine]:
    yield _region(reached)
    if reached.clock_ahead is not None:
        yield skewed("lake clock", "S3's", reached.clock_ahead, SIGNATURES_SECONDS)
    refused = list(bucket.missing_rights())
    yield from (failed("lake rights", error) for error in refused)
    if not refused:
        yield CheckLine("lake rights", "list, read, write and delete below _runs/ are allowed")
    yield asked("lake versions", lambda: _versions(bucket))
    yield asked("lake lifecycle", lambda: _lifecycle(bucket))
    yield asked("lake encryption", lambda: _encryption(settings, bucket))


def _region(reached: "Reached") -> CheckLine:
    if reached.region is None:
        return warned("lake region", f"S3 does not tell it; ours is {reached.own_region}", None)
    told = f"the bucket is in {reached.region}, requests go to {reached.own_region}"
    is_other = reached.region != reached.own_region
    return warned("lake region", told, f"set AWS_REGION and AWS_DEFAULT_REGION to {reached.region}", is_bad=is_other)


def _versions(bucket: "Bucket") -> CheckLine:
    has_versions = bucket.has_versions()
    found = "former versions are kept" if has_versions else "former versions are not kept: no run can be rolled back"
    fix = f"aws s3api put-bucket-versioning --bucket {bucket.name} --versioning-configuration Status=Enabled"
    return warned("lake versions", found, fix, is_bad=not has_versions)


def _lifecycle(bucket: "Bucket") -> CheckLine:
    aborts = bucket.aborts_uploads()
    found = "abandoned uploads are deleted" if aborts else "no rule deletes abandoned uploads, which are paid for"
    return warned("lake lifecycle", found, _ABORT_FIX, is_bad=not aborts)


def _encryption(settings: Settings, bucket: "Bucket") -> CheckLine:
    default = bucket.encryption() or "S3's own"
    if settings.s3_encryption is None:
        return CheckLine("lake encryption", f"{default}, the bucket's default")
    key = f" with {settings.s3_kms_key}" if settings.s3_kms_key else ""
    return CheckLine(
        "lake encryption", f"{settings.s3_encryption}{key} is asked for; the bucket's default is {default}"
    )
