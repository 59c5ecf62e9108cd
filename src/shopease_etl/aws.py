"""AWS clients, reads of objects that resume, and AWS's errors in our words, with a hint."""

import functools
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from random import SystemRandom
from typing import Any, Final

import boto3
import botocore.loaders
import botocore.session
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    FlexibleChecksumError,
    HTTPClientError,
    IncompleteReadError,
    LoginError,
    NoAuthTokenError,
    NoCredentialsError,
    NoRegionError,
    ParamValidationError,
    PartialCredentialsError,
    ProfileNotFound,
    SSOError,
    TokenRetrievalError,
)

from shopease_etl import cancel
from shopease_etl.errors import UnreachableError
from shopease_etl.wording import one_line

ATTEMPTS: Final = 6
PIECE: Final = 256 * 1024
_BROKEN_BODY: Final = (HTTPClientError, IncompleteReadError, OSError)
_FIRST_PAUSE: Final = 0.2

_CREDENTIALS: Final = "set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
_EXPIRED: Final = "the credentials have expired: log in again, as with `aws sso login`"
_CLOCK: Final = "set this machine's clock: AWS refuses signatures that are minutes off"
_NETWORK: Final = "see AWS_REGION and AWS_ENDPOINT_URL, and the network"
_DAMAGED: Final = "the bytes were changed in transit: run the command again"
_NO_BUCKET: Final = "create the bucket, or set SHOPEASE_LAKE to one that exists"
_HINTS: Final = {
    "NoSuchBucket": _NO_BUCKET,
    "404": _NO_BUCKET,
    "400": "S3 gave no reason; most often the credentials have expired, or AWS_REGION is wrong",
    **dict.fromkeys(("ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired"), _EXPIRED),
    **dict.fromkeys(("InvalidAccessKeyId", "InvalidClientTokenId", "InvalidToken"), _CREDENTIALS),
    **dict.fromkeys(("SignatureDoesNotMatch", "UnrecognizedClientException"), _CREDENTIALS),
    "AuthorizationHeaderMalformed": _CREDENTIALS,
    "InvalidSignatureException": f"{_CREDENTIALS}; or {_CLOCK}",
    **dict.fromkeys(("RequestTimeTooSkewed", "RequestExpired"), _CLOCK),
    **dict.fromkeys(
        ("SlowDown", "Throttling", "ThrottlingException", "TooManyRequestsException", "429"),
        "AWS limits requests, and still did after several tries: try again later",
    ),
    **dict.fromkeys(
        ("InternalError", "InternalServiceException", "ServiceUnavailable", "500", "503"),
        "this is a fault on AWS's side that remained after several tries: try again later",
    ),
    **dict.fromkeys(
        ("KMS.NotFoundException", "KMS.DisabledException", "KMS.KMSInvalidStateException"),
        "set SHOPEASE_S3_KMS_KEY to an enabled key in the bucket's region",
    ),
    "PreconditionFailed": "it was replaced during the read: run the command again",
    **dict.fromkeys(("BadDigest", "XAmzContentSHA256Mismatch"), _DAMAGED),
}
_MOVED: Final = {
    "PermanentRedirect",
    "301",
    "307",
    "AuthorizationHeaderMalformed",
    "IllegalLocationConstraintException",
}

# Calls whose permission has another name than the call.
_RIGHTS: Final = {
    "HeadBucket": "s3:ListBucket",
    "ListObjectsV2": "s3:ListBucket",
    "HeadObject": "s3:GetObject",
    "CreateMultipartUpload": "s3:PutObject",
    "UploadPart": "s3:PutObject",
    "CompleteMultipartUpload": "s3:PutObject",
    "ListMultipartUploads": "s3:ListBucketMultipartUploads",
    "ListParts": "s3:ListMultipartUploadParts",
    "DeleteObjects": "s3:DeleteObject",
    "GetBucketLifecycleConfiguration": "s3:GetLifecycleConfiguration",
    "GetBucketEncryption": "s3:GetEncryptionConfiguration",
}
_SERVICES: Final = (
    ("glue", re.compile("Crawler|Crawls|Database|Table|Partition|Classifier")),
    ("athena", re.compile("Query|WorkGroup|DataCatalog|PreparedStatement")),
    ("sts", re.compile("CallerIdentity|AssumeRole")),
)
_NAMED_RIGHT: Final = re.compile(r"not authorized to perform:? ([\w-]+:\w+)")


