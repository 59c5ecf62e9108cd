"""One object from parts that several threads write at the same time."""

import threading
from collections import deque
from collections.abc import Callable
from typing import Final, Generic, TypeVar

from shopease_etl.errors import ShopeaseError

MOST_AHEAD: Final = 32 * 1024 * 1024

Chunk = TypeVar("Chunk", bound=bytearray)


class StoppedError(ShopeaseError):
    """The work was stopped because something else failed or the run was interrupted."""


class OrderedParts(Generic[Chunk]):
    """Writes numbered parts in their order; the first incomplete part is written as it arrives.

    Later parts wait in memory: together at most `most_ahead` bytes, and one more chunk per thread.
    """

    def __init__(self, count: int, write: Callable[[Chunk], object], most_ahead: int = MOST_AHEAD) -> None:
        self._count = count
        self._write = write
        self._most_ahead = most_ahead
        self._turn = 0
        self._ahead: dict[int, deque[Chunk]] = {}
        self._ahead_bytes = 0
        self._ended: set[int] = set()
        self._is_stopped = False
        self._changed = threading.Condition()

    def write(self, number: int, chunk: Chunk) -> None:
        """Take the next bytes of a part; waits while too many bytes are ahead. Do not change the chunk afterwards.

        Raises:
            StoppedError: `stop` was called.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._may_go_on(number))
            self._require_going_on()
            if number != self._turn:
                self._ahead.setdefault(number, deque()).append(chunk)
                self._ahead_bytes += len(chunk)
                return
        self._write_what_waits(number)
        self._write(chunk)

    def end(self, number: int) -> bool:
        """Mark a part as complete; returns whether all parts are complete and written."""
        with self._changed:
            self._require_going_on()
            self._ended.add(number)
            if number != self._turn:
                return False
        is_mine = True
        while is_mine:
            self._write_what_waits(number)
            number, is_mine = self._pass_on()
        return number == self._count

    def stop(self) -> None:
        """Make all threads that wait or write raise StoppedError."""
        with self._changed:
            self._is_stopped = True
            self._changed.notify_all()

    def _may_go_on(self, number: int) -> bool:
        return self._is_stopped or number == self._turn or self._ahead_bytes < self._most_ahead

    def _require_going_on(self) -> None:
        if self._is_stopped:
            message = "it was stopped"
            raise StoppedError(message)

    def _write_what_waits(self, number: int) -> None:
        """Write what arrived of a part before its turn; no other thread writes this part."""
        with self._changed:
            chunks = self._ahead.pop(number, deque())
        while chunks:
            chunk = chunks.popleft()
            self._write(chunk)
            with self._changed:
                self._ahead_bytes -= len(chunk)
                self._changed.notify_all()

    def _pass_on(self) -> tuple[int, bool]:
        """The next part's number, and whether its own thread is done, so that we must write it."""
        with self._changed:
            self._turn += 1
            self._changed.notify_all()
            return self._turn, self._turn in self._ended
