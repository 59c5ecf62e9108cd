"""A run under way: its stages in order, what they wrote, and how it is published, undone or kept for a retry."""

# Polars, Arrow and DuckDB are slow to import: they come with the stages that need them, or beside the cleaning.

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final

from shopease_etl import __version__, signals
from shopease_etl.contract.tables import JOURNAL
from shopease_etl.errors import ShopeaseError
from shopease_etl.lake.generations import undo
from shopease_etl.lake.lock.lock import Held
from shopease_etl.lake.manifests import recorded_datasets
from shopease_etl.lake.publish import publish_run, write_manifest
from shopease_etl.lake.staging import PendingStore
from shopease_etl.lake.store import LakeStore, private_path
from shopease_etl.pipeline import guards, recovery
from shopease_etl.pipeline.cleanup import SPOOL
from shopease_etl.pipeline.events import Events, now
from shopease_etl.pipeline.plan import Consent, Plan
from shopease_etl.pipeline.preloading import preload
from shopease_etl.pipeline.reconciliation import reconciled
from shopease_etl.pipeline.wiring import crawlers, source, warehouse
from shopease_etl.progress import Progress
from shopease_etl.redaction import Secrets
from shopease_etl.report import CrawlerRun, Recorded, Replaced, RunResult, SourceInfo, StageResult
from shopease_etl.settings import Settings
from shopease_etl.source.postgres import Snapshot
from shopease_etl.source.session import attempted
from shopease_etl.stages.extract import CONNECTIONS, extract, resolve

if TYPE_CHECKING:
    from shopease_etl.pipeline.verify import Rereading
    from shopease_etl.transform.memory import Memory
    from shopease_etl.transform.partials import SilverParts

log = logging.getLogger(__name__)

RUNNING: Final = "running"
SUCCEEDED: Final = "succeeded"
FAILED: Final = "failed"
INTERRUPTED: Final = "interrupted"
KEPT: Final = "what was copied is kept: `shopease retry` goes on with it, `shopease run-all` reads the source again"
ASIDE: Final = "undoing"
_RAISE_LIMIT: Final = "SHOPEASE_{}_TIMEOUT sets the limit; see what took so long with --verbose"