@functools.cache
def models() -> botocore.loaders.Loader:
    """What botocore knows of AWS's services, which takes a tenth of a second to read: once for all sessions."""
    return botocore.session.Session().get_component("data_loader")


def client(service: str, what: str | None = None, *, region: str | None = None) -> Any:
    """A boto3 client with retries, and with credentials, region and endpoint from AWS's own settings.

    Errors name `what`, or else the service. Each client has a new session: boto3's default session would keep the
    credentials that it found first.
    """
    with refusals(what or service):
        session = botocore.session.Session()
        session.register_component("data_loader", models())
        session.register("creating-client-class", _let_calls_be_left)
        # Standard mode retries after 5xx, throttling and lost connections, with jittered exponential backoff.
        attempts = session.get_config_variable("max_attempts") or ATTEMPTS
        config = Config(
            retries={"total_max_attempts": attempts}, connect_timeout=10, read_timeout=60, max_pool_connections=16
        )
        # AWS's other tools read AWS_REGION; boto3 does not
        chosen = region or os.environ.get("AWS_DEFAULT_REGION") or os.environ.get("AWS_REGION")
        return boto3.session.Session(botocore_session=session).client(service, region_name=chosen, config=config)


class _Leavable:
    """The part of a client that makes its calls such that an interrupt need not wait for the answer."""

    def _make_api_call(self, operation: str, parameters: Mapping[str, Any]) -> Any:
        call = super()._make_api_call  # type: ignore[misc]  # the client's own, as the class stands before it
        return cancel.call(lambda: call(operation, parameters))


def _let_calls_be_left(base_classes: list[type], **_: object) -> None:
    base_classes.insert(0, _Leavable)


class ObjectBody:
    """An S3 object's bytes as a stream that resumes if its connection breaks, which boto3's does not.

    It reads one version of the object, the present one unless `version` names another; if the object is replaced during
    the read, that is an error. `size` is the number of bytes in `span` (an HTTP range, such as `bytes=5-`) or in the
    whole object. Open it within `refusals`, or else expect ClientError; `read` raises UnreachableError.
    """

    def __init__(self, s3: Any, bucket: str, key: str, span: str | None = None, **version: str) -> None:
        self._get = s3.get_object
        self._target = {"Bucket": bucket, "Key": key, **version}
        self._uri = f"s3://{bucket}/{key}"
        answer = self._get(**self._target, **({"Range": span} if span else {}))
        self._body = answer["Body"]
        self._version = {"IfMatch": answer["ETag"]}
        self._next = _first_byte(answer)
        self.size = int(answer["ContentLength"])
        self._end = self._next + self.size

    def read(self, size: int = -1) -> bytes:
        """The next `size` bytes, or fewer at the object's end; all remaining ones if `size` is negative."""
        until = self._end if size < 0 else min(self._end, self._next + size)
        with refusals(self._uri):
            return cancel.call(lambda: self._until(until))

    def close(self) -> None:
        """Give the connection back."""
        self._body.close()

    def _until(self, until: int) -> bytes:
        pieces = []
        while self._next < until:
            pieces.append(self._piece(min(PIECE, until - self._next)))
            self._next += len(pieces[-1])
        if self._next == self._end:
            self._body.read(1)  # boto3 compares the checksum of a whole object only when it finds the end
        return b"".join(pieces)

    def _piece(self, size: int) -> bytes:
        for attempt in range(1, ATTEMPTS + 1):
            broken: Exception = IncompleteReadError(actual_bytes=self._next, expected_bytes=self._end)
            try:
                if piece := self._body.read(size):
                    return bytes(piece)
            except _BROKEN_BODY as error:
                broken = error
            if attempt < ATTEMPTS:
                _pause(attempt)
                self._reopen()
        message = f"reading {self._uri} broke off {ATTEMPTS} times: {one_line(broken)}"
        raise UnreachableError(message, hint=_NETWORK) from broken

    def _reopen(self) -> None:
        self._body.close()
        span = f"bytes={self._next}-{self._end - 1}"
        self._body = self._get(**self._target, **self._version, Range=span)["Body"]


