"""Several statements at a time on one engine."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from shopease_etl import cancel
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
                cancel.wait(None, *pending)
                for future in {future for future in pending if future.done()}:
                    future.result()
                    pending.remove(future)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            engine.close()
            raise
    return [future.result() for future in futures]
