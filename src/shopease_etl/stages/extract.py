"""Copies the source's tables to bronze as COPY gives them, all from one snapshot, and publishes them together."""

import logging
import os
import re
import sys
import threading
import time
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Final

from shopease_etl import cancel
from shopease_etl.contract.tables import Table
from shopease_etl.errors import DataRefusedError, ShopeaseError, SourceFaultError, UnreachableError
from shopease_etl.lake.manifests import write_group
from shopease_etl.lake.ordering import StoppedError
from shopease_etl.lake.store import Store
from shopease_etl.progress import SILENT, Progress
from shopease_etl.report import DatasetResult, StageResult
from shopease_etl.source.postgres import Snapshot, SourceTable
from shopease_etl.stages.table_copy import TableCopy

log = logging.getLogger(__name__)

_CORES: Final = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
CONNECTIONS: Final = min(4, _CORES)
RANGE_BYTES: Final = 8 * 1024 * 1024
WAKE_SECONDS: Final = 0.2
DISCONNECT_SECONDS: Final = 3.0  # how long the server may take to end cancelled statements


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
) -> StageResult:
    """Stream the tables to bronze; no bronze object changes unless every table arrived complete.

    `sources`: the result of `resolve`, if the caller has it. Tables larger than `range_bytes` are read in ranges of
    that size over several connections; the bytes are the same as with one connection.

    Raises:
        UnreachableError: the user of the URL may not read a table.
        SourceFaultError: a temporary failure of the source, or not all rows that COPY reported arrived, for every table
            that failed. Or the snapshot was taken without locks on the tables.
        DataRefusedError: a table or column is missing.
        ShopeaseError: tables failed; one error names them all.
    """
    started = time.monotonic()
    found = sources or resolve(snapshot, tables)
    present = [table for table in tables if table.required or table.source in found]
    names = [table.source for table in present]
    snapshot.require_locked(names)
    size = range_bytes if connections > 1 else sys.maxsize
    with write_group(store) as written:
        copies = [TableCopy(table, found[table.source], size, written, progress) for table in present]
        results = _Extraction(snapshot, copies, connections, fail_fast).run()
        snapshot.require_locked(names)
    for table in (table for table in tables if table not in present):
        stays = f"; {table.bronze_key} stays as it was" if store.find(table.bronze_key) else ""
        level = logging.WARNING if stays else logging.INFO
        log.log(level, "%s, which is optional, is missing in the source%s", table.source, stays)
    return StageResult("extract", round(time.monotonic() - started, 3), results)


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


class _Extraction:
    """The extraction of tables, largest first, over a few connections that share the snapshot."""

    def __init__(self, snapshot: Snapshot, copies: Sequence[TableCopy], connections: int, fail_fast: bool) -> None:
        self._snapshot = snapshot
        self._copies = copies
        self._largest_first = sorted(copies, key=lambda copy: -copy.source.bytes)
        self._connections = max(1, min(connections, sum(len(copy.ranges) for copy in copies)))
        self._fail_fast = fail_fast
        self._is_stopped = False
        self._guard = threading.Lock()

    def run(self) -> tuple[DatasetResult, ...]:
        results = {copy.table.name: copy.result for copy in self._largest_first}
        with ThreadPoolExecutor(self._connections, thread_name_prefix="extract") as pool:
            readers = [pool.submit(self._read) for _ in range(self._connections)]
            try:
                while not self._is_over(results.values()):
                    self._snapshot.keep_alive()
                    cancel.wait(WAKE_SECONDS, *(result for result in results.values() if not result.done()))
            finally:
                self._stop(readers)
        _raise_all(results)
        return tuple(copy.result.result() for copy in self._copies)

    def _is_over(self, results: Collection[Future[DatasetResult]]) -> bool:
        """Whether all are done, or one failed in a way that makes the others useless."""
        errors = [result.exception() for result in results if result.done()]
        fatal = ShopeaseError if self._fail_fast else SourceFaultError
        return len(errors) == len(results) or any(isinstance(error, fatal) for error in errors)

    def _stop(self, readers: Collection[Future[None]]) -> None:
        """Stop the readers and wait for them; cancel, and later break off, those that do not end."""
        is_done = all(copy.result.done() for copy in self._copies)
        self._is_stopped = True
        for copy in self._copies:
            copy.stop()
        began = time.monotonic()
        wait(readers, timeout=WAKE_SECONDS if is_done else 0)
        while not all(reader.done() for reader in readers):
            self._snapshot.cancel()
            if time.monotonic() - began > DISCONNECT_SECONDS:
                self._snapshot.disconnect()
            wait(readers, timeout=WAKE_SECONDS)
        for copy in self._copies:
            copy.result.cancel()

    def _read(self) -> None:
        """Read one range after the other; after a failure, on a new connection."""
        while part := self._next():
            copy = part[0]
            try:
                with self._snapshot.worker() as connection:
                    while part:
                        copy, number = part
                        copy.read(connection, number)
                        part = self._next()
            except BaseException as error:  # noqa: BLE001 - raised by what waits for the table
                copy.fail(error)

    def _next(self) -> tuple[TableCopy, int] | None:
        """The next range of the largest table that has one."""
        with self._guard:
            for copy in self._largest_first if not self._is_stopped else ():
                if (number := copy.take()) is not None:
                    return copy, number
        return None


def _raise_all(results: dict[str, Future[DatasetResult]]) -> None:
    """Raise one error for all failed tables, of the first one's class; a SourceFaultError only if all of them are."""
    errors = {name: result.exception() for name, result in results.items() if not result.cancelled()}
    failed = {name: error for name, error in errors.items() if error and not isinstance(error, StoppedError)}
    if not failed:
        return
    first = next((error for error in failed.values() if not isinstance(error, SourceFaultError)), None)
    first = first or next(iter(failed.values()))
    if len(failed) == 1 or not isinstance(first, ShopeaseError):
        raise first
    reasons = "; ".join(f"{name}: {error}" for name, error in failed.items())
    message = f"{len(failed)} tables failed: {reasons}"
    raise type(first)(message, hint=first.hint) from first
