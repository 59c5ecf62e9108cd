"""Calls the stages of a run, each with what the stages before it wrote."""

# Polars, Arrow and DuckDB are slow to import: they come with the stages that need them.

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cached_property, partial
from typing import TYPE_CHECKING

from shopease_etl import cancel
from shopease_etl.contract.layout import dataset_of, month_of
from shopease_etl.contract.tables import TRANSACTIONS
from shopease_etl.lake.manifests import recorded_datasets
from shopease_etl.lake.staging import Transaction
from shopease_etl.pipeline import guards
from shopease_etl.pipeline.months import dated, former_months
from shopease_etl.pipeline.plan import Overrides
from shopease_etl.pipeline.run_log import RunLog
from shopease_etl.pipeline.wiring import Pipeline
from shopease_etl.report import CrawlerRun, ObjectRecord, SourceInfo, StageResult, by_dataset
from shopease_etl.source.postgres import Snapshot
from shopease_etl.source.session import with_retries
from shopease_etl.stages.extract import CONNECTIONS, extract, resolve

if TYPE_CHECKING:
    from shopease_etl.lake.reread import Content
    from shopease_etl.stages.carry_over import CleanedMonths
    from shopease_etl.stages.month_cluster import MonthCluster
    from shopease_etl.transform.memory import Memory
    from shopease_etl.transform.partials import PartialSums


