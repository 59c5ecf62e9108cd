"""Where the work on chunks and partitions runs: the same functions of plain data, on this machine or on others."""

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Final, Protocol, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class Executor(Protocol):
    """Does the same work on many items."""

    def map(self, work: Callable[[Item], Result], items: Iterable[Item]) -> Generator[Result]:
        """What `work` returns for each item, in the items' order.

        Items are taken in the caller's thread, a few ahead of their results. An error of an item or of its work is
        raised here; after that, and after `close`, no work begins and none is left running. Work, items and results
        must be such that they can be pickled: they may go to other processes.
        """


@dataclass(frozen=True)
class LocalExecutor:
    """Threads of this process, while Polars works without Python's lock; one item more than threads is under way."""

    threads: int = min(4, os.cpu_count() or 1)

    def map(self, work: Callable[[Item], Result], items: Iterable[Item]) -> Generator[Result]:
        """What `work` returns for each item, in order."""
        under_way: deque[Future[Result]] = deque()
        pool = ThreadPoolExecutor(self.threads, thread_name_prefix="work")
        try:
            for item in items:
                under_way.append(pool.submit(work, item))
                if len(under_way) > self.threads:
                    yield awaited(under_way.popleft())
            while under_way:
                yield awaited(under_way.popleft())
        finally:
            pool.shutdown(cancel_futures=True)


LOCAL: Final = LocalExecutor()


def awaited(future: Future[Result]) -> Result:
    """The future's result; the thread that waits wakes now and then.

    Polars' handler restarts a wait that SIGINT breaks off: the main thread must wake to see the signal.
    """
    while not future.done():
        wait([future], timeout=0.2)
    return future.result()
