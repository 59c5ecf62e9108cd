"""What every store promises, tested on each kind of it."""

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lakes import unfinished
from shopease_etl.errors import DataRefusedError, LakeLockedError, UnreachableError
from shopease_etl.lake.manifests import write_group
from shopease_etl.lake.multipart import PART_BYTES
from shopease_etl.lake.open import open_store
from shopease_etl.lake.store import LakeStore, Writer, put_stream
from shopease_etl.transform.chunks import CsvObject

KEY = "bronze/customers/customers.csv"


def test_an_object_is_read_as_it_was_written(store: LakeStore) -> None:
    upload = put_stream(store, KEY, [b"a,b\n", b'1,"x\n', b'y"\n'])
    assert store.read(KEY) == b'a,b\n1,"x\ny"\n'
    assert upload.csv_rows == 1
    assert upload.sha256 == hashlib.sha256(store.read(KEY)).hexdigest()
    found = store.find(KEY)
    assert found is not None
    assert (found.key, found.bytes) == (KEY, upload.bytes)
    assert unfinished(store) == []


def test_parts_of_an_object_can_be_read(store: LakeStore) -> None:
    put_stream(store, KEY, [b"0123456789"])
    assert store.read(KEY, start=-1) == b"9"
    assert store.read(KEY, start=2, length=3) == b"234"
    assert store.read(KEY, length=2) == b"01"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(start=st.integers(-15, 15), length=st.none() | st.integers(0, 15))
def test_a_span_is_a_slice_of_the_object(store: LakeStore, start: int, length: int | None) -> None:
    data = b"0123456789"
    if store.find(KEY) is None:
        put_stream(store, KEY, [data])
    assert store.read(KEY, start, length) == data[start:][:length]


