"""The files of a table kept by month, filled from one pass over the table."""

from collections.abc import Collection, Mapping

import psycopg

from shopease_etl.contract.layout import NO_MONTH
from shopease_etl.contract.tables import Table
from shopease_etl.lake.manifests import WriteGroup
from shopease_etl.lake.store import Writer
from shopease_etl.report import DatasetResult
from shopease_etl.source.postgres import Blocks, Chunk, CopyOut, MonthsOut, MonthTable
from shopease_etl.stages.table_copy import bronze_file, lost_rows


class MonthFiles:
    """The files of the months to copy; None copies all.

    `expected` has the rows of each month, where they were counted before.
    """

    def __init__(
        self,
        table: Table,
        months: MonthTable,
        written: WriteGroup,
        wanted: Collection[str] | None,
        expected: Mapping[str, int],
    ) -> None:
        self._table = table
        self._months = months
        self._written = written
        self._wanted = wanted
        self._expected = expected
        self._uploads: dict[str, Writer] = {}

    def copy_out(self, connection: psycopg.Connection, blocks: Blocks | None) -> CopyOut:
        """The rows of these blocks, in chunks by month."""
        return MonthsOut(connection, self._months.source, self._months.copy_statement(blocks, self._wanted))

    def begin(self, connection: psycopg.Connection) -> None:
        """Read the header, with which each file begins."""
        self._header = self._months.header(connection)

    def write(self, chunk: Chunk) -> None:
        """Write the next rows to their month's file."""
        self._upload(chunk.month).write(chunk)

    def _upload(self, month: str) -> Writer:
        if not (upload := self._uploads.get(month)):
            upload = self._uploads[month] = self._written.writer(self._table.in_month(month).bronze_key)
            upload.write(self._header)
        return upload

    def finish(self, rows: int) -> tuple[DatasetResult, ...]:
        """The files by month; a table without rows has one, for rows without a month."""
        for month in (month for month, count in self._expected.items() if not count):
            self._upload(month)
        if not self._uploads:
            self._upload(NO_MONTH)
        arrived = {month: upload.csv_rows for month, upload in self._uploads.items()}
        if rows != sum(arrived.values()):
            raise lost_rows(self._table, rows, sum(arrived.values()))
        if self._expected and arrived != self._expected:
            month = min(
                month for month in {**arrived, **self._expected} if arrived.get(month) != self._expected.get(month)
            )
            raise lost_rows(self._table.in_month(month), self._expected.get(month, 0), arrived.get(month, 0))
        return tuple(
            bronze_file(self._table.in_month(month), self._months.source, upload, arrived[month])
            for month, upload in sorted(self._uploads.items())
        )
