"""Faults of S3: an object arrives complete and is published once, or not at all, and nothing is left behind."""

import hashlib
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Final
from zlib import crc32

import pytest
from s3_faults import (
    ALWAYS,
    Exchange,
    Fault,
    Proxy,
    answer_lost,
    corrupted,
    cut_short,
    delayed,
    faulty,
    held_until,
    refused,
    reset,
    reset_midway,
)

from accounts import Account
from shopease_etl.errors import UnreachableError
from shopease_etl.lake import multipart
from shopease_etl.lake.multipart import CONCURRENT_PARTS
from shopease_etl.lake.open import open_store
from shopease_etl.lake.s3 import S3Store
from shopease_etl.lake.store import put_stream
from shopease_etl.source.dumps.opening import open_dump

KEY: Final = "bronze/customers/customers.csv"
SLOW_DOWN: Final = refused(503, "SlowDown")
PART: Final = 64 * 1024


@pytest.fixture
def proxy(account: Account, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """A proxy before ministack, to which AWS's own variables point; ministack takes parts of any size."""
    with faulty(account.endpoint, crc32(request.node.name.encode())) as made:
        monkeypatch.setenv("AWS_ENDPOINT_URL", made.endpoint)
        monkeypatch.setenv("AWS_MAX_ATTEMPTS", "3")
        monkeypatch.setattr(multipart, "PART_BYTES", PART)
        yield made


@pytest.fixture
def direct(account: Account) -> S3Store:
    """A lake on ministack, to look at what there is without the proxy."""
    store = S3Store(account.new_bucket(), "lake")
    store.client = account.client("s3")
    return store


@pytest.fixture
def store(proxy: Proxy, direct: S3Store) -> S3Store:
    """The same lake through the proxy."""
    assert proxy
    made = open_store(direct.location)
    assert isinstance(made, S3Store)
    return made


def chunks_of(parts: int, seed: int = 0) -> list[bytes]:
    """Random bytes that fill so many parts, in chunks that do not end where parts do."""
    data = Random(seed).randbytes(parts * PART - 1)
    return [data[start : start + 10_007] for start in range(0, len(data), 10_007)]


FAULTS: Final = {
    "SlowDown": SLOW_DOWN,
    "InternalError": refused(500, "InternalError"),
    "error in a 200": refused(200, "InternalError"),
    "too many requests": refused(429, "TooManyRequests"),
    "reset": reset,
    "answer lost": answer_lost,
    "answer cut short": cut_short,
}


@pytest.mark.parametrize("call", ["CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload"])
@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
@pytest.mark.quick(10)
def test_temporary_faults_are_retried(proxy: Proxy, store: S3Store, direct: S3Store, call: str, fault: Fault) -> None:
    proxy.add(call, fault)
    proxy.add(call, fault, times=1, after=1)
    chunks = chunks_of(6)
    upload = put_stream(store, KEY, chunks)
    data = direct.read(KEY)
    assert (upload.sha256, upload.bytes) == (hashlib.sha256(b"".join(chunks)).hexdigest(), len(data))
    assert hashlib.sha256(data).hexdigest() == upload.sha256
    assert proxy.rules[0].times == 0
    # An upload that began although its answer was lost stays until `cleanup` finds it by its age.
    began_twice = call == "CreateMultipartUpload" and fault in {answer_lost, cut_short}
    assert len(list(direct.unfinished_uploads())) == began_twice


@pytest.mark.parametrize(
    "then", [refused(404, "NoSuchUpload"), SLOW_DOWN, reset], ids=["NoSuchUpload", "SlowDown", "reset"]
)
def test_a_completion_without_an_answer_is_recognised_by_its_object(
    proxy: Proxy, store: S3Store, direct: S3Store, then: Fault
) -> None:
    put_stream(direct, KEY, [b"old"])
    proxy.add("CompleteMultipartUpload", answer_lost)
    proxy.add("CompleteMultipartUpload", then, ALWAYS)
    put_stream(store, KEY, [b"new"])
    assert direct.read(KEY) == b"new"
    assert proxy.seen["AbortMultipartUpload"] == 0


def test_an_object_of_another_upload_proves_nothing(proxy: Proxy, store: S3Store, direct: S3Store) -> None:
    put_stream(store, KEY, [b"old"])
    proxy.add("CompleteMultipartUpload", refused(404, "NoSuchUpload"), ALWAYS)
    with pytest.raises(UnreachableError, match="NoSuchUpload"):
        put_stream(store, KEY, [b"new"])
    assert direct.read(KEY) == b"old"
    assert list(direct.unfinished_uploads()) == []


@pytest.mark.parametrize("call", ["CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload"])
@pytest.mark.parametrize("fault", [SLOW_DOWN, reset], ids=["SlowDown", "reset"])
def test_permanent_faults_publish_nothing(
    proxy: Proxy, store: S3Store, direct: S3Store, call: str, fault: Fault, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "2")
    put_stream(direct, KEY, [b"old"])
    proxy.add(call, fault, ALWAYS)
    with pytest.raises(UnreachableError, match=r"SlowDown|cannot reach") as caught:
        put_stream(store, KEY, chunks_of(12))
    assert caught.value.exit_code == 4
    assert caught.value.hint
    assert direct.read(KEY) == b"old"
    assert list(direct.unfinished_uploads()) == []


def test_nothing_is_sent_after_a_refused_part(proxy: Proxy, store: S3Store) -> None:
    proxy.add("UploadPart", refused(400, "InvalidRequest"), ALWAYS)
    with pytest.raises(UnreachableError, match="InvalidRequest"):
        put_stream(store, KEY, chunks_of(CONCURRENT_PARTS * 4))
    assert 1 <= proxy.seen["UploadPart"] <= CONCURRENT_PARTS


def test_an_upload_that_cannot_be_aborted_is_reported(
    proxy: Proxy, store: S3Store, direct: S3Store, caplog: pytest.LogCaptureFixture
) -> None:
    proxy.add("UploadPart", refused(400, "InvalidRequest"), ALWAYS)
    proxy.add("AbortMultipartUpload", refused(403, "AccessDenied"), ALWAYS)
    with pytest.raises(UnreachableError, match="InvalidRequest"):
        put_stream(store, KEY, chunks_of(1))
    assert [upload.key for upload in direct.unfinished_uploads()] == [KEY]
    assert "an unfinished upload stays behind" in caplog.text
    assert "s3:AbortMultipartUpload" in caplog.text


@pytest.mark.parametrize("after", [0, 4])
def test_a_part_damaged_in_transit_is_not_published(proxy: Proxy, store: S3Store, direct: S3Store, after: int) -> None:
    proxy.add("UploadPart", corrupted, ALWAYS, after)
    with pytest.raises(UnreachableError, match=f"AWS refuses s3://{direct.bucket}/lake/{KEY}"):
        put_stream(store, KEY, chunks_of(8))
    assert direct.find(KEY) is None
    assert list(direct.unfinished_uploads()) == []


def test_s3_refuses_an_object_of_another_size(proxy: Proxy, store: S3Store, direct: S3Store) -> None:
    upload = store.writer(KEY)
    upload.write(b"abc")
    upload.complete()
    upload._writer._bytes += 1  # type: ignore[attr-defined]
    with pytest.raises(UnreachableError, match="AWS refuses"):
        upload.publish()
    upload.discard()
    assert direct.find(KEY) is None
    assert proxy.seen["AbortMultipartUpload"] == 1


@pytest.mark.parametrize("fault", [cut_short, reset_midway])
def test_a_broken_read_resumes_where_it_ended(proxy: Proxy, store: S3Store, direct: S3Store, fault: Fault) -> None:
    data = b"".join(chunks_of(20))
    put_stream(direct, KEY, [data])
    for _ in range(4):
        proxy.add("GetObject", fault, times=3)
        assert store.read(KEY) == data
    assert proxy.seen["GetObject"] == 4 * 4
    proxy.add("GetObject", fault, times=2)
    assert store.read(KEY, start=-100_000) == data[-100_000:]
    proxy.add("GetObject", fault, times=2)
    assert store.read(KEY, start=7, length=300_000) == data[7:300_007]


def test_a_read_that_always_breaks_fails(
    proxy: Proxy, store: S3Store, direct: S3Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shopease_etl.aws._FIRST_PAUSE", 0)
    put_stream(direct, KEY, [b"x" * 1000])
    proxy.add("GetObject", lambda exchange: exchange.answer(*exchange.forward(), sent=0), ALWAYS)
    with pytest.raises(UnreachableError, match=rf"reading .*{KEY} broke off 6 times") as caught:
        store.read(KEY)
    assert caught.value.exit_code == 4
    assert proxy.seen["GetObject"] == 6


def test_a_read_does_not_resume_with_another_version(proxy: Proxy, store: S3Store, direct: S3Store) -> None:
    put_stream(direct, KEY, [b"old" * PART])

    def replaced(exchange: Exchange) -> None:
        status, headers, body = exchange.forward()
        put_stream(direct, KEY, [b"new" * PART])
        exchange.answer(status, headers, body, sent=1)

    proxy.add("GetObject", replaced)
    with pytest.raises(UnreachableError, match="PreconditionFailed") as caught:
        store.read(KEY)
    assert caught.value.hint
    assert "run the command again" in caught.value.hint


def test_a_broken_read_of_a_dump_resumes_where_it_ended(proxy: Proxy, store: S3Store, direct: S3Store) -> None:
    data = b"SELECT 1;\n" * 300_000
    put_stream(direct, "dump.sql", [data])
    proxy.add("GetObject", cut_short, times=3)
    proxy.add("GetObject", reset_midway, times=2)
    with open_dump(store.uri("dump.sql")) as dump:
        assert b"".join(dump.chunks()) == data
        assert (dump.bytes_read, dump.size) == (len(data), len(data))
    assert proxy.seen["GetObject"] == 6


@pytest.mark.parametrize("fault", [SLOW_DOWN, reset], ids=["SlowDown", "reset"])
def test_finding_and_deleting_are_retried(proxy: Proxy, store: S3Store, direct: S3Store, fault: Fault) -> None:
    put_stream(direct, KEY, [b"x"])
    for call in ("HeadObject", "ListObjectsV2", "ListMultipartUploads", "DeleteObjects", "HeadBucket"):
        proxy.add(call, fault, times=2)
    store.check()
    assert store.find(KEY)
    assert [item.key for item in store.list("")] == [KEY]
    assert list(store.unfinished_uploads()) == []
    store.delete([KEY])
    assert list(direct.list("")) == []
    assert {rule.times for rule in proxy.rules} == {0}


def test_parts_are_sent_in_parallel_up_to_the_bound(proxy: Proxy, store: S3Store, direct: S3Store) -> None:
    proxy.add("UploadPart", held_until(CONCURRENT_PARTS), times=CONCURRENT_PARTS * 3)
    chunks = chunks_of(CONCURRENT_PARTS * 3)
    put_stream(store, KEY, chunks)
    assert proxy.most_at_once["UploadPart"] == CONCURRENT_PARTS
    assert direct.read(KEY) == b"".join(chunks)


def test_a_slow_s3_slows_the_source_down(proxy: Proxy, store: S3Store) -> None:
    """What was taken and not yet answered is never more than the parts on their way and the next one."""
    proxy.add("UploadPart", delayed, ALWAYS)
    taken, ahead = 0, 0

    def chunks() -> Iterator[bytes]:
        nonlocal taken, ahead
        for chunk in chunks_of(40):
            ahead = max(ahead, taken - proxy.answered_bytes["UploadPart"])
            yield chunk
            taken += len(chunk)

    put_stream(store, KEY, chunks())
    assert PART < ahead <= (CONCURRENT_PARTS + 1) * PART + 10_007


def test_sent_parts_are_not_kept_in_memory(
    proxy: Proxy, store: S3Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(multipart, "PART_BYTES", 1 << 20)
    source = tmp_path / "source"
    source.write_bytes(bytes(64 << 20))
    proxy.add("UploadPart", _acknowledged, ALWAYS)
    tracemalloc.start()
    try:
        upload = store.writer(KEY)
        with source.open("rb") as file:
            while chunk := file.read(1 << 18):
                upload.write(chunk)
        upload.complete()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
        upload.discard()
    assert peak < (64 << 20) / 2


def _acknowledged(exchange: Exchange) -> None:
    """The part is taken and thrown away."""
    assert exchange.body
    exchange.answer(200, [("ETag", '"0"')], b"")
