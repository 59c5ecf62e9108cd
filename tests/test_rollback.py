"""Rollback: the lake as it was before the last run that published, on a disk and on S3; all of it, or nothing."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import boto3
import pytest

from accounts import Account
from commands import Shop, copy_of, execute, hashes, leftovers
from shopease_etl.errors import LakeLockedError
from shopease_etl.rollback import last_published, undo
from shopease_etl.storage import open_store, put_stream
from shopease_etl.tables import GENERATIONS, KEYS, RUNS

LATER: Final = "UPDATE sale_transactions SET unit_price = unit_price + {} WHERE unit_price > 0"
REVENUE: Final = ("query", "SELECT SUM(total_revenue) AS revenue FROM shopease_catalog.daily_sales_summary", "--json")


@pytest.fixture(params=["local", "s3"])
def changing(request: pytest.FixtureRequest, sales: str, tmp_path: Path) -> Iterator[Shop]:
    """A shop without a lake yet, whose source a test may change; on S3 in a bucket that keeps versions."""
    with copy_of(sales) as url:
        if request.param == "local":
            yield Shop(tmp_path, url, str(tmp_path / "lake"))
        else:
            account: Account = request.getfixturevalue("account")
            bucket = account.new_bucket()
            account.new_catalog(bucket)
            account.client("s3").put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
            yield Shop(tmp_path, url, f"s3://{bucket}/x")


def content(shop: Shop) -> dict[str, bytes]:
    """The datasets by key."""
    store = open_store(shop.lake)
    return {key: store.read(key) for key in sorted(KEYS) if store.find(key)}


def revenue(shop: Shop) -> object:
    return shop.run(*REVENUE).done().document["rows"][0]["revenue"]


def test_the_lake_before_the_last_run_comes_back_and_answers(changing: Shop) -> None:
    changing.run("run-all").done()
    first, sum_before = content(changing), revenue(changing)
    execute(changing.database_url, LATER.format(1))
    run_id = changing.run("run-all", "--json").done().document["run_id"]
    assert revenue(changing) != sum_before
    told = changing.run("rollback", "--json").done().document
    assert told["run_id"] == run_id
    assert set(told["restored"]) == KEYS
    assert told["crawl"]["status"] == "succeeded"
    assert (content(changing), revenue(changing)) == (first, sum_before)
    runs = changing.run("status", "--json").done().document["runs"]
    assert [run["status"] for run in runs] == ["succeeded", "rolled back", "succeeded"]
    # what is there is known to the manifests again, so that stages take it for whole
    changing.run("aggregate").done()
    changing.run("run-all").done()


def test_the_first_run_is_undone_to_an_empty_lake(changing: Shop) -> None:
    changing.run("run-all").done()
    told = changing.run("rollback", "--json").done().document
    assert set(told["deleted"]) == KEYS
    assert (told["restored"], told["crawl"]) == ([], None)
    assert content(changing) == {}
    changing.run("rollback").failed(3, "no run has published anything")


def test_one_stage_is_undone_alone(changing: Shop) -> None:
    changing.run("run-all").done()
    first = content(changing)
    execute(changing.database_url, LATER.format(1))
    changing.run("extract").done()
    told = changing.run("rollback", "--json", "--skip-crawl").done().document
    assert {key.partition("/")[0] for key in told["restored"]} == {"bronze"}
    assert content(changing) == first


def test_a_second_rollback_goes_further_back_as_far_as_generations_are_kept(sales: str, tmp_path: Path) -> None:
    with copy_of(sales) as url:
        shop = Shop(tmp_path, url, more={"SHOPEASE_KEEP_GENERATIONS": "2"})
        lakes = []
        for _ in range(4):
            shop.run("run-all", "--skip-crawl").done()
            lakes.append(hashes(tmp_path / "lake"))
            execute(url, LATER.format(1))
        assert len(list((tmp_path / "lake" / GENERATIONS).iterdir())) == 2
        for expected in (lakes[2], lakes[1]):
            shop.run("rollback", "--skip-crawl").done()
            assert hashes(tmp_path / "lake") == expected
        shop.run("rollback", "--skip-crawl").failed(3, "is not kept any more")
        assert hashes(tmp_path / "lake") == lakes[1]
        assert leftovers(tmp_path / "lake") == []


def test_nothing_is_kept_where_nothing_is_to_be_kept(sales: str, tmp_path: Path) -> None:
    shop = Shop(tmp_path, sales, more={"SHOPEASE_KEEP_GENERATIONS": "0"})
    for _ in range(2):
        shop.run("run-all", "--skip-crawl").done()
    assert not (tmp_path / "lake" / GENERATIONS).exists()
    shop.run("rollback", "--skip-crawl").failed(3, "is not kept any more")


def test_a_bucket_without_versions_cannot_go_back(sales: str, tmp_path: Path, new_bucket: Callable[[], str]) -> None:
    bucket = new_bucket()
    shop = Shop(tmp_path, sales, f"s3://{bucket}")
    for _ in range(2):
        shop.run("run-all", "--skip-crawl").done()
    before = content(shop)
    assert "versions" in shop.run("rollback", "--skip-crawl").failed(3, "was not kept").stderr
    assert content(shop) == before
    assert boto3.client("s3").list_multipart_uploads(Bucket=bucket).get("Uploads", []) == []


def test_a_version_that_is_another_object_by_now_is_not_taken_for_the_former_one(
    sales: str, tmp_path: Path, account: Account
) -> None:
    """A bucket that keeps versions no more calls the version of every new object null."""
    bucket, client = account.new_bucket(), account.client("s3")
    client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    shop = Shop(tmp_path, sales, f"s3://{bucket}")
    for _ in range(2):
        run_id = shop.run("extract", "--json").done().document["run_id"]
    store, key = open_store(shop.lake), f"{RUNS}/{run_id}.json"
    manifest = json.loads(store.read(key))
    names = manifest["replaced"]["objects"]
    stores, products = "bronze/stores/stores.csv", "bronze/products/products.csv"
    now = client.head_object(Bucket=bucket, Key=stores)
    names[stores] = f"{now['VersionId']} {names[products].partition(' ')[2]}"
    put_stream(store, key, [json.dumps(manifest).encode()])
    before = content(shop)
    shop.run("rollback", "--skip-crawl").failed(3, f"the former {stores} is not kept any more")
    assert content(shop) == before


def test_a_rollback_that_would_be_refused_midway_does_not_begin(sales: str, tmp_path: Path) -> None:
    with copy_of(sales) as url:
        shop, lake = Shop(tmp_path, url), tmp_path / "lake"
        shop.run("run-all").done()
        first = hashes(lake)
        execute(url, LATER.format(1))
        run_id = shop.run("run-all", "--json").done().document["run_id"]
        blocked = lake / "gold" / "customer_analytics" / "data.parquet"
        aside = tmp_path / "aside"
        blocked.rename(aside)
        blocked.mkdir()
        before = hashes(lake)
        shop.run("rollback", "--skip-crawl").failed(4, f"cannot replace {blocked}")
        assert (hashes(lake), leftovers(lake)) == (before, [])
        blocked.rmdir()
        aside.rename(blocked)
        shop.run("rollback").done()
        assert (hashes(lake), leftovers(lake)) == (first, [])
        assert json.loads((lake / RUNS / f"{run_id}.json").read_text())["status"] == "rolled back"


def test_what_a_manifest_claims_to_have_replaced_stays_inside_the_lake(sales: str, tmp_path: Path) -> None:
    shop = Shop(tmp_path, sales)
    run_id = shop.run("extract", "--json").done().document["run_id"]
    path = tmp_path / "lake" / RUNS / f"{run_id}.json"
    (tmp_path / "secret").write_text("secret")
    claims: tuple[object, ...] = (
        {"objects": {"../secret": "x"}, "new": []},
        {"objects": {}, "new": ["../secret"]},
        {"objects": {"bronze/stores/stores.csv": "../../secret"}, "new": []},
        {"objects": {"bronze/stores/stores.csv": f"{GENERATIONS}/../../secret"}, "new": []},
        None,
        [],
    )
    for wrong in claims:
        path.write_text(json.dumps({**json.loads(path.read_text()), "replaced": wrong}))
        before = hashes(tmp_path / "lake")
        shop.run("rollback").failed(3)
        assert hashes(tmp_path / "lake") == before
    assert (tmp_path / "secret").read_text() == "secret"


def test_who_lost_the_lock_meanwhile_brings_nothing_back(sales: str, tmp_path: Path) -> None:
    with copy_of(sales) as url:
        shop, lake = Shop(tmp_path, url), tmp_path / "lake"
        shop.run("extract").done()
        execute(url, LATER.format(1))
        shop.run("extract").done()
        before, store = hashes(lake), open_store(str(lake))

        def lost() -> None:
            raise LakeLockedError("another has it")

        with pytest.raises(LakeLockedError):
            undo(store, tmp_path / "aside", last_published(store).document, lost)
        assert (hashes(lake), leftovers(lake)) == (before, [])
