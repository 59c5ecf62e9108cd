"""What a run wrote is published all at once, or by the next command, or not at all."""

import signal
from pathlib import Path

import pytest

from lakes import unfinished
from shopease_etl.errors import UnreachableError
from shopease_etl.lake import deliver_interrupt, publication, publish_run
from shopease_etl.storage import LakeStore, open_store, put_stream
from shopease_etl.storage.local import LocalStore
from shopease_etl.storage.pending import PendingStore

OBJECTS = {"bronze/a/a.csv": b"a\n1\n", "silver/a/a.csv": b"b\n22\n", "gold/a/data.parquet": b"PAR1"}

FORMER = dict.fromkeys(OBJECTS, b"former\n")


@pytest.fixture
def pending(store: LakeStore, tmp_path: Path) -> PendingStore:
    """A run on a store with former objects, two of whose objects it reads itself."""
    for key in OBJECTS:
        put_stream(store, key, [b"former\n"])
    return PendingStore(store, tmp_path / "spool", [key for key in OBJECTS if key.endswith(".csv")])


def write_all(pending: PendingStore) -> None:
    for key, data in OBJECTS.items():
        with publication(pending) as written:
            written.upload(key).write(data)


def seen(store: LakeStore) -> dict[str, bytes]:
    """What everybody sees."""
    return {
        item.key: store.read(item.key) for layer in ("bronze", "silver", "gold") for item in store.list(f"{layer}/")
    }


def test_until_it_is_published_only_the_run_itself_sees_what_it_wrote(store: LakeStore, pending: PendingStore) -> None:
    write_all(pending)
    assert seen(store) == FORMER
    for key in ("bronze/a/a.csv", "silver/a/a.csv"):
        assert pending.read(key) == OBJECTS[key]
        assert pending.read(key, start=-1) == b"\n"
        assert pending.read(key, start=2, length=1) == OBJECTS[key][2:3]
        found = pending.find(key)
        assert found
        assert (found.key, found.bytes) == (key, len(OBJECTS[key]))
        assert Path(pending.uri(key)).read_bytes() == OBJECTS[key]
        assert pending.storage_options(key) == {}
    assert pending.uri("gold/a/data.parquet") == store.uri("gold/a/data.parquet")
    assert pending.find("bronze/b/b.csv") is None


def test_all_is_published_at_once_and_nothing_is_left(store: LakeStore, pending: PendingStore, tmp_path: Path) -> None:
    write_all(pending)
    told: list[dict[str, bytes]] = []
    publish_run(pending, lambda: told.append(seen(store)))
    pending.discard()
    assert told == [FORMER]
    assert seen(store) == OBJECTS
    assert unfinished(store) == []
    assert store.recover() == ()
    assert not (tmp_path / "spool").exists()


@pytest.mark.parametrize("is_intended", [False, True])
def test_what_is_discarded_leaves_the_former_objects(
    store: LakeStore, pending: PendingStore, tmp_path: Path, *, is_intended: bool
) -> None:
    write_all(pending)
    if is_intended:
        pending.intend()
    pending.discard()
    assert store.recover() == ()
    assert seen(store) == FORMER
    assert unfinished(store) == []
    assert not (tmp_path / "spool").exists()


def test_a_stage_that_fails_leaves_the_stages_before_it_to_the_run(pending: PendingStore, store: LakeStore) -> None:
    write_all(pending)
    with pytest.raises(ZeroDivisionError), publication(pending) as written:
        written.upload("silver/b/b.csv").write(b"x")
        raise ZeroDivisionError
    assert pending.waiting == len(OBJECTS)
    publish_run(pending, lambda: None)
    assert seen(store) == OBJECTS


@pytest.mark.parametrize("published", [0, 1, 2, 3])
def test_a_process_that_dies_while_it_publishes_is_finished_by_the_next(
    store: LakeStore, pending: PendingStore, published: int
) -> None:
    write_all(pending)
    pending.intend()
    for sink in list(pending._waiting.values())[:published]:
        sink.publish()
    again = open_store(store.location)
    assert again.recover() == tuple(OBJECTS)
    again.sweep()
    assert seen(store) == OBJECTS
    assert unfinished(store) == []
    assert again.recover() == ()


def test_an_interrupt_waits_until_all_is_published(store: LakeStore, pending: PendingStore) -> None:
    write_all(pending)
    publish_run(pending, lambda: signal.raise_signal(signal.SIGINT))
    assert seen(store) == OBJECTS
    with pytest.raises(KeyboardInterrupt):
        deliver_interrupt()
    deliver_interrupt()


def test_a_manifest_that_cannot_be_written_publishes_nothing(store: LakeStore, pending: PendingStore) -> None:
    def refused() -> None:
        raise UnreachableError("no room")

    write_all(pending)
    with pytest.raises(UnreachableError, match="no room"):
        publish_run(pending, refused)
    pending.discard()
    assert (seen(store), unfinished(store), store.recover()) == (FORMER, [], ())


def test_one_that_is_refused_midway_is_left_to_the_next_command(tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "lake")
    pending = PendingStore(store, tmp_path / "spool")
    write_all(pending)
    in_the_way = tmp_path / "lake" / "silver" / "a" / "a.csv"
    in_the_way.mkdir(parents=True)
    with pytest.raises(UnreachableError, match=r"new already: bronze/a/a\.csv$") as raised:
        publish_run(pending, lambda: None)
    assert "next run" in str(raised.value.hint)
    pending.discard()
    in_the_way.rmdir()
    assert store.recover() == tuple(OBJECTS)
    assert seen(store) == OBJECTS


def test_a_disk_that_is_full_says_what_it_is_for(store: LakeStore, tmp_path: Path) -> None:
    (tmp_path / "spool").write_text("no folder")
    pending = PendingStore(store, tmp_path / "spool", OBJECTS)
    if isinstance(store, LocalStore):
        write_all(pending)
    else:
        with pytest.raises(UnreachableError, match="while a run is at work") as raised:
            write_all(pending)
        assert "SHOPEASE_HOME" in str(raised.value.hint)
        pending.discard()
        assert unfinished(store) == []
