"""COPY's bytes as the server sends them."""

import select
from collections.abc import Iterator
from typing import Final

import psycopg
from psycopg import pq

from shopease_etl.errors import SourceFaultError
from shopease_etl.source.postgres.errors import translate_errors
from shopease_etl.source.postgres.locking import MISSING_ERRORS, Relation, lock_nowait
from shopease_etl.source.postgres.source_tables import Blocks, SourceTable

CHUNK_BYTES: Final = 512 * 1024


class CopyOut:
    """The rows of a table, or of some of its blocks, as CSV bytes in chunks; `rows` is the count that COPY reported.

    A chunk does not change after it is yielded.
    """

    def __init__(self, connection: psycopg.Connection, table: SourceTable, blocks: Blocks | None = None) -> None:
        self.rows = 0
        self._connection = connection
        self._table = table
        self._blocks = blocks
        self._arrival = select.poll()

    def __iter__(self) -> Iterator[bytearray]:
        """Yield the bytes as the server sends them.

        Raises:
            ShopeaseError: the server ended the COPY with an error.
            SourceFaultError: the connection broke, or another session waits to change the table.
        """
        with translate_errors(f"COPY of {self._table.schema}.{self._table.name}"):
            self._lock()
            self._arrival.register(self._connection.fileno(), select.POLLIN)
            yield from self._chunks()

    def _lock(self) -> None:
        """Lock the table on this connection too, without waiting: a session that blocks this lock waits itself for the
        lock of the snapshot's connection, so neither would ever get on.
        """
        table = self._table
        try:
            lock_nowait(self._connection, Relation(table.schema, table.name, table.is_lockable))
        except psycopg.errors.LockNotAvailable as error:
            message = f"another session waits to change {table.schema}.{table.name} while it is read"
            raise SourceFaultError(message) from error
        except MISSING_ERRORS as error:
            message = f"{table.schema}.{table.name} was dropped or renamed while it is read"
            raise SourceFaultError(message) from error

    def _chunks(self) -> Iterator[bytearray]:
        """libpq's own loop: psycopg's iterator makes a Python object of each row and costs twice as much."""
        server = self._connection.pgconn
        server.send_query(self._table.copy_statement(self._blocks).as_string(self._connection).encode())
        self._result(pq.ExecStatus.COPY_OUT)
        next_row, chunk = server.get_copy_data, bytearray()
        while (received := next_row(1))[0] >= 0:
            if received[0]:
                chunk += received[1]
                continue
            if len(chunk) >= CHUNK_BYTES:
                yield chunk
                chunk = bytearray()
            self._receive()
        yield chunk
        self.rows = self._result(pq.ExecStatus.COMMAND_OK).command_tuples or 0
        self._await_answer()
        server.get_result()  # none: the connection is free for the next COPY

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
