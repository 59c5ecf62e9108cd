"""The lake on S3: multipart uploads that stay invisible until they are completed."""

import logging
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import cached_property
from typing import Any, Final

import boto3
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    NoCredentialsError,
    PartialCredentialsError,
    ProfileNotFound,
)

from shopease_etl.errors import UnreachableError
from shopease_etl.storage import StoredObject, Upload

log = logging.getLogger(__name__)

PART_BYTES: Final = 8 * 1024 * 1024
PARTS_BEFORE_GROWTH: Final = 1_000
CONCURRENT_PARTS: Final = 4
_CLIENT = Config(retries={"mode": "standard", "max_attempts": 5}, connect_timeout=10, read_timeout=60)
_CREDENTIALS_HINT: Final = "set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
_HINTS: Final = {
    "NoSuchBucket": "create the bucket, or set SHOPEASE_LAKE to one that exists",
    "404": "create the bucket, or set SHOPEASE_LAKE to one that exists",
    "AccessDenied": "the credentials in use lack the right for this; see `aws sts get-caller-identity`",
    "403": "the credentials in use lack the right for this; see `aws sts get-caller-identity`",
    "ExpiredToken": "the session's credentials have expired: log in again",
    "InvalidAccessKeyId": _CREDENTIALS_HINT,
    "SignatureDoesNotMatch": _CREDENTIALS_HINT,
    "PermanentRedirect": "the bucket is in another region: set AWS_REGION to it",
    "301": "the bucket is in another region: set AWS_REGION to it",
    "RequestTimeTooSkewed": "this machine's clock is wrong: set it",
}


