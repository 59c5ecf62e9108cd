"""Months that are worked on elsewhere give the lake that this machine makes, on a real PostgreSQL and S3."""

import pickle
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from commands import copy_of, execute
from lakes import given_pipeline, unfinished
from month_hashes import EARLIER, LATER, SALES, add_rivals, entries, hashes, monthly_shop, run_all
from near_cluster import NearCluster
from shopease_etl.contract.gold import USUAL
from shopease_etl.errors import ConfigurationError, SourceFaultError
from shopease_etl.lake.s3 import S3Store
from shopease_etl.lake.store import Encryption
from shopease_etl.pipeline import plan
from shopease_etl.pipeline.run import run
from shopease_etl.pipeline.wiring import Pipeline
from shopease_etl.stages import extract, month_cluster
from shopease_etl.stages.month_tasks import MonthDone, MonthJob, MonthTask, work_on_month
from shopease_etl.transform.rivals import Keyed

Shops = tuple[Pipeline, Pipeline, NearCluster]


@pytest.fixture
def source(sales: str) -> Iterator[str]:
    with copy_of(sales) as url:
        execute(url, f"DELETE FROM {SALES} WHERE created_at < '2024-06-01'")
        yield url


@pytest.fixture
def shops(source: str, tmp_path: Path, new_bucket: Callable[[], str]) -> Shops:
    """A shop on this machine, one on a cluster, and the cluster."""
    bucket, cluster = new_bucket(), NearCluster()
    (tmp_path / "far").mkdir()
    near = monthly_shop(source, tmp_path, bucket)
    return near, monthly_shop(source, tmp_path / "far", bucket, cluster), cluster


def require_same(near: Pipeline, far: Pipeline, *, full: bool = False) -> None:
    """A run of each gives the same objects and the same account of them, and leaves no uploads."""
    results = [run_all(shop, full=full) for shop in (near, far)]
    assert hashes(near) == hashes(far)
    assert entries(results[0]) == entries(results[1])
    assert results[0].reconciliation == results[1].reconciliation
    assert unfinished(far.lake) == []


def test_full_and_incremental_runs_give_the_same_lake(shops: Shops, source: str) -> None:
    near, far, cluster = shops
    require_same(near, far)
    months = len(cluster.done)
    assert months > 6
    require_same(near, far)
    assert len(cluster.done) == months, "nothing has changed"
    execute(source, f"UPDATE {SALES} SET unit_price = unit_price + 1 WHERE created_at >= '2024-10-01'")
    execute(source, f"DELETE FROM {SALES} WHERE created_at < '2024-07-01'")
    require_same(near, far)
    assert 0 < len(cluster.done) - months < 6
    require_same(near, far, full=True)


def test_keys_of_several_months_belong_to_the_latest_row(shops: Shops, source: str) -> None:
    near, far, cluster = shops
    add_rivals(source, LATER, 2, "transaction_id % 97 = 0")
    add_rivals(source, EARLIER, 3, "transaction_id % 89 = 0")
    require_same(near, far)
    assert len(cluster.done) > len({*cluster.done}), "some were worked on again"


def test_rivals_come_and_go_in_months_that_did_not_change(shops: Shops, source: str) -> None:
    near, far, cluster = shops
    add_rivals(source, LATER, 1, "created_at >= '2024-09-01' AND created_at < '2024-09-20'")
    require_same(near, far)
    # the winners vanish, so their losers in another month come back; others appear
    execute(source, f"DELETE FROM {SALES} WHERE updated_at = '{LATER}'")
    cluster.done.clear()
    require_same(near, far)
    assert "2024-09" in cluster.done
    add_rivals(source, EARLIER, 4, "created_at >= '2024-07-01' AND created_at < '2024-07-09'")
    add_rivals(source, LATER, 4, "created_at >= '2024-08-05' AND created_at < '2024-08-09'")
    require_same(near, far)


