"""What `status` says about a lake and its runs, and when it ends with 1 for a monitor."""

import io
import json
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
import rich.console

from commands import Shop, copy_of, execute
from shopease_etl.cli.status_command import StatusView, sparkline
from shopease_etl.lake.lock.file import locked_file
from shopease_etl.lake.lock.holder import LockStatus
from shopease_etl.lake.open import open_store
from shopease_etl.operations.status import RunStatus, problem, status

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC).timestamp()
WHOLE = ("extract", "clean", "aggregate", "crawl")


def run(state: str, hours: float = 1, stages: tuple[str, ...] = WHOLE, error: str | None = None) -> RunStatus:
    """A run that ended so many hours ago."""
    ended = datetime.fromtimestamp(NOW - hours * 3_600, UTC).isoformat()
    return RunStatus(f"run-{hours}", state, stages, 1.0, error, ended, ended, {}, 1, published=True)


FRESH, OLD = run("succeeded", 1), run("succeeded", 27)


@pytest.mark.parametrize(
    ("runs", "success", "is_held", "without", "with_age"),
    [
        ([], None, False, None, "no run"),
        ([FRESH], FRESH, False, None, None),
        ([OLD], OLD, False, None, "27 h ago"),
        ([run("succeeded", -2)], run("succeeded", -2), False, None, "dated in the future"),
        ([run("succeeded", -0.05)], run("succeeded", -0.05), False, None, None),
        ([run("failed", 1), run("succeeded", -2)], run("succeeded", -2), False, "failed", "failed"),
        ([run("died", 1), FRESH], FRESH, False, "died", "died"),
        ([run("failed", 0, error="disk full"), FRESH], FRESH, False, "failed: disk full", "failed: disk full"),
        ([run("interrupted", 0), FRESH], FRESH, False, "interrupted", "interrupted"),
        ([run("running", 0), FRESH], FRESH, True, None, None),
        ([run("running", 0), OLD], OLD, True, None, "27 h ago"),
        ([run("running", 0), run("failed", 1), FRESH], FRESH, True, "run-1, failed", "run-1, failed"),
        ([run("running", 0), FRESH], FRESH, False, "died", "died"),
        ([run("rolled back", 1), OLD], OLD, False, None, "27 h ago"),
        ([run("succeeded", 0, ("crawl",)), run("rolled back", 1), OLD], OLD, False, None, "27 h ago"),
        ([run("failed", 0, ("clean",)), FRESH], FRESH, False, "failed", "failed"),
    ],
)
def test_problems_for_a_monitor(
    runs: list[RunStatus],
    success: RunStatus | None,
    is_held: bool,
    without: str | None,
    with_age: str | None,
) -> None:
    for max_age, expected in ((None, without), (26 * 3_600, with_age)):
        found = problem(runs, success, is_held=is_held, max_age=max_age, now=NOW)
        assert (found is None) == (expected is None), found
        assert (expected or "") in (found or "")


def test_rejected_rows_are_shown_by_rule_as_in_the_manifest(shop: Shop) -> None:
    manifest = json.loads(max((shop.folder / "lake" / "_runs").glob("*.json")).read_text())
    rejected = {
        item["key"]: item["rejected"] for stage in manifest["stages"] for item in stage["datasets"] if item["rejected"]
    }
    document = shop.run("status", "--json").done().document
    assert rejected
    assert {item["key"]: item["rejects"] for item in document["datasets"] if item["rejects"]} == rejected
    last = document["runs"][0]
    assert last["stage_seconds"] == {stage["name"]: stage["seconds"] for stage in manifest["stages"]}
    assert last["rows"] == sum(manifest["source"]["tables"].values())
    assert (document["last_success"], document["problem"]) == (manifest["finished_at"], None)
    text = shop.run("status").done().stdout
    assert [rule for rules in rejected.values() for rule in rules if rule not in text] == []


def test_the_exit_code_is_1_when_the_last_run_failed_or_the_data_is_old(sales: str, tmp_path: Path) -> None:
    with copy_of(sales) as url:
        shop = Shop(tmp_path, url)
        assert shop.run("status").done().code == 0
        empty = shop.run("status", "--max-age", "26h")
        assert (empty.code, "no run has brought data" in empty.stderr) == (1, True)
        for _ in range(2):
            shop.run("run-all").done()
        shop.run("status", "--max-age", "26h").done()
        store = open_store(str(tmp_path / "lake"))
        assert status(store, max_age=3_600, now=time.time() + 3_000).problem is None
        assert "ago" in str(status(store, max_age=3_600, now=time.time() + 4_000).problem)
        assert len(shop.run("status", "--runs", "1", "--json").done().document["runs"]) == 1
        assert "Trend of rows: ██ from " in shop.run("status").stdout
        execute(url, "DROP TABLE stores")
        shop.run("extract").failed(3)
        failed = shop.run("status", "--json")
        assert (failed.code, failed.document["runs"][0]["status"]) == (1, "failed")
        assert "stores is missing" in failed.document["problem"]
        assert "stores is missing" in shop.run("status").stdout
    shop.run("status", "--max-age", "26").failed(2, "'26' is not a duration")


def test_a_run_in_progress_is_fine_and_a_dead_one_is_a_problem(shop: Shop, tmp_path: Path) -> None:
    source = max((shop.folder / "lake" / "_runs").glob("*.json"))
    document = {**json.loads(source.read_text()), "status": "running", "run_id": "20991231T000000.000000Z-0000"}
    runs = tmp_path / "lake" / "_runs"
    runs.mkdir(parents=True)
    (runs / source.name).write_text(source.read_text())
    (runs / f"{document['run_id']}.json").write_text(json.dumps(document))
    store, path = open_store(str(tmp_path / "lake")), runs / ".lock"
    assert "died" in str(status(store, store.lock(tmp_path).status()).problem)
    with locked_file(path, str(document["run_id"])):
        held = store.lock(tmp_path).status()
        found = status(store, held)
        assert (found.problem, str(document["run_id"]) in str(found.under_way)) == (None, True)
        assert held is not None
        assert "died" in str(status(store, LockStatus(held.holder, is_alive=False)).problem)


@pytest.mark.parametrize("width", [20, 40, 60, 80, 100, 200])
@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_status_fits_the_terminal_in_any_encoding(shop: Shop, width: int, encoding: str) -> None:
    found = status(open_store(str(shop.folder / "lake")))
    twice = replace(found, runs=(replace(found.runs[0], error="bad " * 40), found.runs[0], found.runs[0]))
    written = io.TextIOWrapper(io.BytesIO(), encoding)
    console = rich.console.Console(file=written, width=width, highlight=False, markup=False)
    console.print(StatusView(twice), crop=False)
    written.seek(0)
    text = written.read()
    lines = text.splitlines()
    assert [
        line for line in lines if len(line) > width and " " in line.strip().removeprefix("Lake ")
    ] == [] or width < 40
    assert "…" not in text
    assert [item for item in found.datasets if f"{item.rows:,}" not in text or item.name not in text] == []
    assert found.runs[0].started_at[:16].replace("T", " ") in text
    assert ("hidden (" in text) == (20 < width < 200)
    assert any(("█" in line if encoding == "utf-8" else "#" in line) for line in lines)


@pytest.mark.parametrize(
    ("values", "line"), [([], ""), ([0, 0], "▁▁"), ([7, 7], "██"), ([0, 1, 2, 7], "▁▂▃█"), ([1], "█")]
)
def test_a_sparkline_is_as_high_as_its_values(values: list[float], line: str) -> None:
    assert sparkline(values) == line
    assert sparkline(values, ascii_only=True).isascii()
