"""A lake of version 0.1 goes on working with this version."""

import json
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from commands import Shop, database, execute, hashes, leftovers
from old_lakes import CREATE, FIRST, SECOND
from shopease_etl.contract import layout
from shopease_etl.contract.layout import BRONZE
from shopease_etl.lake.publish import sealed
from shopease_etl.warehouse.local_catalog import catalog_path

ARCHIVE = Path(__file__).with_name("lake-0.1.tar.xz")
REVENUE = ("query", "SELECT sum(total_amount) AS revenue FROM shopease_catalog.transactions", "--json")


@pytest.fixture(scope="module")
def source(database_url: str) -> Iterator[str]:
    """The source of the lake's second run, the last that succeeded."""
    with database(database_url) as url:
        execute(url, *CREATE, *FIRST, *SECOND)
        yield url


@pytest.fixture
def shop(source: str, tmp_path: Path) -> Shop:
    """A shop with the lake and the catalog that version 0.1 left."""
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(tmp_path, filter="data")
    catalog = catalog_path(tmp_path / "home", "shopease_catalog", tmp_path / "lake")
    catalog.parent.mkdir(parents=True)
    catalog.write_text((tmp_path / "catalog.json").read_text().replace('"LAKE"', json.dumps(str(tmp_path / "lake"))))
    return Shop(tmp_path, source)


def manifests(shop: Shop) -> list[Any]:
    """The manifests of the lake, the first run's first."""
    return [json.loads(path.read_bytes()) for path in sorted((shop.folder / "lake" / "_runs").glob("*.json"))]


def recorded(manifest: Any) -> dict[str, str]:
    """The hashes by key that a run recorded."""
    return {item["key"]: item["sha256"] for stage in manifest["stages"] for item in stage["datasets"]}


def objects(shop: Shop) -> dict[str, str]:
    """The hashes of the lake's objects by key."""
    return {key: digest for key, digest in hashes(shop.folder / "lake").items() if layout.owns(key)}


def test_it_is_shown_verified_queried_and_catalogued(shop: Shop) -> None:
    shown = shop.run("status", "--json")
    assert shown.code == 1  # its last run failed
    assert [run["status"] for run in shown.document["runs"]] == ["failed", "succeeded", "succeeded"]
    assert len(shown.document["datasets"]) == len(objects(shop))
    assert shop.run(*REVENUE).done().document["rows"] == [{"revenue": 762.5}]
    tables = {table["name"]: table for table in shop.run("tables", "--all", "--json").done().document["tables"]}
    assert {table["key"] for table in tables.values()} == objects(shop).keys()
    assert (tables["products"]["rows"], tables["products"]["kind"]) == (6, "view")
    assert all(table["rows"] is not None for table in tables.values())
    assert shop.run("tables", "products", "--json").done().document["sample"][0]["product_name"] == "Product 1"
    shop.run("check", "--verify").done()
    shop.run("crawl").done()
    rejected = "SELECT rejected_rule FROM shopease_catalog.quarantine_products"
    assert [row["rejected_rule"] for row in shop.run("query", rejected, "--json").document["rows"]] == [
        "nonpositive_price"
    ] * 2


def test_a_new_run_replaces_it_and_can_be_rolled_back(shop: Shop) -> None:
    before = objects(shop)
    shop.run("run-all").done()
    after = objects(shop)
    assert {key for key in after if after[key] != before.get(key)}.isdisjoint(
        key for key in layout.all_keys() if key.startswith(BRONZE)
    )
    assert leftovers(shop.folder / "lake") == []
    shop.run("rollback", "--yes").done()
    assert objects(shop) == before


def test_its_runs_can_be_rolled_back(shop: Shop) -> None:
    first, second, _ = manifests(shop)
    assert objects(shop) == recorded(second)
    shop.run("rollback", "--to", first["run_id"], "--yes").done()
    assert objects(shop) == recorded(first)
    assert shop.run(*REVENUE).done().document["rows"] == [{"revenue": 757.5}]


def test_its_failed_run_can_be_retried(shop: Shop) -> None:
    *_, failed = manifests(shop)
    shop.run("retry", "--allow-shrink").done()
    assert objects(shop) == recorded(failed)


def test_a_publication_that_it_broke_off_is_finished(shop: Shop) -> None:
    *_, run = manifests(shop)
    lake = shop.folder / "lake"
    staged = {unquote(path.name).rpartition(".")[0]: path.name for path in (lake / "_staging").iterdir()}
    waiting = [{"key": key, "staged": name, "inode": 0} for key, name in staged.items()]
    journal = {"version": 2, "manifest": run, "objects": waiting, "deletes": [], "is_final": False}
    (lake / "_runs" / f".publishing-{run['run_id']}").write_bytes(sealed(journal))
    (lake / "_runs" / f"{run['run_id']}.json").unlink()  # version 0.1 wrote it at the end of a run
    assert "published; its 15 objects are published now" in shop.run("crawl").done().stderr
    assert objects(shop) == recorded(run)
    assert leftovers(lake) == []


def test_it_can_be_cleaned_up(shop: Shop) -> None:
    shop.run("cleanup", "--all", "--uploads", "--older-than", "0", "--yes").done()
    assert hashes(shop.folder / "lake") == {}
