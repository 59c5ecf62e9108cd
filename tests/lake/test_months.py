"""Datasets of several files in a transaction, in publications and in manifests."""

import json
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, cast

import pytest

from memory_store import reopened
from shopease_etl.contract.tables import CUSTOMERS, TRANSACTIONS
from shopease_etl.errors import ShopeaseError
from shopease_etl.lake.manifests import own_objects, recorded_datasets, write_group
from shopease_etl.lake.open import open_store
from shopease_etl.lake.publish import publish_run, recover
from shopease_etl.lake.staging import Transaction
from shopease_etl.lake.store import LakeStore, put_stream
from shopease_etl.report import DatasetResult

MAY, JUNE, JULY = (TRANSACTIONS.in_month(f"2024-0{number}") for number in (5, 6, 7))
STRAY: Final = "silver/transactions/sale_month=2024-05/mine.csv"
KEYS_FILE: Final = "keys.parquet"


def result(key: str, data: bytes = b"a\n1\n", run_id: str | None = None) -> DatasetResult:
    layer, name, *_ = key.split("/")
    return DatasetResult(layer, name, key, 1, 1, len(data), sha256(data).hexdigest(), run_id=run_id)


def write(pending: Transaction, *keys: str, data: bytes = b"a\n1\n") -> None:
    with write_group(pending) as written:
        for key in keys:
            written.writer(key).write(data)


def seen(store: LakeStore | Transaction) -> set[str]:
    return {item.key for folder in ("bronze", "silver", "quarantine", "_state") for item in store.list(f"{folder}/")}


@pytest.fixture
def pending(store: LakeStore, tmp_path: Path) -> Transaction:
    """A run on a lake with the sales of May and June and what is derived from them, customers and a stray file."""
    for key in (
        *MAY.keys,
        *JUNE.keys,
        MAY.state_key(KEYS_FILE),
        JUNE.state_key(KEYS_FILE),
        CUSTOMERS.silver_key,
        STRAY,
    ):
        put_stream(store, key, [b"former\n"])
    return Transaction(store, tmp_path / "spool")


def test_other_files_of_a_dataset_are_gone_for_the_run_at_once(store: LakeStore, pending: Transaction) -> None:
    before = seen(store)
    write(pending, JULY.silver_key, JULY.state_key(KEYS_FILE))
    pending.drop_others([result(JULY.silver_key), result(JUNE.silver_key, run_id="r"), result(CUSTOMERS.silver_key)])
    gone = {MAY.silver_key, MAY.state_key(KEYS_FILE)}
    assert {*pending.deletes} == gone
    assert seen(pending) == (before - gone) | {JULY.silver_key, JULY.state_key(KEYS_FILE)}
    assert pending.find(MAY.silver_key) is None
    assert pending.find(JUNE.silver_key)
    with pytest.raises(ShopeaseError, match="this run deletes it"):
        pending.read(MAY.silver_key)
    assert seen(store) == before


def test_a_later_decision_replaces_an_earlier_one(pending: Transaction) -> None:
    write(pending, MAY.bronze_key, JULY.bronze_key)
    pending.drop_others([result(MAY.bronze_key), result(JULY.bronze_key)])
    assert pending.deletes == (JUNE.bronze_key,)
    pending.drop_others([result(MAY.bronze_key, run_id="r"), result(JUNE.bronze_key, run_id="r")])
    assert [*pending.deletes, *pending.waiting] == []
    assert pending.read(MAY.bronze_key) == b"former\n"
    write(pending, MAY.bronze_key)
    pending.drop_others([result(JUNE.bronze_key, run_id="r")])
    write(pending, MAY.bronze_key)
    assert [*pending.deletes, *pending.waiting] == [MAY.bronze_key]
    assert MAY.state_key(KEYS_FILE) in seen(pending)


def test_another_layout_replaces_the_former_one(store: LakeStore, pending: Transaction, tmp_path: Path) -> None:
    write(pending, *TRANSACTIONS.keys)
    pending.drop_others(map(result, TRANSACTIONS.keys))
    others = {*MAY.keys, *JUNE.keys, MAY.state_key(KEYS_FILE), JUNE.state_key(KEYS_FILE)}
    assert {*pending.deletes} == others
    publish_run(store, pending, manifest("1", *map(result, TRANSACTIONS.keys)), deletes=pending.deletes)
    pending.discard()
    assert seen(store) == {*TRANSACTIONS.keys, CUSTOMERS.silver_key, STRAY}
    back = Transaction(store, tmp_path / "spool")
    write(back, *MAY.keys)
    back.drop_others(map(result, MAY.keys))
    assert {*back.deletes} == {*TRANSACTIONS.keys}


