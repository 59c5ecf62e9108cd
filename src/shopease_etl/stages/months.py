"""A table kept by month: which months changed since the last extract, and the files of those."""

import logging
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import psycopg

from shopease_etl.contract.layout import NO_MONTH
from shopease_etl.contract.tables import Table
from shopease_etl.lake.store import Store
from shopease_etl.report import DatasetResult
from shopease_etl.source.postgres import (
    MonthRows,
    MonthTable,
    Snapshot,
    SourceTable,
    why_not_comparable,
)
from shopease_etl.stages.readers import Readers, TableWork

log = logging.getLogger(__name__)

PROBE_BYTES: Final = 64 * 1024 * 1024


@dataclass(frozen=True)
class ByMonth:
    """How the tables with a month column are kept.

    `watermark` is that of the last extract, if the lake has one, and `files` are the table's recorded bronze files by
    month, each with the run that wrote it. `full` is a reason to copy all months that the caller knows.
    """

    watermark: Mapping[str, Any] | None
    files: Mapping[str, DatasetResult]
    full: str | None = None


class Probe(TableWork[dict[str, MonthRows]]):
    """Counts a table's rows, and those that are new since a horizon, by month."""

    def __init__(self, months: MonthTable, horizon: int) -> None:
        super().__init__(months.source.name, months.source, months.source.ranges(PROBE_BYTES))
        self._months = months
        self._horizon = horizon
        self._found: dict[str, MonthRows] = {}
        self._ended = 0

    def read(self, connection: psycopg.Connection, number: int) -> None:
        """Count a range's rows."""
        rows = self._months.probe(connection, self.ranges[number], self._horizon)
        with self._guard:
            for month, counted in rows.items():
                self._found[month] = self._found.get(month, MonthRows()) + counted
            self._ended += 1
            is_last = self._ended == len(self.ranges)
        if is_last:
            self.done(self._found)


@dataclass(frozen=True)
class MonthPlan:
    """What to do about a table kept by month.

    `expected` has the rows of the months to copy, where they were counted; `wanted` None copies all months.
    """

    table: Table
    months: MonthTable
    full: str | None = None
    watermark: Mapping[str, Any] | None = None
    expected: Mapping[str, int] = field(default_factory=dict)
    wanted: Collection[str] | None = None
    carried: Mapping[str, DatasetResult] = field(default_factory=dict)

    @property
    def copies_nothing(self) -> bool:
        """Whether all files are carried over."""
        return self.wanted is not None and not self.wanted

    def merged(self, copied: Iterable[DatasetResult]) -> tuple[DatasetResult, ...]:
        """All the table's files, by month."""
        return tuple(sorted((*copied, *self.carried.values()), key=lambda file: file.key))


def plan_months(
    snapshot: Snapshot, store: Store, table: Table, source: SourceTable, by_month: ByMonth, connections: int
) -> MonthPlan:
    """Find out which months of a table changed.

    Raises:
        DataRefusedError: the month column is no date or timestamp.
    """
    months = snapshot.month_table(source, str(table.month_column), [item.name for item in table.columns if item.rules])
    if not (source.is_plain and source.is_heap):
        return MonthPlan(table, months, "the table is no plain table of PostgreSQL's own storage")
    marks = snapshot.marks(source)
    full = by_month.full or _why_full(by_month.watermark, marks)
    horizon = marks["horizon"] if full or not by_month.watermark else by_month.watermark["horizon"]
    found = Readers(snapshot, [Probe(months, horizon)], connections, fail_fast=True).run()[source.name]
    found = found or {NO_MONTH: MonthRows()}
    watermark = {**marks, "months": {month: found[month].mark for month in sorted(found)}}
    if not full and by_month.watermark:
        changed = _changed(store, table, found, by_month)
        full = _second_wall(found, changed, by_month.watermark)
    wanted = {*found} if full else changed
    return MonthPlan(
        table,
        months,
        full,
        watermark,
        {month: found[month].rows for month in wanted},
        None if len(wanted) == len(found) else wanted,
        {month: by_month.files[month] for month in found if month not in wanted},
    )


def _why_full(former: Mapping[str, Any] | None, marks: Mapping[str, Any]) -> str | None:
    if former is None:
        return "the first run by month"
    try:
        return why_not_comparable(former, marks)
    except (LookupError, TypeError):
        return "what the last extract recorded cannot be read"


def _changed(store: Store, table: Table, found: Mapping[str, MonthRows], by_month: ByMonth) -> set[str]:
    """The months that are not what they were, or whose file is not in the lake as it was recorded."""
    former = (by_month.watermark or {})["months"]
    folder = table.bronze_key.rpartition("/")[0]
    there = {item.key: item.bytes for item in store.list(f"{folder}/")}

    def is_same(month: str) -> bool:
        now, file = found[month], by_month.files.get(month)
        return (
            not now.new
            and month in former
            and file is not None
            and now.rows == former[month]["rows"] == file.rows_out
            and there.get(file.key) == file.bytes
        )

    return {month for month in found if not is_same(month)}


def _second_wall(found: Mapping[str, MonthRows], changed: Collection[str], former: Mapping[str, Any]) -> str | None:
    """Why the months that seem unchanged cannot be trusted, if their sums differ."""
    differ = [month for month in found if month not in changed and found[month].mark != former["months"][month]]
    if not differ:
        return None
    log.warning("%s: no row is new, but the sums are others; all months are copied", ", ".join(sorted(differ)))
    return f"the sums of {', '.join(sorted(differ))} changed without a new row"
