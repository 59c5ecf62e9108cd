"""Lines of a check: what is asked becomes a line, whatever the answer, and within a time."""

import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from shopease_etl import cancel
from shopease_etl.errors import ShopeaseError, UnreachableError
from shopease_etl.report import CheckLine
from shopease_etl.wording import reason

_DEBUG: Final = "run it again with --debug"


def tried(name: str, look: Callable[[], str]) -> CheckLine:
    """What the look tells; a failure where it raises."""
    try:
        return CheckLine(name, look())
    except ShopeaseError as error:
        return failed(name, error)


def failed(name: str, error: ShopeaseError) -> CheckLine:
    """The error as a line."""
    return CheckLine(name, str(error), error.exit_code, error.hint)


def warned(name: str, detail: str, fix: str | None, *, is_bad: bool = True) -> CheckLine:
    """A line that is a warning with its fix where it is bad, and else in order."""
    return CheckLine(name, detail, fix=fix if is_bad else None, warning=is_bad)


def asked(name: str, look: Callable[[], CheckLine]) -> CheckLine:
    """The line that the look makes; where it may not be asked, or the server does not know the question, a warning."""
    try:
        return look()
    except ShopeaseError as error:
        return warned(name, f"could not be checked: {error}", error.hint)


def skewed(name: str, of: str, ahead: float, most: float) -> CheckLine:
    """How far a clock is from this machine's, a warning above a minute, and a failure above `most` seconds."""
    if abs(ahead) <= 60:
        return CheckLine(name, f"this machine's clock and {of} are {abs(ahead):.1f} s apart")
    told = f"this machine's clock is {abs(ahead):,.0f} s {'behind' if ahead > 0 else 'ahead of'} {of}"
    code = UnreachableError.exit_code if abs(ahead) > most else 0
    return CheckLine(name, told, code, "set this machine's clock, as with `timedatectl set-ntp true`", not code)


class Questions:
    """Lines that a thread of its own makes from now on, for as long as somebody waits for them."""

    def __init__(self, name: str, seconds: float, look: Callable[[], Iterable[CheckLine]]) -> None:
        self._name = name
        self._seconds = seconds
        self._until = time.monotonic() + seconds
        self._found: queue.SimpleQueue[CheckLine | None] = queue.SimpleQueue()
        # nobody can end a call that hangs: the thread is left behind, and ends with the program
        threading.Thread(target=self._ask, args=[look], name=f"check {name}", daemon=True).start()

    def lines(self) -> Iterator[CheckLine]:
        """Each line as it is there; when the time is over, one that says so."""
        while True:
            try:
                line = cancel.call(lambda: self._found.get(timeout=max(0, self._until - time.monotonic())))
            except queue.Empty:
                message = f"no answer within {self._seconds:g} s"
                line = CheckLine(self._name, message, UnreachableError.exit_code, "see the network and the address")
                yield line
                return
            if line is None:
                return
            yield line

    def _ask(self, look: Callable[[], Iterable[CheckLine]]) -> None:
        try:
            for line in look():
                self._found.put(line)
        except ShopeaseError as error:
            self._found.put(failed(self._name, error))
        except Exception as error:  # noqa: BLE001 - one check that fails never hides the others
            self._found.put(CheckLine(self._name, f"{type(error).__name__}: {reason(error)}", 1, _DEBUG))
        self._found.put(None)