class S3Store:
    """Objects below a prefix of a bucket; credentials, region and endpoint come from AWS's own settings."""

    def __init__(self, bucket: str, prefix: str = "") -> None:
        self.bucket = bucket
        self.prefix = f"{prefix}/" if prefix else ""
        self.location = f"s3://{bucket}/{self.prefix}".rstrip("/")

    @cached_property
    def client(self) -> Any:
        """The boto3 client, made at first use; safe to share between threads."""
        with _translated(self.location):
            return boto3.session.Session().client("s3", config=_CLIENT)

    @cached_property
    def _pool(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(CONCURRENT_PARTS, thread_name_prefix="upload")

    def check(self) -> None:
        """Raise UnreachableError unless the bucket is there and may be used."""
        with _translated(self.location):
            self.client.head_bucket(Bucket=self.bucket)

    def upload(self, key: str) -> Upload:
        """Begin to write an object; it stays invisible until published."""
        return Upload(key, _MultipartSink(self.client, self._pool, self.bucket, self.prefix + key))

    def uri(self, key: str) -> str:
        """The object's s3:// address."""
        return f"s3://{self.bucket}/{self.prefix}{key}"

    def storage_options(self) -> Mapping[str, str]:
        """Region and endpoint as boto3 found them; credentials reach Polars through boto3's own chain."""
        meta = self.client.meta
        return {
            "aws_region": meta.region_name or "us-east-1",
            "aws_endpoint_url": meta.endpoint_url,
            "allow_http": "true",
        }

    def find(self, key: str) -> StoredObject | None:
        """The object with this key, or None."""
        uri = self.uri(key)
        try:
            with _translated(uri):
                head = self.client.head_object(Bucket=self.bucket, Key=self.prefix + key)
        except UnreachableError as error:
            if isinstance(error.__cause__, ClientError) and _code(error.__cause__) in {"404", "NoSuchKey"}:
                return None
            raise
        return StoredObject(key, head["ContentLength"], head["LastModified"].timestamp())

    def list(self, prefix: str) -> Iterator[StoredObject]:
        """The objects below a prefix, by key."""
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=self.prefix + prefix)
        with _translated(self.uri(prefix)):
            for page in pages:
                for item in page.get("Contents", ()):
                    key = item["Key"].removeprefix(self.prefix)
                    yield StoredObject(key, item["Size"], item["LastModified"].timestamp())

    def read(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        """The object's bytes from `start`, at most `length`; a negative `start` counts from its end."""
        span = f"bytes={start}-" if start >= 0 else f"bytes={start}"
        span += str(start + length - 1) if length is not None and start >= 0 else ""
        ranged = {"Range": span} if start or length is not None else {}
        with _translated(self.uri(key)):
            body: bytes = self.client.get_object(Bucket=self.bucket, Key=self.prefix + key, **ranged)["Body"].read()
        return body[:length]

    def sweep(self) -> None:
        """Nothing to do: what is not completed is no object, and another host's uploads are not ours to abort."""


class _MultipartSink:
    """One multipart upload: parts go up from a bounded number of threads while the next bytes come in."""

    def __init__(self, client: Any, pool: ThreadPoolExecutor, bucket: str, key: str) -> None:
        self._client = client
        self._pool = pool
        self._target = {"Bucket": bucket, "Key": key}
        self._uri = f"s3://{bucket}/{key}"
        self._buffer = bytearray()
        self._parts: list[Future[dict[str, Any]]] = []
        self._slots = threading.BoundedSemaphore(CONCURRENT_PARTS)
        self._published = False
        with _translated(self._uri):
            created = client.create_multipart_upload(**self._target, ChecksumAlgorithm="CRC32")
        self._upload = {**self._target, "UploadId": created["UploadId"]}

    def write(self, data: bytes) -> None:
        self._buffer += data
        while len(self._buffer) >= self._part_bytes():
            size = self._part_bytes()
            self._send(bytes(memoryview(self._buffer)[:size]))
            del self._buffer[:size]

    def complete(self) -> None:
        if self._buffer or not self._parts:
            self._send(bytes(self._buffer))
            self._buffer.clear()
        with _translated(self._uri):
            for part in self._parts:
                part.result()

    def publish(self) -> None:
        parts = [part.result() for part in self._parts]
        with _translated(self._uri):
            self._client.complete_multipart_upload(**self._upload, MultipartUpload={"Parts": parts})
        self._published = True

    def discard(self) -> None:
        if self._published:
            return
        for part in self._parts:
            part.cancel()
        for part in self._parts:
            if not part.cancelled():
                part.exception()
        try:
            with _translated(self._uri):
                self._client.abort_multipart_upload(**self._upload)
        except UnreachableError as error:
            log.warning("an unfinished upload stays behind: %s", error)

    def _part_bytes(self) -> int:
        """S3 takes 10,000 parts: doubling the size every thousand reaches its largest object."""
        return PART_BYTES << (len(self._parts) // PARTS_BEFORE_GROWTH)

    def _send(self, body: bytes) -> None:
        self._raise_failure()
        self._slots.acquire()
        self._parts.append(self._pool.submit(self._put, len(self._parts) + 1, body))

    def _put(self, number: int, body: bytes) -> dict[str, Any]:
        try:
            answer = self._client.upload_part(**self._upload, PartNumber=number, Body=body, ChecksumAlgorithm="CRC32")
        finally:
            self._slots.release()
        checksum = {"ChecksumCRC32": answer["ChecksumCRC32"]} if "ChecksumCRC32" in answer else {}
        return {"PartNumber": number, "ETag": answer["ETag"], **checksum}

    def _raise_failure(self) -> None:
        with _translated(self._uri):
            for part in self._parts:
                if part.done():
                    part.result()


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


@contextmanager
def _translated(uri: str) -> Iterator[None]:
    try:
        yield
    except ClientError as error:
        code = _code(error)
        reason = error.response.get("Error", {}).get("Message") or code
        message = f"S3 refuses {uri}: {code}: {reason}" if code != reason else f"S3 refuses {uri}: {code}"
        if code in {"404", "NoSuchBucket"}:
            message = f"{uri} is not there: {reason}"
        raise UnreachableError(message, hint=_HINTS.get(code)) from error
    except (NoCredentialsError, PartialCredentialsError, ProfileNotFound) as error:
        message = f"no AWS credentials for {uri}: {error}"
        raise UnreachableError(message, hint=_CREDENTIALS_HINT) from error
    except (BotoCoreError, ValueError) as error:
        message = f"cannot reach {uri}: {error}"
        raise UnreachableError(message, hint="see AWS_REGION and AWS_ENDPOINT_URL, and the network") from error