class StageCalls:
    """The stages of one run; `commit` publishes what they wrote.

    `cleaned` has by key the rows of each file of bronze that was cleaned, and compared with its hash.
    """

    def __init__(
        self,
        run: RunLog,
        staged: Transaction,
        shop: Pipeline,
        baseline: guards.Baseline,
        overrides: Overrides,
        commit: Callable[[], None],
    ) -> None:
        self._run = run
        self._plan = run.plan
        self._staged = staged
        self._shop = shop
        self._baseline = baseline
        self._overrides = overrides
        self._commit = commit
        self.cleaned: dict[str, int] = {}
        self._parts: PartialSums | None = None
        self._months: MonthCluster | None = None

    @property
    def read_again(self) -> Mapping[str, "Content"]:
        """By key, what other machines found in objects that they wrote for this run, and read again."""
        return self._months.contents if self._months else {}

    def carry_out(self, name: str) -> StageResult:
        """Do one stage, within the time that it may take."""
        stage = {"extract": self._extract, "clean": self._clean, "aggregate": self._aggregate, "crawl": self._crawl}
        self._shop.progress.stage(name)
        self._run.events.stage_started(name)
        hint = "SHOPEASE_STAGE_TIMEOUT sets the limit; see what took so long with --verbose"
        with cancel.deadline(self._shop.limits.stage, f"the stage {name}", hint=hint):
            result = stage[name]()
        self._staged.drop_others(result.datasets)
        self._run.stage_done(result)
        return result

    @cached_property
    def _former(self) -> dict[str, ObjectRecord]:
        return recorded_datasets(self._shop.lake)

    @property
    def _recorded(self) -> dict[str, ObjectRecord]:
        own = self._run.recorded
        written = {dataset_of(key) for key in own}
        return {key: found for key, found in self._former.items() if dataset_of(key) not in written} | own

    def _extract(self) -> StageResult:
        return with_retries(self._shop.source, [table.source for table in self._plan.tables], self._extract_from)

    def _month_cluster(self, *, full: bool, cleans: bool) -> "MonthCluster | None":
        """What works on the months of sales on a cluster, if there is one."""
        if not self._shop.cluster:
            return None
        from shopease_etl.stages.month_cluster import MonthCluster
        from shopease_etl.stages.month_tasks import MonthJob

        lake = self._shop.lake
        limit, zone = self._shop.limits.memory, self._shop.source.zone
        job = MonthJob(lake, TRANSACTIONS, self._run.run_id, zone, self._plan.datasets, limit, cleans)
        return MonthCluster(self._shop.cluster, lake, self._staged, job, self._recorded, full, self._shop.progress)

    def _extract_from(self, snapshot: Snapshot) -> StageResult:
        sources = resolve(snapshot, self._plan.tables)
        if not self._overrides.accept_drift:
            guards.require_no_drift(self._baseline, sources, snapshot.sample_row)
        former = former_months(self._shop, full="--full" if self._plan.full else None)
        is_full = self._plan.full or bool(former and former.full)
        self._months = self._month_cluster(full=is_full, cleans="clean" in self._plan.stages) if former else None
        result = extract(
            snapshot,
            self._staged,
            self._plan.tables,
            sources,
            connections=self._shop.source.connections or CONNECTIONS,
            fail_fast=self._plan.fail_fast,
            progress=self._shop.progress,
            by_month=former,
            copy_months=partial(self._months.copy, snapshot) if self._months else None,
        )
        named = {table.name: table.source for table in self._plan.tables}
        rows = {named[item.name]: item.rows_in for item in by_dataset(result.datasets)}
        columns = {name: dict(zip(table.columns, table.types, strict=True)) for name, table in sources.items()}
        self._run.source = SourceInfo(
            snapshot.host, snapshot.database, snapshot.server_version, snapshot.id, rows, columns
        )
        return dated(result, former)

    def _clean(self) -> StageResult:
        from shopease_etl.stages.clean import clean
        from shopease_etl.transform.partials import PartialSums

        memory, elsewhere, started = self._memory(), {}, time.monotonic()
        if months := self._cleaned_elsewhere():
            elsewhere = {TRANSACTIONS.name: months}
        if "aggregate" in self._plan.stages:
            self._parts = PartialSums(memory, self._plan.datasets)
        result = clean(
            self._staged,
            self._plan.cleaned_tables,
            self._run.run_id,
            recorded=self._recorded,
            zone=self._shop.source.zone,
            memory=memory,
            datasets=self._plan.datasets,
            partial_sums=self._parts,
            progress=self._shop.progress,
            executor=self._shop.executor,
            full=self._plan.full or self._is_full_copy,
            cleaned=self.cleaned,
            elsewhere=elsewhere,
        )
        return replace(result, seconds=round(time.monotonic() - started, 3))

    def _cleaned_elsewhere(self) -> "CleanedMonths | None":
        """The months of sales, cleaned on the cluster with the copy or now; None if they are for this machine.

        Only this machine has the bronze that it has copied itself.
        """
        folder = dataset_of(TRANSACTIONS.bronze_key)
        months = [key for key in self._recorded if dataset_of(key) == folder and month_of(key)]
        if TRANSACTIONS not in self._plan.cleaned_tables or not months:
            return None
        if self._months and self._months.cleaned.pairs:
            return self._months.cleaned
        if any(self._staged.has_copy(key) for key in months):
            return None
        self._months = self._month_cluster(full=self._plan.full or self._is_full_copy, cleans=True)
        if not self._months:
            return None
        self._months.clean()
        return self._months.cleaned

    @property
    def _is_full_copy(self) -> bool:
        """Whether this run's extract copied all months of a lake by month."""
        extract = self._run.find("extract")
        return bool(extract and extract.full)

    def _aggregate(self) -> StageResult:
        from shopease_etl.stages.aggregate import aggregate

        return aggregate(
            self._staged,
            self._plan.datasets,
            recorded=self._recorded,
            memory=self._memory(),
            partial_sums=self._parts,
            progress=self._shop.progress,
            executor=self._shop.executor,
            elsewhere=(self._shop.cluster, self._shop.lake) if self._shop.cluster else None,
        )

    def _memory(self) -> "Memory":
        from shopease_etl.transform.memory import Memory

        return Memory(self._shop.limits.memory, self._shop.home)

    def _crawl(self) -> StageResult:
        from shopease_etl.stages.crawl import crawl, no_crawlers

        started = time.monotonic()
        # of what a run carries over, it compares one file with its hash, in turn
        known = {key: replace(found, sha256=None) for key, found in self._run.recorded.items()}
        found = crawl(
            self._staged,
            self._shop.warehouse(unpublished=self._staged),
            recorded=self._recorded | known,
            run_crawlers=self._run_crawlers if self._plan.crawlers else no_crawlers,
            commit=self._commit,
            progress=self._shop.progress,
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
        return self._shop.crawlers().run(self._shop.progress)
