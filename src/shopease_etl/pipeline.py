"""A plan carried out: the stages in order, and around them the lake's lock, the manifest, reconciliation."""

import logging
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from shopease_etl import __version__, lock, tables
from shopease_etl.errors import ConfigurationError, DataRefusedError, ShopeaseError
from shopease_etl.housekeeping import SPOOL, lock_path, private_path, tidy
from shopease_etl.lake import recorded_datasets, require_whole
from shopease_etl.plan import Plan
from shopease_etl.postgres import Snapshot, snapshot
from shopease_etl.progress import SILENT, Progress
from shopease_etl.publishing import deliver_interrupt, publish_run, uninterrupted, write_manifest
from shopease_etl.resources import lake_store, warehouse
from shopease_etl.results import CrawlerRun, DatasetResult, Recorded, RunResult, SourceInfo, StageResult
from shopease_etl.settings import EMBEDDED, Settings
from shopease_etl.stages.aggregate import aggregate
from shopease_etl.stages.clean import clean
from shopease_etl.stages.crawl import crawl, no_crawlers
from shopease_etl.stages.extract import extract, resolve
from shopease_etl.storage import LakeStore, Store
from shopease_etl.storage.local import LocalStore
from shopease_etl.storage.pending import PendingStore

if TYPE_CHECKING:
    from shopease_etl.catalog.crawlers import Crawlers

log = logging.getLogger(__name__)

RUNNING: Final = "running"
SUCCEEDED: Final = "succeeded"
FAILED: Final = "failed"
INTERRUPTED: Final = "interrupted"


def check_plan(plan: Plan, settings: Settings) -> None:
    """Raise what a run of the plan would raise at its start: settings, connections, tables and columns."""
    store = lake_store(settings)
    _check_ahead(plan, settings, store)
    if "extract" in plan.stages:
        with existing_source(settings) as moment:
            resolve(moment, plan.tables)
    else:
        recorded = recorded_datasets(store)
        for key in (key for step in plan.steps() if step.stage == plan.stages[0] for key in step.reads):
            require_whole(store, key, recorded)


def run(plan: Plan, settings: Settings, progress: Progress = SILENT) -> RunResult:
    """Carry the plan out under the lake's lock and write its manifest, however it ends.

    Raises:
        LakeLockedError: another run holds the lake.
        ShopeaseError: a stage failed; what it and the stages before it wrote is not published.
    """
    store = lake_store(settings)
    _check_ahead(plan, settings, store)
    run_id = new_run_id()
    with lock.held(lock_path(store, settings), run_id):
        tidy(store, settings)
        job = _Run(plan, settings, store, run_id, progress)
        try:
            job.execute()
        except BaseException as error:
            job.end(error)
            raise
        return job.record(SUCCEEDED, None)


def new_run_id() -> str:
    """A run id that sorts by its start in UTC."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}-{secrets.token_hex(2)}"


def _check_ahead(plan: Plan, settings: Settings, store: Store) -> None:
    """Raise before anything is written what would stop the run at its end."""
    if plan.crawlers and isinstance(store, LocalStore):
        message = f"Glue's crawlers are for lakes on S3, and {store.location} is a folder"
        raise ConfigurationError(message, hint="without --crawlers, `shopease crawl` does all that a local lake needs")
    store.check()
    if "crawl" in plan.stages:
        warehouse(settings, store).check()
    if plan.crawlers:
        _crawlers(settings).check()


def _crawlers(settings: Settings) -> "Crawlers":
    # boto3 is slow to import: only who asks for them pays
    from shopease_etl.catalog.crawlers import Crawlers

    return Crawlers(settings.crawlers, timeout=settings.crawler_timeout)


@contextmanager
def source_url(settings: Settings) -> Iterator[str]:
    """The source database's URL; the embedded server runs for as long as the context lasts."""
    if settings.database_url != EMBEDDED:
        yield settings.database_url
        return
    from shopease_etl import embedded

    with embedded.running(settings.home) as url:
        yield url


@contextmanager
def source_snapshot(settings: Settings) -> Iterator[Snapshot]:
    """One moment of the source database."""
    with source_url(settings) as url, snapshot(url, settings.business_timezone, settings.source_schema) as moment:
        yield moment


@contextmanager
def existing_source(settings: Settings) -> Iterator[Snapshot]:
    """One moment of the source database, for looking only: an embedded one is not made.

    Raises:
        DataRefusedError: there is no embedded database yet.
    """
    if settings.database_url == EMBEDDED and not (settings.home / "postgres").exists():
        message = f"there is no embedded database in {settings.home} yet"
        raise DataRefusedError(message, hint="load a dump with `shopease restore`")
    with source_snapshot(settings) as moment:
        yield moment


