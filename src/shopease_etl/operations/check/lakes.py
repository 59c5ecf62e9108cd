"""The lake and its catalog: can they be used, does the bucket keep what a rollback needs, is a run in progress."""

import itertools
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from shopease_etl.contract import layout
from shopease_etl.errors import UnreachableError
from shopease_etl.lake.lock.holder import LockStatus
from shopease_etl.lake.manifests import manifests
from shopease_etl.lake.publish import unfinished_publications
from shopease_etl.lake.store import LakeStore, Store
from shopease_etl.operations.check.lines import CheckLine, check, check_optional, clock_skew, failure, warning
from shopease_etl.operations.check.machine import disks
from shopease_etl.operations.status import RunStatus, is_from_future, problem, run_status
from shopease_etl.report import Status
from shopease_etl.settings import Settings
from shopease_etl.warehouse import Warehouse

if TYPE_CHECKING:
    from shopease_etl.lake.bucket import Bucket, BucketInfo


@dataclass
class RunHistory:
    """The last run, however it ended; and of the last successful run with an extract, if there is one, the bytes that
    it wrote or carried over, all of which a full run writes, and the seconds that its extract took.
    """

    last: RunStatus | None = None
    bytes: int = 0
    extract_seconds: float | None = None

    def read(self, store: Store) -> None:
        """Fill it from the last 20 manifests; raises UnreachableError if the lake cannot be read."""
        for manifest in itertools.islice(manifests(store), 20):
            self.last = self.last or run_status(manifest)
            if manifest.run.status == Status.SUCCEEDED and "extract" in manifest.run.stages:
                stages = manifest.document["stages"]
                seconds = next(stage.get("seconds") for stage in stages if stage["name"] == "extract")
                self.extract_seconds = seconds if isinstance(seconds, int | float) else None
                self.bytes = sum(int(item["bytes"]) for stage in stages for item in stage["datasets"])
                return


def lake(settings: Settings, store: LakeStore, history: RunHistory) -> Iterator[CheckLine]:
    """Lines on the folder or bucket, its disk, its lock and its last run; fills `history`."""
    try:
        yield from _store(settings, store.with_timeout(5.0), history)
    except UnreachableError as error:
        yield failure("lake", error)
    yield from disks(settings, store, history.bytes)


def _store(settings: Settings, store: LakeStore, history: RunHistory) -> Iterator[CheckLine]:
    store.check()
    if bucket := store.bucket_setup:
        info = bucket.info()
        yield CheckLine("lake", f"{store.location} can be reached")
        yield from _bucket(settings, bucket, info)
    else:
        yield check("lake", lambda: _writable(store))
    try:
        history.read(store)
        status, unpublished = store.lock(settings.home).status(), unfinished_publications(store)
    except UnreachableError as error:
        yield failure("lake runs", error)
        return
    yield _lock(status)
    is_held = status is not None and status.is_alive
    if history.last:
        yield _last_run(history.last, is_held=is_held)
    if unpublished and not is_held:
        detail = f"{', '.join(unpublished)} died while publishing"
        yield warning("lake publication", detail, "the next run, clean or crawl finishes it")


def _writable(store: LakeStore) -> str:
    store.check_targets(layout.all_keys())
    return f"{store.location} and each of its objects can be written"


def _lock(status: LockStatus | None) -> CheckLine:
    if status is None:
        return CheckLine("lake lock", "free")
    holder = status.holder
    if status.is_alive:
        return CheckLine("lake lock", holder.description)
    detail = f"{holder.run_id} on {holder.host}, process {holder.pid}, since {holder.since}, has died"
    return warning("lake lock", detail, "the next command that changes the lake takes over the lock")


