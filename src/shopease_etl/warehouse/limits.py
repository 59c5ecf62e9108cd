"""The time limit of a statement, from its start until its last row has been read."""

from time import monotonic

from shopease_etl.errors import ShopeaseError


class TimeLimit:
    """A limit of `seconds` from now; none if it is None."""

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
        """Raise ShopeaseError if no time is left."""
        if not self.left:
            hint = "allow more with --timeout SECONDS or SHOPEASE_QUERY_TIMEOUT"
            raise ShopeaseError(f"the query took longer than {self._seconds:g} s and was stopped", hint=hint)
