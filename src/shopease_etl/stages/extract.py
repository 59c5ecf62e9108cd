"""Copies the source's tables to bronze as COPY gives them, all from one snapshot, and publishes them together."""

import logging
import re
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from typing import Final

from shopease_etl.contract.layout import month_of
from shopease_etl.contract.tables import Table
from shopease_etl.errors import DataRefusedError, UnreachableError
from shopease_etl.lake.manifests import WriteGroup, write_group
from shopease_etl.lake.store import Store
from shopease_etl.progress import SILENT, Progress
from shopease_etl.report import DatasetResult, StageResult
from shopease_etl.source.postgres import Snapshot, SourceTable
from shopease_etl.stages.month_files import MonthFiles
from shopease_etl.stages.months import ByMonth, MonthPlan, plan_months
from shopease_etl.stages.readers import Readers
from shopease_etl.stages.table_copy import OneFile, TableCopy
from shopease_etl.transform.executor import CORES

__all__ = ["ByMonth", "extract", "resolve"]

log = logging.getLogger(__name__)

CopyMonths = Callable[[MonthPlan], tuple[DatasetResult, ...]]

CONNECTIONS: Final = min(4, CORES)
RANGE_BYTES: Final = 8 * 1024 * 1024
MOST_READ_AGAIN: Final = 1 << 30  # bytes of a table that a cluster may read more than once, or twice the table


def extract(
    snapshot: Snapshot,
    store: Store,
    tables: Sequence[Table],
    sources: Mapping[str, SourceTable] | None = None,
    *,
    connections: int = CONNECTIONS,
    range_bytes: int = RANGE_BYTES,
    fail_fast: bool = False,
    progress: Progress = SILENT,
    by_month: ByMonth | None = None,
    copy_months: CopyMonths | None = None,
) -> StageResult:
    """Stream the tables to bronze; no bronze object changes unless every table arrived complete.

    With `by_month` a table with a month column has a file for each month; those of unchanged months are carried over.
    `copy_months` copies the months of a plan elsewhere, if it says in which ranges of the table they are.

    `sources`: the result of `resolve`, if the caller has it. Tables larger than `range_bytes` are read in ranges of
    that size over several connections; the bytes are the same as with one connection.

    Raises:
        UnreachableError: the user of the URL may not read a table.
        SourceFaultError: a temporary failure of the source, or not all rows that COPY reported arrived, for every table
            that failed. Or the snapshot was taken without locks on the tables.
        DataRefusedError: a table or column is missing, or a table cannot be kept by month.
        ShopeaseError: tables failed; one error names them all.
    """
    started = time.monotonic()
    found = sources or resolve(snapshot, tables)
    present = [table for table in tables if table.required or table.source in found]
    names = [table.source for table in present]
    snapshot.require_locked(names)
    plans = {
        table.name: plan_months(
            snapshot,
            store,
            table,
            found[table.source],
            by_month,
            connections=connections,
            range_bytes=range_bytes,
            progress=progress,
        )
        for table in present
        if by_month and table.month_column
    }
    for plan in plans.values():
        log.info("%s: %s", plan.table.name, plan.text)
    elsewhere = _elsewhere(plans.values()) if copy_months else {}
    here = [table for table in present if table.name not in elsewhere]
    with write_group(store) as written:
        size = range_bytes if connections > 1 else sys.maxsize
        copies = [_copy(table, found[table.source], size, plans.get(table.name), written, progress) for table in here]
        copied = Readers(snapshot, [copy for copy in copies if copy.ranges], connections, fail_fast).run()
        if copy_months:
            copied |= {name: copy_months(plan) for name, plan in elsewhere.items() if plan.expected}
        snapshot.require_locked(names)
    for table in (table for table in tables if table not in present):
        _log_missing(table, store)
    files = [_merged(plans.get(table.name), copied.get(table.name, ())) for table in present]
    result = StageResult("extract", round(time.monotonic() - started, 3), tuple(chain.from_iterable(files)))
    for plan in plans.values():
        result = _with_months(result, plan, by_month)
    return result


