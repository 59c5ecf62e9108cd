"""Retry: a run that ended early resumes after its last stage with complete outputs."""

import json
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from accounts import Account
from commands import Shop, copy_of, end, execute, hashes, leftovers
from lakes import KEYS
from shopease_etl.contract.layout import QUARANTINE
from shopease_etl.contract.tables import CUSTOMERS
from shopease_etl.lake.local import STAGING
from shopease_etl.lake.open import open_store

LATER: Final = "UPDATE products SET product_name = product_name || '!' WHERE trim(product_name) <> ''"
# their revenue, of one day, does not fit decimal(18,2): aggregate refuses it, after clean
HUGE: Final = (
    "UPDATE sale_transactions SET quantity = 90000000, unit_price = 99999999, created_at = '2024-01-01' "
    "WHERE transaction_id IN (SELECT transaction_id FROM sale_transactions ORDER BY transaction_id LIMIT 2)"
)


@pytest.fixture(params=["local", "s3"])
def failed(request: pytest.FixtureRequest, sales: str, tmp_path: Path) -> Iterator[Shop]:
    """A shop with a lake, whose last run failed in clean; by now its source has other products."""
    with copy_of(sales) as url:
        shop = Shop(tmp_path, url, str(tmp_path / "lake"))
        if request.param == "s3":
            account: Account = request.getfixturevalue("account")
            bucket = account.new_bucket()
            account.new_catalog(bucket)
            shop = Shop(tmp_path, url, f"s3://{bucket}")
        shop.run("run-all").done()
        execute(url, HUGE)
        told = shop.run("run-all").failed(3, "does not fit decimal(18,2)")
        assert "shopease retry" in told.stderr
        yield shop


def last(shop: Shop) -> dict[str, Any]:
    """The manifest of the last run."""
    store = open_store(shop.lake)
    key = max(item.key for item in store.list("_runs/") if item.key.endswith(".json"))
    manifest: dict[str, Any] = json.loads(store.read(key))
    return manifest


def without_ids(shop: Shop) -> dict[str, bytes]:
    """The datasets by key, those of quarantine without their last column, the run's id."""
    store = open_store(shop.lake)
    found = {key: store.read(key) for key in KEYS}
    return {
        key: b"\n".join(line.rpartition(b",")[0] for line in data.splitlines()) if key.startswith(QUARANTINE) else data
        for key, data in found.items()
    }


def test_a_run_whose_cause_persists_fails_again_in_the_same_stage(failed: Shop) -> None:
    run_id = last(failed)["run_id"]
    before = without_ids(failed)
    failed.run("retry").failed(3, "does not fit decimal(18,2)")
    assert (last(failed)["run_id"], last(failed)["attempt"]) == (run_id, 2)
    assert [stage["name"] for stage in last(failed)["stages"]] == ["extract", "clean"]
    assert without_ids(failed) == before


def test_a_new_run_discards_what_was_kept(failed: Shop) -> None:
    execute(failed.database_url, "DELETE FROM sale_transactions WHERE quantity = 90000000")
    failed.run("run-all").done()
    failed.run("retry").failed(2, "nothing to retry", "succeeded")
    if not failed.lake.startswith("s3:"):
        assert leftovers(Path(failed.lake)) == []
    assert not list((failed.folder / "home").glob("spool/*"))


def test_too_many_rejected_rows_are_refused_unless_allowed(sales: str, tmp_path: Path) -> None:
    with copy_of(sales) as url:
        execute(
            url, "UPDATE sale_transactions SET quantity = 0", "UPDATE products SET price = NULL WHERE product_id > 250"
        )
        shop = Shop(tmp_path, url)
        told = shop.run("run-all").failed(3, "transactions: ", "nonpositive_quantity", "products: ")
        assert "--allow-rejects" in told.stderr
        assert not (tmp_path / "lake" / "silver").exists()
        shop.run("retry").failed(3, "too many rows are rejected")
        shop.run("retry", "--allow-rejects").done()
        shop.run("clean").failed(3, "too many rows are rejected")
        shop.run("clean", "--allow-rejects").done()
        shop.run("run-all", "--allow-rejects").done()


