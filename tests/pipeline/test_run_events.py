"""Events of complete commands for machines: the log in JSON, and lineage."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from commands import Ended, Shop, copy_of, count
from shopease_etl.contract.tables import TABLES

JSON = ("--log-format", "json")


@pytest.fixture
def shop(sales: str, tmp_path: Path) -> Iterator[Shop]:
    """A shop with sales, no lake yet, and lineage in a file."""
    with copy_of(sales) as url:
        yield Shop(tmp_path, url, more={"SHOPEASE_LINEAGE": "lineage.jsonl"})


def events(told: Ended) -> list[dict[str, Any]]:
    """What is told of the run; all that is on stderr is JSON."""
    return [line for line in map(json.loads, told.stderr.splitlines()) if "event" in line]


def lineage(shop: Shop) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (shop.folder / "lineage.jsonl").read_text().splitlines()]


def outline(shop: Shop) -> list[tuple[str, str]]:
    return [(event["job"]["name"], event["eventType"]) for event in lineage(shop)]


def test_events_cover_a_run_from_start_to_end(shop: Shop) -> None:
    told = shop.run("run-all", "--json", *JSON).done()
    run, found = told.document, events(told)
    assert {event["run_id"] for event in found} == {run["run_id"]}
    assert (found[0]["event"], found[-1]["event"]) == ("run_started", "run_succeeded")
    stages = ["extract", "clean", "aggregate", "crawl"]
    assert [event["stage"] for event in found if event["event"] == "stage_started"] == stages
    done = [event for event in found if event["event"] == "dataset_done"]
    assert [(event["dataset"], event["layer"], event["rows"], event["bytes"]) for event in done] == [
        (item["name"], item["layer"], item["rows_out"], item["bytes"])
        for stage in run["stages"]
        for item in stage["datasets"]
    ]


def test_lineage_agrees_with_the_manifest(shop: Shop) -> None:
    run = shop.run("run-all", "--json").done().document
    complete = {event["job"]["name"]: event for event in lineage(shop) if event["eventType"] == "COMPLETE"}
    assert list(complete) == ["run-all.extract", "run-all.clean", "run-all.aggregate", "run-all.crawl", "run-all"]
    outputs = [
        (
            item["name"],
            item["outputFacets"]["outputStatistics"]["rowCount"],
            item["outputFacets"]["outputStatistics"]["size"],
        )
        for event in complete.values()
        for item in event["outputs"]
    ]
    lake = shop.folder / "lake"
    datasets = [item for stage in run["stages"] for item in stage["datasets"]]
    assert outputs == [(str(lake / item["key"]), item["rows_out"], item["bytes"]) for item in datasets]
    assert {(lake / item["key"]).stat().st_size for item in datasets} == {size for _, _, size in outputs}
    sources = {item["name"].split(".")[-1]: item for item in complete["run-all.extract"]["inputs"]}
    rows = {name: item["inputFacets"]["inputStatistics"]["rowCount"] for name, item in sources.items()}
    assert rows == {table.source: count(shop.database_url, table.source) for table in TABLES}
    assert sources["customers"]["facets"]["schema"]["fields"][0]["name"] == "customer_id"


def test_a_failed_run_is_reported_with_its_error(shop: Shop) -> None:
    shop.run("extract").done()
    (shop.folder / "lineage.jsonl").unlink()
    (shop.folder / "lake/bronze/customers/customers.csv").write_text("cut short")
    told = shop.run("clean", *JSON, "--json")
    last = json.loads(told.stderr.splitlines()[-1])
    assert (last["level"], last["exit_code"], last["error"]) == ("error", told.code, told.document["error"])
    assert [event["event"] for event in events(told)] == ["run_started", "stage_started", "run_failed"]
    assert outline(shop) == [("clean", "START"), ("clean.clean", "START"), ("clean.clean", "FAIL"), ("clean", "FAIL")]
    assert lineage(shop)[-1]["run"]["facets"]["errorMessage"]["message"] == told.document["error"]


def test_a_dead_receiver_fails_no_run(shop: Shop) -> None:
    told = replace(shop, more={"SHOPEASE_LINEAGE": "http://127.0.0.1:1"}).run("extract", *JSON).done()
    errors = [line for line in map(json.loads, told.stderr.splitlines()) if line["level"] == "error"]
    assert [line["message"].startswith("http://127.0.0.1:1 rejected lineage events") for line in errors] == [True]


@pytest.mark.parametrize("command", [("extract",), ("run-all", "--dry-run")])
def test_a_wrong_address_is_refused_before_anything_is_done(shop: Shop, command: tuple[str, ...]) -> None:
    told = replace(shop, more={"SHOPEASE_LINEAGE": "ftp://host"}).run(*command)
    told.failed(2, "SHOPEASE_LINEAGE is not valid")
    assert not (shop.folder / "lake").exists()
