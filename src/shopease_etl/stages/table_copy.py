"""Copies one table to bronze: several connections read its ranges, which go into objects in order."""

import logging
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

import psycopg

from shopease_etl.contract.layout import BRONZE
from shopease_etl.contract.tables import Table
from shopease_etl.errors import SourceFaultError
from shopease_etl.lake.manifests import WriteGroup
from shopease_etl.lake.ordering import OrderedParts
from shopease_etl.lake.store import Writer
from shopease_etl.progress import Progress
from shopease_etl.report import DatasetResult
from shopease_etl.source.postgres import Blocks, Chunk, CopyOut, SourceTable
from shopease_etl.stages.readers import TableWork
from shopease_etl.wording import counted

log = logging.getLogger(__name__)


class Files(Protocol):
    """The files of a copy: one, or one for each month."""

    def copy_out(self, connection: psycopg.Connection, blocks: Blocks | None) -> CopyOut:
        """The rows of these blocks for the files."""

    def begin(self, connection: psycopg.Connection) -> None:
        """Before the first row."""

    def write(self, chunk: Chunk) -> None:
        """Take the next rows."""

    def finish(self, rows: int) -> tuple[DatasetResult, ...]:
        """The files, when all rows that COPY reported were written.

        Raises:
            SourceFaultError: not all of them arrived.
        """


class OneFile:
    """A table in one file."""

    def __init__(self, table: Table, source: SourceTable, written: WriteGroup) -> None:
        self._table = table
        self._source = source
        self._written = written

    def copy_out(self, connection: psycopg.Connection, blocks: Blocks | None) -> CopyOut:
        """The rows of these blocks; the first ones come with the header."""
        return CopyOut(connection, self._source, blocks)

    def begin(self, _connection: psycopg.Connection) -> None:
        """Begin the file."""
        self._upload = self._written.writer(self._table.bronze_key)

    def write(self, chunk: Chunk) -> None:
        """Write the next rows."""
        self._upload.write(chunk)

    def finish(self, rows: int) -> tuple[DatasetResult, ...]:
        """The file, with all rows."""
        return (bronze_file(self._table, self._source, self._upload, rows),)


def bronze_file(table: Table, source: SourceTable, upload: Writer, rows: int) -> DatasetResult:
    """A complete file of bronze.

    Raises:
        SourceFaultError: it does not have so many rows.
    """
    if rows != upload.csv_rows:
        raise lost_rows(table, rows, upload.csv_rows)
    numbers = rows, upload.csv_rows, upload.bytes, upload.sha256
    is_unique = table.key in source.unique_columns
    return DatasetResult(BRONZE, table.name, table.bronze_key, *numbers, has_unique_key=is_unique)


def lost_rows(table: Table, expected: int, arrived: int) -> SourceFaultError:
    """The error for rows of a table, or of its month, that did not arrive."""
    of_month = f" of {table.month}" if table.month else ""
    message = f"{table.source}: COPY reported {expected:,} rows{of_month}, but {arrived:,} arrived"
    return SourceFaultError(message, hint="the network loses bytes: use TLS (sslmode=require), or another network")


class TableCopy(TableWork[tuple[DatasetResult, ...]]):
    """The copy of a table in ranges, which are read at the same time, and written in their order."""

    def __init__(
        self,
        table: Table,
        source: SourceTable,
        ranges: Sequence[Blocks | None],
        files: Files,
        progress: Progress,
    ) -> None:
        super().__init__(table.name, source, ranges)
        self._files = files
        self._progress = progress
        self._parts = OrderedParts(len(self.ranges), files.write)
        self._rows: list[int] = []
        self._beginning = threading.Lock()
        self._has_begun = False

    def read(self, connection: psycopg.Connection, number: int) -> None:
        """Read a range, and write it when those before it are written.

        Raises:
            ShopeaseError: the range cannot be read or written, or the table was stopped.
        """
        self._begin(connection)
        copy = self._files.copy_out(connection, self.ranges[number])
        for chunk in copy:
            self._parts.write(number, chunk)
            self._progress.advance(self.name, size=len(chunk))
        self._rows.append(copy.rows)
        if self._parts.end(number):
            self._finish()

    def fail(self, error: BaseException) -> None:
        """Make the table's first error its result; after `stop`, a StoppedError instead."""
        super().fail(error)
        self._parts.stop()

    def stop(self) -> None:
        """Stop reading and writing the table."""
        super().stop()
        self._parts.stop()

    def _begin(self, connection: psycopg.Connection) -> None:
        """Start the upload; the first range to be read does it, and the others wait for it."""
        with self._beginning:
            if self._has_begun:
                return
            source = self.source
            log.info("%s: %d columns, %s bytes in the source", source.name, len(source.columns), f"{source.bytes:,}")
            self._started = time.monotonic()
            self._files.begin(connection)
            self._progress.start(self.name, source.bytes)
            self._has_begun = True

    def _finish(self) -> None:
        rows = sum(self._rows)
        files = self._files.finish(rows)
        self._progress.finish(self.name, counted(rows, "row"))
        seconds = round(time.monotonic() - self._started, 3)
        self.done(tuple(file if file.run_id else replace(file, seconds=seconds) for file in files))
