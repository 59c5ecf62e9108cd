"""Rollback: the lake as it was before the last runs that published, on a disk and on S3; all of it, or nothing."""

import json
import os
import pty
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import boto3
import pytest

from accounts import Account
from commands import Shop, copy_of, end, execute, hashes, leftovers
from lakes import KEYS
from shopease_etl.contract.layout import GENERATIONS, RUNS
from shopease_etl.errors import LakeLockedError
from shopease_etl.lake.generations import runs_to_undo, undo
from shopease_etl.lake.open import open_store
from shopease_etl.lake.store import LakeStore, put_stream

LATER: Final = "UPDATE sale_transactions SET unit_price = unit_price + {} WHERE unit_price > 0"
BACK: Final = ("rollback", "--yes")
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


def test_the_former_lake_is_restored_and_can_be_queried(changing: Shop) -> None:
    changing.run("run-all").done()
    first, sum_before = content(changing), revenue(changing)
    execute(changing.database_url, LATER.format(1))
    run_id = changing.run("run-all", "--json").done().document["run_id"]
    assert revenue(changing) != sum_before
    told = changing.run(*BACK, "--json").done().document
    assert told["run_id"] == run_id
    assert set(told["restored"]) == KEYS
    assert told["crawl"]["status"] == "succeeded"
    assert (content(changing), revenue(changing)) == (first, sum_before)
    runs = changing.run("status", "--json").done().document["runs"]
    assert [run["status"] for run in runs] == ["succeeded", "rolled back", "succeeded"]
    # what is there is known to the manifests again, so that stages take it for whole
    changing.run("aggregate").done()
    changing.run("run-all").done()


def test_undoing_the_first_run_needs_a_flag(changing: Shop) -> None:
    changing.run("run-all").done()
    before = content(changing)
    assert "--to-nothing" in changing.run(*BACK).failed(3, "leaves nothing").stderr
    assert content(changing) == before
    told = changing.run(*BACK, "--to-nothing", "--json").done().document
    assert set(told["deleted"]) == KEYS
    assert (told["restored"], told["crawl"]) == ([], None)
    assert content(changing) == {}
    if changing.lake.startswith("s3:"):
        assert revenue(changing) is None
    else:
        assert "or `shopease run-all`" in changing.run(*REVENUE).failed(1, "nothing is catalogued").stderr
    changing.run(*BACK).failed(3, "no run has published anything")
    changing.run("retry").failed(2, "nothing to retry", ", was rolled back")


def test_a_run_of_one_stage_is_undone(changing: Shop) -> None:
    changing.run("run-all").done()
    first = content(changing)
    execute(changing.database_url, LATER.format(1))
    changing.run("extract").done()
    told = changing.run(*BACK, "--json", "--skip-crawl").done().document
    assert {key.partition("/")[0] for key in told["restored"]} == {"bronze"}
    assert content(changing) == first


def test_a_second_rollback_goes_further_back(sales: str, tmp_path: Path) -> None:
    with copy_of(sales) as url:
        shop = Shop(tmp_path, url, more={"SHOPEASE_KEEP_GENERATIONS": "2"})
        lakes = []
        for _ in range(4):
            shop.run("run-all", "--skip-crawl").done()
            lakes.append(hashes(tmp_path / "lake"))
            execute(url, LATER.format(1))
        assert len(list((tmp_path / "lake" / GENERATIONS).iterdir())) == 2
        for expected in (lakes[2], lakes[1]):
            shop.run(*BACK, "--skip-crawl").done()
            assert hashes(tmp_path / "lake") == expected
        shop.run(*BACK, "--skip-crawl").failed(3, "is no longer kept")
        assert hashes(tmp_path / "lake") == lakes[1]
        assert leftovers(tmp_path / "lake") == []


