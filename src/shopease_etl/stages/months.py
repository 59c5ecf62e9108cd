"""A table kept by month: which months changed since the last extract."""

import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import psycopg

from shopease_etl.contract.layout import NO_MONTH
from shopease_etl.contract.tables import Table
from shopease_etl.errors import DataRefusedError
from shopease_etl.lake.store import Store
from shopease_etl.progress import Progress
from shopease_etl.report import DatasetResult
from shopease_etl.source.postgres import Blocks, MonthRows, MonthTable, Snapshot, SourceTable, why_not_comparable
from shopease_etl.stages.readers import Readers, TableWork
from shopease_etl.wording import counted

log = logging.getLogger(__name__)

MOST_MONTHS: Final = 600  # as many files may be open at once
_NOT_PLAIN: Final = "the source is a view, or a table with partitions, child tables, generated columns or other storage"
RANGE_BYTES: Final = 4 * 1024 * 1024  # so that most ranges of a table in order of time have rows of one month


@dataclass(frozen=True)
class ByMonth:
    """How the tables with a month column are kept.

    `watermark` is that of the last extract, if the lake has one, and `files` are the table's recorded bronze files by
    month, each with the run that wrote it. `full` is a reason to copy all months that the caller knows.
    """

    watermark: Mapping[str, Any] | None
    files: Mapping[str, DatasetResult]
    full: str | None = None


@dataclass(frozen=True)
class MonthPlan:
    """Which months of a table to copy, and which files of earlier runs to carry over.

    `full` is the reason if all months are copied, `watermark` is for the next extract. Where the rows were counted,
    `there` has the months of each range's rows, and `expected` the rows of each month to copy; else both are empty, and
    all is copied.
    """

    table: Table
    months: MonthTable
    full: str | None
    watermark: Mapping[str, Any] | None = None
    there: Mapping[Blocks | None, Collection[str]] = field(default_factory=dict)
    expected: Mapping[str, int] = field(default_factory=dict)
    carried: tuple[DatasetResult, ...] = ()

    @property
    def ranges(self) -> Sequence[Blocks | None]:
        """The ranges with rows to copy; the first one, if there is nothing to copy but a header."""
        if not self.there:
            return (None,)
        found = [blocks for blocks, months in self.there.items() if self.expected.keys() & {*months}]
        return found or [*self.there][: len(self.expected)]

    @property
    def text(self) -> str:
        """What is copied and what is carried over, in a few words."""
        if self.full:
            return f"all months are copied: {self.full}"
        copied, kept = len(self.expected), len(self.carried)
        return f"{copied:,} of {counted(copied + kept, 'month')} changed; {kept:,} carried over"


def plan_months(
    snapshot: Snapshot,
    store: Store,
    table: Table,
    source: SourceTable,
    by_month: ByMonth,
    *,
    connections: int,
    range_bytes: int,
    progress: Progress,
) -> MonthPlan:
    """Count the rows of a table by month, in ranges of at most about `range_bytes`, and find out which months changed.

    Raises:
        DataRefusedError: the month column is no date or timestamp, or there are too many months.
    """
    summed = [column.name for column in table.columns if column.rules]
    months = snapshot.month_table(source, str(table.month_column), summed)
    if not (source.is_plain and source.is_heap):
        return MonthPlan(table, months, _NOT_PLAIN)
    marks = snapshot.marks(source)
    full = by_month.full or _why_full(by_month, marks)
    former = {} if full or by_month.watermark is None else by_month.watermark
    probe = _Probe(table, months, min(range_bytes, RANGE_BYTES), former.get("horizon", marks["horizon"]), progress)
    progress.start(probe.task, source.bytes)
    there = Readers(snapshot, [probe], connections, fail_fast=True).run()[probe.name]
    total = _total(source, there.values())
    changed = _changed(store, table, total, by_month) if former else {*total}
    if former and (full := _second_wall(total, {*total} - changed, former)):
        changed = {*total}
    watermark = {**marks, "months": {month: total[month].mark for month in sorted(total)}}
    expected = {month: total[month].rows for month in sorted(changed)}
    kept = (by_month.files[month] for month in sorted({*total} - changed))
    is_unique = table.key in source.unique_columns
    carried = tuple(replace(file, has_unique_key=is_unique) for file in kept)
    plan = MonthPlan(table, months, full, watermark, there, expected, carried)
    progress.finish(probe.task, f"{len(expected):,} of {counted(len(total), 'month')}")
    return plan


