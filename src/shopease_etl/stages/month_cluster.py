"""Months that a cluster works on: their tasks, the keys that several of them have, and what is published of them."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial

import polars as pl

from shopease_etl.contract import layout
from shopease_etl.contract.layout import BRONZE, QUARANTINE, SILVER, STATE
from shopease_etl.contract.tables import Table
from shopease_etl.errors import SourceFaultError
from shopease_etl.lake.reread import Content
from shopease_etl.lake.staging import Transaction
from shopease_etl.lake.store import LakeStore
from shopease_etl.progress import SILENT, Progress
from shopease_etl.report import DatasetResult, ObjectRecord
from shopease_etl.source.postgres import Snapshot
from shopease_etl.stages.carry_over import DUPLICATES, CleanedMonths, Months
from shopease_etl.stages.month_tasks import MonthDone, MonthJob, MonthTask, in_month, work_on_month
from shopease_etl.stages.months import MonthPlan
from shopease_etl.transform.month_state import pack_keys, unpack_keys, unpack_sums
from shopease_etl.transform.rivals import Cluster, RivalSearch
from shopease_etl.wording import counted


@dataclass
class MonthCluster:
    """The months of one table in one run, worked on by a cluster, which is started if there is work for it.

    `recorded` has by key what earlier runs wrote. A month is worked on again if another month has a better row with one
    of its keys: once all months are done, it is known which. `full` carries nothing over.
    """

    start: Callable[[], Cluster]
    lake: LakeStore
    staged: Transaction
    job: MonthJob
    recorded: Mapping[str, ObjectRecord]
    full: bool
    progress: Progress = SILENT
    contents: dict[str, Content] = field(default_factory=dict)
    cleaned: CleanedMonths = field(default_factory=CleanedMonths)
    _search: RivalSearch | None = None

    def copy(self, snapshot: Snapshot, plan: MonthPlan) -> tuple[DatasetResult, ...]:
        """Copy the months of a plan to bronze, and clean them if the job says so.

        Raises:
            ShopeaseError: as `extract` and `clean` do.
        """
        self.job = replace(self.job, snapshot=snapshot)
        plans = {month: in_month(plan, month) for month in plan.expected}
        tasks = [MonthTask(month, alone) for month, alone in plans.items()]
        with snapshot.kept_alive(), self._working():
            done = self._done(tasks, "copying and cleaning" if self.job.cleans else "copying")
            copied = tuple(each.copied for each in done.values() if each.copied)
            self.progress.start(self.job.table.name)
            self.progress.finish(self.job.table.name, counted(sum(file.rows_out for file in copied), "row"))
            if self.job.cleans:
                self._settle(self._with_bronze((*copied, *plan.carried)), done, plans)
            else:
                self._adopt(done.values())
        return copied

    def clean(self) -> None:
        """Clean the months whose bronze is in the lake."""
        with self._working():
            self._settle(self.recorded, {}, {})

    @contextmanager
    def _working(self) -> Iterator[None]:
        """Abort, in the end, all that tasks uploaded and that is not taken over: most was uploaded again."""
        try:
            yield
        finally:
            if self._search:
                self._search.__exit__()
                layers = (BRONZE, SILVER, QUARANTINE, STATE)
                self.staged.abort_other_uploads([f"{layer}/{self.job.table.name}" for layer in layers])

    def _with_bronze(self, files: Iterable[DatasetResult]) -> dict[str, ObjectRecord]:
        """What is recorded, with these files as the table's bronze."""
        folder = f"{BRONZE}/{self.job.table.name}"
        others = {key: known for key, known in self.recorded.items() if layout.dataset_of(key) != folder}
        return others | {
            file.key: ObjectRecord(file.bytes, file.rows_out, 0, file.run_id or self.job.run_id, file.sha256, file)
            for file in files
        }

    def _settle(
        self,
        recorded: Mapping[str, ObjectRecord],
        done: dict[str, MonthDone],
        plans: Mapping[str, MonthPlan],
    ) -> None:
        """Clean what is not done yet, compare the keys of all months, and take over what is final."""
        months = Months(self.lake, self.job.table, recorded, self.job.zone, self.job.datasets)
        if not self.full:
            months.carry_over()
        parts = {str(part.month): part for part in months.parts}
        self._adopt(done.pop(month).only_bronze(self.lake) for month in [*done] if parts[month] in months.carried)
        bronze = {month: recorded.get(part.bronze_key) for month, part in parts.items()}
        due = [part for month, part in parts.items() if part not in months.carried and month not in done]
        done |= self._done(self._tasks(due, bronze), "cleaning")
        doubtful: dict[str, MonthDone] = {}
        if not months.has_unique_key:
            if months.carried:
                doubtful, beside = self._compared(months, done, bronze)
                self._discard(beside.values())
            lost = self._lost_keys(self._search) if self._search else {}
            again = [
                MonthTask(month, plans.get(month), bronze[month], pack_keys(lost[month]))
                for month in (*done, *doubtful)
                if month in lost
            ]
            self._redo(again, done, doubtful)
        self._adopt(done.values())
        for month, each in doubtful.items():
            self._take_if_changed(months, parts[month], each)
        self._conclude(months, parts)

    def _lost_keys(self, search: RivalSearch) -> Mapping[str, pl.Series]:
        name = "keys of several months"
        self.progress.start(name)
        lost = search.lost_keys()
        self.progress.finish(name, f"{sum(map(len, lost.values())):,} lose to better rows")
        return lost

    def _tasks(self, parts: Iterable[Table], bronze: Mapping[str, ObjectRecord | None]) -> list[MonthTask]:
        return [MonthTask(str(part.month), bronze=bronze[str(part.month)]) for part in parts]

    def _done(self, tasks: Sequence[MonthTask], doing: str) -> dict[str, MonthDone]:
        if not tasks:
            return {}
        if not self._search:
            self.progress.start("cluster")
            self._search = self.start().search()
            self.progress.finish("cluster", "started")
        name = f"{self.job.table.name} on the cluster"
        self.progress.start(name)
        found = self._search.map(partial(work_on_month, self.job), tasks)
        self.progress.finish(name, f"{doing} {counted(len(found), 'month')}")
        return {each.month: each for each in found}

    def _compared(
        self,
        months: Months,
        done: Mapping[str, MonthDone],
        bronze: Mapping[str, ObjectRecord | None],
    ) -> tuple[dict[str, MonthDone], dict[str, MonthDone]]:
        """Carried months that share keys with those that are done, cleaned for comparison, and those beside them."""
        changed = {self.job.table.in_month(month): unpack_keys(each.keys) for month, each in done.items()}
        doubtful, beside = months.to_compare(changed)
        found = self._done(self._tasks([*doubtful, *beside], bronze), "comparing")
        names = {str(part.month) for part in doubtful}
        return (
            {month: each for month, each in found.items() if month in names},
            {month: each for month, each in found.items() if month not in names},
        )

    def _redo(
        self,
        tasks: Sequence[MonthTask],
        done: dict[str, MonthDone],
        doubtful: dict[str, MonthDone],
    ) -> None:
        """Work on months again that lose keys to others; what was uploaded for them is discarded."""
        for month, each in self._done(tasks, "comparing and cleaning again").items():
            place = done if month in done else doubtful
            self._discard([place[month]])
            first = place[month].copied
            if first and each.copied and first.sha256 != each.copied.sha256:
                message = f"{first.key}: the source sent other rows when the month was copied again"
                raise SourceFaultError(message)
            place[month] = each

    def _take_if_changed(self, months: Months, part: Table, each: MonthDone) -> None:
        """Take a carried month only if other rows of it are duplicates now."""
        if each.cleaned and each.cleaned[0].keys[DUPLICATES] != months.carried[part][0].keys[DUPLICATES]:
            months.clean_again(part)
            self._adopt([each])
        else:
            self._discard([each])

    def _adopt(self, done: Iterable[MonthDone]) -> None:
        for each in done:
            for upload in each.uploads:
                self.staged.adopt(upload)
            self.contents |= each.contents
            if each.cleaned:
                self.cleaned.pairs[self.job.table.in_month(each.month)] = each.cleaned
                self.cleaned.sums.append(unpack_sums(each.sums))

    def _discard(self, done: Iterable[MonthDone]) -> None:
        for each in done:
            for upload in each.uploads:
                upload.discard(self.lake)

    def _conclude(self, months: Months, parts: Mapping[str, Table]) -> None:
        self.cleaned.sums += months.sums()
        found = self.cleaned.pairs | months.carried
        self.cleaned.pairs = {part: found[part] for part in parts.values()}