def test_no_former_lake_is_kept_if_the_setting_is_0(sales: str, tmp_path: Path) -> None:
    shop = Shop(tmp_path, sales, more={"SHOPEASE_KEEP_GENERATIONS": "0"})
    for _ in range(2):
        shop.run("run-all", "--skip-crawl").done()
    assert not (tmp_path / "lake" / GENERATIONS).exists()
    refused = shop.run(*BACK, "--skip-crawl").failed(3, "is no longer kept").stderr
    assert f"{tmp_path / 'lake' / GENERATIONS} has what the last SHOPEASE_KEEP_GENERATIONS runs replaced" in refused
    assert "unless it or their manifests were deleted" in refused


def test_a_bucket_without_versions_cannot_go_back(sales: str, tmp_path: Path, new_bucket: Callable[[], str]) -> None:
    bucket = new_bucket()
    shop = Shop(tmp_path, sales, f"s3://{bucket}")
    for _ in range(2):
        shop.run("run-all", "--skip-crawl").done()
    before = content(shop)
    assert "versions" in shop.run(*BACK, "--skip-crawl").failed(3, "was not kept").stderr
    assert content(shop) == before
    assert boto3.client("s3").list_multipart_uploads(Bucket=bucket).get("Uploads", []) == []


def test_a_version_with_another_etag_is_not_restored(sales: str, tmp_path: Path, account: Account) -> None:
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
    shop.run(*BACK, "--skip-crawl").failed(3, f"the former {stores} is no longer kept")
    assert content(shop) == before


def test_a_rollback_that_would_fail_midway_does_not_start(sales: str, tmp_path: Path) -> None:
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
        shop.run(*BACK, "--skip-crawl").failed(4, f"cannot replace {blocked}")
        assert (hashes(lake), leftovers(lake)) == (before, [])
        blocked.rmdir()
        aside.rename(blocked)
        shop.run(*BACK).done()
        assert (hashes(lake), leftovers(lake)) == (first, [])
        assert json.loads((lake / RUNS / f"{run_id}.json").read_text())["status"] == "rolled back"


def test_paths_in_a_manifest_cannot_leave_the_lake(sales: str, tmp_path: Path) -> None:
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
        shop.run(*BACK).failed(3)
        assert hashes(tmp_path / "lake") == before
    assert (tmp_path / "secret").read_text() == "secret"


def test_a_rollback_that_lost_the_lock_restores_nothing(sales: str, tmp_path: Path) -> None:
    with copy_of(sales) as url:
        shop, lake = Shop(tmp_path, url), tmp_path / "lake"
        shop.run("extract").done()
        execute(url, LATER.format(1))
        shop.run("extract").done()
        before, store = hashes(lake), open_store(str(lake))

        def lost() -> None:
            raise LakeLockedError("another has it")

        with pytest.raises(LakeLockedError):
            undo(store, tmp_path / "aside", [runs_to_undo(store)[0].document], lost)
        assert (hashes(lake), leftovers(lake)) == (before, [])


def test_it_shows_its_changes_and_asks(changing: Shop) -> None:
    changing.run("extract").done()
    first = content(changing)
    execute(changing.database_url, LATER.format(1), "DELETE FROM sales_managers WHERE manager_id = 1")
    changing.run("extract").done()
    changed = content(changing)
    for more in ((), ("--json",)):
        assert "--yes" in changing.run("rollback", *more).failed(2, "Nothing changed").stderr
    document = changing.run("rollback", "--dry-run", "--json").done().document
    runs = [run["run_id"] for run in changing.run("status", "--json").done().document["runs"]]
    assert (document["undoes"], [document["to"]]) == (runs[:1], runs[1:])
    rows = {item["key"]: (item["rows"], item["rows_after"]) for item in document["objects"]}
    assert rows["bronze/sales_managers/sales_managers.csv"] == (4, 5)
    assert content(changing) == changed
    for answer, expected in (("n", changed), ("y", first)):
        shown = at_terminal(changing, answer)
        assert [word for word in (*runs, "bronze/sales_managers/", "Roll back?") if word not in shown] == []
        assert content(changing) == expected


