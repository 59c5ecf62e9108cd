"""Interrupts and time limits: what ends a command early, or waits until it may."""

import atexit
import os
import signal
import sys
import threading
import time
from contextlib import AbstractContextManager, nullcontext, suppress
from types import TracebackType
from typing import Final, NoReturn

from shopease_etl.errors import ShopeaseError
from shopease_etl.signal_watch import Limit, Watch, heeded

EXIT_SECONDS: Final = 2.0  # what threads may take to end after the command

_watches: Final[list[Watch]] = []  # the one that is under way
_ended_with: Final[list[int]] = []
_left: Final[list[Watch]] = []  # one that is over, whose interrupt nobody has delivered


class TimeLimitError(ShopeaseError):
    """Something took longer than it may (exit code 1)."""


def guarded() -> AbstractContextManager[None]:
    """Raise KeyboardInterrupt in the block for the first SIGINT, SIGTERM or SIGHUP; end the process at the second.

    A signal that is ignored stays ignored. In other threads than the main one this does nothing.
    """
    return _Guard()


def held_back(doing: str | None = "finishing what is being published") -> AbstractContextManager[None]:
    """Raise no interrupt in the block: a person is told what is done first, and `deliver` raises it.

    None is for what is done at once, of which nobody needs to be told.
    """
    return _HeldBack(doing)


def deliver() -> None:
    """Raise the KeyboardInterrupt that was held back, if there was one."""
    if threading.current_thread() is threading.main_thread():
        undelivered = [watch for watch in (*_watches, *_left) if watch.take()]
        _left.clear()
        if undelivered:
            raise KeyboardInterrupt


def is_by_hand() -> bool:
    """Whether a person at a terminal interrupted the command, who knows of it."""
    return sys.stderr.isatty() and any(watch.number == signal.SIGINT for watch in _watches)


def conclude() -> None:
    """Raise no interrupt any more: the command is over, and its end is told."""
    for watch in _watches:
        watch.hold(None)


def time_limit(seconds: float | None, what: str, *, hint: str | None = None) -> AbstractContextManager[None]:
    """Interrupt the block when it takes longer; None is no limit. Limits may stand around one another.

    Nothing is interrupted while interrupts are held back. If to tidy up afterwards takes longer than `GRACE_SECONDS`,
    the process ends at once, with exit code 1.

    Raises:
        TimeLimitError: at the block's end; an interrupt by a person stays a KeyboardInterrupt.
    """
    return nullcontext() if seconds is None else _TimeLimit(seconds, what, hint)


def end_process(code: int) -> NoReturn:
    """Leave the interpreter with this code, now that all is told; threads that hang hold it up for seconds only."""
    _flush()
    for number in heeded():
        signal.signal(number, signal.SIG_IGN)  # one more would change the code
    timer = threading.Timer(EXIT_SECONDS, os._exit, (code,))
    timer.daemon = True
    timer.start()
    _ended_with.append(code)
    sys.exit(code)


@atexit.register  # as this module is imported early, what others register is done before
def _leave() -> None:
    """Spare the interpreter its last look at every object, which takes a tenth of a second."""
    if _ended_with:
        _flush()
        os._exit(_ended_with[-1])


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()


class _Guard(AbstractContextManager[None]):
    """A share in the one watch, which the first share opens and the last one closes.

    These are classes and not generators: in no step from a block's end to `__exit__` may an interrupt be raised.
    """

    _watch: Watch | None = None

    def __enter__(self) -> None:
        if threading.current_thread() is threading.main_thread():
            if not _watches:
                _watches.append(Watch())
            (self._watch,) = _watches
            self._watch.shares += 1
            self._begin(self._watch)

    def __exit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        watch = self._watch
        if watch is None:
            return
        failure = self._end(watch, error)
        watch.shares -= 1
        if not watch.shares:
            _watches.clear()
            watch.close()
        if failure:
            raise failure from error

    def _begin(self, _watch: Watch) -> None:
        _left.clear()

    def _end(self, _watch: Watch, _error: BaseException | None) -> ShopeaseError | None:
        """What to raise instead of what ended the block."""
        return None


class _HeldBack(_Guard):
    def __init__(self, doing: str | None) -> None:
        self._doing = doing

    def _begin(self, watch: Watch) -> None:
        watch.hold(self._doing)

    def _end(self, watch: Watch, _error: BaseException | None) -> None:
        watch.let_go()
        if watch.shares == 1:
            _left[:] = [watch]


class _TimeLimit(_Guard):
    def __init__(self, seconds: float, what: str, hint: str | None) -> None:
        self._limit = Limit(f"{what} took longer than {seconds:g} s", time.monotonic() + seconds)
        self._hint = hint

    def _begin(self, watch: Watch) -> None:
        watch.add(self._limit)

    def _end(self, watch: Watch, error: BaseException | None) -> ShopeaseError | None:
        has_ended = watch.remove(self._limit, error)
        return TimeLimitError(self._limit.message, hint=self._hint) if has_ended else None
