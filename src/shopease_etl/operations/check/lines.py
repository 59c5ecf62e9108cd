"""Lines of a check: whatever a check finds becomes a line, and within a time limit."""

import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from shopease_etl import cancel
from shopease_etl.errors import ShopeaseError, UnreachableError
from shopease_etl.wording import reason


@dataclass(frozen=True)
class CheckLine:
    """One thing that was checked; `exit_code` is 0 if it is in order, else `fix` says what to do."""

    name: str
    detail: str
    exit_code: int = 0
    fix: str | None = None
    warning: bool = False


def check(name: str, find: Callable[[], str]) -> CheckLine:
    """The detail that `find` returns; a failure if it raises a ShopeaseError."""
    try:
        return CheckLine(name, find())
    except ShopeaseError as error:
        return failure(name, error)


def check_optional(name: str, find: Callable[[], CheckLine]) -> CheckLine:
    """The line that `find` returns; a warning if the server refuses to answer or does not know the request."""
    try:
        return find()
    except ShopeaseError as error:
        return warning(name, f"could not be checked: {error}", error.hint)


def failure(name: str, error: ShopeaseError) -> CheckLine:
    """The error as a line."""
    return CheckLine(name, str(error), error.exit_code, error.hint)


def warning(name: str, detail: str, fix: str | None, *, is_bad: bool = True) -> CheckLine:
    """A warning with its fix if it is bad, else a line that is ok."""
    return CheckLine(name, detail, fix=fix if is_bad else None, warning=is_bad)


def clock_skew(name: str, other: str, ahead: float, limit: float) -> CheckLine:
    """How many seconds the other clock is ahead of this machine's: over 60 a warning, over `limit` a failure."""
    if abs(ahead) <= 60:
        return CheckLine(name, f"this machine's clock and {other} differ by {abs(ahead):.1f} s")
    detail = f"this machine's clock is {abs(ahead):,.0f} s {'behind' if ahead > 0 else 'ahead of'} {other}"
    code = UnreachableError.exit_code if abs(ahead) > limit else 0
    return CheckLine(name, detail, code, "set this machine's clock, for example `timedatectl set-ntp true`", not code)


class TimedChecks:
    """Lines that a thread of their own produces from now on, within a time limit in seconds."""

    def __init__(self, name: str, timeout: float, find: Callable[[], Iterable[CheckLine]]) -> None:
        self._name = name
        self._timeout = timeout
        self._deadline = time.monotonic() + timeout
        self._found: queue.SimpleQueue[CheckLine | None] = queue.SimpleQueue()
        # A call that hangs cannot be ended: its daemon thread ends with the program.
        threading.Thread(target=self._run, args=[find], name=f"check {name}", daemon=True).start()

    def lines(self) -> Iterator[CheckLine]:
        """Each line as it is found; after the time limit one line that says so, and no more."""
        while True:
            try:
                line = cancel.call(lambda: self._found.get(timeout=max(0, self._deadline - time.monotonic())))
            except queue.Empty:
                detail = f"no answer within {self._timeout:g} s"
                yield CheckLine(self._name, detail, UnreachableError.exit_code, "check the network and the address")
                return
            if line is None:
                return
            yield line

    def _run(self, find: Callable[[], Iterable[CheckLine]]) -> None:
        try:
            for line in find():
                self._found.put(line)
        except ShopeaseError as error:
            self._found.put(failure(self._name, error))
        except Exception as error:  # noqa: BLE001 - one check that fails never hides the others
            detail = f"{type(error).__name__}: {reason(error)}"
            self._found.put(CheckLine(self._name, detail, 1, "run it again with --debug"))
        self._found.put(None)