def test_a_unique_key_needs_no_comparison(shops: Shops, source: str) -> None:
    near, far, _ = shops
    execute(
        source, f"DELETE FROM {SALES} a USING {SALES} b WHERE a.ctid < b.ctid AND a.transaction_id = b.transaction_id"
    )
    execute(source, f"DELETE FROM {SALES} WHERE transaction_id IS NULL")
    execute(source, f"ALTER TABLE {SALES} ADD UNIQUE (transaction_id), ALTER transaction_id SET NOT NULL")
    require_same(near, far)


def test_an_empty_table_gives_an_empty_month(shops: Shops, source: str) -> None:
    near, far, _ = shops
    execute(source, f"TRUNCATE {SALES}")
    require_same(near, far)


def test_single_stages_work_elsewhere_too(shops: Shops) -> None:
    near, far, cluster = shops
    run_all(near)
    for stage in ("extract", "clean"):
        cluster.done.clear()
        run(plan.plan_tables(stage, ()), far)
        assert len(cluster.done) > 6
    run(plan.plan_datasets((), USUAL), far)
    assert hashes(near) == hashes(far)
    assert unfinished(far.lake) == []
    # state that is missing is made again where the months are
    far.lake.delete([item.key for item in far.lake.list("_state/transactions/") if item.key.endswith("sums.zip")])
    run(plan.plan_datasets((), USUAL), far)
    gold = [{key: found[key] for key in found if key.startswith("gold/")} for found in (hashes(near), hashes(far))]
    assert gold[0] == gold[1]


def test_a_view_is_read_on_this_machine(shops: Shops, source: str, caplog: pytest.LogCaptureFixture) -> None:
    near, far, cluster = shops
    execute(source, f"ALTER TABLE {SALES} RENAME TO kept; CREATE VIEW {SALES} AS SELECT * FROM kept")
    require_same(near, far)
    assert cluster.done == []
    assert "its months are copied and cleaned on this machine" in caplog.text


def test_a_table_in_no_order_of_time_is_read_once_on_this_machine(
    shops: Shops, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    near, far, cluster = shops
    monkeypatch.setattr(extract, "MOST_READ_AGAIN", 0)  # the sample's table is smaller than a range
    require_same(near, far)
    assert cluster.done == []
    assert "its rows are in no order of time" in caplog.text


def test_a_lake_in_one_file_is_refused(source: str, tmp_path: Path) -> None:
    shop = replace(given_pipeline(source, tmp_path), cluster=NearCluster())
    with pytest.raises(ConfigurationError, match="works on months") as caught:
        run_all(shop)
    assert "SHOPEASE_PARTITIONS=month" in str(caught.value.hint)


def fail_in_may(job: MonthJob, task: MonthTask) -> Keyed[MonthDone]:
    """The work of May is done, and then lost."""
    done = work_on_month(job, task)
    if task.month == "2024-08":
        raise SourceFaultError("the connection is lost")
    return done


def test_a_run_that_fails_leaves_the_former_lake_and_the_next_one_no_uploads(
    shops: Shops, source: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    near, far, _ = shops
    require_same(near, far)
    before = hashes(far)
    execute(source, f"UPDATE {SALES} SET quantity = quantity + 1 WHERE quantity > 0")
    with monkeypatch.context() as patch:
        patch.setattr(month_cluster, "work_on_month", fail_in_may)
        patch.setattr("shopease_etl.source.session.FIRST_PAUSE", 0.01)
        with pytest.raises(SourceFaultError, match="the connection is lost"):
            run_all(far)
    assert hashes(far) == before
    require_same(near, far)


def test_another_process_gets_no_client_and_the_same_place() -> None:
    store = S3Store("bucket", "some/prefix", Encryption("aws:kms", "key"))
    store.__dict__["client"] = object()
    sent = pickle.loads(pickle.dumps(store))
    assert (sent.location, sent.encryption) == (store.location, store.encryption)
    assert "client" not in vars(sent)
