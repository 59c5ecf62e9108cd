"""Source to bronze: every table as COPY gives it, all of one snapshot, published together."""

import logging
import threading
import time
from collections.abc import Collection, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from typing import Final

from shopease_etl.errors import DataRefusedError, ShopeaseError, SourceFaultError, UnreachableError
from shopease_etl.lake import Publication, publication
from shopease_etl.postgres import CopyOut, Snapshot, SourceTable
from shopease_etl.progress import SILENT, Progress
from shopease_etl.results import DatasetResult, StageResult
from shopease_etl.storage import Store
from shopease_etl.tables import BRONZE, Table

log = logging.getLogger(__name__)

CONNECTIONS: Final = 2
WAKE_SECONDS: Final = 0.2
HANG_UP_SECONDS: Final = 3.0  # what the server may take to end what is cancelled


def extract(
    snapshot: Snapshot, store: Store, tables: Sequence[Table], *, fail_fast: bool = False, progress: Progress = SILENT
) -> StageResult:
    """Stream the tables to bronze; no bronze object changes unless every table arrived whole.

    Raises:
        UnreachableError: the user of the URL may not read a table.
        SourceFaultError: the source failed, and may not fail the next time; every failed table failed so.
        DataRefusedError: a table or column is missing, or bytes and COPY disagree about the rows.
        ShopeaseError: tables failed; the one error names them all.
    """
    started = time.monotonic()
    sources = resolve(snapshot, tables)
    with publication(store) as written:
        job = _Extraction(snapshot, written, progress, fail_fast)
        results = job.run([(table, sources[table.source]) for table in tables])
    return StageResult("extract", round(time.monotonic() - started, 3), results)


def resolve(snapshot: Snapshot, tables: Sequence[Table]) -> dict[str, SourceTable]:
    """The source's tables by name, all of them there, readable, and with the columns that later stages need."""
    sources = snapshot.tables([table.source for table in tables])
    unreadable = [source.name for source in sources.values() if not source.readable]
    if unreadable:
        message = f"the source {snapshot.database} does not let this user read {', '.join(unreadable)}"
        raise UnreachableError(message, hint=f"GRANT SELECT ON {', '.join(unreadable)} TO the user of the URL")
    problems = [problem for table in tables for problem in _problems(table, sources.get(table.source))]
    if problems:
        message = f"the source {snapshot.database} does not fit: {'; '.join(problems)}"
        raise DataRefusedError(
            message, hint="load a dump with `shopease restore`, or see SHOPEASE_DATABASE_URL and SHOPEASE_SOURCE_SCHEMA"
        )
    return sources


def _problems(table: Table, source: SourceTable | None) -> list[str]:
    if source is None:
        return [f"table {table.source} is missing"]
    return [f"{table.source} lacks the column {name}" for name in table.required_columns if name not in source.columns]


class _StoppedError(ShopeaseError):
    """A table ended because another one failed, or the run was interrupted."""


class _Extraction:
    """The tables on their way, largest first, over a few connections that share the snapshot."""

    def __init__(self, snapshot: Snapshot, written: Publication, progress: Progress, fail_fast: bool) -> None:
        self._snapshot = snapshot
        self._written = written
        self._progress = progress
        self._fail_fast = fail_fast
        self._stopped = threading.Event()

    def run(self, pairs: Sequence[tuple[Table, SourceTable]]) -> tuple[DatasetResult, ...]:
        largest_first = sorted(pairs, key=lambda pair: -pair[1].bytes)
        with ThreadPoolExecutor(CONNECTIONS, thread_name_prefix="extract") as pool:
            futures: dict[str, Future[DatasetResult]] = {}
            try:
                for table, source in largest_first:
                    futures[table.name] = pool.submit(self._copied, table, source)
                while not self._is_over(futures.values()):
                    self._snapshot.keep_alive()
                    # Polars' handler restarts a wait that SIGINT breaks off: this thread must wake to see the signal.
                    under_way = [future for future in futures.values() if not future.done()]
                    wait(under_way, timeout=WAKE_SECONDS, return_when=FIRST_EXCEPTION)
            finally:
                self._stop(futures.values())
        _raise_all(futures)
        return tuple(futures[table.name].result() for table, _ in pairs)

    def _is_over(self, futures: Collection[Future[DatasetResult]]) -> bool:
        """Whether all are done, or one failed so that the others need not go on."""
        errors = [future.exception() for future in futures if future.done()]
        hopeless = ShopeaseError if self._fail_fast else SourceFaultError
        return len(errors) == len(futures) or any(isinstance(error, hopeless) for error in errors)

    def _stop(self, futures: Collection[Future[DatasetResult]]) -> None:
        self._stopped.set()
        for future in futures:
            future.cancel()
        began = time.monotonic()
        while not all(future.done() for future in futures):
            self._snapshot.cancel()
            if time.monotonic() - began > HANG_UP_SECONDS:
                self._snapshot.hang_up()
            wait(futures, timeout=WAKE_SECONDS)

    def _copied(self, table: Table, source: SourceTable) -> DatasetResult:
        """One table; once all are to stop, whatever ends it is no failure of its own."""
        try:
            return self._copy(table, source)
        except ShopeaseError as error:
            if self._stopped.is_set():
                message = f"the extraction of {table.name} was stopped"
                raise _StoppedError(message) from error
            raise

    def _copy(self, table: Table, source: SourceTable) -> DatasetResult:
        log.info("%s: %d columns, %s bytes in the source", source.name, len(source.columns), f"{source.bytes:,}")
        started = time.monotonic()
        upload = self._written.upload(table.bronze_key)
        self._progress.start(table.name, source.bytes)
        with self._snapshot.worker() as connection:
            copy = CopyOut(connection, source)
            for chunk in copy:
                if self._stopped.is_set():
                    raise _StoppedError(table.name)
                upload.write(chunk)
                self._progress.advance(table.name, size=len(chunk))
        if copy.rows != upload.csv_rows:
            message = f"{table.source}: COPY reported {copy.rows:,} rows, but its bytes hold {upload.csv_rows:,}"
            raise DataRefusedError(message)
        self._progress.finish(table.name, f"{copy.rows:,} rows")
        return DatasetResult(
            BRONZE,
            table.name,
            table.bronze_key,
            copy.rows,
            upload.csv_rows,
            upload.bytes,
            upload.sha256,
            seconds=round(time.monotonic() - started, 3),
        )


def _raise_all(futures: dict[str, Future[DatasetResult]]) -> None:
    """One error that names every table that failed: of the kind of the first, but passing only if all of them pass."""
    errors = {name: future.exception() for name, future in futures.items() if not future.cancelled()}
    failed = {name: error for name, error in errors.items() if error and not isinstance(error, _StoppedError)}
    if not failed:
        return
    first = next((error for error in failed.values() if not isinstance(error, SourceFaultError)), None)
    first = first or next(iter(failed.values()))
    if len(failed) == 1 or not isinstance(first, ShopeaseError):
        raise first
    reasons = "; ".join(f"{name}: {error}" for name, error in failed.items())
    message = f"{len(failed)} tables failed: {reasons}"
    raise type(first)(message, hint=first.hint) from first
