"""How long a statement may take, from its start until its last row has been read."""

from time import monotonic
from typing import Final

from shopease_etl.errors import ShopeaseError

_HINT: Final = "allow more with --timeout SECONDS or SHOPEASE_QUERY_TIMEOUT"


class TimeLimit:
    """Counts from now on; without `seconds` it never ends."""

    def __init__(self, seconds: float | None) -> None:
        self._seconds = seconds
        self._started = monotonic()

    @property
    def left(self) -> float:
        """The seconds that are left, never less than 0."""
        if self._seconds is None:
            return float("inf")
        return max(self._started + self._seconds - monotonic(), 0)

    def check(self) -> None:
        """Raise ShopeaseError when the time is over."""
        if not self.left:
            raise ShopeaseError(f"the query took longer than {self._seconds:g} s and was stopped", hint=_HINT)
