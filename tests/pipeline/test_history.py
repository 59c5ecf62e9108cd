"""Which manifests and former lakes are kept: as many as the settings say, and those that are needed."""

import json
import signal
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commands import Shop, end, hashes
from lakes import KEYS
from shopease_etl.contract.layout import GENERATIONS, RUNS
from shopease_etl.contract.tables import CUSTOMERS, STORES, TRANSACTIONS
from shopease_etl.lake.manifests import next_run_id, recorded_datasets, run_keys
from shopease_etl.lake.open import open_store
from shopease_etl.lake.publish import write_manifest
from shopease_etl.lake.store import LakeStore, put_stream
from shopease_etl.pipeline.recovery import prune
from shopease_etl.pipeline.wiring import Retention

TIME = "2026-11-28T00:00:00+00:00"


def run_of(store: LakeStore, *keys: str) -> str:
    """A run that published these objects, or that failed where there are none; its id."""
    run_id = next_run_id(store)
    items = [{"key": key, "bytes": 1, "rows_out": 1, "rejected": {}, "sha256": ""} for key in keys]
    there = [key for key in keys if store.find(key)]
    manifest: dict[str, Any] = {
        "run_id": run_id,
        "status": "succeeded" if keys else "failed",
        "started_at": TIME,
        "finished_at": TIME,
        "stages": [{"name": "extract", "datasets": items}] if keys else [],
        "error": None,
        "replaced": {"objects": store.keep_former(run_id, there), "new": sorted(set(keys) - set(there))}
        if keys
        else None,
        "source": {"columns": {}},
    }
    for key in keys:
        put_stream(store, key, [b"x"])
    write_manifest(store, manifest)
    return run_id


def test_manifests_of_present_and_former_lakes_stay(store: LakeStore) -> None:
    kept = Retention(generations=1, manifests=2)
    everything = (STORES.bronze_key, CUSTOMERS.bronze_key, TRANSACTIONS.bronze_key)
    oldest = run_of(store, *everything)
    former = run_of(store, CUSTOMERS.bronze_key)  # what the last generation goes back to
    run_of(store)
    last = run_of(store, CUSTOMERS.bronze_key)
    failed = [run_of(store) for _ in range(4)]
    put_stream(store, f"{RUNS}/notes.json", [b"mine"])
    before = recorded_datasets(store)
    prune(store, kept)
    left = [key.removeprefix(f"{RUNS}/").removesuffix(".json") for key in run_keys(store)]
    assert left == ["notes", oldest, former, last, *failed[-2:]]
    assert recorded_datasets(store) == before
    assert before[STORES.bronze_key].run_id == oldest
    prune(store, kept)
    assert len(run_keys(store)) == len(left)


def test_ids_follow_the_lakes_order_and_no_clock(store: LakeStore) -> None:
    made = [run_of(store) for _ in range(5)]
    assert made == sorted(set(made))
    ahead = "20991231T235959.999999Z-ffff"
    put_stream(store, f"{RUNS}/{ahead}.json", [b"not even a manifest"])
    following = next_run_id(store, wanted=next_run_id(store))
    assert following.startswith("21000101T000000.000000Z-")
    assert next_run_id(store, wanted=following) == following
    put_stream(store, f"{RUNS}/{following}.json", [b"{}"])
    assert next_run_id(store, wanted=following) > following
    for name in ("99999999T999999.999999Z-ffff", "99991231T235959.999999Z-ffff", "zzz"):  # none of these is a run's
        put_stream(store, f"{RUNS}/{name}.json", [b"{}"])
    assert next_run_id(store).startswith("21000101T000000.000001Z-")


@given(
    st.lists(st.datetimes(), max_size=8),
    st.lists(st.text("0123456789TZ.-abf", min_size=1, max_size=30), max_size=4),
)
def test_a_new_id_comes_after_all_that_are_there(moments: list[datetime], names: list[str]) -> None:
    with TemporaryDirectory() as folder:
        store, runs = open_store(folder), Path(folder) / RUNS
        runs.mkdir()
        for name in [*(f"{moment:%Y%m%dT%H%M%S.%fZ}-ffff" for moment in moments), *names]:
            (runs / f"{name}.json").touch()
        run_id = next_run_id(store)
        assert not (runs / f"{run_id}.json").exists()
        (runs / f"{run_id}.json").touch()
        assert run_keys(store)[-1] == f"{RUNS}/{run_id}.json"


def test_the_next_command_deletes_the_former_lake_of_a_killed_run(sales: str, tmp_path: Path) -> None:
    shop, kept = Shop(tmp_path, sales), tmp_path / "lake" / GENERATIONS
    for _ in range(2):
        shop.run("extract").done()
    assert len(list(kept.iterdir())) == 1
    with shop.start("run-all", "--verbose") as process:
        assert process.stderr
        assert any(f"publishing {len(KEYS)} objects" in text for text in process.stderr)
        process.send_signal(signal.SIGKILL)
        end(process)
    shop.run("cleanup", "--uploads", "--yes").done()
    assert len(list(kept.iterdir())) == 1


def test_a_run_deletes_excess_manifests(sales: str, tmp_path: Path) -> None:
    shop = replace(Shop(tmp_path, sales), more={"SHOPEASE_KEEP_MANIFESTS": "1", "SHOPEASE_KEEP_GENERATIONS": "0"})
    runs = [
        shop.run(*command, "--json").done().document["run_id"] for command in (("extract",), ("clean",), ("clean",))
    ]
    left = {path.stem for path in (tmp_path / "lake" / RUNS).glob("*.json")}
    assert left == {runs[0], runs[2]}
    manifest = json.loads((tmp_path / "lake" / RUNS / f"{runs[0]}.json").read_text())
    assert {item["key"] for stage in manifest["stages"] for item in stage["datasets"]} < hashes(
        tmp_path / "lake"
    ).keys()


@pytest.mark.parametrize("number", ["0", "-1", "x"])
def test_at_least_one_manifest_is_kept(tmp_path: Path, number: str) -> None:
    shop = Shop(tmp_path, more={"SHOPEASE_KEEP_MANIFESTS": number})
    shop.run("status").failed(2, "SHOPEASE_KEEP_MANIFESTS")
