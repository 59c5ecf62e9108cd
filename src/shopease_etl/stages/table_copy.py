"""One table on its way to bronze: its ranges, read by several connections, in order in one object."""

import logging
import threading
import time
from concurrent.futures import Future

import psycopg

from shopease_etl.contract.layout import BRONZE
from shopease_etl.contract.tables import Table
from shopease_etl.errors import ShopeaseError, SourceFaultError
from shopease_etl.lake.manifests import Publication
from shopease_etl.lake.ordering import OrderedParts, StoppedError
from shopease_etl.progress import Progress
from shopease_etl.report import DatasetResult
from shopease_etl.source.postgres import CopyOut, SourceTable
from shopease_etl.wording import counted

log = logging.getLogger(__name__)


class TableCopy:
    """A table's ranges of about `range_bytes`, and the `result` of all of them, or the first error."""

    def __init__(
        self, table: Table, source: SourceTable, range_bytes: int, written: Publication, progress: Progress
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
        """The number of the next range; None where there is none."""
        if self._taken == len(self.ranges) or self.result.done():
            return None
        self._taken += 1
        return self._taken - 1

    def read(self, connection: psycopg.Connection, number: int) -> None:
        """Read a range and write it when it is its turn.

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
        """Let the table's first error be its result; once it is stopped, whatever ends it is no failure of its own."""
        with self._guard:
            if not self.result.done():
                if self._is_stopped and isinstance(error, ShopeaseError):
                    message = f"the extraction of {self.table.name} was stopped"
                    error = StoppedError(message)
                self.result.set_exception(error)
        self._parts.stop()

    def stop(self) -> None:
        """Let nobody read or write it any more."""
        self._is_stopped = True
        self._parts.stop()

    def _begin(self) -> None:
        """Done by whichever range is read first; the others wait for it."""
        with self._beginning:
            if self._has_begun:
                return
            source = self.source
            log.info("%s: %d columns, %s bytes in the source", source.name, len(source.columns), f"{source.bytes:,}")
            self._started = time.monotonic()
            self._upload = self._written.upload(self.table.bronze_key)
            self._progress.start(self.table.name, source.bytes)
            self._has_begun = True

    def _write(self, chunk: bytearray) -> None:
        self._upload.write(chunk)

    def _finish(self) -> None:
        upload, rows = self._upload, sum(self._rows)
        if rows != upload.csv_rows:
            message = f"{self.table.source}: COPY reported {rows:,} rows, but {upload.csv_rows:,} arrived"
            raise SourceFaultError(message, hint="the network loses bytes: use TLS (sslmode=require), or another way")
        self._progress.finish(self.table.name, counted(rows, "row"))
        seconds = round(time.monotonic() - self._started, 3)
        numbers = rows, upload.csv_rows, upload.bytes, upload.sha256
        result = DatasetResult(BRONZE, self.table.name, self.table.bronze_key, *numbers, seconds=seconds)
        with self._guard:
            self.result.set_result(result)
