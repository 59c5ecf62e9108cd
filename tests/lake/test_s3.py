"""What only a lake on S3 has: encryption, options of uploads, pages of listings, refusals."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts import Account
from shopease_etl.lake.multipart import PART_BYTES, PARTS_BEFORE_GROWTH, part_bytes
from shopease_etl.lake.open import open_store
from shopease_etl.lake.s3 import KEYS_PER_DELETE, S3Store
from shopease_etl.lake.store import Encryption, put_stream

KEY: Final = "bronze/customers/customers.csv"
KMS_KEY: Final = "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"


def opened(bucket: str, encryption: Encryption | None = None, prefix: str = "a/lake") -> S3Store:
    store = open_store(f"s3://{bucket}/{prefix}".rstrip("/"), encryption)
    assert isinstance(store, S3Store)
    return store


@pytest.mark.parametrize(
    ("encryption", "told"),
    [
        (None, (None, None)),
        (Encryption("AES256"), ("AES256", None)),
        (Encryption("aws:kms", KMS_KEY), ("aws:kms", KMS_KEY)),
    ],
)
def test_an_object_has_the_requested_encryption(
    account: Account, encryption: Encryption | None, told: tuple[str | None, str | None]
) -> None:
    bucket = account.new_bucket()
    put_stream(opened(bucket, encryption), KEY, [b"x" * 100_000])
    head = account.client("s3").head_object(Bucket=bucket, Key=f"a/lake/{KEY}")
    assert (head.get("ServerSideEncryption"), head.get("SSEKMSKeyId")) == told


def test_kms_without_a_key_uses_the_accounts_key(new_bucket: Callable[[], str]) -> None:
    """On moto: ministack wants a key's id."""
    store = opened(new_bucket(), Encryption("aws:kms"))
    put_stream(store, KEY, [b"x"])
    head = store.client.head_object(Bucket=store.bucket, Key=f"a/lake/{KEY}")
    assert head["ServerSideEncryption"] == "aws:kms"


def test_uploads_request_checksums_and_no_acl(account: Account) -> None:
    store = opened(account.new_bucket())
    asked: dict[str, Any] = {}
    store.client.meta.events.register(
        "provide-client-params.s3.*", lambda params, model, **_: asked.update({model.name: dict(params)})
    )
    put_stream(store, KEY, [b"abc"])
    created, part, completed = (
        asked[name] for name in ("CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload")
    )
    assert (created["ChecksumAlgorithm"], part["ChecksumAlgorithm"]) == ("CRC32", "CRC32")
    assert completed["MpuObjectSize"] == 3
    assert completed["MultipartUpload"]["Parts"][0]["ChecksumCRC32"]
    assert [name for call in asked.values() for name in call if "ACL" in name or "Grant" in name] == []


@pytest.mark.parametrize("is_hashed", [False, True])
def test_a_signed_crc32_is_the_only_checksum_of_a_part_unless_the_configuration_says_otherwise(
    account: Account, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_hashed: bool
) -> None:
    if is_hashed:
        (tmp_path / "config").write_text("[default]\ns3 =\n  payload_signing_enabled = true\n")
        monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    store = opened(account.new_bucket())
    sent: list[Any] = []
    store.client.meta.events.register("before-send.s3.UploadPart", lambda request, **_: sent.append(request.headers))
    put_stream(store, KEY, [b"abc"])
    (headers,) = sent
    assert str(headers["X-Amz-Content-SHA256"], "ascii") == (
        hashlib.sha256(b"abc").hexdigest() if is_hashed else "UNSIGNED-PAYLOAD"
    )
    assert b"x-amz-checksum-crc32" in headers["Authorization"]


def test_every_upload_has_an_id_of_its_own(account: Account) -> None:
    store = opened(account.new_bucket())
    ids = set()
    for _ in range(2):
        put_stream(store, KEY, [b"x"])
        ids.add(store.client.head_object(Bucket=store.bucket, Key=f"a/lake/{KEY}")["Metadata"]["shopease-upload"])
    assert len(ids) == 2


@given(st.integers(0, 9_998))
def test_ten_thousand_growing_parts_fit_the_largest_object(parts: int) -> None:
    assert PART_BYTES <= part_bytes(parts) <= part_bytes(parts + 1) <= 5 * 2**30
    assert part_bytes(parts + PARTS_BEFORE_GROWTH) == 2 * part_bytes(parts)
    assert sum(map(part_bytes, range(10_000))) >= 5 * 2**40


def test_more_objects_than_one_request_lists(account: Account) -> None:
    store = opened(account.new_bucket())
    keys = [f"bronze/x/{number:04}" for number in range(KEYS_PER_DELETE + 1)]
    for key in keys:
        store.client.put_object(Bucket=store.bucket, Key=f"a/lake/{key}", Body=b"")
    store.client.put_object(Bucket=store.bucket, Key="a/lake-of-another/x", Body=b"")
    assert [item.key for item in store.list("bronze/")] == keys
    store.delete(keys)
    assert list(store.list("")) == []
    store.client.head_object(Bucket=store.bucket, Key="a/lake-of-another/x")


def test_uploads_outside_the_prefix_are_not_the_lakes(account: Account) -> None:
    store = opened(account.new_bucket())
    for key in ("a/lake-of-another/x", "x", "a/lake/mine"):
        store.client.create_multipart_upload(Bucket=store.bucket, Key=key)
    assert [upload.key for upload in store.unfinished_uploads()] == ["mine"]