@dataclass
class _Run:
    """A run under way: what it has done so far."""

    plan: Plan
    settings: Settings
    store: LakeStore
    run_id: str
    progress: Progress
    started_at: str = field(default_factory=lambda: _now())
    stages: list[StageResult] = field(default_factory=list)
    source: SourceInfo | None = None
    is_published: bool = False

    def __post_init__(self) -> None:
        later = {key for step in self.plan.steps() for key in step.reads}
        self.pending = PendingStore(self.store, private_path(self.store, self.settings, SPOOL), later)

    def execute(self) -> None:
        """Carry the stages out, and publish what they wrote all at once."""
        recorded = recorded_datasets(self.store)
        stages: dict[str, Callable[[], StageResult]] = {
            "extract": self._extract,
            "clean": lambda: clean(
                self.pending, self.plan.cleaned_tables, self.run_id, recorded=recorded, progress=self.progress
            ),
            "aggregate": lambda: aggregate(self.pending, self.plan.datasets, recorded=recorded, progress=self.progress),
            "crawl": lambda: self._crawl(recorded),
        }
        for name in self.plan.stages:
            if name == "crawl":
                self._publish()
            self.progress.stage(name)
            result = stages[name]()
            log.info("%s took %.3f s", name, result.seconds)
            self.stages.append(result)
            self.record(RUNNING, None)
            recorded |= {
                item.key: Recorded(item.bytes, item.rows_out, item.rows_rejected, self.run_id)
                for item in result.datasets
            }
        self._publish()

    def _publish(self) -> None:
        """Let readers see what the stages so far wrote."""
        if not self.pending.waiting or self.is_published:
            return
        try:
            publish_run(self.store, self.pending, asdict(self._result(RUNNING, None, is_published=True)))
        finally:
            self.is_published = self.pending.is_committed
        self.pending.discard()
        deliver_interrupt()

    def record(self, status: str, error: str | None) -> RunResult:
        """Write the manifest."""
        has_written = any(stage.datasets for stage in self.stages)
        result = self._result(status, error, is_published=self.is_published or not has_written)
        write_manifest(self.store, asdict(result))
        return result

    def _result(self, status: str, error: str | None, *, is_published: bool) -> RunResult:
        return RunResult(
            run_id=self.run_id,
            status=status,
            started_at=self.started_at,
            finished_at=_now(),
            shopease_version=__version__,
            source=self.source,
            stages=tuple(self.stages),
            reconciliation=_reconciliation(self.stages),
            error=error,
            published=is_published,
        )

    def end(self, error: BaseException) -> None:
        """Tidy up after a run that did not succeed, and write its manifest if that can be; the error is what counts."""
        is_interrupt = isinstance(error, KeyboardInterrupt)
        if is_interrupt and self.is_published:
            log.warning("what the run wrote is published: it was interrupted after that")
        with uninterrupted():
            self.pending.discard()
            try:
                self.record(INTERRUPTED if is_interrupt else FAILED, "interrupted" if is_interrupt else str(error))
            except ShopeaseError as failure:
                log.warning("the run's manifest could not be written: %s", failure)
        with suppress(KeyboardInterrupt):
            deliver_interrupt()

    def _extract(self) -> StageResult:
        with source_snapshot(self.settings) as moment:
            result = extract(
                moment, self.pending, self.plan.tables, fail_fast=self.plan.fail_fast, progress=self.progress
            )
            sources = {table.name: table.source for table in self.plan.tables}
            rows = {sources[item.name]: item.rows_in for item in result.datasets}
            self.source = SourceInfo(moment.host, moment.database, moment.server_version, moment.id, rows)
        return result

    def _crawl(self, recorded: Mapping[str, Recorded]) -> StageResult:
        started = time.monotonic()
        found = crawl(
            self.store,
            warehouse(self.settings, self.store),
            recorded=recorded,
            run_crawlers=self._run_crawlers if self.plan.crawlers else no_crawlers,
            progress=self.progress,
        )
        return StageResult(
            "crawl",
            round(time.monotonic() - started, 3),
            tables=found.catalogued,
            skipped=found.skipped,
            crawlers=found.crawlers,
            scan=found.scan,
        )

    def _run_crawlers(self) -> tuple[CrawlerRun, ...]:
        return _crawlers(self.settings).run(self.progress)


def _reconciliation(stages: Sequence[StageResult]) -> dict[str, object]:
    """The sums of revenue and sales, and each table's rows from COPY to silver and quarantine."""
    by_name = {stage.name: stage for stage in stages}
    rows: dict[str, dict[str, int]] = {}
    for stage in (by_name[name] for name in ("extract", "clean") if name in by_name):
        for item in stage.datasets:
            rows.setdefault(item.name, {}).update(_row_counts(item))
    sums = dict(by_name["aggregate"].reconciliation) if "aggregate" in by_name else {}
    agrees = all(_rows_agree(counts) for counts in rows.values()) and sums.get("agrees", True)
    return {"rows": rows, **sums, "agrees": agrees} if rows or sums else {}


def _row_counts(item: DatasetResult) -> dict[str, int]:
    if item.layer == tables.BRONZE:
        return {"source": item.rows_in, "bronze": item.rows_out}
    if item.layer == tables.SILVER:
        return {"bronze": item.rows_in, "silver": item.rows_out}
    return {"quarantine": item.rows_out}


def _rows_agree(counts: dict[str, int]) -> bool:
    same_source = counts.get("source", counts["bronze"]) == counts["bronze"]
    return same_source and ("silver" not in counts or counts["bronze"] == counts["silver"] + counts["quarantine"])


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