def test_rejected_rows_are_reported_as_such_after_an_earlier_run(sales: str, tmp_path: Path) -> None:
    with copy_of(sales) as url:
        shop = Shop(tmp_path, url)
        shop.run("run-all", "--skip-crawl").done()
        execute(url, "UPDATE products SET price = NULL", "UPDATE sale_transactions SET quantity = 0")
        told = shop.run("run-all", "--skip-crawl").failed(
            3, "too many rows are rejected: ", "products: ", "missing_price"
        )
        assert [line for line in told.stderr.splitlines() if "much less" in line] == []
        shop.run("retry", "--allow-rejects").done()
        shop.run("run-all", "--skip-crawl", "--allow-rejects").done()
        execute(url, "DELETE FROM products WHERE product_id > 10")
        shop.run("run-all", "--allow-rejects").failed(3, "there is much less data than before: bronze products has ")


def stopped(shop: Shop, line: str, number: signal.Signals = signal.SIGKILL) -> str:
    """A run that is killed when this line has come on stderr; the rest of what it said."""
    with shop.start("run-all", "--verbose") as process:
        assert process.stderr
        for text in process.stderr:
            if line in text:
                break
        process.send_signal(number)
        return end(process).stderr


def places(shop: Shop) -> list[Path]:
    """The folders where a run writes aside."""
    return [*(shop.folder / "home" / "spool").glob("*"), shop.folder / "lake" / STAGING]


def left_aside(shop: Shop) -> list[Path]:
    """The files that runs wrote aside."""
    return [path for place in places(shop) for path in place.rglob("*")]


def half_written(shop: Shop) -> None:
    """Leave a file such as a killed process leaves of the stage that it was in."""
    (place,) = (place for place in places(shop) if place.exists())
    (place / "gold%2Fdaily_sales_summary%2Fdata.parquet.0").write_bytes(b"PAR1")


@pytest.fixture(params=["local", "s3"])
def fresh(request: pytest.FixtureRequest, sales: str, tmp_path: Path) -> Iterator[Shop]:
    """A shop with a lake and a changed source."""
    with copy_of(sales) as url:
        shop = Shop(tmp_path, url, str(tmp_path / "lake"))
        if request.param == "s3":
            account: Account = request.getfixturevalue("account")
            bucket = account.new_bucket()
            account.new_catalog(bucket)
            shop = Shop(tmp_path, url, f"s3://{bucket}")
        shop.run("run-all").done()
        execute(url, LATER)
        yield shop


def test_a_run_that_died_in_extract_restarts(fresh: Shop) -> None:
    before = without_ids(fresh)
    with fresh.start("run-all", "--verbose") as process:
        assert process.stderr
        assert any("extract: started" in text for text in process.stderr)
        process.send_signal(signal.SIGSTOP)
        under_way = fresh.run("status", "--json").done().document
        process.send_signal(signal.SIGKILL)
        end(process)
    states = [run["status"] for run in under_way["runs"]]
    assert (states, under_way["problem"]) == (["running", "succeeded"], None)
    if fresh.lake.startswith("s3:"):  # its lease lasts on; only who takes the lock on this machine knows better
        fresh.run("cleanup", "--uploads", "--yes").done()
        assert last(fresh)["status"] == "died"
    told = fresh.run("status", "--json")
    assert (told.code, told.document["runs"][0]["status"]) == (1, "died")
    run_id = told.document["runs"][0]["run_id"]
    assert f"{run_id}, died" in told.document["problem"]
    (line,) = (line for line in fresh.run("check", "--json").document if line["name"] == "last run")
    fix = "`shopease retry` resumes it with the data already copied, `shopease run-all` reads the source again"
    assert (line["detail"], line["fix"]) == (f"{run_id} died", fix)
    assert without_ids(fresh) == before
    fresh.run("aggregate", "--dataset", "no-such").failed(2)
    told = fresh.run("retry", "--json").done()
    assert (told.document["run_id"], told.document["attempt"]) == (run_id, 2)
    assert "extract" in told.stderr.splitlines()
    assert without_ids(fresh) != before
    assert fresh.run("status", "--json").done().document["runs"][0]["status"] == "succeeded"


def test_the_next_command_records_the_death_of_a_run(sales: str, tmp_path: Path) -> None:
    shop = Shop(tmp_path, sales, str(tmp_path / "lake"))
    stopped(shop, "extract: started")
    died = last(shop)
    assert (died["status"], died["stages"], died["published"]) == ("running", [], True)
    shop.run("rollback", "--yes").failed(3, "no run has published anything")
    assert last(shop) == {**died, "status": "died", "error": last(shop)["error"]}
    shop.run("extract").done()
    shop.run("retry").failed(2, "nothing to retry")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=lambda number: number.name)
