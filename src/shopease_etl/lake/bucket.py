"""The configuration of a lake's bucket: region, rules, and whether the credentials allow what a run does."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Final
from uuid import uuid4

from shopease_etl.aws import error_code, translate_aws_errors
from shopease_etl.contract.layout import RUNS
from shopease_etl.errors import UnreachableError

if TYPE_CHECKING:
    from shopease_etl.lake.s3 import S3Store

_MISSING: Final = {"NoSuchKey", "404", "NoSuchUpload"}
_NO_RULES: Final = {"NoSuchLifecycleConfiguration", "ServerSideEncryptionConfigurationNotFoundError"}
_NEVER: Final = '"00000000000000000000000000000000"'


@dataclass(frozen=True)
class BucketInfo:
    """A bucket that answers: its region and the client's, None if unknown; `clock_ahead` in seconds."""

    region: str | None
    own_region: str | None
    clock_ahead: float | None


class Bucket:
    """Checks of a lake's bucket; each raises UnreachableError if S3 refuses."""

    def __init__(self, store: "S3Store") -> None:
        self.name = store.bucket
        self._store = store

    def info(self) -> BucketInfo:
        """The bucket's region and S3's clock, from the answer to a HEAD."""
        with self._named("the bucket"):
            answer = self._client.head_bucket(Bucket=self._store.bucket)["ResponseMetadata"]["HTTPHeaders"]
        ahead = None
        with suppress(ValueError, TypeError):
            ahead = (parsedate_to_datetime(answer["date"]) - datetime.now(UTC)).total_seconds()
        return BucketInfo(answer.get("x-amz-bucket-region"), self._client.meta.region_name, ahead)

    def has_versions(self) -> bool:
        """Whether the bucket has versioning."""
        with self._named("versioning"):
            return bool(self._client.get_bucket_versioning(Bucket=self._store.bucket).get("Status") == "Enabled")

    def aborts_uploads(self) -> bool:
        """Whether a lifecycle rule for the lake's prefix aborts incomplete multipart uploads."""
        rules = self._rules(lambda: self._client.get_bucket_lifecycle_configuration(Bucket=self._store.bucket))
        return any(
            rule.get("Status") == "Enabled"
            and "AbortIncompleteMultipartUpload" in rule
            and self._store.prefix.startswith(_prefix(rule))
            for rule in rules.get("Rules", ())
        )

    def encryption(self) -> str | None:
        """The bucket's default encryption."""
        found = self._rules(lambda: self._client.get_bucket_encryption(Bucket=self._store.bucket))
        rules = found.get("ServerSideEncryptionConfiguration", {}).get("Rules", ())
        defaults = (rule.get("ApplyServerSideEncryptionByDefault", {}) for rule in rules)
        return next((str(default["SSEAlgorithm"]) for default in defaults if "SSEAlgorithm" in default), None)

    def missing_rights(self) -> Iterator[UnreachableError]:
        """The operations of a run that the credentials do not allow, tried below `_runs/`.

        Nothing stays there: an upload is started and aborted, and a delete is tried on a missing object. (A server that
        ignores the condition of a request creates a delete marker, which is deleted again if that is allowed.)
        """
        key = f"{RUNS}/.check-{uuid4().hex}"
        for right in (self._list, self._read, self._write, self._abort, self._delete):
            try:
                right(key)
            except UnreachableError as error:
                if error_code(error.__cause__) not in _MISSING:
                    yield error

    def _list(self, key: str) -> None:
        list(self._store.list(key))

    def _read(self, key: str) -> None:
        self._store.read(key)

    def _write(self, key: str) -> None:
        writer = self._store.raw_writer(key)
        try:
            writer.write(b"shopease check")
            writer.complete()
        finally:
            writer.discard()

    def _abort(self, key: str) -> None:
        """`_write` only logs an upload that it could not abort."""
        for upload in self._store.unfinished_uploads():
            if upload.key == key:
                self._store.abort(upload)

    def _delete(self, key: str) -> None:
        target = {"Bucket": self._store.bucket, "Key": self._store.prefix + key}
        try:
            with translate_aws_errors(self._store.uri(key)):
                answer = self._client.delete_object(**target, IfMatch=_NEVER)
        except UnreachableError as error:
            if error_code(error.__cause__) not in {*_MISSING, "PreconditionFailed", "412"}:
                raise
            return
        if marker := answer.get("DeleteMarker") and answer.get("VersionId"):
            with suppress(UnreachableError), translate_aws_errors(self._store.uri(key)):
                self._client.delete_object(**target, VersionId=marker)

    def _rules(self, ask: Callable[[], Any]) -> Any:
        try:
            with self._named("the rules"):
                return ask()
        except UnreachableError as error:
            if error_code(error.__cause__) not in _NO_RULES:
                raise
            return {}

    def _named(self, what: str) -> Any:
        return translate_aws_errors(f"{what} of s3://{self._store.bucket}")

    @property
    def _client(self) -> Any:
        return self._store.client


def _prefix(rule: Any) -> str:
    """The prefix of keys that a lifecycle rule covers; one with conditions on tags or sizes covers none of ours."""
    conditions = rule.get("Filter") or {}
    if set(conditions) - {"Prefix"}:
        return "\0"
    return str(conditions.get("Prefix") or rule.get("Prefix") or "")
