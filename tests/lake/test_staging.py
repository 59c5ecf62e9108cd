"""What a run wrote is published all at once, or by the next command, or not at all."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Final, cast

import pytest

from accounts import Account
from lakes import unfinished
from memory_store import MemoryStore, reopened
from shopease_etl.contract import layout
from shopease_etl.contract.gold import DAILY_SALES_SUMMARY
from shopease_etl.contract.tables import CUSTOMERS, STORES, TRANSACTIONS
from shopease_etl.errors import DataRefusedError, UnreachableError
from shopease_etl.lake.local import LocalStore
from shopease_etl.lake.manifests import write_group
from shopease_etl.lake.open import open_store
from shopease_etl.lake.publish import publish_run, recover, sealed
from shopease_etl.lake.staging import MOST_SENDING, Transaction
from shopease_etl.lake.store import LakeStore, put_stream
from shopease_etl.operations.status import status

BRONZE, SILVER, GOLD = CUSTOMERS.bronze_key, CUSTOMERS.silver_key, DAILY_SALES_SUMMARY.key
OBJECTS = {BRONZE: b"a\n1\n", SILVER: b"b\n22\n", GOLD: b"PAR1"}
MANIFEST = {"run_id": "20261123T000000.000000Z-0000", "status": "running", "stages": ["x"], "published": True}
MANIFEST_KEY = f"_runs/{MANIFEST['run_id']}.json"

FORMER = dict.fromkeys(OBJECTS, b"former\n")


@pytest.fixture
def pending(store: LakeStore, tmp_path: Path) -> Transaction:
    return with_former(store, tmp_path)


def with_former(store: LakeStore, tmp_path: Path) -> Transaction:
    """A run on a store with former objects, two of whose objects it reads itself."""
    for key in OBJECTS:
        put_stream(store, key, [b"former\n"])
    return Transaction(store, tmp_path / "spool")


def write_all(pending: Transaction) -> None:
    for key, data in OBJECTS.items():
        with write_group(pending) as written:
            written.writer(key).write(data)


def seen(store: LakeStore) -> dict[str, bytes]:
    """What everybody sees."""
    return {
        item.key: store.read(item.key) for layer in ("bronze", "silver", "gold") for item in store.list(f"{layer}/")
    }


def test_unpublished_objects_are_visible_only_to_their_run(store: LakeStore, pending: Transaction) -> None:
    write_all(pending)
    assert seen(store) == FORMER
    for key in OBJECTS:
        assert pending.read(key) == OBJECTS[key]
        assert pending.read(key, start=-1) == OBJECTS[key][-1:]
        assert pending.read(key, start=2, length=1) == OBJECTS[key][2:3]
        found = pending.find(key)
        assert found
        assert (found.key, found.bytes) == (key, len(OBJECTS[key]))
        assert Path(pending.uri(key)).read_bytes() == OBJECTS[key]
    assert pending.find(STORES.bronze_key) is None


def test_everything_is_published_together_and_nothing_is_left(
    store: LakeStore, pending: Transaction, tmp_path: Path
) -> None:
    write_all(pending)
    publish_run(store, pending, MANIFEST)
    pending.discard()
    assert seen(store) == OBJECTS
    assert json.loads(store.read(MANIFEST_KEY)) == MANIFEST
    assert [item.key for item in store.list("_runs/")] == [MANIFEST_KEY]
    assert unfinished(store) == []
    assert not (tmp_path / "spool").exists()


def test_discarding_keeps_the_former_objects(store: LakeStore, pending: Transaction, tmp_path: Path) -> None:
    write_all(pending)
    pending.discard()
    recover(store)
    assert (seen(store), unfinished(store)) == (FORMER, [])
    assert not (tmp_path / "spool").exists()


def test_a_failed_stage_keeps_the_earlier_stages(pending: Transaction, store: LakeStore) -> None:
    write_all(pending)
    with pytest.raises(ZeroDivisionError), write_group(pending) as written:
        written.writer("silver/products/products_cleaned.csv").write(b"x")
        raise ZeroDivisionError
    assert pending.waiting == tuple(OBJECTS)
    publish_run(store, pending, MANIFEST)
    assert seen(store) == OBJECTS


class Dies:
    """A pending store whose process dies after so many objects."""

    def __init__(self, pending: Transaction, published: int) -> None:
        self.waiting = pending.waiting
        self.pending_writes = pending.pending_writes
        self._writers = list(pending._waiting.values())[:published]

    def publish(self) -> None:
        for writer in self._writers:
            writer.publish()
        raise SystemExit


@pytest.mark.parametrize("published", [0, 1, 2, 3])
def test_the_next_process_finishes_a_dead_ones_publication(
    store: LakeStore, pending: Transaction, published: int, caplog: pytest.LogCaptureFixture
) -> None:
    write_all(pending)
    with pytest.raises(SystemExit):
        publish_run(store, cast("Transaction", Dies(pending, published)), MANIFEST)
    status(store)
    assert f"the run {MANIFEST['run_id']} is publishing, or died while it did" in caplog.text
    again = reopened(store)
    recover(again)
    again.sweep()
    assert "its 3 objects are published now" in caplog.text
    assert (seen(store), unfinished(store)) == (OBJECTS, [])
    told = json.loads(store.read(MANIFEST_KEY))
    assert (told["status"], told["published"], told["stages"]) == ("interrupted", True, MANIFEST["stages"])
    assert [item.key for item in store.list("_runs/")] == [MANIFEST_KEY]


@pytest.mark.parametrize("kind", ["local", "s3"])
def test_lost_objects_of_a_publication_are_reported(
    kind: str, tmp_path: Path, account: Account, caplog: pytest.LogCaptureFixture
) -> None:
    # ministack, for moto answers 500 where AWS has no such upload
    store = open_store(f"s3://{account.new_bucket()}/x" if kind == "s3" else str(tmp_path / "lake"))
    pending = with_former(store, tmp_path)
    write_all(pending)
    with pytest.raises(SystemExit):
        publish_run(store, cast("Transaction", Dies(pending, 1)), MANIFEST)
    for upload in list(store.unfinished_uploads()):
        store.abort(upload)
    recover(store)
    first, *lost = OBJECTS
    assert f"{', '.join(lost)} stay as they were" in caplog.text
    assert seen(store) == {**FORMER, first: OBJECTS[first]}
    assert json.loads(store.read(MANIFEST_KEY))["published"] is False


@pytest.mark.parametrize("blocked", OBJECTS)
def test_a_refused_publication_is_left_to_the_next_command(tmp_path: Path, blocked: str) -> None:
    store = LocalStore(tmp_path / "lake")
    pending = Transaction(store, tmp_path / "spool")
    write_all(pending)
    in_the_way, publish = tmp_path / "lake" / blocked, pending.publish

    def publish_late() -> None:
        in_the_way.mkdir(parents=True)
        publish()

    pending.publish = publish_late  # type: ignore[method-assign]
    with pytest.raises(UnreachableError, match="the next run, clean or crawl publishes the rest"):
        publish_run(store, pending, MANIFEST)
    assert pending.is_committed
    pending.discard()
    with pytest.raises(UnreachableError, match="partly published") as raised:
        recover(store)
    assert "_runs/.publishing-" in str(raised.value.hint)
    in_the_way.rmdir()
    recover(store)
    assert seen(store) == OBJECTS


WHOLE: Final = {"version": 2, "manifest": {"run_id": "r"}, "objects": [], "deletes": [], "is_final": False}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[",
        b"null",
        b"[1]",
        b"{}",
        json.dumps(WHOLE).encode(),
        sealed(WHOLE).replace(b"[]", b"{}", 1),
        sealed({**WHOLE, "version": 1}),
        sealed({**WHOLE, "manifest": {"run_id": "other"}}),
        sealed({**WHOLE, "objects": [{"key": "../../x"}]}),
        sealed({**WHOLE, "deletes": ["../../x"]}),
    ],
)
def test_an_invalid_journal_is_named(store: LakeStore, content: bytes) -> None:
    put_stream(store, "_runs/.publishing-r", [content])
    with pytest.raises(DataRefusedError, match=r"_runs/\.publishing-r") as raised:
        recover(store)
    assert "delete it" in str(raised.value.hint)


def test_a_full_disk_is_named_with_its_purpose(store: LakeStore, tmp_path: Path) -> None:
    (tmp_path / "spool").write_text("no folder")
    pending = Transaction(store, tmp_path / "spool")
    if store.folder:
        write_all(pending)
    else:
        with pytest.raises(UnreachableError, match="spool is not a folder") as raised:
            write_all(pending)
        assert f"mv {tmp_path / 'spool'} " in str(raised.value.hint)
        pending.discard()
        assert unfinished(store) == []


def test_only_the_user_can_read_copies(store: LakeStore, pending: Transaction, tmp_path: Path) -> None:
    write_all(pending)
    if not store.folder:
        copies = list((tmp_path / "spool").iterdir())
        assert {path.stat().st_mode & 0o777 for path in copies} == {0o600}
        assert (tmp_path / "spool").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("months", [1, 9])
def test_few_months_are_sent_as_they_are_written(tmp_path: Path, months: int) -> None:
    store = MemoryStore()
    pending = Transaction(store, tmp_path / "spool")
    tables = [TRANSACTIONS.in_month(f"2024-{number + 1:02}") for number in range(months)]
    expected = {table.bronze_key: f"{table.month}\n".encode() * 3 for table in tables}
    for _ in range(2):  # a second attempt is like the first
        with suppress(ZeroDivisionError), write_group(pending) as written:
            writers = [written.writer(key) for key in (CUSTOMERS.bronze_key, *expected)]
            for _ in range(3):
                for writer in writers:
                    writer.write(f"{layout.month_of(writer.key)}\n".encode())
            sent = [upload.key for upload in store.uploads.values() if upload.data and upload.key in expected]
            assert len(sent) == min(months, MOST_SENDING)
            writers[-1].complete()
            assert {upload.key: upload.data for upload in store.uploads.values()}[tables[-1].bronze_key]
            raise ZeroDivisionError
    with write_group(pending) as written:
        for key, data in expected.items():
            written.writer(key).write(data)
    pending.publish()
    assert {key: store.read(key) for key in expected} == expected


@pytest.mark.parametrize("months", [9])
def test_months_arrive_whole_however_they_are_sent(store: LakeStore, tmp_path: Path, months: int) -> None:
    pending = Transaction(store, tmp_path / "spool")
    keys = [TRANSACTIONS.in_month(f"2024-{number + 1:02}").bronze_key for number in range(months)]
    with write_group(pending) as written:
        writers = [written.writer(key) for key in keys]
        for number in range(3 * months):
            writers[number % months].write(f"{number}\n".encode() * 100_000)
    assert {key: pending.read(key)[:2] for key in keys} == {key: f"{n}\n".encode() for n, key in enumerate(keys)}
    pending.publish()
    for number, key in enumerate(keys):
        assert store.read(key) == b"".join(f"{n}\n".encode() * 100_000 for n in range(number, 3 * months, months))


def test_a_staged_file_that_is_gone_is_named(tmp_path: Path) -> None:
    staged = Transaction(LocalStore(tmp_path / "lake"), tmp_path / "spool")
    put_stream(staged, BRONZE, [OBJECTS[BRONZE]])
    path = Path(staged.uri(BRONZE))
    path.unlink()
    with pytest.raises(UnreachableError) as caught:
        staged.read(BRONZE)
    assert str(caught.value) == f"cannot read {path}, which the run needs: No such file or directory"
    assert caught.value.hint == "run the command again"