@pytest.mark.parametrize(("line", "done"), [("extract: done", ["extract"]), ("clean: done", ["extract", "clean"])])
@pytest.mark.quick(4)
def test_a_stopped_run_resumes_with_its_outputs(
    fresh: Shop, line: str, done: list[str], number: signal.Signals
) -> None:
    said = stopped(fresh, line, number)
    assert ("hint: what was copied is kept: `shopease retry` resumes with it, " in said) == (number != signal.SIGKILL)
    run = last(fresh)
    assert run["status"] == ("running" if number == signal.SIGKILL else "interrupted")
    made = [stage["name"] for stage in run["stages"]]
    assert made[: len(done)] == done  # the signal may come late
    execute(fresh.database_url, "UPDATE products SET description = 'changed since'")
    half_written(fresh)
    told = fresh.run("retry", "--json").done()
    assert (told.document["run_id"], told.document["attempt"]) == (run["run_id"], 2)
    assert [line for line in told.stderr.splitlines() if line in {"extract", "clean", "aggregate", "crawl"}] == [
        name for name in ("extract", "clean", "aggregate", "crawl") if name not in made
    ]
    assert told.document["source"]["snapshot_id"] == run["source"]["snapshot_id"]
    assert left_aside(fresh) == []
    # the lake is of the moment of the run, not of the retry
    assert b"changed since" not in open_store(fresh.lake).read("bronze/products/products.csv")
    assert b"!" in open_store(fresh.lake).read("bronze/products/products.csv")
    retried = without_ids(fresh)
    fresh.run("aggregate").done()
    execute(fresh.database_url, "UPDATE products SET description = NULL")
    assert without_ids(fresh) == retried
    fresh.run("retry").failed(2, "nothing to retry")


def test_changed_outputs_are_rebuilt(fresh: Shop) -> None:
    stopped(fresh, "clean: done", signal.SIGTERM)
    (damaged,) = (path for path in left_aside(fresh) if "customers_cleaned" in path.name)
    data = bytearray(damaged.read_bytes())
    data[len(data) // 2] ^= 1
    damaged.write_bytes(data)
    told = fresh.run("retry").done()
    assert left_aside(fresh) == []
    assert [line for line in told.stderr.splitlines() if line in {"extract", "clean"}] == ["clean"]
    assert bytes(data) != open_store(fresh.lake).read(CUSTOMERS.silver_key)


def test_without_outputs_retry_restarts_the_run(fresh: Shop) -> None:
    stopped(fresh, "clean: done")
    for place in (fresh.folder / "home" / "spool", fresh.folder / "lake" / STAGING):
        shutil.rmtree(place, ignore_errors=True)
    told = fresh.run("retry", "--json").done()
    assert "extract" in told.stderr.splitlines()
    assert told.document["attempt"] == 2


def test_retry_of_a_published_run_only_crawls(fresh: Shop) -> None:
    stopped(fresh, "crawl: done")
    changed = without_ids(fresh)
    told = fresh.run("retry").done()
    assert [line for line in told.stderr.splitlines() if line in {"extract", "clean", "aggregate", "crawl"}] == [
        "crawl"
    ]
    assert without_ids(fresh) == changed
    assert last(fresh)["status"] == "succeeded"


def test_without_a_run_there_is_nothing_to_retry(sales: str, tmp_path: Path) -> None:
    shop = Shop(tmp_path, sales)
    shop.run("retry").failed(2, "no run has started yet")
    shop.run("extract").done()
    shop.run("retry").failed(2, "succeeded")


@pytest.mark.parametrize("change", [{"plan": {}}, {"plan": {"stages": ["x"]}}, {"source": {"x": 1}}])
def test_a_manifest_that_lacks_the_plan_or_the_source_is_refused(
    sales: str, tmp_path: Path, change: dict[str, object]
) -> None:
    shop = Shop(tmp_path, sales)
    run_id = shop.run("extract", "--json").done().document["run_id"]
    path = tmp_path / "lake" / "_runs" / f"{run_id}.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "status": "failed", "published": False, **change}))
    before = hashes(tmp_path / "lake")
    shop.run("retry").failed(1, f"the manifest of the run {run_id} ")
    assert hashes(tmp_path / "lake") == before
