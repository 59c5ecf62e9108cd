"""Cleaning up deletes the lake's own objects and nothing else, on each kind of store."""

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts import Account
from lakes import KEYS
from memory_store import MemoryStore
from shopease_etl.contract import layout
from shopease_etl.contract.tables import TRANSACTIONS
from shopease_etl.errors import ConfigurationError, UnreachableError
from shopease_etl.lake.cleanup import (
    OwnedObjects,
    abort_uploads,
    delete_objects,
    is_own,
    orphaned_uploads,
    owned_objects,
)
from shopease_etl.lake.open import open_store
from shopease_etl.lake.store import LakeStore, UnfinishedUpload, Writer, put_stream

MANIFEST: Final = "_runs/20260102T030405.000006Z-0abc.json"
STRAYS: Final = ("bronze/customers/mine.csv", "gold/notes.txt", "silver/customers/customers_cleaned.csv.bak")
OTHERS: Final = ("athena-results/1.csv", "_runs/old/x.json", "_runs/notes.txt", "bronze.csv", "mine/x", *STRAYS)
ALL: Final = layout.LAYERS


@pytest.fixture(params=["local", "memory", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> LakeStore:
    """An empty store of each kind."""
    if request.param == "memory":
        return MemoryStore()
    if request.param == "local":
        return open_store(str(tmp_path / "lake"))
    account: Account = request.getfixturevalue("account")
    return open_store(f"s3://{account.new_bucket()}/some/prefix")


def filled(store: LakeStore) -> LakeStore:
    """The store with a whole lake, manifests, and what others put beside it."""
    for key in (*KEYS, MANIFEST, *OTHERS):
        put_stream(store, key, [key.encode()])
    return store


def keys(store: LakeStore) -> set[str]:
    return {item.key for item in store.list("")}


def test_everything_means_only_the_lakes_own_objects(store: LakeStore) -> None:
    found = owned_objects(filled(store), ALL, everything=True)
    assert {item.key for item in found.objects} == {*KEYS, MANIFEST}
    assert found.bytes == sum(map(len, (*KEYS, MANIFEST)))
    assert found.strays == len(STRAYS) + 2
    assert json.loads(json.dumps(asdict(found)))["objects"][0]["key"].startswith("gold/")
    delete_objects(store, found.objects)
    assert keys(store) == set(OTHERS)
    assert owned_objects(store, ALL, everything=True).objects == ()


def test_deleting_a_layer_keeps_other_layers_and_manifests(store: LakeStore) -> None:
    found = owned_objects(filled(store), [layout.SILVER, layout.GOLD], everything=False)
    assert {item.key for item in found.objects} == {key for key in KEYS if key.startswith(("silver/", "gold/"))}
    assert found.strays == 2
    delete_objects(store, found.objects)
    gone = {key for key in KEYS if key.startswith(("silver/", "gold/"))}
    assert keys(store) == {*KEYS, MANIFEST, *OTHERS} - gone


def test_months_and_their_state_are_deleted_with_silver(store: LakeStore) -> None:
    may = TRANSACTIONS.in_month("2024-05")
    strays = {"_state/notes.txt", "silver/transactions/sale_month=2024-13/transactions_cleaned.csv"}
    for key in (*may.keys, may.state_key("sums.zip"), *strays):
        put_stream(store, key, [b"x"])
    assert owned_objects(store, [layout.BRONZE], everything=False).objects[0].key == may.bronze_key
    found = owned_objects(store, [layout.SILVER], everything=False)
    assert ([item.key for item in found.objects], found.strays) == ([may.state_key("sums.zip"), may.silver_key], 2)
    delete_objects(store, found.objects)
    delete_objects(store, owned_objects(store, ALL, everything=True).objects)
    assert keys(store) == strays


def test_without_layers_nothing_is_deleted(store: LakeStore) -> None:
    found = owned_objects(filled(store), [], everything=False)
    assert (found.objects, found.bytes, found.strays) == ((), 0, 0)


def test_an_unknown_layer_is_refused(store: LakeStore) -> None:
    with pytest.raises(ConfigurationError, match="athena-results is not a layer"):
        owned_objects(store, ["athena-results"], everything=False)


def test_the_lock_is_not_a_foreign_object(tmp_path: Path) -> None:
    (tmp_path / "_runs").mkdir()
    (tmp_path / "_runs" / ".lock").touch()
    assert owned_objects(open_store(str(tmp_path)), ALL, everything=True).strays == 0


def test_the_lease_is_not_a_foreign_object_and_stays(store: LakeStore) -> None:
    put_stream(store, layout.LEASE, [b"{}"])
    assert owned_objects(store, ALL, everything=True) == OwnedObjects((), 0, 0)
    assert not is_own(layout.LEASE)


@pytest.mark.parametrize("layer", ["gold", "silver", "quarantine", "bronze", "_runs"])
def test_derived_layers_are_deleted_first_and_manifests_last(tmp_path: Path, layer: str) -> None:
    """A folder in a file's place cannot be deleted: there it ends, and what comes later is still there."""
    store = filled(open_store(str(tmp_path)))
    found = owned_objects(store, ALL, everything=True)
    order = ["gold", "silver", "quarantine", "bronze", "_runs"]
    for item in found.objects:
        if item.key.startswith(f"{layer}/"):
            (tmp_path / item.key).unlink()
            (tmp_path / item.key).mkdir()
    with pytest.raises(UnreachableError, match=f"cannot delete {tmp_path}/{layer}/"):
        delete_objects(store, reversed(found.objects))
    left = owned_objects(store, ALL, everything=True).objects
    later = order[order.index(layer) + 1 :]
    assert {item.key for item in left} == {item.key for item in found.objects if item.key.partition("/")[0] in later}


@pytest.mark.parametrize("key", OTHERS)
def test_foreign_objects_are_never_deleted(store: LakeStore, key: str) -> None:
    put_stream(store, key, [b"mine"])
    put_stream(store, MANIFEST, [b"{}"])
    with pytest.raises(ConfigurationError, match="is not deleted"):
        delete_objects(store, store.list(""))
    assert keys(store) == {key, MANIFEST}


@given(st.text("abrunsz_/.-json", max_size=20))
def test_the_lakes_own_objects_are_datasets_and_manifests(key: str) -> None:
    manifest = (
        key.startswith("_runs/") and key.endswith(".json") and key.count("/") == 1 and len(key) > len("_runs/.json")
    )
    assert is_own(key) == manifest
    assert all(is_own(own) and not is_own(f"{own}/{key}") and not is_own(f"x{own}") for own in KEYS)


@pytest.fixture
def begun(store: LakeStore) -> Iterator[Callable[[str], Writer]]:
    """Starts uploads and leaves them unfinished."""
    uploads: list[Writer] = []

    def begin(key: str) -> Writer:
        uploads.append(store.writer(key))
        uploads[-1].write(b"half")
        return uploads[-1]

    yield begin
    for upload in uploads:
        upload.discard()


def test_only_our_own_old_uploads_are_aborted(store: LakeStore, begun: Callable[[str], Writer]) -> None:
    ours = ("bronze/customers/customers.csv", MANIFEST)
    for key in (*ours, "mine/x"):
        begun(key)
    started = max(upload.started for upload in store.unfinished_uploads())
    young = orphaned_uploads(store, older_than=60, now=started)
    assert (young.uploads, young.younger, young.strays) == ((), 2, 1)
    old = orphaned_uploads(store, older_than=60, now=started + 61)
    assert ({upload.key for upload in old.uploads}, old.younger, old.strays) == (set(ours), 0, 1)
    assert json.loads(json.dumps(asdict(old)))["younger"] == 0
    abort_uploads(store, old.uploads)
    assert [upload.key for upload in store.unfinished_uploads()] == ["mine/x"]


@pytest.mark.usefixtures("store")
def test_the_age_of_an_upload_is_by_the_clock(store: LakeStore, begun: Callable[[str], Writer]) -> None:
    begun(MANIFEST)
    assert orphaned_uploads(store, older_than=3600).younger == 1
    assert orphaned_uploads(store, older_than=-3600).younger == 0


def test_foreign_uploads_are_never_aborted(store: LakeStore, begun: Callable[[str], Writer]) -> None:
    begun("mine/x")
    begun(MANIFEST)
    with pytest.raises(ConfigurationError, match="is not deleted"):
        abort_uploads(store, store.unfinished_uploads())
    assert len(list(store.unfinished_uploads())) == 2
    abort_uploads(store, [UnfinishedUpload(MANIFEST, "gone", 0)])
    assert len(list(store.unfinished_uploads())) == 2