@dataclass
class Job:
    """A run under way: what it has done so far."""

    plan: Plan
    settings: Settings
    store: LakeStore
    hold: Held
    run_id: str
    consent: Consent
    progress: Progress
    events: Events
    started_at: str = field(default_factory=now)
    stages: list[StageResult] = field(default_factory=list)
    source: SourceInfo | None = None
    attempt: int = 1
    is_published: bool = False
    replaced: Replaced | None = None
    reread: Mapping[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.pending = PendingStore(self.store, private_path(self.settings.home, SPOOL, self.store.location))
        self.previous = guards.previous(self.store)
        self.made: SilverParts | None = None
        self.rereading: Rereading | None = None

    def adopt(self, finished: Sequence[StageResult], source: SourceInfo | None) -> None:
        """Take over the first stages of a run that ended, as far as what they wrote is there as they recorded it."""
        for stage in finished:
            if not all(self.pending.adopt(item.key, item.sha256) for item in stage.datasets):
                return
            log.info("%s is there as the run left it", stage.name)
            self.stages.append(stage)
            self.source = source

    def execute(self) -> None:
        """Carry the stages out that are not done, and publish what they all wrote at once."""
        recorded = recorded_datasets(self.store)
        names = [table.source for table in self.plan.tables]
        stages: dict[str, Callable[[], StageResult]] = {
            "extract": lambda: attempted(source(self.settings), names, self._extract),
            "clean": lambda: self._clean(recorded),
            "aggregate": lambda: self._aggregate(recorded),
            "crawl": lambda: self._crawl(recorded),
        }
        done = {stage.name: stage for stage in self.stages}
        for name in self.plan.stages:
            result = done.get(name) or self._carry_out(name, stages[name])
            self._read_again(result)
            limits = {"max_shrink": self.settings.max_shrink, "max_rejected": self.settings.max_rejected}
            guards.require_consent(self.previous, result, self.stages, self.consent, **limits)
            recorded |= {
                item.key: Recorded(item.bytes, item.rows_out, item.rows_rejected, self.run_id)
                for item in result.datasets
            }
        self._publish()
        self._stop_reading()
        self.pending.discard()

    def _read_again(self, stage: StageResult) -> None:
        """Begin to read what the stage wrote."""
        from shopease_etl.pipeline.verify import Rereading

        self.rereading = self.rereading or Rereading(self.pending)
        self.rereading.add(stage)

    def _stop_reading(self) -> None:
        if self.rereading:
            self.rereading.stop()

    def _carry_out(self, name: str, stage: Callable[[], StageResult]) -> StageResult:
        self.hold.require()
        self.progress.stage(name)
        self.events.stage_started(name)
        with signals.time_limit(self.settings.stage_timeout, f"the stage {name}", hint=_RAISE_LIMIT.format("STAGE")):
            result = stage()
        self.stages.append(result)
        self.record(RUNNING, None)
        self.events.stage_done(result)
        return result

    def _publish(self) -> None:
        """Let readers see what the stages so far wrote."""
        keys = self.pending.waiting
        if not keys or self.is_published:
            return
        if self.rereading:
            self.reread = self.rereading.result(self.progress)
        kept = self.store.keep(self.run_id, keys)
        self.replaced = Replaced(kept, tuple(sorted(set(keys) - set(kept))))
        self.hold.require()
        try:
            publish_run(self.store, self.pending, asdict(self._result(RUNNING, None, is_published=True)))
        finally:
            self.is_published = self.pending.is_committed
        signals.deliver()

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
            finished_at=now(),
            shopease_version=__version__,
            source=self.source,
            stages=tuple(self.stages),
            reconciliation=reconciled(self.stages, self.reread),
            error=error,
            published=is_published,
            plan=self.plan.document(),
            replaced=self.replaced,
            attempt=self.attempt,
        )

    def end(self, error: BaseException) -> None:
        """Tidy up after a run that did not succeed, and write its manifest if that can be; the error is what counts."""
        is_interrupt = isinstance(error, KeyboardInterrupt)
        with signals.held_back("tidying up"):
            self._stop_reading()
            if self.is_published and not is_interrupt:
                self._undo()
            kept = () if self.is_published else tuple(item.key for stage in self.stages for item in stage.datasets)
            self.pending.discard(kept)
            if is_interrupt:
                error.add_note(KEPT)
            elif kept:
                log.warning("%s", KEPT)
            self._tell_end(*((INTERRUPTED, INTERRUPTED) if is_interrupt else (FAILED, str(error))))
        with suppress(KeyboardInterrupt):
            signals.deliver()

    def _tell_end(self, status: str, error: str) -> None:
        """In the manifest, if that can be written, and to who listens; without secrets that the error may bear."""
        secrets = Secrets()
        secrets.learn(self.settings.database_url)
        told = secrets.redacted(error)
        try:
            self.record(status, told)
            recovery.prune(self.store, self.settings)
        except ShopeaseError as failure:
            log.warning("the run's manifest could not be written: %s", failure)
        self.events.run_ended(self._result(status, told, is_published=self.is_published))

    def _undo(self) -> None:
        """Bring the former lake back, for a stage that failed when the run was published; if it cannot be, tell it."""
        if self.store.find(f"{JOURNAL}{self.run_id}"):
            return  # the next command publishes the rest
        try:
            document: dict[str, Any] = asdict(self._result(FAILED, None, is_published=True))
            undo(
                self.store,
                private_path(self.settings.home, ASIDE, self.store.location),
                [document],
                self.hold.require,
            )
            self.is_published, self.replaced = False, None
            log.warning("what the run had published is undone: the lake is as it was before")
        except ShopeaseError as failure:
            log.warning("what the run wrote stays published, as it cannot be undone: %s; see `shopease crawl`", failure)

    def _extract(self, moment: Snapshot) -> StageResult:
        sources = resolve(moment, self.plan.tables)
        if not self.consent.to_drift:
            guards.require_no_drift(self.previous, sources, moment.sample_row)
        result = extract(
            moment,
            self.pending,
            self.plan.tables,
            sources,
            connections=self.settings.source_connections or CONNECTIONS,
            fail_fast=self.plan.fail_fast,
            progress=self.progress,
        )
        named = {table.name: table.source for table in self.plan.tables}
        rows = {named[item.name]: item.rows_in for item in result.datasets}
        columns = {name: dict(zip(table.columns, table.types, strict=True)) for name, table in sources.items()}
        self.source = SourceInfo(moment.host, moment.database, moment.server_version, moment.id, rows, columns)
        return result

    def _clean(self, recorded: Mapping[str, Recorded]) -> StageResult:
        from shopease_etl.stages.clean import clean
        from shopease_etl.transform.partials import SilverParts

        preload(self.plan.stages, is_local=not self.store.is_on_aws)
        memory = self._memory()
        if "aggregate" in self.plan.stages:
            self.made = SilverParts(memory)
        return clean(
            self.pending,
            self.plan.cleaned_tables,
            self.run_id,
            recorded=recorded,
            zone=self.settings.business_timezone,
            memory=memory,
            feed=self.made,
            progress=self.progress,
        )

    def _aggregate(self, recorded: Mapping[str, Recorded]) -> StageResult:
        from shopease_etl.stages.aggregate import aggregate

        return aggregate(
            self.pending,
            self.plan.datasets,
            recorded=recorded,
            memory=self._memory(),
            made=self.made,
            progress=self.progress,
        )

    def _memory(self) -> "Memory":
        from shopease_etl.transform.memory import Memory, give_back

        give_back()
        return Memory(self.settings.max_memory, self.settings.home)

    def _crawl(self, recorded: Mapping[str, Recorded]) -> StageResult:
        from shopease_etl.stages.crawl import crawl, no_crawlers

        started = time.monotonic()
        found = crawl(
            self.pending,
            warehouse(self.settings, self.store, unpublished=self.pending),
            recorded=recorded,
            run_crawlers=self._run_crawlers if self.plan.crawlers else no_crawlers,
            publish=self._publish,
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
        return crawlers(self.settings).run(self.progress)