def at_terminal(shop: Shop, answer: str) -> str:
    """What a rollback shows a person who gives this answer."""
    master, terminal = pty.openpty()
    with shop.start("rollback", "--skip-crawl", stdin=terminal) as process:
        os.write(master, f"{answer}\n".encode())
        ended = end(process, "").done()
    os.close(master)
    os.close(terminal)
    return ended.stdout + ended.stderr


def test_several_runs_are_undone_at_once(changing: Shop) -> None:
    """Each run wrote other objects: the oldest one that wrote an object has its former version."""
    shop = replace(changing, more={**changing.more, "SHOPEASE_KEEP_GENERATIONS": "3"})
    lakes, runs = {}, []
    for command in (
        ("run-all", "--skip-crawl"),
        ("clean",),
        ("extract",),
        ("extract", "--table", "stores"),
        ("clean",),
    ):
        execute(shop.database_url, LATER.format(1), "UPDATE stores SET store_name = store_name || '!'")
        runs.append(shop.run(*command, "--json").done().document["run_id"])
        lakes[runs[-1]] = content(shop)
    assert len({str(lake) for lake in lakes.values()}) == len(lakes)
    is_local = not shop.lake.startswith("s3:")
    wrong = (runs[0], 3, "kept") if is_local else ("nothing", 2, "no run 'nothing'")
    refused = shop.run(*BACK, "--to", wrong[0]).failed(*wrong[1:])
    assert ", ".join(runs[-2:0:-1]) in refused.stderr
    shop.run(*BACK, "--to", runs[-1]).failed(2, "the lake is as the run")
    told = shop.run(*BACK, "--to", runs[1], "--json").done().document
    assert told["undone"] == runs[:1:-1]
    assert content(shop) == lakes[runs[1]]
    states = {run["run_id"]: run["status"] for run in shop.run("status", "--json").done().document["runs"]}
    assert [states[run] for run in runs] == ["succeeded"] * 2 + ["rolled back"] * 3
    shop.run(*BACK, "--to", runs[3]).failed(3, "it was rolled back")


def move_ahead(lake: Path, run_id: str, hours: int) -> str:
    """Let a run be one that was made with a clock so many hours ahead; its new id."""
    path = lake / RUNS / f"{run_id}.json"
    document = json.loads(path.read_text())
    moment = datetime.strptime(run_id[:23], "%Y%m%dT%H%M%S.%fZ").replace(tzinfo=UTC) + timedelta(hours=hours)
    moved = f"{moment:%Y%m%dT%H%M%S.%fZ}{run_id[23:]}"
    for name in ("started_at", "finished_at"):
        document[name] = (datetime.fromisoformat(document[name]) + timedelta(hours=hours)).isoformat()
    if (generation := lake / GENERATIONS / run_id).exists():
        generation.rename(generation.with_name(moved))
    path.unlink()
    text = json.dumps({**document, "run_id": moved}).replace(f"{GENERATIONS}/{run_id}", f"{GENERATIONS}/{moved}")
    path.with_name(f"{moved}.json").write_text(text)
    return moved


def test_the_last_run_does_not_depend_on_clocks(sales: str, tmp_path: Path) -> None:
    with copy_of(sales) as url:
        shop, lake = Shop(tmp_path, url, more={"SHOPEASE_KEEP_GENERATIONS": "2"}), tmp_path / "lake"
        runs = [move_ahead(lake, shop.run("run-all", "--json").done().document["run_id"], 2)]
        first = hashes(lake)
        told = shop.run("status", "--max-age", "26h")
        assert (told.code, "in the future" in told.stderr, "its age is not known" in told.stderr) == (1, True, True)
        assert "is in the future" in shop.run("check").done().stdout.replace("\n", " ")
        assert shop.run("status").done().code == 0
        execute(url, LATER.format(1))
        runs.append(shop.run("run-all", "--json").done().document["run_id"])
        assert runs == sorted(runs)
        second = hashes(lake)
        shop.run("clean").done()
        shop.run(*BACK, "--skip-crawl").done()
        assert hashes(lake) == second
        execute(url, "ALTER TABLE stores RENAME TO shops")
        shop.run("run-all").failed(3)
        assert shop.run("status", "--max-age", "26h").code == 1
        shop.run(*BACK, "--skip-crawl").done()
        assert hashes(lake) == first


