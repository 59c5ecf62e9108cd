"""The files of a table kept by month, filled from one pass over the table."""

import psycopg

from shopease_etl.contract.layout import NO_MONTH, month_of
from shopease_etl.errors import SourceFaultError
from shopease_etl.lake.manifests import WriteGroup
from shopease_etl.lake.store import Writer
from shopease_etl.report import DatasetResult
from shopease_etl.source.postgres import Blocks, Chunk, CopyOut
from shopease_etl.stages.months import MonthPlan
from shopease_etl.stages.table_copy import bronze_file, lost_rows


class MonthFiles:
    """The files of the months to copy, each with its rows in the table's order.

    A file is complete as soon as the rows that were counted have arrived: in a table that is in order of time, few
    files are open at once.
    """

    def __init__(self, plan: MonthPlan, written: WriteGroup) -> None:
        self._plan = plan
        self._written = written
        self._uploads: dict[str, Writer] = {}

    def copy_out(self, connection: psycopg.Connection, blocks: Blocks | None) -> CopyOut:
        """The rows of these blocks, in chunks by month."""
        return self._plan.months.copy_out(connection, blocks, self._plan.expected, self._plan.there.get(blocks, ()))

    def begin(self, connection: psycopg.Connection) -> None:
        """Read the header, with which each file begins."""
        self._header = self._plan.months.header(connection)

    def write(self, chunk: Chunk) -> None:
        """Write the next rows to their month's file."""
        if not chunk:
            return
        month = chunk.month
        upload, expected = self._upload(month), self._plan.expected.get(month)
        if upload.csv_rows == expected:
            raise lost_rows(self._plan.table.in_month(month), expected, expected + chunk.count(b"\n"))
        upload.write(chunk)
        if upload.csv_rows == expected:
            upload.complete()

    def _upload(self, month: str) -> Writer:
        if not (upload := self._uploads.get(month)):
            key = self._plan.table.in_month(month).bronze_key
            if month_of(key) != month:
                message = f"{self._plan.table.source}: the source sent a row of the month {month!r}, which is none"
                raise SourceFaultError(message)
            upload = self._uploads[month] = self._written.writer(key)
            upload.write(self._header)
        return upload

    def finish(self, rows: int) -> tuple[DatasetResult, ...]:
        """The files by month; a table without rows has one, for rows without a month."""
        table, expected = self._plan.table, self._plan.expected
        if not rows:
            self._upload(NO_MONTH)
        arrived = {month: upload.csv_rows for month, upload in self._uploads.items()}
        if rows != sum(arrived.values()):
            raise lost_rows(table, rows, sum(arrived.values()))
        if lost := sorted(month for month, count in expected.items() if arrived.get(month, 0) != count):
            raise lost_rows(table.in_month(lost[0]), expected[lost[0]], arrived.get(lost[0], 0))
        return tuple(
            bronze_file(table.in_month(month), self._plan.months.source, upload, arrived[month])
            for month, upload in self._uploads.items()
        )