def test_large_objects_are_sent_in_parts(store: LakeStore) -> None:
    chunk = bytes(range(256)) * 4096
    chunks = [chunk] * (2 * PART_BYTES // len(chunk) + 1)
    put_stream(store, KEY, chunks)
    assert store.read(KEY) == b"".join(chunks)


def test_an_object_is_invisible_before_it_is_published(store: LakeStore) -> None:
    put_stream(store, KEY, [b"old"])
    upload = store.writer(KEY)
    upload.write(b"new")
    upload.complete()
    assert store.read(KEY) == b"old"
    upload.publish()
    assert store.read(KEY) == b"new"


def test_a_broken_stream_changes_nothing_and_leaves_nothing(store: LakeStore) -> None:
    def broken() -> Iterator[bytes]:
        yield b"x" * (PART_BYTES + 1)
        raise KeyboardInterrupt

    put_stream(store, KEY, [b"old"])
    with pytest.raises(KeyboardInterrupt):
        put_stream(store, KEY, broken())
    assert store.read(KEY) == b"old"
    assert unfinished(store) == []


def test_objects_of_a_publication_appear_together_or_not_at_all(store: LakeStore) -> None:
    with pytest.raises(ZeroDivisionError), write_group(store) as written:
        for key in ("a/1", "a/2"):
            written.writer(key).write(b"x")
        raise ZeroDivisionError
    assert list(store.list("a/")) == []
    assert unfinished(store) == []
    with write_group(store) as written:
        for key in ("a/1", "a/2"):
            written.writer(key).write(b"x")
        assert list(store.list("a/")) == []
    assert [item.key for item in store.list("a/")] == ["a/1", "a/2"]


def test_an_empty_object_is_not_a_dataset(store: LakeStore) -> None:
    put_stream(store, KEY, [])
    with pytest.raises(DataRefusedError, match="cut short"):
        CsvObject(store, KEY, {})


@pytest.mark.usefixtures("new_bucket")
def test_datasets_are_read_with_the_credentials_of_a_profile(
    new_bucket: Callable[[], str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    store = open_store(f"s3://{new_bucket()}")
    put_stream(store, KEY, [b"a\n1\n"])
    (tmp_path / "credentials").write_text("[shop]\naws_access_key_id = x\naws_secret_access_key = y\n")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_PROFILE", "shop")
    fresh = open_store(store.location)
    file = CsvObject(fresh, KEY, {})
    assert [chunk.frame().rows() for chunk in file.chunks()] == [[("1",)]]


def test_missing_objects(store: LakeStore) -> None:
    assert store.find("no/such") is None
    assert list(store.list("no/")) == []
    with pytest.raises(UnreachableError, match="no/such"):
        store.read("no/such")


def test_a_working_store_passes_its_check(store: LakeStore) -> None:
    store.check()
    assert unfinished(store) == []


def test_deleting_keeps_other_objects(store: LakeStore) -> None:
    for key in (KEY, "bronze/customers/mine.txt", "gold/x/data.parquet"):
        put_stream(store, key, [b"x"])
    store.delete([KEY, "gold/x/data.parquet", "gold/y/none"])
    assert [item.key for item in store.list("")] == ["bronze/customers/mine.txt"]
    store.delete([])


def test_unfinished_uploads_are_listed_and_can_be_aborted(store: LakeStore) -> None:
    uploads = {key: store.writer(key) for key in (KEY, "gold/100% of $/data+é.parquet")}
    for begun in uploads.values():
        begun.write(b"x" * (PART_BYTES + 1))
    found = sorted(store.unfinished_uploads(), key=lambda upload: upload.key)
    assert [upload.key for upload in found] == sorted(uploads)
    for upload in found:
        store.abort(upload)
        store.abort(upload)
    assert unfinished(store) == list(store.unfinished_uploads()) == []
    for begun in uploads.values():
        begun.discard()


def test_a_file_becomes_an_object_when_it_is_published(store: LakeStore, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"a\n1\n")
    put_stream(store, KEY, [b"old"])
    writer = store.from_file(KEY, tmp_path / "file")
    assert store.read(KEY) == b"old"
    writer.publish()
    assert store.read(KEY) == b"a\n1\n"
    assert unfinished(store) in ([], [Path(store.location) / "_staging"])


def test_former_objects_can_be_restored_until_they_are_pruned(store: LakeStore) -> None:
    put_stream(store, KEY, [b"old"])
    kept = store.keep_former("run", [KEY, "no/such"])
    put_stream(store, KEY, [b"new"])
    assert set(kept) == {KEY}
    if name := kept[KEY]:  # a bucket without versions keeps nothing
        store.prune(iter(["run"]))
        store.former_writer(KEY, name).publish()
        assert store.read(KEY) == b"old"
        store.prune([])
        with pytest.raises(DataRefusedError, match="no longer kept"):
            store.require_former(KEY, name)


def test_one_process_holds_the_lock_and_all_see_which(store: LakeStore, tmp_path: Path) -> None:
    lock = store.lock(tmp_path)
    assert lock.status() is None
    with lock.hold("first", lease_seconds=60) as held:
        held.require()
        found = store.lock(tmp_path).status()
        assert found is not None
        assert (found.holder.run_id, found.is_alive) == ("first", True)
        with pytest.raises(LakeLockedError, match="first on"), store.lock(tmp_path).hold("second", lease_seconds=60):
            pytest.fail("two hold the lake")
    assert lock.status() is None


def test_stale_uploads_cannot_publish_anything(store: LakeStore) -> None:
    mine = store.writer("mine/x")
    stale = store.writer(KEY)
    stale.complete()
    store.abort_stale_uploads()
    left = [upload.key for upload in store.unfinished_uploads()]
    assert left == ([KEY, "mine/x"] if store.folder else ["mine/x"])
    mine.discard()


def test_deleting_removes_empty_folders(tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "lake"))
    put_stream(store, KEY, [b"x"])
    put_stream(store, "bronze/stores/stores.csv", [b"x"])
    store.delete([KEY])
    assert [path.name for path in (tmp_path / "lake" / "bronze").iterdir()] == ["stores"]
    store.delete(["bronze/stores/stores.csv"])
    assert list((tmp_path / "lake").iterdir()) == []


def test_objects_that_cannot_be_deleted_are_reported(tmp_path: Path) -> None:
    (tmp_path / KEY).mkdir(parents=True)
    with pytest.raises(UnreachableError, match=f"cannot delete {tmp_path / KEY}"):
        open_store(str(tmp_path)).delete([KEY])


def test_sweeping_removes_what_a_killed_run_left(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    upload: Writer = store.writer(KEY)
    upload.write(b"half")
    upload.complete()
    assert unfinished(store)
    store.sweep()
    assert unfinished(store) == []


def test_an_impossible_folder_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UnreachableError, match=r"cannot be a lake: .*/file is not a folder") as caught:
        open_store(str(tmp_path / "file" / "lake")).check()
    assert caught.value.exit_code == 4


@pytest.mark.usefixtures("new_bucket")
def test_a_missing_bucket_is_reported() -> None:
    with pytest.raises(UnreachableError, match="s3://no-such-bucket does not exist") as caught:
        open_store("s3://no-such-bucket").check()
    assert caught.value.hint
