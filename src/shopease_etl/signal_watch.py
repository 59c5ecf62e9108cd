"""The watch for signals: one thread that has the main thread interrupted, be it in Python, in Polars or in a wait.

Python runs handlers only between two steps of the main thread, which a wait or a long call into Polars holds up. But
the C half of each handler writes the signal's number to a pipe at once. The watcher reads it, wakes the main thread
with a signal of its own (`NUDGE`), and has Polars give up by SIGINT, for which Polars has a handler. However the main
thread comes to hear of an interrupt, it raises KeyboardInterrupt once.
"""

import contextlib
import ctypes
import logging
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from types import FrameType
from typing import Final, NoReturn

from shopease_etl.errors import INTERRUPTED_EXIT_CODE

NUDGE: Final = signal.SIGURG  # by default it is ignored, and nobody else sends it
REPEAT_SECONDS: Final = 5.0  # after these, what was swallowed is raised again
REMIND_SECONDS: Final = 3.0  # after these, a person is told that it takes a while
GRACE_SECONDS: Final = 60.0  # what tidying up may take after a time limit
SAME_SECONDS: Final = 0.25  # `timeout`, `uv` and terminals that close send one interrupt twice
_TICK: Final = 0.2
_INTERRUPTS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_ACTION_BYTES: Final = 1024  # more than a struct sigaction has anywhere
_STEPS: Final = {"__enter__", "__exit__", "acquire", "release"}
_WHOLE_FILES: Final = {__file__, __file__.replace("signal_watch", "signals"), logging.__file__}

Handler = Callable[[int, FrameType | None], object] | int | None


@dataclass(eq=False)
class Limit:
    """A moment when what runs is interrupted; `told_at` when it was."""

    message: str
    deadline: float
    told_at: float | None = None


class Watch:
    """The signals that came, the limits that stand, and the thread that sees to both; made in the main thread."""

    def __init__(self) -> None:
        self.shares = 0
        self._limits: list[Limit] = []
        self._doing: list[str | None] = []  # what interrupts wait for
        self._interrupted_at: float | None = None
        self.number: int | None = None  # of the first signal
        self._is_told = False  # the main thread has heard of the person's interrupt
        self._is_explained = False  # and the person of what it waits for
        self._quiet_until = 0.0
        self._exceeded: Limit | None = None  # one that interrupted its block
        self._own = 0  # SIGINTs for Polars that are still to be read
        self._is_over = False
        self._guard = threading.Lock()
        self._main = threading.get_ident()
        self._polars = _PolarsHandler()
        self._reader, self._writer = os.pipe()
        for end in (self._reader, self._writer):
            os.set_blocking(end, False)
        self._former_descriptor = signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        self._former = {number: _handle(number, self._hear) for number in (*heeded(), NUDGE)}
        self._thread = threading.Thread(target=self._watch, name="signals", daemon=True)
        self._thread.start()

    @property
    def is_interrupted(self) -> bool:
        """Whether a person, or the system, wants the process to end."""
        return self._interrupted_at is not None

    def close(self) -> None:
        """Put everything back."""
        for number, handler in self._former.items():
            _handle(number, handler)
        signal.set_wakeup_fd(self._former_descriptor)
        with self._guard:
            self._read()
            self._is_over = True
        os.write(self._writer, b"\0")
        self._thread.join()
        os.close(self._reader)
        os.close(self._writer)

    def hold(self, doing: str | None) -> None:
        """Raise nothing until as many have let go."""
        with self._guard:
            self._doing.append(doing)

    def let_go(self) -> None:
        """Leave what came meanwhile to `take`, or to a later repetition."""
        with self._guard:
            self._read()
            self._doing.pop()
            if self._cause(now := time.monotonic()):
                self._quiet_until = now + REPEAT_SECONDS

    def take(self) -> bool:
        """Whether the main thread has still to hear of a person's interrupt; now it has."""
        with self._guard:
            if not self._is_over:
                self._read()
            is_due = self.is_interrupted and not self._is_told and not self._doing
            if is_due:
                self._is_told = True
                self._quiet_until = time.monotonic() + REPEAT_SECONDS
        return is_due

    def add(self, limit: Limit) -> None:
        """Mind this limit, too."""
        with self._guard:
            self._limits.append(limit)
        os.write(self._writer, b"\0")  # so that the watcher looks at it

    def remove(self, limit: Limit, error: BaseException | None) -> bool:
        """Mind it no longer. Whether it ended its block; then what tidies up has only so much time, after it too."""
        with self._guard:
            self._read()
            self._limits.remove(limit)
            has_ended = limit.told_at is not None and not self.is_interrupted and is_interrupt(error)
            if limit is self._exceeded and not has_ended:
                self._exceeded = None
            if not self._doing:
                self._quiet_until = 0.0
        return has_ended

    def _hear(self, _number: int, frame: FrameType | None) -> None:
        """The handler of every signal, in the main thread: raise what is due, unless it is being raised already."""
        if _is_delicate(frame):
            return  # the watcher nudges again
        with self._guard:
            self._read()
            is_due = self._is_due(now := time.monotonic())
            if is_due:
                self._is_told = self._is_told or self.is_interrupted
                self._quiet_until = now + REPEAT_SECONDS
        if is_due and not is_interrupt(sys.exception()):
            raise KeyboardInterrupt

    def _watch(self) -> None:
        while not self._is_over:
            select.select([self._reader], [], [], self._patience())
            with self._guard:
                self._read()
                self._act(time.monotonic())

    def _patience(self) -> float | None:
        """Seconds until there may be something to do; None until a signal comes."""
        with self._guard:
            if self.is_interrupted or self._exceeded:
                return _TICK
            deadlines = [limit.deadline for limit in self._limits]
            return max(_TICK, min(deadlines) - time.monotonic()) if deadlines else None

    def _read(self) -> None:
        """Count the signals that have come."""
        with suppress(BlockingIOError):
            for number in os.read(self._reader, 4096):
                if number == signal.SIGINT and self._own:
                    self._own -= 1
                elif number in _INTERRUPTS:
                    self.number = self.number or number
                    self._count(time.monotonic())

    def _count(self, now: float) -> None:
        if self._interrupted_at is None:
            self._interrupted_at = now
            if not self._doing:
                self._quiet_until = 0.0
            elif self._doing[-1]:
                self._explain(f"{self._doing[-1]} first")
        elif now - self._interrupted_at > SAME_SECONDS:
            _end_at_once(INTERRUPTED_EXIT_CODE, "shopease: interrupted twice: ended at once")

    def _explain(self, doing: str) -> None:
        self._is_explained = True
        _tell(f"shopease: interrupted; {doing} (interrupt again to end at once)")

    def _cause(self, now: float) -> Limit | bool:
        """What wants to interrupt the main thread: a person, or the limit that passed first."""
        passed = [limit for limit in self._limits if limit.deadline <= now]
        return self.is_interrupted or (min(passed, key=lambda limit: limit.deadline) if passed else False)

    def _is_due(self, now: float) -> bool:
        return bool(self._cause(now)) and not self._doing and now >= self._quiet_until

    def _act(self, now: float) -> None:
        if self._exceeded and now > (self._exceeded.told_at or now) + GRACE_SECONDS:
            _end_at_once(1, f"shopease: error: {self._exceeded.message}, and then too long to tidy up: ended at once")
        if self._interrupted_at and not self._is_explained and now > self._interrupted_at + REMIND_SECONDS:
            self._explain("tidying up")
        if self._is_over or not self._is_due(now):
            return
        cause = self._cause(now)
        if isinstance(cause, Limit) and cause.told_at is None:
            cause.told_at = now
            self._exceeded = self._exceeded or cause
        signal.pthread_kill(self._main, NUDGE)
        self._own = self._polars.interrupt()
        self._read()


