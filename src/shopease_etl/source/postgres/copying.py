"""COPY's bytes as the server sends them."""

import select
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Final

import psycopg
from psycopg import pq, sql

from shopease_etl.contract.layout import NO_MONTH
from shopease_etl.errors import SourceFaultError
from shopease_etl.source.postgres.errors import translate_errors
from shopease_etl.source.postgres.locking import MISSING_ERRORS, Relation, lock_nowait
from shopease_etl.source.postgres.source_tables import Blocks, SourceTable

CHUNK_BYTES: Final = 512 * 1024
_COMMA: Final = ord(",")
_MONTH_BYTES: Final = len("2024-11")
MONTHS_BYTES: Final = 4 * 1024 * 1024  # of all months' rows that wait for more of their month


def lock_shared(connection: psycopg.Connection, table: SourceTable) -> None:
    """Lock the table on this connection too, without waiting: a session that blocks this lock waits itself for the
    lock of the snapshot's connection, so neither would ever get on.

    Raises:
        SourceFaultError: another session waits to change the table, or has changed it.
    """
    try:
        lock_nowait(connection, Relation(table.schema, table.name, table.is_lockable))
    except psycopg.errors.LockNotAvailable as error:
        message = f"another session waits to change {table.schema}.{table.name} while it is read"
        raise SourceFaultError(message) from error
    except MISSING_ERRORS as error:
        message = f"{table.schema}.{table.name} was dropped or renamed while it is read"
        raise SourceFaultError(message) from error


class Chunk(bytearray):
    """Rows as CSV bytes; of one `month`, if that is not empty."""

    def __init__(self, month: str = "") -> None:
        super().__init__()
        self.month = month


class CopyOut:
    """The rows of a table, or of some of its blocks, as CSV bytes in chunks; `rows` is the count that COPY reported.

    A chunk does not change after it is yielded. Another `statement` may give the rows, all of one `month`.
    """

    def __init__(
        self,
        connection: psycopg.Connection,
        table: SourceTable,
        blocks: Blocks | None = None,
        *,
        statement: sql.Composable | None = None,
        month: str = "",
    ) -> None:
        self.rows = 0
        self._connection = connection
        self._table = table
        self._statement = statement or table.copy_statement(blocks)
        self._month = month
        self._arrival = select.poll()

    def __iter__(self) -> Iterator[Chunk]:
        """Yield the bytes as the server sends them.

        Raises:
            ShopeaseError: the server ended the COPY with an error.
            SourceFaultError: the connection broke, or another session waits to change the table.
        """
        with translate_errors(f"COPY of {self._table.schema}.{self._table.name}"):
            lock_shared(self._connection, self._table)
            self._arrival.register(self._connection.fileno(), select.POLLIN)
            yield from self._chunks()

    def _chunks(self) -> Iterator[Chunk]:
        """libpq's own loop: psycopg's iterator makes a Python object of each row and costs twice as much."""
        next_row, chunk = self._begin(), Chunk(self._month)
        while (received := next_row(1))[0] >= 0:
            if received[0]:
                chunk += received[1]
                continue
            if len(chunk) >= CHUNK_BYTES:
                yield chunk
                chunk = Chunk(self._month)
            self._receive()
        yield chunk
        self._end()

    def _begin(self) -> Callable[[int], tuple[int, memoryview]]:
        server = self._connection.pgconn
        server.send_query(self._statement.as_string(self._connection).encode())
        self._result(pq.ExecStatus.COPY_OUT)
        return server.get_copy_data

    def _end(self) -> None:
        self.rows = self._result(pq.ExecStatus.COMMAND_OK).command_tuples or 0
        self._await_answer()
        self._connection.pgconn.get_result()  # none: the connection is free for the next COPY

    def _result(self, expected: pq.ExecStatus) -> pq.abc.PGresult:
        self._await_answer()
        result = self._connection.pgconn.get_result()
        if result is None:
            message = "the server closed the connection"
            raise psycopg.OperationalError(message)
        if result.status != expected:
            raise psycopg.errors.error_from_result(result)
        return result

    def _await_answer(self) -> None:
        while self._connection.pgconn.is_busy():
            self._receive()

    def _receive(self) -> None:
        """Wait for the server. psycopg holds Python's lock while libpq waits: no other thread could do anything."""
        self._arrival.poll()
        self._connection.pgconn.consume_input()


class MonthsOut(CopyOut):
    """The rows that a COPY gives after their months and a comma, in chunks of one month each.

    Rows without a month come after a comma alone. In each month they keep their order.
    """

    def _chunks(self) -> Iterator[Chunk]:
        """libpq gives each row by itself, even one with line breaks in its values."""
        next_row, size, due = self._begin(), 0, CHUNK_BYTES
        waiting: defaultdict[bytes, Chunk] = defaultdict(Chunk)
        while (received := next_row(1))[0] >= 0:
            if received[0]:
                row = bytes(received[1])  # slices of bytes are quicker
                month = b"" if row[0] == _COMMA else row[:_MONTH_BYTES]
                waiting[month] += row[len(month) + 1 :]
                size += received[0]
                continue
            if size >= due:
                yield from _taken(waiting, CHUNK_BYTES if size < MONTHS_BYTES else 0)
                size = sum(map(len, waiting.values()))
                due = size + CHUNK_BYTES
            self._receive()
        yield from _taken(waiting, 0)
        self._end()


def _taken(waiting: dict[bytes, Chunk], least: int) -> Iterator[Chunk]:
    """Take out the chunks of at least so many bytes."""
    for month in [month for month, chunk in waiting.items() if len(chunk) >= least]:
        chunk = waiting.pop(month)
        chunk.month = month.decode(errors="replace") or NO_MONTH
        yield chunk