def _last_run(last: RunStatus, *, is_held: bool) -> CheckLine:
    """How the last run ended, by the same rules as `status` and `retry`."""
    if last.status == Status.RUNNING and is_held:
        return CheckLine("last run", f"{last.run_id} is in progress")
    if is_from_future(last.finished_at, time.time()):
        fix = "check the clocks of the machines that run shopease"
        return warning("last run", f"{last.run_id} ended at {last.finished_at}, which is in the future", fix)
    is_bad = problem([last], None, is_held=False, max_age=None, now=time.time()) is not None
    outcome = Status.DIED if last.status == Status.RUNNING else last.status
    fix = "`shopease retry` resumes it with the data already copied, `shopease run-all` reads the source again"
    return warning("last run", f"{last.run_id} {outcome}", fix, is_bad=is_bad)


def _bucket(settings: Settings, bucket: "Bucket", info: "BucketInfo") -> Iterator[CheckLine]:
    yield _region(info)
    if info.clock_ahead is not None:
        # S3 refuses requests whose clock differs by more than 15 minutes
        yield clock_skew("lake clock", "S3's", info.clock_ahead, 900)
    refused = list(bucket.missing_rights())
    yield from (failure("lake rights", error) for error in refused)
    if not refused:
        yield CheckLine("lake rights", "list, read, write and delete below _runs/ are allowed")
    yield check_optional("lake versions", lambda: _versions(bucket))
    yield check_optional("lake lifecycle", lambda: _lifecycle(bucket))
    yield check_optional("lake encryption", lambda: _encryption(settings, bucket))


def _region(info: "BucketInfo") -> CheckLine:
    if info.region is None:
        return warning("lake region", f"S3 does not name it; requests go to {info.own_region}", None)
    detail = f"the bucket is in {info.region}, requests go to {info.own_region}"
    is_other = info.region != info.own_region
    return warning("lake region", detail, f"set AWS_REGION and AWS_DEFAULT_REGION to {info.region}", is_bad=is_other)


def _versions(bucket: "Bucket") -> CheckLine:
    is_kept = bucket.has_versions()
    detail = "previous versions are kept" if is_kept else "previous versions are not kept: rollback is impossible"
    fix = f"aws s3api put-bucket-versioning --bucket {bucket.name} --versioning-configuration Status=Enabled"
    return warning("lake versions", detail, fix, is_bad=not is_kept)


def _lifecycle(bucket: "Bucket") -> CheckLine:
    aborts = bucket.aborts_uploads()
    detail = "unfinished uploads are deleted" if aborts else "no rule deletes unfinished uploads, which cost money"
    fix = "add a lifecycle rule with AbortIncompleteMultipartUpload, as terraform/ does"
    return warning("lake lifecycle", detail, fix, is_bad=not aborts)


def _encryption(settings: Settings, bucket: "Bucket") -> CheckLine:
    default = bucket.encryption() or "S3's own"
    if settings.s3_encryption is None:
        return CheckLine("lake encryption", f"{default}, the bucket's default")
    key = f" with {settings.s3_kms_key}" if settings.s3_kms_key else ""
    return CheckLine("lake encryption", f"{settings.s3_encryption}{key}; the bucket's default is {default}")


def catalog(settings: Settings, warehouse: Warehouse, *, is_on_aws: bool) -> Iterator[CheckLine]:
    """Lines on the catalog's database, and on AWS on the Athena workgroup."""

    def place() -> str:
        warehouse.check()
        return warehouse.place

    yield check("catalog", place)
    if is_on_aws:
        yield check_optional("athena", lambda: _workgroup(settings.athena_workgroup))


def _workgroup(name: str) -> CheckLine:
    # boto3 is slow to import, and only lakes on S3 need it
    from shopease_etl.warehouse.athena import workgroup

    found = workgroup(name)
    detail = f"{name}: results go to {found.results or 'athena-results/ of the lake'}"
    detail += ", its settings are enforced" if found.is_enforced else ", clients may use their own settings"
    if found.cutoff is not None:
        return CheckLine("athena", f"{detail}, a query may scan {found.cutoff / 1e6:,.0f} MB")
    updates = "--configuration-updates BytesScannedCutoffPerQuery=10000000000"
    fix = f"aws athena update-work-group --work-group {name} {updates}"
    return warning("athena", f"{detail}, and nothing limits what a query scans", fix)
