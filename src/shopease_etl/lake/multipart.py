"""Multipart uploads to S3, which readers see only when they are completed."""

import logging
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

from botocore.exceptions import BotoCoreError, ClientError

from shopease_etl import cancel
from shopease_etl.aws import error_code, translate_aws_errors
from shopease_etl.errors import UnreachableError
from shopease_etl.lake.store import LEAVE_SECONDS, PendingWrite

log = logging.getLogger(__name__)

PART_BYTES: Final = 8 * 1024 * 1024
COPY_BYTES: Final = 512 * 1024 * 1024
PARTS_BEFORE_GROWTH: Final = 1_000
CONCURRENT_PARTS: Final = 4
UPLOAD_ID: Final = "shopease-upload"


def part_bytes(parts: int) -> int:
    """The size of the next part after `parts`; it doubles every thousand, to reach S3's largest object in 10,000."""
    return PART_BYTES << (parts // PARTS_BEFORE_GROWTH)


def is_from(client: Any, target: Mapping[str, str], identity: str) -> bool:
    """Whether the current object was written by an upload, by the id in its metadata.

    Raises:
        ClientError, BotoCoreError: S3 refuses or does not answer; a missing object is no error.
    """
    try:
        head = client.head_object(**target)
    except ClientError as error:
        if error_code(error) not in {"404", "NoSuchKey"}:
            raise
        return False
    return bool(head.get("Metadata", {}).get(UPLOAD_ID) == identity)


class MultipartWriter:
    """One multipart upload; a bounded number of threads send parts while the next bytes arrive.

    Memory holds at most `CONCURRENT_PARTS` parts being sent, and the next part.
    """

    staged = None

    def __init__(
        self, client: Any, pool: ThreadPoolExecutor, key: str, target: Mapping[str, str], options: Mapping[str, str]
    ) -> None:
        self._key = key
        self._client = client
        self._pool = pool
        self._target = dict(target)
        self._uri = "s3://{Bucket}/{Key}".format(**target)
        self._id = uuid4().hex
        self._waiting: list[memoryview] = []
        self._waiting_bytes = 0
        self._bytes = 0
        self._parts: list[Future[dict[str, Any]]] = []
        self._failure: BaseException | None = None
        self._slots = threading.BoundedSemaphore(CONCURRENT_PARTS)
        self._published = False
        with translate_aws_errors(self._uri):
            created = client.create_multipart_upload(
                **self._target, **options, ChecksumAlgorithm="CRC32", Metadata={UPLOAD_ID: self._id}
            )
        self._upload = {**self._target, "UploadId": created["UploadId"]}

    def write(self, data: bytes | bytearray) -> None:
        """Take the next bytes; waits while `CONCURRENT_PARTS` parts are being sent."""
        rest = memoryview(data)
        while self._waiting_bytes + len(rest) >= (size := part_bytes(len(self._parts))):
            missing = size - self._waiting_bytes
            self._waiting.append(rest[:missing])
            rest = rest[missing:]
            self._send()
        if rest:
            self._waiting.append(rest)
            self._waiting_bytes += len(rest)

    def copy(self, source: Mapping[str, str], size: int) -> None:
        """Copy `size` bytes of another object within S3."""
        for start in range(0, size, COPY_BYTES):
            span = f"bytes={start}-{min(start + COPY_BYTES, size) - 1}"
            cancel.call(self._slots.acquire)
            self._parts.append(self._pool.submit(self._copy_part, len(self._parts) + 1, source, span))
        self._bytes = size

    def send(self, path: Path) -> None:
        """Take the bytes of a file."""
        with path.open("rb") as file:
            while data := file.read(PART_BYTES):
                self.write(data)

    def filled(self, fill: Callable[["MultipartWriter"], None]) -> "MultipartWriter":
        """This upload, completed after `fill` has written its bytes; aborted if that fails."""
        try:
            fill(self)
            self.complete()
        except BaseException:
            self.discard()
            raise
        return self

    def complete(self) -> None:
        """Wait until all bytes have arrived; S3 verifies the checksum of each part."""
        if self._waiting or not self._parts:
            self._send()
        with translate_aws_errors(self._uri):
            for part in self._parts:
                cancel.result(part)

    def publish(self) -> None:
        """Complete the upload; S3 verifies the object's size."""
        with translate_aws_errors(self._uri):
            try:
                parts = [part.result() for part in self._parts]
                request = {"MultipartUpload": {"Parts": parts}, "MpuObjectSize": self._bytes}
                self._client.complete_multipart_upload(**self._upload, **request)
            except (ClientError, BotoCoreError):
                # S3 may have completed it, but its answer was lost
                with suppress(ClientError, BotoCoreError):
                    if is_from(self._client, self._target, self._id):
                        self._published = True
                        return
                raise
        self._published = True

    def discard(self) -> None:
        """Abort the upload unless it is published; warns if it cannot be aborted now."""
        if self._published:
            return
        wait([part for part in self._parts if not part.cancel()], timeout=LEAVE_SECONDS)
        try:
            with translate_aws_errors(self._uri):
                self._client.abort_multipart_upload(**self._upload)
        except UnreachableError as error:
            if error_code(error.__cause__) != "NoSuchUpload":
                log.warning("an unfinished upload stays behind: %s", error)

    def pending_write(self) -> PendingWrite:
        """What any process needs to complete the upload; `id` is in the object's metadata."""
        parts = [part.result() for part in self._parts]
        return {
            "key": self._key,
            "upload": self._upload["UploadId"],
            "id": self._id,
            "parts": parts,
            "bytes": self._bytes,
        }

    def _send(self) -> None:
        cancel.call(self._slots.acquire)
        if self._failure:
            self._slots.release()
            with translate_aws_errors(self._uri):
                raise self._failure
        body = b"".join(self._waiting)
        self._waiting, self._waiting_bytes = [], 0
        self._bytes += len(body)
        self._parts.append(self._pool.submit(self._put, len(self._parts) + 1, body))

    def _put(self, number: int, body: bytes) -> dict[str, Any]:
        try:
            answer = self._client.upload_part(**self._upload, PartNumber=number, Body=body, ChecksumAlgorithm="CRC32")
        except BaseException as error:
            self._failure = error
            raise
        finally:
            self._slots.release()
        return _part(number, answer)

    def _copy_part(self, number: int, source: Mapping[str, str], span: str) -> dict[str, Any]:
        place = {"CopySource": dict(source), "CopySourceRange": span}
        try:
            return _part(
                number, self._client.upload_part_copy(**self._upload, PartNumber=number, **place)["CopyPartResult"]
            )
        finally:
            self._slots.release()


def _part(number: int, answer: Mapping[str, Any]) -> dict[str, Any]:
    """What the completion of the upload needs of a part."""
    checksum = {"ChecksumCRC32": answer["ChecksumCRC32"]} if "ChecksumCRC32" in answer else {}
    return {"PartNumber": number, "ETag": answer["ETag"], **checksum}
