"""Spark as an executor: the same results as on this machine, whatever becomes of its tasks."""

import threading
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

import pytest
from spark_server import ON_SPARK, aws, spark
from spark_work import FailsTwice, kept, negated, process, refuse_the_fourth, sleep

from near_cluster import NearCluster
from shopease_etl import cancel
from shopease_etl.errors import ConfigurationError, DataRefusedError, TimeLimitError

if TYPE_CHECKING:
    from shopease_etl.transform.spark import SparkExecutor

__all__ = ["aws", "spark"]

pytestmark = ON_SPARK


def test_results_come_in_the_order_of_the_items(spark: "SparkExecutor") -> None:
    assert list(spark.map(negated, range(20))) == [-number for number in range(20)]
    assert list(spark.map(negated, [])) == []


def test_each_item_is_a_task_and_all_executors_take_part(spark: "SparkExecutor") -> None:
    assert len(set(spark.map(process, range(8)))) > 1


def test_an_error_of_the_data_comes_as_it_is_and_is_not_tried_again(spark: "SparkExecutor") -> None:
    with pytest.raises(DataRefusedError, match="the fourth") as caught:
        list(spark.map(refuse_the_fourth, range(6)))
    assert caught.value.hint == "take another"


def test_an_error_that_may_pass_is_tried_again(spark: "SparkExecutor", tmp_path: Path) -> None:
    assert list(spark.map(FailsTwice(tmp_path), [1, 2])) == [1, 2]
    assert len(list(tmp_path.iterdir())) == 6


@pytest.mark.parametrize("seed", range(3))
def test_the_older_rows_of_several_months_lose_their_keys(spark: "SparkExecutor", seed: int) -> None:
    random = Random(seed)
    months = {
        f"2024-{number:02}": [
            (key, random.choice([-(2**63), 1, 2]), 1000 * number + random.randrange(1000))
            for key in random.sample(range(40), 12)
        ]
        for number in range(1, 9)
    }
    found = []
    for cluster in (spark, NearCluster()):
        with cluster.search() as search:
            assert search.map(kept, [*months.items()][:5]) == [*months][:5]
            assert search.map(kept, [*months.items()][5:]) == [*months][5:]
            assert search.map(kept, []) == []
            found.append({month: [*keys] for month, keys in search.lost_keys().items()})
    assert found[0] == found[1]
    assert len(found[0]) > 4


def test_a_search_without_months_finds_nothing(spark: "SparkExecutor") -> None:
    with spark.search() as search:
        assert search.lost_keys() == {}


def test_other_versions_are_refused(spark: "SparkExecutor", monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shopease_etl.__version__", "9.9")
    monkeypatch.setattr("shopease_etl.transform.spark.__version__", "9.9")
    with pytest.raises(ConfigurationError, match=r"Spark's executors have shopease .* instead of 9\.9") as caught:
        list(spark.map(negated, [1]))
    assert "make spark-archive" in str(caught.value.hint)


def test_a_package_that_executors_lack_is_named(
    spark: "SparkExecutor", tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "only_here.py").write_text("def work(item):\n    return item\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    import only_here  # type: ignore[import-not-found]

    with pytest.raises(ConfigurationError, match="do not have the Python package only_here"):
        list(spark.map(only_here.work, [1]))


def test_a_time_limit_ends_the_work(spark: "SparkExecutor", tmp_path: Path) -> None:
    def until_begun() -> bool:
        return (tmp_path / "begun").exists()

    with pytest.raises(TimeLimitError), cancel.deadline(4, "the test"):
        list(spark.map(sleep, [str(tmp_path)]))
    assert until_begun()
    # the executors are free again
    done = threading.Event()

    def work() -> None:
        list(spark.map(negated, range(4)))
        done.set()

    threading.Thread(target=work, daemon=True).start()
    assert done.wait(30)
