"""Runs whose months are worked on by a real Spark give the lake that this machine makes."""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from spark_server import ON_SPARK, SUBMIT, aws, bucket, spark
from spark_work import MonthFailsTwice, Slow

from commands import Shop, copy_of, end, execute
from conftest import eventually
from lakes import unfinished
from month_hashes import EARLIER, LATER, SALES, add_rivals, entries, hashes, monthly_shop, run_all
from shopease_etl.pipeline.wiring import Pipeline
from shopease_etl.stages import month_cluster

if TYPE_CHECKING:
    from shopease_etl.transform.spark import SparkExecutor

__all__ = ["aws", "bucket", "spark"]

pytestmark = ON_SPARK


@dataclass(frozen=True)
class Started:
    """A Spark that has started."""

    executor: "SparkExecutor"

    def check(self) -> None:
        pass

    def __call__(self) -> "SparkExecutor":
        return self.executor

    def close(self) -> None:
        pass


@pytest.fixture
def source(sales: str) -> Iterator[str]:
    with copy_of(sales) as url:
        execute(url, f"DELETE FROM {SALES} WHERE created_at < '2024-06-01'")
        yield url


@pytest.fixture
def shops(source: str, tmp_path: Path, bucket: str, spark: "SparkExecutor") -> tuple[Pipeline, Pipeline]:
    """A shop on this machine, and one on Spark."""
    (tmp_path / "far").mkdir()
    near = monthly_shop(source, tmp_path, bucket)
    return near, monthly_shop(source, tmp_path / "far", bucket, Started(spark))


def require_same(near: Pipeline, far: Pipeline) -> None:
    """A run of each gives the same objects and the same account of them, and leaves no uploads."""
    results = [run_all(shop) for shop in (near, far)]
    assert hashes(near) == hashes(far)
    assert entries(results[0]) == entries(results[1])
    assert unfinished(far.lake) == []


def test_full_and_incremental_runs_of_dirty_sales_give_the_same_lake(
    shops: tuple[Pipeline, Pipeline], source: str
) -> None:
    near, far = shops
    add_rivals(source, LATER, 2, "transaction_id % 97 = 0")
    add_rivals(source, EARLIER, 3, "transaction_id % 89 = 0")
    require_same(near, far)
    execute(source, f"UPDATE {SALES} SET unit_price = unit_price + 1 WHERE created_at >= '2024-11-01'")
    execute(source, f"DELETE FROM {SALES} WHERE updated_at = '{LATER}' AND created_at < '2024-10-01'")
    add_rivals(source, LATER, 1, "transaction_id % 83 = 0 AND created_at < '2024-09-01'")
    require_same(near, far)


def test_a_task_that_fails_twice_is_done_the_third_time(
    shops: tuple[Pipeline, Pipeline], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    near, far = shops
    tries = tmp_path / "tries"
    tries.mkdir()
    monkeypatch.setattr(month_cluster, "work_on_month", MonthFailsTwice(tries, "2024-08"))
    require_same(near, far)
    assert len(list(tries.iterdir())) == 3


def executors() -> list[int]:
    """Spark's executors, which are processes of their own."""
    found = subprocess.run(["pgrep", "-f", "CoarseGrainedExecutorBackend"], capture_output=True, text=True, check=False)
    return [int(line) for line in found.stdout.split()]


def parent(pid: int) -> int:
    """The process that started another."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("PPid:")[2].split()[0])


def test_an_executor_that_is_killed_is_replaced(
    shops: tuple[Pipeline, Pipeline], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    near, far = shops
    begun = tmp_path / "begun"
    begun.mkdir()
    monkeypatch.setattr(month_cluster, "work_on_month", Slow(begun, 3))

    def kill() -> None:
        while not any(begun.iterdir()):
            time.sleep(0.05)
        own = [pid for pid in executors() if parent(parent(pid)) == os.getpid()]
        os.kill(own[0], signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    require_same(near, far)
    killer.join()
    months = [path.name.rpartition("-")[0] for path in begun.iterdir()]
    assert len(months) > len({*months}), "a month was worked on again"


@dataclass(frozen=True)
class Killed:
    """A shop whose lake on S3 is by month, with Spark's settings."""

    shop: Shop
    near: Pipeline
    far: Pipeline

    def kill(self, is_there: Callable[[str], bool]) -> None:
        """Kill a run on Spark at the first line on stderr of which this is true, and wait until its executors end."""
        others = executors()
        with self.shop.start("run-all", "--engine", "spark", "--skip-crawl", "--verbose", "--allow-shrink") as process:
            assert process.stderr
            for line in process.stderr:
                if is_there(line):
                    break
            process.send_signal(signal.SIGKILL)
            assert end(process).code == -signal.SIGKILL
        eventually(lambda: {*executors()} <= {*others}, 60)


@pytest.fixture
def killed(source: str, tmp_path: Path, bucket: str, aws: dict[str, str]) -> Killed:
    (tmp_path / "far").mkdir()
    near, far = monthly_shop(source, tmp_path, bucket), monthly_shop(source, tmp_path / "far", bucket, place="cluster")
    more = {"PYSPARK_SUBMIT_ARGS": SUBMIT, "SHOPEASE_PARTITIONS": "month", "SHOPEASE_LEASE_SECONDS": "3", **aws}
    return Killed(Shop(tmp_path / "far", source, far.lake.location, more=more, starts_cold=True), near, far)


def uploads_began(shop: Pipeline) -> bool:
    """Whether the tasks have begun to upload."""
    eventually(lambda: any("transactions" in str(upload) for upload in unfinished(shop.lake)), 120)
    return True


@pytest.mark.parametrize("moment", ["while months are worked on", "when they are done", "while it publishes"])
def test_a_driver_that_is_killed_leaves_the_former_lake_or_the_new_one(
    killed: Killed, source: str, moment: str
) -> None:
    moments: dict[str, Callable[[str], bool]] = {
        "while months are worked on": lambda line: "extract: transactions:" in line and uploads_began(killed.far),
        "when they are done": lambda line: "extract: done" in line,
        "while it publishes": lambda line: "publishing" in line,
    }
    require_same(killed.near, killed.far)
    before = hashes(killed.far)
    execute(source, f"UPDATE {SALES} SET quantity = quantity + 1 WHERE quantity > 0")
    killed.kill(moments[moment])
    assert moment == "while it publishes" or hashes(killed.far) == before
    require_same(killed.near, killed.far)