class _Probe(TableWork[Mapping[Blocks | None, Mapping[str, MonthRows]]]):
    """Counts the rows of each range by month, and those that are new since a horizon."""

    def __init__(self, table: Table, months: MonthTable, range_bytes: int, horizon: int, progress: Progress) -> None:
        super().__init__(table.name, months.source, months.source.ranges(range_bytes))
        self.task = f"changes in {table.name}"
        self._months = months
        self._horizon = horizon
        self._progress = progress
        self._found: dict[int, Mapping[str, MonthRows]] = {}

    def read(self, connection: psycopg.Connection, number: int) -> None:
        rows = self._months.probe(connection, self.ranges[number], self._horizon)
        self._progress.advance(self.task, size=self.source.bytes // len(self.ranges))
        with self._guard:
            self._found[number] = rows
            is_last = len(self._found) == len(self.ranges)
        if is_last:
            self.done({blocks: self._found[number] for number, blocks in enumerate(self.ranges)})


def _total(source: SourceTable, found: Iterable[Mapping[str, MonthRows]]) -> Mapping[str, MonthRows]:
    """The rows of all ranges by month; a table without rows has none without a month."""
    total: dict[str, MonthRows] = {}
    for part in found:
        for month, rows in part.items():
            total[month] = total.get(month, MonthRows()) + rows
    require_few(source, total)
    return total or {NO_MONTH: MonthRows()}


def require_few(source: SourceTable, months: Collection[str]) -> None:
    """Raise DataRefusedError if these are too many months."""
    if len(months) > MOST_MONTHS:
        message = f"{source.name} has rows in more than {MOST_MONTHS} months"
        raise DataRefusedError(message, hint="correct the wrong dates in the source, or set SHOPEASE_PARTITIONS=none")


def _why_full(by_month: ByMonth, marks: Mapping[str, Any]) -> str | None:
    if (former := by_month.watermark) is None:
        return "the last run could not record the versions of rows" if by_month.files else "the first run by month"
    try:
        sum((mark["rows"] for mark in former["months"].values()), former["horizon"])  # an error, if they are no numbers
        return why_not_comparable(former, marks)
    except (LookupError, TypeError, AttributeError):
        return "what the last extract recorded cannot be read"


def _changed(store: Store, table: Table, found: Mapping[str, MonthRows], by_month: ByMonth) -> set[str]:
    """The months that are not what they were, or whose file is not in the lake as it was recorded."""
    former = (by_month.watermark or {})["months"]
    folder = table.bronze_key.rpartition("/")[0]
    there = {item.key: item.bytes for item in store.list(f"{folder}/")}

    def is_there(month: str) -> bool:
        file = by_month.files.get(month)
        return file is not None and (there.get(file.key), file.rows_out) == (file.bytes, former[month]["rows"])

    same = {month for month in found if not found[month].new and found[month].rows == former.get(month, {}).get("rows")}
    if lost := {month for month in same if not is_there(month)}:
        log.warning("%s: %s is not in the lake as it was written, and is copied again", table.name, _named(lost))
    return {*found} - same | lost


def _named(months: Collection[str]) -> str:
    return f"the file of {min(months)}" + (f" and of {len(months) - 1:,} more" if len(months) > 1 else "")


def _second_wall(found: Mapping[str, MonthRows], unchanged: Collection[str], former: Mapping[str, Any]) -> str | None:
    """Why months that seem unchanged cannot be trusted: their sums differ."""
    if not (differ := sorted(month for month in unchanged if found[month].mark != former["months"][month])):
        return None
    reason = f"values of {', '.join(differ)} changed, but no row is new"
    log.warning("%s; was the server restored from a copy of its files? all months are copied", reason)
    return reason
