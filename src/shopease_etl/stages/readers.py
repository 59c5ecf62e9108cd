"""Work on tables in ranges of rows, done by a few connections that share a snapshot."""

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Final, Generic, TypeVar

import psycopg

from shopease_etl import cancel
from shopease_etl.errors import ShopeaseError, SourceFaultError
from shopease_etl.lake.ordering import StoppedError
from shopease_etl.source.postgres import Blocks, JoinedSnapshot, SourceTable

WAKE_SECONDS: Final = 0.2
DISCONNECT_SECONDS: Final = 3.0  # how long the server may take to end cancelled statements

T = TypeVar("T")


class TableWork(ABC, Generic[T]):
    """Work on a table in ranges of its rows; `result` is that of all of them, or the first error."""

    def __init__(self, name: str, source: SourceTable, ranges: Sequence[Blocks | None]) -> None:
        self.name = name
        self.source = source
        self.ranges = ranges
        self.result: Future[T] = Future()
        self._taken = 0
        self._is_stopped = False
        self._guard = threading.Lock()

    @abstractmethod
    def read(self, connection: psycopg.Connection, number: int) -> None:
        """Do the range with this number."""

    def take(self) -> int | None:
        """The number of the next range; None if there is none left."""
        if self._taken == len(self.ranges) or self.result.done():
            return None
        self._taken += 1
        return self._taken - 1

    def done(self, result: T) -> None:
        """Make this the result, unless there was an error."""
        with self._guard:
            if not self.result.done():
                self.result.set_result(result)

    def fail(self, error: BaseException) -> None:
        """Make the first error the result; after `stop`, a StoppedError instead."""
        with self._guard:
            if not self.result.done():
                if self._is_stopped and isinstance(error, ShopeaseError):
                    message = f"the extraction of {self.name} was stopped"
                    error = StoppedError(message)
                self.result.set_exception(error)

    def stop(self) -> None:
        """Read no more of the table."""
        self._is_stopped = True


class Readers(Generic[T]):
    """The work on tables, largest first, over a few connections that share the snapshot."""

    def __init__(
        self, snapshot: JoinedSnapshot, works: Sequence[TableWork[T]], connections: int, fail_fast: bool
    ) -> None:
        self._snapshot = snapshot
        self._works = works
        self._largest_first = sorted(works, key=lambda work: -work.source.bytes)
        self._connections = max(1, min(connections, sum(len(work.ranges) for work in works)))
        self._fail_fast = fail_fast
        self._is_stopped = False
        self._guard = threading.Lock()

    def run(self) -> dict[str, T]:
        """Do it all; the results by name.

        Raises:
            ShopeaseError: one error for all failed tables, a SourceFaultError only if all of them are.
        """
        results = {work.name: work.result for work in self._largest_first}
        with ThreadPoolExecutor(self._connections, thread_name_prefix="extract") as pool:
            readers = [pool.submit(self._read) for _ in range(self._connections)]
            try:
                while not self._is_over(results.values()):
                    self._snapshot.keep_alive()
                    cancel.wait(WAKE_SECONDS, *(result for result in results.values() if not result.done()))
            finally:
                self._stop(readers)
        _raise_all(results)
        return {work.name: work.result.result() for work in self._works}

    def _is_over(self, results: Collection[Future[T]]) -> bool:
        """Whether all are done, or one failed in a way that makes the others useless."""
        errors = [result.exception() for result in results if result.done()]
        fatal = ShopeaseError if self._fail_fast else SourceFaultError
        return len(errors) == len(results) or any(isinstance(error, fatal) for error in errors)

    def _stop(self, readers: Collection[Future[None]]) -> None:
        """Stop the readers and wait for them; cancel, and later break off, those that do not end."""
        is_done = all(work.result.done() for work in self._works)
        self._is_stopped = True
        for work in self._works:
            work.stop()
        began = time.monotonic()
        wait(readers, timeout=WAKE_SECONDS if is_done else 0)
        while not all(reader.done() for reader in readers):
            self._snapshot.cancel()
            if time.monotonic() - began > DISCONNECT_SECONDS:
                self._snapshot.disconnect()
            wait(readers, timeout=WAKE_SECONDS)
        for work in self._works:
            work.result.cancel()

    def _read(self) -> None:
        """Read one range after the other; after a failure, on a new connection."""
        while part := self._next():
            work = part[0]
            try:
                with self._snapshot.worker() as connection:
                    while part:
                        work, number = part
                        work.read(connection, number)
                        part = self._next()
            except BaseException as error:  # noqa: BLE001 - raised by what waits for the table
                work.fail(error)

    def _next(self) -> tuple[TableWork[T], int] | None:
        """The next range of the largest table that has one."""
        with self._guard:
            for work in self._largest_first if not self._is_stopped else ():
                if (number := work.take()) is not None:
                    return work, number
        return None


def _raise_all(results: dict[str, "Future[T]"]) -> None:
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