def test_a_changed_object_is_never_replaced(changing: Shop) -> None:
    """As in a lake of version 0.1 with a run that was made with a clock ahead, and whose successors seem earlier."""
    changing.run("extract").done()
    execute(changing.database_url, LATER.format(1))
    changing.run("extract").done()
    store, key = open_store(changing.lake), "bronze/stores/stores.csv"
    data = bytearray(store.read(key))
    data[-2] ^= 1
    put_stream(store, key, [bytes(data)])
    before = content(changing)
    for more in (("--yes",), ("--dry-run",)):
        refused = changing.run("rollback", "--skip-crawl", *more).failed(3, key, "changed or replaced")
        assert f"{'aws s3 ' * changing.lake.startswith('s3:')}mv {store.uri(key)} stores.csv" in refused.stderr
    assert content(changing) == before
    store.delete([key])
    changing.run(*BACK, "--skip-crawl").done()


def tampered(store: LakeStore, key: str) -> None:
    """Another hand changes an object, and not its size."""
    data = bytearray(store.read(key))
    data[-2] ^= 1
    put_stream(store, key, [bytes(data)])


def deleted(store: LakeStore, key: str) -> None:
    store.delete([key])


@pytest.mark.parametrize(("harm", "words"), [(tampered, "is not as the run"), (deleted, "was missing when")])
@pytest.mark.quick(3)
def test_a_changed_former_lake_is_not_restored(
    changing: Shop, harm: Callable[[LakeStore, str], None], words: str
) -> None:
    shop = replace(changing, more={**changing.more, "SHOPEASE_KEEP_GENERATIONS": "2"})
    runs = [shop.run("extract", "--json").done().document["run_id"]]
    first, key, store = content(shop), "bronze/products/products.csv", open_store(shop.lake)
    runs += [shop.run("extract", "--json").done().document["run_id"]]
    harm(store, key)
    execute(shop.database_url, "UPDATE products SET price = price + 1")
    runs += [shop.run("extract", "--json").done().document["run_id"]]
    before = content(shop)
    for more in (("--yes",), ("--dry-run",), ("--yes", "--to", runs[1])):
        refused = shop.run("rollback", "--skip-crawl", *more).failed(3, key, words, runs[1], runs[2])
        assert f"can go back to {runs[0]} " in refused.stderr
        assert content(shop) == before
    shop.run(*BACK, "--skip-crawl", "--to", runs[0]).done()
    assert content(shop) == first


def test_objects_of_other_runs_are_verified_too(sales: str, tmp_path: Path) -> None:
    """What a rollback leaves as it is belongs to the lake that it promises; a layer may be gone as a whole."""
    shop, key = Shop(tmp_path, sales, str(tmp_path / "lake")), "gold/daily_sales_summary/data.parquet"
    shop.run("run-all").done()
    store, first = open_store(shop.lake), content(shop)
    shop.run("clean").done()
    deleted(store, key)
    shop.run(*BACK, "--skip-crawl").failed(3, key, "is missing")
    put_stream(store, key, [first[key]])
    tampered(store, key)
    hint = shop.run(*BACK, "--skip-crawl").failed(3, key, "is not as the run").stderr.splitlines()[-1]
    assert "`shopease run-all` rebuilds it" in hint
    shop.run("cleanup", "--layer", "gold", "--yes").done()
    shop.run(*BACK, "--skip-crawl").done()
    assert content(shop) == {key: data for key, data in first.items() if not key.startswith("gold/")}
