"""Several statements at a time on one engine."""

from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from typing import TypeVar

from shopease_etl.warehouse import SqlEngine

_T = TypeVar("_T")


def run_together(engine: SqlEngine, jobs: Sequence[Callable[[], _T]], concurrency: int) -> list[_T]:
    """What the jobs return, in their order; one that fails, or Ctrl-C, stops the rest, and closes the engine."""
    if concurrency == 1:
        return [job() for job in jobs]
    with ThreadPoolExecutor(concurrency, thread_name_prefix="statement") as pool:
        futures: list[Future[_T]] = []
        try:
            futures += (pool.submit(job) for job in jobs)
            pending = set(futures)
            while pending:
                # waiting wakes now and then, so that a signal is seen
                done, pending = wait(pending, timeout=0.1, return_when=FIRST_EXCEPTION)
                for future in done:
                    future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            engine.close()
            raise
    return [future.result() for future in futures]
