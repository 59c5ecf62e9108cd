"""Statements: their time limit, and several at a time on one engine."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from time import monotonic
from typing import TypeVar

from shopease_etl import cancel
from shopease_etl.errors import ShopeaseError
from shopease_etl.warehouse import SqlEngine

_T = TypeVar("_T")


class TimeLimit:
    """A limit of `seconds` for a statement, from now until its last row has been read; None: no limit."""

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


def run_together(engine: SqlEngine, jobs: Sequence[Callable[[], _T]], concurrency: int) -> list[_T]:
    """The results of the jobs, in their order; a failure or Ctrl-C stops the others and closes the engine."""
    if concurrency == 1:
        return [job() for job in jobs]
    with ThreadPoolExecutor(concurrency, thread_name_prefix="statement") as pool:
        futures: list[Future[_T]] = []
        try:
            futures += (pool.submit(job) for job in jobs)
            pending = set(futures)
            while pending:
                cancel.wait(None, *pending)
                for future in {future for future in pending if future.done()}:
                    future.result()
                    pending.remove(future)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            engine.close()
            raise
    return [future.result() for future in futures]
