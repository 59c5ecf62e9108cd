"""A plan carried out: the stages in order, and around them the lake's lock, the manifest, reconciliation."""

import logging
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Final

from shopease_etl import __version__, lock, tables
from shopease_etl.catalog.local import catalog_path
from shopease_etl.errors import ConfigurationError, DataRefusedError, ShopeaseError
from shopease_etl.lake import deliver_interrupt, recorded_datasets, require_whole, write_manifest
from shopease_etl.plan import Plan
from shopease_etl.postgres import Snapshot, snapshot
from shopease_etl.progress import SILENT, Progress
from shopease_etl.results import DatasetResult, Recorded, RunResult, SourceInfo, StageResult
from shopease_etl.settings import EMBEDDED, Settings
from shopease_etl.stages.aggregate import aggregate
from shopease_etl.stages.clean import clean
from shopease_etl.stages.crawl import crawl
from shopease_etl.stages.extract import extract, resolve
from shopease_etl.storage import Store, open_store
from shopease_etl.storage.local import LocalStore

log = logging.getLogger(__name__)

RUNNING: Final = "running"
SUCCEEDED: Final = "succeeded"
FAILED: Final = "failed"
INTERRUPTED: Final = "interrupted"


def check_plan(plan: Plan, settings: Settings) -> None:
    """Raise what a run of the plan would raise at its start: settings, connections, tables and columns."""
    store = open_store(settings.lake)
    store.check()
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
        ShopeaseError: a stage failed; the stages before it stand.
    """
    if plan.stages == ("crawl",):
        local_lake(settings)
    store = open_store(settings.lake)
    store.check()
    run_id = new_run_id()
    with lock.held(_lock_path(store, settings), run_id):
        store.sweep()
        job = _Run(plan, settings, store, run_id, progress)
        try:
            job.execute()
        except BaseException as error:
            job.record_end(error)
            raise
        return job.record(SUCCEEDED, None)


def new_run_id() -> str:
    """A run id that sorts by its start in UTC."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%S.%fZ}-{secrets.token_hex(2)}"


def catalog_file(settings: Settings) -> Path:
    """Where the local catalog of the settings' lake is kept."""
    return catalog_path(settings.home, settings.glue_database, local_lake(settings))


def local_lake(settings: Settings) -> Path:
    """The lake's folder.

    Raises:
        ConfigurationError: the lake is on S3, where this version has no catalog.
    """
    store = open_store(settings.lake)
    if isinstance(store, LocalStore):
        return store.root
    message = f"the lake {store.location} is on S3, and this version catalogs and queries local lakes only"
    raise ConfigurationError(message, hint="set SHOPEASE_LAKE to a folder")


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
    store: Store
    run_id: str
    progress: Progress
    started_at: str = field(default_factory=lambda: _now())
    stages: list[StageResult] = field(default_factory=list)
    source: SourceInfo | None = None

    def execute(self) -> None:
        recorded = recorded_datasets(self.store)
        stages: dict[str, Callable[[], StageResult]] = {
            "extract": self._extract,
            "clean": lambda: clean(
                self.store, self.plan.cleaned_tables, self.run_id, recorded=recorded, progress=self.progress
            ),
            "aggregate": lambda: aggregate(self.store, self.plan.datasets, recorded=recorded, progress=self.progress),
            "crawl": lambda: self._crawl(recorded),
        }
        for name in self.plan.stages:
            if name == "crawl" and not isinstance(self.store, LocalStore):
                log.warning("the catalog was left out: this version catalogs local lakes only")
                continue
            self.progress.stage(name)
            result = stages[name]()
            log.info("%s took %.3f s", name, result.seconds)
            self.stages.append(result)
            self.record(RUNNING, None)
            deliver_interrupt()
            recorded |= {
                item.key: Recorded(item.bytes, item.rows_out, item.rows_rejected, self.run_id)
                for item in result.datasets
            }

    def record(self, status: str, error: str | None) -> RunResult:
        """Write the manifest."""
        result = RunResult(
            run_id=self.run_id,
            status=status,
            started_at=self.started_at,
            finished_at=_now(),
            shopease_version=__version__,
            source=self.source,
            stages=tuple(self.stages),
            reconciliation=_reconciliation(self.stages),
            error=error,
        )
        write_manifest(self.store, result)
        return result

    def record_end(self, error: BaseException) -> None:
        """Write the manifest of a run that did not succeed, if it can be written; the error is what counts."""
        interrupted = isinstance(error, KeyboardInterrupt)
        try:
            self.record(INTERRUPTED if interrupted else FAILED, "interrupted" if interrupted else str(error))
        except ShopeaseError as failure:
            log.warning("the run's manifest could not be written: %s", failure)

    def _extract(self) -> StageResult:
        with source_snapshot(self.settings) as moment:
            result = extract(
                moment, self.store, self.plan.tables, fail_fast=self.plan.fail_fast, progress=self.progress
            )
            sources = {table.name: table.source for table in self.plan.tables}
            rows = {sources[item.name]: item.rows_in for item in result.datasets}
            self.source = SourceInfo(moment.host, moment.database, moment.server_version, moment.id, rows)
        return result

    def _crawl(self, recorded: Mapping[str, Recorded]) -> StageResult:
        started = time.monotonic()
        settings = self.settings
        found = crawl(
            local_lake(settings),
            catalog_file(settings),
            settings.glue_database,
            recorded=recorded,
            max_memory=settings.max_memory,
            progress=self.progress,
        )
        seconds = round(time.monotonic() - started, 3)
        return StageResult("crawl", seconds, tables=found.catalogued, skipped=dict(found.skipped))


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


def _lock_path(store: Store, settings: Settings) -> Path:
    """In a local lake itself; for a lake elsewhere in the home, where it parts the runs of this machine."""
    if isinstance(store, LocalStore):
        return store.root / tables.RUNS / ".lock"
    return settings.home / "locks" / f"{sha256(store.location.encode()).hexdigest()[:16]}.lock"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
