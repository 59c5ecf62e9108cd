"""Files that are cut, missing or garbage: named with the command that rebuilds them, and nothing else is lost."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from commands import FIRST_DAY, Shop, count, hashes, leftovers
from shopease_etl.contract.gold import DAILY_SALES_SUMMARY
from shopease_etl.contract.tables import CUSTOMERS, PRODUCTS, TRANSACTIONS


@pytest.fixture
def lake(shop: Shop, tmp_path: Path) -> Path:
    """A copy of the whole lake that a test may break."""
    return Path(shutil.copytree(shop.folder / "lake", tmp_path / "lake"))


def half(content: bytes) -> bytes:
    """The first half, in whole lines."""
    return content[: content.index(b"\n", len(content) // 2) + 1]


CUTS: Final[dict[str, Callable[[bytes], bytes]]] = {
    "at a line's end": half,
    "within a line": lambda content: half(content)[:-9],
    "within quotes": lambda content: half(content) + b'7,"Ann\n\nLee, 2nd',
    "at a line break within quotes": lambda content: half(content) + b'7,"Ann\n',
    "to nothing": lambda _: b"",
    "to the header": lambda content: content[: content.index(b"\n") + 1],
}
# Nothing but the manifest can tell that whole lines are missing; what else is cut must be seen without one.
TOLD_BY_THE_MANIFEST: Final = ("at a line's end", "to the header")


@pytest.mark.parametrize("cut", CUTS)
def test_a_bronze_file_cut_in_half_is_refused(lake: Path, cut: str) -> None:
    bronze = lake / CUSTOMERS.bronze_key
    bronze.write_bytes(CUTS[cut](bronze.read_bytes()))
    if cut not in TOLD_BY_THE_MANIFEST:
        shutil.rmtree(lake / "_runs")
    before = hashes(lake)
    told = Shop(lake.parent).run("clean").failed(3, CUSTOMERS.bronze_key)
    assert "shopease extract" in told.stderr.splitlines()[-1]
    assert (hashes(lake), leftovers(lake)) == (before, [])


def test_a_missing_bronze_file_is_refused(lake: Path) -> None:
    (lake / PRODUCTS.bronze_key).unlink()
    before = hashes(lake)
    assert "shopease extract" in Shop(lake.parent).run("clean").failed(3, PRODUCTS.bronze_key).stderr
    assert hashes(lake) == before


def test_a_silver_file_cut_in_half_is_refused(lake: Path) -> None:
    silver = lake / TRANSACTIONS.silver_key
    silver.write_bytes(half(silver.read_bytes()))
    before = hashes(lake)
    assert "shopease clean" in Shop(lake.parent).run("aggregate").failed(3, TRANSACTIONS.silver_key).stderr
    assert hashes(lake) == before


def test_a_truncated_parquet_file_is_named(lake: Path) -> None:
    shop = Shop(lake.parent)
    shop.run("crawl").done()
    gold = lake / DAILY_SALES_SUMMARY.key
    gold.write_bytes(gold.read_bytes()[:-100])
    for command in (FIRST_DAY[:2], ("crawl",)):
        told = shop.run(*command)
        assert "shopease aggregate" in told.failed(told.code, DAILY_SALES_SUMMARY.key).stderr
        assert told.code in {1, 3}
    assert shop.run("query", "SELECT count(*) FROM shopease_catalog.product_performance").done()


GARBAGE: Final = {
    "not JSON": b"nonsense",
    "nothing": b"",
    "binary": bytes(range(256)),
    "a list": b"[]",
    "an empty object": b"{}",
    "no stages": b'{"stages": null}',
    "a stage of nothing": b'{"stages": [{}]}',
    "a dataset of nothing": b'{"run_id": "x", "stages": [{"name": "clean", "datasets": [{}]}]}',
    "a manifest of another kind": b'{"run_id": 1, "status": 2, "stages": [], "started_at": "today", "error": 3}',
    "deep": b"[" * 100_000,
}


@pytest.mark.parametrize("garbage", GARBAGE)
def test_garbage_among_the_manifests_is_ignored(lake: Path, garbage: str) -> None:
    (lake / "_runs" / "99990101T000000Z-000000.json").write_bytes(GARBAGE[garbage])
    status = Shop(lake.parent).run("status", "--json").done().document
    assert "succeeded" in {run["status"] for run in status["runs"]}
    assert {dataset["rows"] is None for dataset in status["datasets"]} == {False}


def test_garbage_among_the_manifests_stops_no_run(lake: Path) -> None:
    for number, content in enumerate(GARBAGE.values()):
        (lake / "_runs" / f"99990101T000000Z-00000{number}.json").write_bytes(content)
    Shop(lake.parent).run("clean", "--table", "products").done()


def change_a_digit(path: Path) -> None:
    """Change a digit near the end of a file, so that it keeps its size and stays a file of its kind."""
    content = bytearray(path.read_bytes())
    place = max(content.rfind(digit, 4, -8) for digit in b"123456789")
    content[place] = ord("9") if content[place] != ord("9") else ord("8")
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("key", "commands", "way_out"),
    [
        (PRODUCTS.bronze_key, (("clean",), ("run-all", "--from", "clean"), ("crawl",)), "shopease extract"),
        (TRANSACTIONS.silver_key, (("aggregate",), ("run-all", "--from", "aggregate"), ("crawl",)), "shopease clean"),
        (DAILY_SALES_SUMMARY.key, (("crawl",),), "shopease aggregate"),
    ],
)
def test_a_changed_object_of_the_same_size_is_refused(
    lake: Path, key: str, commands: tuple[tuple[str, ...], ...], way_out: str
) -> None:
    change_a_digit(lake / key)
    shop, before = Shop(lake.parent), hashes(lake)
    (run,) = {run["run_id"] for run in shop.run("status", "--json").document["runs"]}
    for command in commands:
        assert way_out in shop.run(*command).failed(3, f"{key} is not what the run {run} wrote").stderr
        assert (hashes(lake), leftovers(lake)) == (before, [])
    verified = [line for line in shop.run("check", "--verify", "--json").document if "object" in line["name"]]
    assert [(line["name"], line["exit_code"]) for line in verified] == [(f"object {key}", 3)]
    assert way_out in verified[0]["fix"]


def test_a_deleted_object_is_reported(lake: Path) -> None:
    shop, key = Shop(lake.parent), DAILY_SALES_SUMMARY.key
    (run,) = {run["run_id"] for run in shop.run("status", "--json").document["runs"]}
    (lake / key).unlink()
    way_out = "run `shopease aggregate` to rebuild it"
    told = f"{lake / key}, which the run {run} wrote, is missing"
    checked = shop.run("check", "--verify", "--json")
    verified = [line for line in checked.document if line["name"].startswith(("object", "layer"))]
    assert [(line["detail"], line["exit_code"], line["fix"]) for line in verified] == [(told, 3, way_out)]
    assert f"{told}; {way_out}" in shop.run("crawl", "-q").done().stderr
    shop.run("cleanup", "--layer", "gold", "--yes").done()
    lines = {line["name"]: line for line in shop.run("check", "--verify", "--json").document}
    assert (lines["layer gold"]["exit_code"], lines["layer gold"]["warning"]) == (0, True)
    assert way_out in lines["layer gold"]["fix"]
    assert "is missing" not in shop.run("crawl").done().stderr


def test_unrecorded_objects_are_accepted(lake: Path) -> None:
    shop = Shop(lake.parent)
    change_a_digit(lake / TRANSACTIONS.silver_key)
    shutil.rmtree(lake / "_runs")
    shop.run("aggregate").done()
    lines = {line["name"]: line["detail"] for line in shop.run("check", "--verify", "--json").document}
    assert lines["lake contents"] == "8 of 20 objects are as their runs wrote them; 12 have no recorded hash"


def test_obstacles_to_publishing_stop_a_run_at_its_start(lake: Path) -> None:
    shop = Shop(lake.parent, "postgresql://u@127.0.0.1:1/asked_too_early")
    blocked = lake / DAILY_SALES_SUMMARY.key
    blocked.unlink()
    blocked.mkdir()
    before = hashes(lake)
    for command in (("run-all",), ("run-all", "--dry-run"), ("aggregate",)):
        told = shop.run(*command).failed(4, f"cannot replace {blocked}: it is a folder")
        assert f"hint: move it away: mv {blocked} {blocked}.old" in told.stderr
    lines = {line["name"]: line for line in shop.run("check", "--json").document}
    assert (lines["lake"]["exit_code"], str(blocked) in lines["lake"]["detail"]) == (4, True)
    assert "lake lock" in lines
    assert (hashes(lake), leftovers(lake)) == (before, [])


def test_an_unfinished_publication_is_a_warning_with_every_query(lake: Path) -> None:
    shop = Shop(lake.parent)
    shop.run("crawl").done()
    assert "died" not in shop.run(*FIRST_DAY).done().stderr
    (lake / "_runs" / ".publishing-the-run").write_text("{}")
    for command in (FIRST_DAY, ("status",), ("tables",)):
        assert "the run the-run is publishing, or died while it did" in shop.run(*command).done().stderr


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"This is a letter.\n", "not a dump"),
        (b"\x00\x01\x02", "not a dump"),
        (b"", "empty"),
        (b"\x1f\x8bnonsense", ""),
    ],
    ids=["text", "binary", "empty", "broken gzip"],
)
def test_an_invalid_dump_is_refused(shop: Shop, content: bytes, word: str) -> None:
    (shop.folder / "sales.dump").write_bytes(content)
    before = count(shop.database_url, "customers")
    told = shop.run("restore", "sales.dump")
    assert told.code in {1, 2}
    told.failed(told.code, "sales.dump", word)
    assert count(shop.database_url, "customers") == before
