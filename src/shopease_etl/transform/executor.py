"""Runs the work on chunks and partitions: functions of plain data, on this machine or on others."""

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Final, Protocol, TypeVar

from shopease_etl import cancel

Item = TypeVar("Item")
Result = TypeVar("Result")

CORES: Final = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Executor(Protocol):
    """Does the same work on many items."""

    def map(self, work: Callable[[Item], Result], items: Iterable[Item]) -> Generator[Result]:
        """What `work` returns for each item, in the items' order.

        Items are taken in the caller's thread, a few ahead of their results. An error of an item or of its work is
        raised here; after that, and after `close`, no work begins and none is left running. Work, items
        and results must be picklable: they may go to other processes.
        """


class LocalExecutor:
    """Threads of this process, while Polars works without Python's lock; one item more than threads is in progress.

    The threads begin with the first work and last as long as the executor: each new one would cost memory. Up to four
    there are two for each core, as each often waits for Polars' own threads.
    """

    def __init__(self, threads: int = min(4, 2 * CORES)) -> None:
        self._threads = threads
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="work")

    def map(self, work: Callable[[Item], Result], items: Iterable[Item]) -> Generator[Result]:
        """What `work` returns for each item, in order."""
        under_way: deque[Future[Result]] = deque()
        try:
            for item in items:
                under_way.append(self._pool.submit(work, item))
                if len(under_way) > self._threads:
                    yield cancel.result(under_way.popleft())
            while under_way:
                yield cancel.result(under_way.popleft())
        finally:
            wait([future for future in under_way if not future.cancel()])


LOCAL: Final = LocalExecutor()
