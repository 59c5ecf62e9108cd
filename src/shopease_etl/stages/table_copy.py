"""Copies one table to bronze: several connections read its ranges, which go into one object in order."""

import logging
import threading
import time
from concurrent.futures import Future

import psycopg

from shopease_etl.contract.layout import BRONZE
from shopease_etl.contract.tables import Table
from shopease_etl.errors import ShopeaseError, SourceFaultError
from shopease_etl.lake.manifests import WriteGroup
from shopease_etl.lake.ordering import OrderedParts, StoppedError
from shopease_etl.progress import Progress
from shopease_etl.report import DatasetResult
from shopease_etl.source.postgres import CopyOut, SourceTable
from shopease_etl.wording import counted

log = logging.getLogger(__name__)


class TableCopy:
    """The copy of a table in ranges of about `range_bytes`; `result` is that of all of them, or the first error."""

    def __init__(
        self, table: Table, source: SourceTable, range_bytes: int, written: WriteGroup, progress: Progress
    ) -> None:
        self.table = table
        self.source = source
        self.ranges = source.ranges(range_bytes)
        self.result: Future[DatasetResult] = Future()
        self._written = written
        self._progress = progress
        self._parts = OrderedParts(len(self.ranges), self._write)
        self._rows: list[int] = []
        self._taken = 0
        self._is_stopped = False
        self._guard = threading.Lock()
        self._beginning = threading.Lock()
        self._has_begun = False

    def take(self) -> int | None:
        """The number of the next range; None if there is none left."""
        if self._taken == len(self.ranges) or self.result.done():
            return None
        self._taken += 1
        return self._taken - 1

    def read(self, connection: psycopg.Connection, number: int) -> None:
        """Read a range, and write it when those before it are written.

        Raises:
            ShopeaseError: the range cannot be read or written, or the table was stopped.
        """
        self._begin()
        copy = CopyOut(connection, self.source, self.ranges[number])
        for chunk in copy:
            self._parts.write(number, chunk)
            self._progress.advance(self.table.name, size=len(chunk))
        self._rows.append(copy.rows)
        if self._parts.end(number):
            self._finish()

    def fail(self, error: BaseException) -> None:
        """Make the table's first error its result; after `stop`, a StoppedError instead."""
        with self._guard:
            if not self.result.done():
                if self._is_stopped and isinstance(error, ShopeaseError):
                    message = f"the extraction of {self.table.name} was stopped"
                    error = StoppedError(message)
                self.result.set_exception(error)
        self._parts.stop()

    def stop(self) -> None:
        """Stop reading and writing the table."""
        self._is_stopped = True
        self._parts.stop()

    def _begin(self) -> None:
        """Start the upload; the first range to be read does it, and the others wait for it."""
        with self._beginning:
            if self._has_begun:
                return
            source = self.source
            log.info("%s: %d columns, %s bytes in the source", source.name, len(source.columns), f"{source.bytes:,}")
            self._started = time.monotonic()
            self._upload = self._written.writer(self.table.bronze_key)
            self._progress.start(self.table.name, source.bytes)
            self._has_begun = True

    def _write(self, chunk: bytearray) -> None:
        self._upload.write(chunk)

    def _finish(self) -> None:
        upload, rows = self._upload, sum(self._rows)
        if rows != upload.csv_rows:
            message = f"{self.table.source}: COPY reported {rows:,} rows, but {upload.csv_rows:,} arrived"
            raise SourceFaultError(
                message, hint="the network loses bytes: use TLS (sslmode=require), or another network"
            )
        self._progress.finish(self.table.name, counted(rows, "row"))
        seconds = round(time.monotonic() - self._started, 3)
        numbers = rows, upload.csv_rows, upload.bytes, upload.sha256
        result = DatasetResult(BRONZE, self.table.name, self.table.bronze_key, *numbers, seconds=seconds)
        with self._guard:
            self.result.set_result(result)
