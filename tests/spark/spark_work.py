"""Work that the tests send to Spark's executors, which import this module."""

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from shopease_etl.errors import DataRefusedError, SourceFaultError
from shopease_etl.stages.month_tasks import MonthDone, MonthJob, MonthTask, work_on_month
from shopease_etl.transform.rivals import Keyed, pack_rivals

Rows = Sequence[tuple[int, int, int]]


def negated(number: int) -> int:
    return -number


def refuse_the_fourth(number: int) -> int:
    if number == 3:
        raise DataRefusedError("the fourth", hint="take another")
    return number


def process(_: int) -> int:
    time.sleep(0.5)
    return os.getpid()


def sleep(folder: str) -> int:
    (Path(folder) / "begun").touch()
    time.sleep(60)
    return 0


@dataclass(frozen=True)
class FailsTwice:
    """The first two times that an item is worked on, the connection is lost at the end."""

    folder: Path

    def __call__(self, number: int) -> int:
        times = len(list(self.folder.glob(f"{number}.*")))
        (self.folder / f"{number}.{times}").touch()
        if times < 2:
            raise SourceFaultError("the connection is lost")
        return number


def kept(item: tuple[str, Rows]) -> Keyed[str]:
    month, rows = item
    frame = pl.DataFrame(rows, {"key": pl.Int64, "updated": pl.Int64, "created": pl.Int64}, orient="row")
    return Keyed(month, month, [pack_rivals(piece) for piece in (frame[:3], frame[3:])])


@dataclass(frozen=True)
class MonthFailsTwice:
    """The work of one month is done, and then lost, two times."""

    folder: Path
    month: str

    def __call__(self, job: MonthJob, task: MonthTask) -> Keyed[MonthDone]:
        done = work_on_month(job, task)
        if task.month == self.month:
            FailsTwice(self.folder)(0)
        return done


@dataclass(frozen=True)
class Slow:
    """The work of each month takes a while longer, and says that it has begun."""

    folder: Path
    seconds: float

    def __call__(self, job: MonthJob, task: MonthTask) -> Keyed[MonthDone]:
        done = work_on_month(job, task)
        (self.folder / f"{task.month}-{os.getpid()}").touch()
        time.sleep(self.seconds)
        return done