def _first_byte(answer: Mapping[str, Any]) -> int:
    return int(answer.get("ContentRange", "bytes 0-").split()[1].partition("-")[0])


def _pause(attempt: int) -> None:
    """Wait as botocore does between its tries: a random share of a time that doubles."""
    cancel.wait(SystemRandom().uniform(0, _FIRST_PAUSE * 2**attempt))


def code_of(error: BaseException | None) -> str:
    """AWS's code of an error, such as NoSuchKey, or ''."""
    return str(error.response.get("Error", {}).get("Code", "")) if isinstance(error, ClientError) else ""


@contextmanager
def refusals(what: str) -> Iterator[None]:
    """Turn boto3's errors into UnreachableError, with a message that names `what` and a hint."""
    try:
        yield
    except ClientError as error:
        raise refusal(what, error) from error
    except (NoCredentialsError, PartialCredentialsError, ProfileNotFound) as error:
        raise UnreachableError(f"no AWS credentials for {what}: {error}", hint=_CREDENTIALS) from error
    except (TokenRetrievalError, CredentialRetrievalError, NoAuthTokenError, SSOError, LoginError) as error:
        raise UnreachableError(
            f"cannot get the AWS credentials for {what}: {one_line(error)}", hint=_EXPIRED
        ) from error
    except FlexibleChecksumError as error:
        raise UnreachableError(f"{what} arrived damaged: {one_line(error)}", hint=_DAMAGED) from error
    except NoRegionError as error:
        raise UnreachableError(f"no AWS region for {what}", hint="set AWS_REGION") from error
    except ParamValidationError as error:
        raise UnreachableError(
            f"{what} is not valid: {one_line(error)}",
            hint="correct that name in its setting: `shopease check` lists them",
        ) from error
    except (BotoCoreError, ValueError) as error:
        raise UnreachableError(f"cannot reach {what}: {one_line(error)}", hint=_NETWORK) from error


def refusal(what: str, error: ClientError) -> UnreachableError:
    """AWS's refusal in our words."""
    code = code_of(error)
    reason = str(error.response.get("Error", {}).get("Message") or code)
    if code in {"404", "NoSuchBucket", "NoSuchKey"}:
        return UnreachableError(f"{what} is not there: {reason}", hint=_HINTS.get(code))
    if code in {"AccessDenied", "AccessDeniedException", "403"}:
        return _denial(what, error, reason)
    region = _region_of(error)
    if code in _MOVED and (region or code != "AuthorizationHeaderMalformed"):
        hint = f"set AWS_REGION to {region or 'the region of the bucket'}"
        return UnreachableError(f"{what} is in another region: {reason}", hint=hint)
    named = reason if reason.startswith(code) else f"{code}: {reason}"
    return UnreachableError(f"AWS refuses {what}: {named}", hint=_HINTS.get(code))


def _denial(what: str, error: ClientError, reason: str) -> UnreachableError:
    right = _right(error, reason)
    lack = "" if right in reason else f": the credentials in use lack {right}"
    listing = ", and s3:ListBucket, without which S3 does not say that an object is missing"
    more = listing if error.operation_name in {"HeadObject", "GetObject"} else ""
    hint = f"give them {right}{more} (terraform/ creates a policy with all that shopease needs)"
    return UnreachableError(f"AWS refuses {what}{lack}: {reason}", hint=hint)


def _region_of(error: ClientError) -> str | None:
    """The bucket's region, if S3's refusal names it."""
    headers = error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    region = headers.get("x-amz-bucket-region") or error.response.get("Error", {}).get("Region")
    return str(region) if region else None


def _right(error: ClientError, reason: str) -> str:
    """The permission that the credentials lack, as IAM names it."""
    call = error.operation_name
    named = _NAMED_RIGHT.search(reason)
    if named:
        return named[1]
    return _RIGHTS.get(call) or f"{next((name for name, calls in _SERVICES if calls.search(call)), 's3')}:{call}"
