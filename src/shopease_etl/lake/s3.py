"""The lake on S3: objects below a prefix of a bucket."""

import logging
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from email.utils import parsedate_to_datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from botocore.exceptions import ClientError

from shopease_etl import aws
from shopease_etl.aws import ObjectBody, aws_error, error_code, translate_aws_errors
from shopease_etl.errors import DataRefusedError, UnreachableError
from shopease_etl.lake.bucket import Bucket
from shopease_etl.lake.cleanup import abort_uploads, is_own
from shopease_etl.lake.lock.lease_store import TaggedObject
from shopease_etl.lake.lock.lock import LakeLock
from shopease_etl.lake.multipart import CONCURRENT_PARTS, MultipartWriter, is_from
from shopease_etl.lake.store import Encryption, PendingWrite, StoredObject, UnfinishedUpload, Writer, state_path

log = logging.getLogger(__name__)

KEYS_PER_DELETE: Final = 1_000
TAGGED_BYTES: Final = 64 * 1024
_OVERTAKEN: Final = {"PreconditionFailed", "ConditionalRequestConflict", "NoSuchKey", "404", "409", "412"}


class S3Store:
    """Objects below a prefix of a bucket; credentials, region and endpoint are from AWS's own settings."""

    is_on_aws = True

    def __init__(self, bucket: str, prefix: str = "", encryption: Encryption | None = None) -> None:
        self.bucket = bucket
        self.prefix = f"{prefix}/" if prefix else ""
        self.location = f"s3://{bucket}/{self.prefix}".rstrip("/")
        self.encryption = encryption

    def __reduce__(self) -> tuple[type["S3Store"], tuple[object, ...]]:
        """What is pickled: where the objects are, but no client and no credentials."""
        return S3Store, (self.bucket, self.prefix.removesuffix("/"), self.encryption)

    @cached_property
    def client(self) -> Any:
        """The boto3 client, created at first use; threads may share it."""
        return aws.client("s3", self.location)

    @cached_property
    def _pool(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(CONCURRENT_PARTS, thread_name_prefix="upload")

    @property
    def folder(self) -> None:
        """None: the objects are not in a local folder."""
        return None

    @property
    def bucket_setup(self) -> Bucket:
        """The bucket, to check its configuration."""
        return Bucket(self)

    def lock(self, home: Path) -> LakeLock:
        """A lease in the bucket, which excludes other machines, and a file in the home for commands of this machine."""
        return LakeLock(state_path(home, "locks", self.location).with_suffix(".lock"), self)

    def check(self) -> None:
        """Raise UnreachableError unless the bucket exists and may be used."""
        with translate_aws_errors(self.location):
            try:
                self.client.head_bucket(Bucket=self.bucket)
            except ClientError:
                # S3 gives no reason for a refused HEAD; this call needs the same permission and gets one.
                self.client.list_objects_v2(Bucket=self.bucket, Prefix=self.prefix, MaxKeys=1)
                raise

    def writer(self, key: str) -> Writer:
        """Begin to write an object, which is invisible until it is published."""
        return Writer(key, self.raw_writer(key))

    def raw_writer(self, key: str) -> MultipartWriter:
        """Begin to write an object, which is invisible until it is published."""
        return MultipartWriter(self.client, self._pool, key, self._target(key), self._encrypted())

    def uri(self, key: str) -> str:
        """The object's s3:// address."""
        return f"s3://{self.bucket}/{self.prefix}{key}"

    def find(self, key: str) -> StoredObject | None:
        """The object with this key, if there is one."""
        head = self._head(key)
        return head and StoredObject(key, head["ContentLength"], head["LastModified"].timestamp())

    def list(self, prefix: str) -> Iterator[StoredObject]:
        """The objects below a prefix, by key."""
        with translate_aws_errors(self.uri(prefix)):
            pages = self.client.get_paginator("list_objects_v2")
            for page in pages.paginate(Bucket=self.bucket, Prefix=self.prefix + prefix):
                for item in page.get("Contents", ()):
                    yield StoredObject(self._own(item["Key"]), item["Size"], item["LastModified"].timestamp())

    def read(self, key: str, start: int = 0, length: int | None = None) -> bytes:
        """The object's bytes from `start`, at most `length`; a negative `start` counts from its end."""
        return self._read(key, start, length)

    def _read(self, key: str, start: int, length: int | None, **version: str) -> bytes:
        span = f"bytes={start}-" if start >= 0 else f"bytes={start}"
        span += str(start + length - 1) if length is not None and start >= 0 else ""
        try:
            with translate_aws_errors(self.uri(key)):
                wanted = span if start or length is not None else None
                body = ObjectBody(self.client, self.bucket, self.prefix + key, wanted, **version)
        except UnreachableError as error:
            if error_code(error.__cause__) == "InvalidRange":
                return b""
            raise
        try:
            return body.read(-1 if length is None else length)
        finally:
            body.close()

    def delete(self, keys: Sequence[str]) -> None:
        """Delete as many of the objects as possible; UnreachableError names the first that cannot be deleted."""
        refused: list[Mapping[str, str]] = []
        for start in range(0, len(keys), KEYS_PER_DELETE):
            some = [{"Key": self.prefix + key} for key in keys[start : start + KEYS_PER_DELETE]]
            named = {"Objects": some, "Quiet": True}
            with translate_aws_errors(self.location):
                refused += self.client.delete_objects(Bucket=self.bucket, Delete=named).get("Errors", ())
        if refused:
            raise self._undeleted(refused)

    def unfinished_uploads(self) -> Iterator[UnfinishedUpload]:
        """Multipart uploads below the prefix that are not completed or aborted."""
        with translate_aws_errors(self.location):
            pages = self.client.get_paginator("list_multipart_uploads")
            for page in pages.paginate(Bucket=self.bucket, Prefix=self.prefix):
                for item in page.get("Uploads", ()):
                    yield UnfinishedUpload(self._own(item["Key"]), item["UploadId"], item["Initiated"].timestamp())

    def abort(self, upload: UnfinishedUpload) -> None:
        """Delete a half-written object; a missing one is no error."""
        try:
            with translate_aws_errors(self.uri(upload.key)):
                self.client.abort_multipart_upload(**self._target(upload.key), UploadId=upload.upload_id)
        except UnreachableError as error:
            if error_code(error.__cause__) != "NoSuchUpload":
                raise

    def keep_former(self, run_id: str, keys: Sequence[str]) -> Mapping[str, str | None]:  # noqa: ARG002 - S3 names versions
        """The current versions of the objects, which a bucket with versioning keeps, each with its ETag."""
        heads = dict(zip(keys, self._pool.map(self._head, keys), strict=True))
        there = {key: head for key, head in heads.items() if head is not None}
        return {
            key: f"{head['VersionId']} {head['ETag']}" if head.get("VersionId") else None for key, head in there.items()
        }

    def require_former(self, key: str, name: str) -> None:
        """Raise DataRefusedError unless the former object is still kept under this name."""
        self._former_bytes(key, name)

    def _former_bytes(self, key: str, name: str) -> int:
        """The size of a former version; DataRefusedError if it is no longer kept."""
        version, _, etag = name.partition(" ")
        head = self._head(key, VersionId=version)
        # without versioning, every new object has the version "null"
        if head is None or head["ETag"] != etag:
            message = f"the former {key} is no longer kept"
            raise DataRefusedError(message, hint="the bucket's lifecycle rules say how long it keeps versions")
        return int(head["ContentLength"])

    def read_former(self, key: str, name: str, start: int = 0, length: int | None = None) -> bytes:
        """The bytes of the former object with this name, from `start`, at most `length`."""
        return self._read(key, start, length, VersionId=name.partition(" ")[0])

    def former_writer(self, key: str, name: str) -> MultipartWriter:
        """A complete, unpublished writer with the bytes of a former version, copied within S3."""
        size = self._former_bytes(key, name)
        source = {**self._target(key), "VersionId": name.partition(" ")[0]}
        return self.raw_writer(key).filled(lambda writer: writer.copy(source, size))

    def prune(self, run_ids: Iterable[str]) -> None:
        """Nothing to do: the bucket's lifecycle rules delete former versions."""

    def finish(self, pending: PendingWrite) -> bool:
        """Complete an upload whose writer has died; a completed object is recognised by the upload's id."""
        key = str(pending["key"])
        request = {"MultipartUpload": {"Parts": pending["parts"]}, "MpuObjectSize": pending["bytes"]}
        try:
            with translate_aws_errors(self.uri(key)):
                self.client.complete_multipart_upload(**self._target(key), UploadId=pending["upload"], **request)
        except UnreachableError as error:
            if error_code(error.__cause__) != "NoSuchUpload":
                raise
            return is_from(self.client, self._target(key), str(pending["id"]))
        return True

    def abort_stale_uploads(self) -> None:
        """Abort every upload to the lake's own keys: their runs no longer hold the lock.

        A stalled run that continues later cannot publish anything then.
        """
        try:
            abort_uploads(self, [upload for upload in self.unfinished_uploads() if is_own(upload.key)])
        except UnreachableError as error:
            if error_code(error.__cause__) not in {"AccessDenied", "403"}:
                raise
            log.warning("unfinished uploads of dead runs stay behind: %s", error)

    def staged(self, key: str) -> Sequence[Path]:  # noqa: ARG002 - an incomplete upload cannot be read
        """No files."""
        return ()

    def from_file(self, key: str, path: Path) -> MultipartWriter:
        """A complete, unpublished writer with a file's bytes."""
        return self.raw_writer(key).filled(lambda writer: writer.send(path))

    def sweep(self, kept: Collection[Path] = ()) -> None:
        """Nothing to do: `abort_stale_uploads` deletes the lake's own incomplete uploads."""

    def check_targets(self, keys: Collection[str]) -> None:
        """Nothing to do: if an upload can begin, it can complete, and no object blocks another."""

    def tagged(self, key: str) -> TaggedObject | None:
        """A small object with the ETag that `put_if` and `delete_if` need, if there is one."""
        try:
            with translate_aws_errors(self.uri(key)):
                answer = self.client.get_object(**self._target(key))
                body = answer["Body"].read(TAGGED_BYTES)
                answer["Body"].close()
                now = parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"].get("date", ""))
        except UnreachableError as error:
            if error_code(error.__cause__) in {"404", "NoSuchKey"}:
                return None
            raise
        return TaggedObject(body, answer["ETag"], (now - answer["LastModified"]).total_seconds())

    def put_if(self, key: str, body: bytes, etag: str | None) -> str | None:
        """Write a small object in place of the one with this ETag, or, if that is None, only if there is none.

        Returns the new ETag, or None if S3 refuses: another process was faster, or botocore repeated a request that
        had succeeded. Call `tagged` to find out.
        """
        condition = {"IfMatch": etag} if etag else {"IfNoneMatch": "*"}
        try:
            with translate_aws_errors(self.uri(key)):
                answer = self.client.put_object(**self._target(key), Body=body, **condition, **self._encrypted())
        except UnreachableError as error:
            if error_code(error.__cause__) in _OVERTAKEN:
                return None
            raise
        return str(answer["ETag"])

    def delete_if(self, key: str, etag: str) -> None:
        """Delete an object if it still has this ETag."""
        try:
            with translate_aws_errors(self.uri(key)):
                self.client.delete_object(**self._target(key), IfMatch=etag)
        except UnreachableError as error:
            if error_code(error.__cause__) not in _OVERTAKEN:
                raise

    def with_timeout(self, timeout: float) -> "S3Store":
        """The same lake, with a time limit in seconds for each call and at most two attempts."""
        store = S3Store(self.bucket, self.prefix.removesuffix("/"), self.encryption)
        store.client = aws.client("s3", self.location, timeout=timeout)
        return store

    def _head(self, key: str, **version: str) -> Any:
        try:
            with translate_aws_errors(self.uri(key)):
                return self.client.head_object(**self._target(key), **version)
        except UnreachableError as error:
            if error_code(error.__cause__) in {"404", "NoSuchKey", "NoSuchVersion"}:
                return None
            if version and error_code(error.__cause__) == "403":
                message = f"AWS refuses a former version of {self.uri(key)}"
                hint = "give the credentials s3:GetObjectVersion (terraform/ creates a policy with all permissions)"
                raise UnreachableError(message, hint=hint) from error
            raise

    def _target(self, key: str) -> dict[str, str]:
        return {"Bucket": self.bucket, "Key": self.prefix + key}

    def _own(self, key: str) -> str:
        return key.removeprefix(self.prefix)

    def _encrypted(self) -> dict[str, str]:
        if self.encryption is None:
            return {}
        key = {"SSEKMSKeyId": self.encryption.kms_key} if self.encryption.kms_key else {}
        return {"ServerSideEncryption": self.encryption.algorithm, **key}

    def _undeleted(self, refused: Sequence[Mapping[str, str]]) -> UnreachableError:
        first = ClientError({"Error": dict(refused[0])}, "DeleteObjects")
        error = aws_error(f"s3://{self.bucket}/{refused[0]['Key']}", first)
        more = f" (and {len(refused) - 1:,} more)" if refused[1:] else ""
        return UnreachableError(f"not deleted{more}: {error}", hint=error.hint)