def _with_months(result: StageResult, plan: MonthPlan, by_month: ByMonth | None) -> StageResult:
    """The result with what the next extract needs to know, and the months that are gone."""
    there = {month_of(file.key) for file in result.datasets}
    removed = tuple(month for month in sorted(by_month.files if by_month else ()) if month not in there)
    return replace(result, watermark=plan.watermark, full=plan.full, removed=removed)


def _elsewhere(plans: Iterable[MonthPlan]) -> dict[str, MonthPlan]:
    """The plans by table that are carried out month by month; of the others this machine reads the table once."""
    found = {}
    for plan in plans:
        if why := _why_here(plan):
            log.warning("%s: its months are copied and cleaned on this machine: %s", plan.table.name, why)
        else:
            found[plan.table.name] = plan
    return found


def _why_here(plan: MonthPlan) -> str | None:
    if not plan.there:
        return plan.full
    reads = sum(len(plan.expected.keys() & {*months}) for months in plan.there.values())
    again = plan.months.source.bytes * (reads - len(plan.ranges)) // len(plan.there)
    if again <= max(MOST_READ_AGAIN, 2 * plan.months.source.bytes):
        return None
    return f"its rows are in no order of time, and each month alone would be read from {reads:,} ranges of the table"


def _log_missing(table: Table, store: Store) -> None:
    stays = f"; {table.bronze_key} stays as it was" if store.find(table.bronze_key) else ""
    level = logging.WARNING if stays else logging.INFO
    log.log(level, "%s, which is optional, is missing in the source%s", table.source, stays)


def _copy(
    table: Table, source: SourceTable, size: int, plan: MonthPlan | None, written: WriteGroup, progress: Progress
) -> TableCopy:
    if not plan:
        return TableCopy(table, source, source.ranges(size), OneFile(table, source, written), progress)
    part = replace(source, bytes=source.bytes * len(plan.ranges) // max(1, len(plan.there)))
    return TableCopy(table, part, plan.ranges, MonthFiles(plan, written), progress)


def _merged(plan: MonthPlan | None, copied: tuple[DatasetResult, ...]) -> tuple[DatasetResult, ...]:
    """All files of a table by month, or its one file."""
    return tuple(sorted((*copied, *plan.carried), key=lambda file: file.key)) if plan else copied


def resolve(snapshot: Snapshot, tables: Sequence[Table]) -> dict[str, SourceTable]:
    """The source's tables by name, all that are required there, all readable, and with the columns that later stages
    need.
    """
    sources = snapshot.tables([table.source for table in tables])
    unreadable = [source.name for source in sources.values() if not source.is_readable]
    if unreadable:
        message = f"the source {snapshot.database} does not let this user read {', '.join(unreadable)}"
        raise UnreachableError(message, hint=snapshot.grant(unreadable))
    if broken := [
        f"{source.name}.{name!r}"
        for source in sources.values()
        for name in source.columns
        if re.search(r"[\r\n]", name)
    ]:
        message = f"a column name with a line break cannot be kept: {', '.join(broken)}"
        hint = "rename the column, or set SHOPEASE_SOURCE_SCHEMA to a schema of views that give it another name"
        raise DataRefusedError(message, hint=hint)
    problems = [problem for table in tables for problem in _problems(table, sources.get(table.source))]
    if problems:
        message = f"the source {snapshot.database} is incomplete: {'; '.join(problems)}"
        raise DataRefusedError(
            message,
            hint="load a dump: `shopease restore DUMP`, or correct SHOPEASE_DATABASE_URL or SHOPEASE_SOURCE_SCHEMA",
        )
    return sources


def _problems(table: Table, source: SourceTable | None) -> list[str]:
    if source is None:
        return [f"table {table.source} is missing"] if table.required else []
    return [f"{table.source} lacks the column {name}" for name in table.required_columns if name not in source.columns]
