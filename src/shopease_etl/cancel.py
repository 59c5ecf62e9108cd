"""Interrupts and time limits: the working thread asks whether to stop, between two steps and while it waits.

The C half of Python's handlers writes the number of each signal to a pipe at once, even where Polars restarts the
system call that the signal breaks off. A thread reads it there, wakes the main thread, and ends the process at the
second signal. Only the main thread is interrupted: it stops the threads that it has started. In a program that uses
this package as a library no handler is installed; only `deadline` works there.
"""

import math
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future
from concurrent.futures import wait as wait_for
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from types import FrameType
from typing import Any, Final, NoReturn, TypeVar

from shopease_etl.errors import INTERRUPTED_EXIT_CODE, TimeLimitError

SAME_SECONDS: Final = 0.25  # `timeout`, `uv` and terminals that close send one interrupt twice
REMIND_SECONDS: Final = 3.0  # after these, a person reads that it takes a while
GRACE_SECONDS: Final = 60.0  # what the clean-up may take after a time limit
LIBRARY_SECONDS: Final = 0.2  # how often a wait wakes for the handlers of the program that uses this as a library

_Result = TypeVar("_Result")


class _Thread(threading.local):
    """The time limits of the running thread: when each ends, and what it raises; and what it defers interrupts for."""

    def __init__(self) -> None:
        self.limits: list[tuple[float, TimeLimitError]] = []
        self.deferred: list[str | None] = []
        self.cooperating = 0


@dataclass
class _Process:
    """The signals of the process; `owner` is the thread that they interrupt, and `received` the first of them.

    One that asks the process to end takes the place of a Ctrl-C in `received`.

    `writer` is the end of the pipe for their numbers; `began` is when the first was read, `is_repeated` whether its
    repetition has been read, too. Signals within `same_seconds` are one. The `hint` is for an end at once.
    """

    owner: int | None = None
    writer: int = -1
    received: int | None = None
    began: float | None = None
    is_repeated: threading.Event = field(default_factory=threading.Event)
    hint: str = ""
    same_seconds: float = SAME_SECONDS
    wake: Future[None] = field(default_factory=Future)
    is_concluded: bool = False


_thread: Final = _Thread()
_process: Final = _Process()


def install() -> None:
    """Let SIGINT, SIGTERM and SIGHUP cancel what this process, a command, does in its main thread.

    A signal that is ignored stays ignored, as under `nohup`.
    """
    if _process.owner:
        return
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        import polars  # noqa: F401 - now, because it would handle SIGINT from its import on

        signal.signal(signal.SIGINT, signal.SIG_IGN)
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    _process.owner, _process.writer = threading.get_ident(), writer
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _hear)
    threading.Thread(
        target=_watch, args=[reader, threading.get_ident(), _thread.deferred], name="signals", daemon=True
    ).start()


def check() -> None:
    """Raise if the command was interrupted, or a time limit of this thread has passed.

    It goes on doing so wherever it is asked, but never while that exception is being handled, nor in `deferred`.

    Raises:
        KeyboardInterrupt: the command was interrupted.
        TimeLimitError: it took too long.
    """
    if not _is_interruptible():
        return
    if _process.received and _process.owner == threading.get_ident():
        raise KeyboardInterrupt
    until, error = min(_thread.limits, key=lambda limit: limit[0], default=(math.inf, None))
    if error and until <= time.monotonic():
        if _process.owner:
            line = f"shopease: error: {error}, and then the clean-up took too long: ended at once"
            timer = threading.Timer(GRACE_SECONDS, _end_at_once, (error.exit_code, line))
            timer.daemon = True
            timer.start()
        raise error


def wait(seconds: float | None, *futures: Future[Any]) -> None:
    """Wait until one of the futures is done, or so many seconds; raises as `check` does."""
    until = math.inf if seconds is None else time.monotonic() + seconds
    while True:
        check()
        left = until - time.monotonic()
        if left <= 0 or any(future.done() for future in futures):
            return
        wake: Future[None] = Future()
        if _is_interruptible():
            left = min([left, *(limit - time.monotonic() for limit, _ in _thread.limits)])
            wake = _process.wake if _process.owner == threading.get_ident() else wake
        if not _process.owner:
            left = min(left, LIBRARY_SECONDS)
        with cooperating():  # a future's lock must not stay taken
            wait_for([*futures, wake], None if left == math.inf else max(0, left), FIRST_COMPLETED)


def result(future: Future[_Result]) -> _Result:
    """The future's result, waited for as `wait` does."""
    wait(None, future)
    return future.result()


def call(work: Callable[[], _Result]) -> _Result:
    """Do work that blocks in a thread of its own; an interrupt leaves it behind, and it ends with the process."""
    if not _is_interruptible() or not (_process.owner == threading.get_ident() or _thread.limits):
        return work()
    future: Future[_Result] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:  # noqa: BLE001 - the caller's thread raises it
            future.set_exception(error)

    threading.Thread(target=run, name="call", daemon=True).start()
    return result(future)