class Dies:
    """A pending store whose process dies before its deletions, after so many objects."""

    def __init__(self, pending: Transaction, published: int) -> None:
        self.waiting = pending.waiting
        self.pending_writes = pending.pending_writes
        self._writers = list(pending._waiting.values())[:published]

    def publish(self) -> None:
        for writer in self._writers:
            writer.publish()
        raise SystemExit


@pytest.mark.parametrize("published", [0, 1, 2])
def test_the_next_process_finishes_a_dead_ones_deletions(
    store: LakeStore, pending: Transaction, published: int
) -> None:
    write(pending, MAY.silver_key, JULY.silver_key)
    results = [result(MAY.silver_key), result(JULY.silver_key)]
    pending.drop_others(results)
    with pytest.raises(SystemExit):
        publish_run(
            store, cast("Transaction", Dies(pending, published)), manifest("1", *results), deletes=pending.deletes
        )
    assert store.find(JUNE.silver_key)
    again = reopened(store)
    recover(again)
    assert {item.key for item in own_objects(again, ["silver/transactions"])} == {MAY.silver_key, JULY.silver_key}
    assert again.find(JUNE.state_key(KEYS_FILE)) is None
    assert recorded_datasets(again).keys() == {MAY.silver_key, JULY.silver_key}


def test_nothing_is_deleted_if_what_replaces_it_is_lost(tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "lake"))
    put_stream(store, TRANSACTIONS.silver_key, [b"former\n"])
    pending = Transaction(store, tmp_path / "spool")
    write(pending, MAY.silver_key, JUNE.silver_key)
    results = [result(MAY.silver_key), result(JUNE.silver_key)]
    pending.drop_others(results)
    dead = cast("Transaction", Dies(pending, 1))
    with pytest.raises(SystemExit):
        publish_run(store, dead, manifest("1", *results), deletes=pending.deletes)
    for upload in list(store.unfinished_uploads()):
        store.abort(upload)
    recover(store)
    assert seen(store) == {TRANSACTIONS.silver_key, MAY.silver_key}
    assert json.loads(store.read("_runs/1.json"))["published"] is False


def manifest(run_id: str, *results: DatasetResult, published: bool = True) -> dict[str, Any]:
    """The manifest of a run with one stage."""
    datasets = [vars(item) for item in results]
    times = dict.fromkeys(("started_at", "finished_at"), "2026-01-02T03:04:05+00:00")
    stages = [{"name": "extract", "seconds": 1, "datasets": datasets, "reconciliation": {}}]
    return {"run_id": run_id, **times, "status": "succeeded", "error": None, "stages": stages, "published": published}


def put_manifests(store: LakeStore, *documents: Mapping[str, Any]) -> None:
    for document in documents:
        put_stream(store, f"_runs/{document['run_id']}.json", [json.dumps(document).encode()])


def test_the_latest_manifest_of_a_dataset_has_exactly_its_files(store: LakeStore) -> None:
    put_manifests(
        store,
        manifest("1", *map(result, TRANSACTIONS.keys), result(CUSTOMERS.bronze_key)),
        manifest("2", *map(result, (*MAY.keys, *JUNE.keys))),
        manifest("3", result(JUNE.bronze_key, run_id="2"), result(JULY.bronze_key)),
        manifest("4", result(MAY.bronze_key), published=False),
    )
    for key in (JUNE.bronze_key, *MAY.keys, CUSTOMERS.bronze_key):
        put_stream(store, key, [b"a\n1\n"])
    recorded = recorded_datasets(store)
    assert {key: known.run_id for key, known in recorded.items()} == {
        JUNE.bronze_key: "2",
        JULY.bronze_key: "3",
        CUSTOMERS.bronze_key: "1",
        **dict.fromkeys((*MAY.keys[1:], *JUNE.keys[1:]), "2"),
    }
    assert recorded[JUNE.bronze_key].result == result(JUNE.bronze_key, run_id="2")


@pytest.mark.parametrize(
    "change", [{"run_id": 5}, {"state": []}, {"sums": {"a": 1}}, {"made_of": {}}, {"rows_in": "1"}, {"layer": None}]
)
def test_an_entry_of_an_unknown_form_is_not_carried_over(store: LakeStore, change: dict[str, object]) -> None:
    document = manifest("1", result(MAY.bronze_key))
    document["stages"][0]["datasets"][0] = {**document["stages"][0]["datasets"][0], **change, "added later": 1}
    put_manifests(store, document)
    known = recorded_datasets(store, ["bronze/transactions"])[MAY.bronze_key]
    assert (known.rows, known.result) == (1, None)