class _PolarsHandler:
    """Polars' handler of SIGINT, which it installs as it is imported; nothing else ends what Polars is at."""

    def __init__(self) -> None:
        self._action: ctypes.Array[ctypes.c_char] | None = None
        if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
            import polars  # noqa: F401 - now, to take its handler away: who ignores SIGINT is to go on doing so

            self._action = _action(signal.SIGINT)
            signal.signal(signal.SIGINT, signal.SIG_IGN)

    def interrupt(self) -> int:
        """Have it end what Polars is at, in whichever thread; returns how often Python hears of that."""
        if "polars" not in sys.modules:
            return 0
        ignoring = _action(signal.SIGINT)
        if self._action:
            _set_action(signal.SIGINT, self._action)
        # to this very thread, so that the handler has run when this returns
        signal.pthread_kill(threading.get_ident(), signal.SIGINT)
        if self._action:
            _set_action(signal.SIGINT, ignoring)
        return 0 if self._action else 1


def heeded() -> tuple[signal.Signals, ...]:
    """The signals that ask the process to end, but for those that are ignored."""
    return tuple(number for number in _INTERRUPTS if signal.getsignal(number) not in {signal.SIG_IGN, None})


def is_interrupt(error: BaseException | None) -> bool:
    """Whether it is a KeyboardInterrupt, or was raised while one was handled."""
    while error and not isinstance(error, KeyboardInterrupt):
        error = error.__context__
    return error is not None


def _is_delicate(frame: FrameType | None) -> bool:
    """Whether an exception would leave something half done, such as a lock that is held and in no `with` yet."""
    if frame and (frame.f_code.co_name in _STEPS or frame.f_code.co_filename == contextlib.__file__):
        return True
    while frame:
        # a pool does not join a thread that has started and of which it has not heard
        if frame.f_code.co_filename in _WHOLE_FILES or frame.f_code is threading.Thread.start.__code__:
            return True
        frame = frame.f_back
    return False


def _handle(number: signal.Signals, handler: Handler) -> Handler:
    """Set Python's handler, and return the former one; what Polars has installed in front of it stays."""
    action = _action(number) if number == signal.SIGINT and "polars" in sys.modules else None
    former = signal.signal(number, handler)
    if action:
        _set_action(number, action)
    return former


def _action(number: int) -> "ctypes.Array[ctypes.c_char]":
    """What the operating system does at a signal, as it has it."""
    action = ctypes.create_string_buffer(_ACTION_BYTES)
    ctypes.CDLL(None).sigaction(number, None, action)
    return action


def _set_action(number: int, action: "ctypes.Array[ctypes.c_char]") -> None:
    ctypes.CDLL(None).sigaction(number, action, None)


def _tell(line: str) -> None:
    """Write a line to stderr, if that can be done now, whatever the main thread is at."""
    with suppress(OSError, ValueError):
        if select.select([], [2], [], 0)[1]:
            os.write(2, f"{line}\n".encode())


def _end_at_once(code: int, line: str) -> NoReturn:
    shows_cursor = "\x1b[?25h"  # which a live display hides
    _tell(f"\r{shows_cursor}{line}" if os.isatty(2) else line)
    os._exit(code)