@contextmanager
def cooperating() -> Iterator[None]:
    """Interrupt nothing in the block but where it asks: what it does must not stop half done.

    Elsewhere in a command the main thread gets a KeyboardInterrupt wherever it is, as in any Python program.
    """
    _thread.cooperating += 1
    try:
        yield
    finally:
        _thread.cooperating -= 1


@contextmanager
def deferred(doing: str | None) -> Iterator[None]:
    """Interrupt nothing in the block; a person who tries reads what is done first, unless it takes no time (None)."""
    _thread.deferred.append(doing)
    try:
        yield
    finally:
        _thread.deferred.pop()


def hint_at_once(hint: str) -> None:
    """From now on, a person whose second interrupt ends the process at once reads this hint."""
    _process.hint = f"\n  hint: {hint}"


@contextmanager
def deadline(seconds: float | None, what: str, *, hint: str | None = None) -> Iterator[None]:
    """Limit the time of the block; None is no limit. Limits may be nested, and each counts.

    If the clean-up of a command that was late takes `GRACE_SECONDS`, the process ends at once, with exit code 1.

    Raises:
        TimeLimitError: the block asked, or ended, when the time was over.
    """
    check()
    if seconds is None:
        yield
    else:
        limit = time.monotonic() + seconds, TimeLimitError(f"{what} took longer than {seconds:g} s", hint=hint)
        _thread.limits.append(limit)
        try:
            yield
            check()
        finally:
            _thread.limits.remove(limit)


def conclude() -> None:
    """Interrupt nothing any more: the command is done, and only reports its end."""
    _process.is_concluded = True
    if _process.owner == threading.get_ident():
        _thread.deferred.append(None)


def resume() -> None:
    """Go on after a Ctrl-C that has been handled, as a shell does: the next one interrupts again, and is the first.

    From then on only a Ctrl-C after `REMIND_SECONDS` ends a clean-up: a shell is not left by pressing it twice. An
    event loop gives the numbers of signals back. KeyboardInterrupt, if the signal was one that ends the process.
    """
    if not _process.owner:
        return
    with deferred(None):
        _process.same_seconds = REMIND_SECONDS
        signal.set_wakeup_fd(_process.writer, warn_on_full_buffer=False)
        if _process.received == signal.SIGINT:
            _process.is_repeated.wait(1)  # an event loop's signals have no repetition
            _process.received = _process.began = None
            _process.is_repeated.clear()
            _process.wake = Future()
    check()


def is_concluded() -> bool:
    """Whether the command has said how it ended."""
    return _process.is_concluded


def is_interrupted() -> bool:
    """Whether the command was interrupted, and has not gone on since."""
    return _process.received is not None


def is_by_hand() -> bool:
    """Whether a person at a terminal interrupted the command, and so knows about it."""
    return _process.received == signal.SIGINT and sys.stderr.isatty()


def _is_interruptible() -> bool:
    """Whether this thread may be interrupted now: it neither defers that nor is it cleaning up after it."""
    error = sys.exception()
    while error and not isinstance(error, KeyboardInterrupt | TimeLimitError):
        error = error.__context__
    return not error and not _thread.deferred


def _hear(number: int, _frame: FrameType | None) -> None:
    """The handler of each signal, which Python calls in the main thread."""
    if number != signal.SIGINT or not _process.received:
        _process.received = number
    if not _thread.cooperating:
        check()


def _watch(reader: int, owner: int, deferring: list[str | None]) -> None:
    """Read the signals as they come; `owner` is the main thread, and `deferring` what it defers them for.

    The first is repeated for the main thread alone: Polars' handler of SIGINT lets a system call go on.
    """
    patience: float | None = None
    while True:
        if not select.select([reader], [], [], patience)[0]:
            patience = None
            if _process.began:
                _write("shopease: interrupted; cleaning up (interrupt again to end at once)")
            continue
        (number,) = os.read(reader, 1)
        if _process.began is None:
            _process.began = time.monotonic()
            patience = REMIND_SECONDS
            _process.received = number
            if doing := next(reversed(deferring), None):
                patience = None
                _write(f"shopease: interrupted; {doing} first (interrupt again to end at once)")
            _process.wake.set_result(None)
            signal.siginterrupt(number, True)  # noqa: FBT003 - it has no name
            signal.pthread_kill(owner, number)
        elif not _process.is_repeated.is_set():
            _process.is_repeated.set()
        elif time.monotonic() - _process.began > _process.same_seconds:
            _end_at_once(INTERRUPTED_EXIT_CODE, f"shopease: interrupted twice: ended at once{_process.hint}")


def _write(line: str) -> None:
    """Write a line to stderr if it takes it now, whatever the main thread is at."""
    with suppress(OSError, ValueError):
        if select.select([], [2], [], 0)[1]:
            os.write(2, f"{line}\n".encode())


def _end_at_once(code: int, line: str) -> NoReturn:
    shows_cursor = "\x1b[?25h"  # which a live display hides
    _write(f"\r{shows_cursor}{line}" if os.isatty(2) else line)
    os._exit(code)
