"""AWS clients, reads of S3 objects that resume, and AWS's errors as ours, with hints."""

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
_FIRST_PAUSE: Final = 0.2

_CREDENTIALS: Final = "set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
_EXPIRED: Final = "the credentials have expired: log in again, as with `aws sso login`"
_NETWORK: Final = "see AWS_REGION and AWS_ENDPOINT_URL, and the network"
_DAMAGED: Final = "the bytes were changed in transit: run the command again"
_HINTS: Final = {
    **dict.fromkeys(("NoSuchBucket", "404"), "create the bucket, or set SHOPEASE_LAKE to one that exists"),
    "400": "S3 gave no reason; most often the credentials have expired, or AWS_REGION is wrong",
    **dict.fromkeys(("ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired"), _EXPIRED),
    **dict.fromkeys(("InvalidAccessKeyId", "InvalidClientTokenId", "InvalidToken"), _CREDENTIALS),
    **dict.fromkeys(("SignatureDoesNotMatch", "UnrecognizedClientException"), _CREDENTIALS),
    "AuthorizationHeaderMalformed": _CREDENTIALS,
    "InvalidSignatureException": f"{_CREDENTIALS}; or set this machine's clock",
    **dict.fromkeys(
        ("RequestTimeTooSkewed", "RequestExpired"),
        "set this machine's clock: AWS refuses signatures that are minutes off",
    ),
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

# Calls whose permission is not named like the call.
_PERMISSIONS: Final = {
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


@functools.cache
def service_models() -> botocore.loaders.Loader:
    """botocore's descriptions of AWS's services, shared by all sessions: reading them takes a tenth of a second."""
    return botocore.session.Session().get_component("data_loader")


def client(service: str, what: str | None = None, *, region: str | None = None, timeout: float | None = None) -> Any:
    """A boto3 client with retries; credentials, region and endpoint are from AWS's own settings.

    Errors name `what`, or else the service. A `timeout` is how many seconds each of at most two attempts of a call may
    take. Each client has a new session, as boto3's default session would keep the
    first credentials that it finds.
    """
    with translate_aws_errors(what or service):
        session = botocore.session.Session()
        session.register_component("data_loader", service_models())
        session.register("creating-client-class", _make_interruptible)
        # Standard mode retries after 5xx, throttling and lost connections, with jittered exponential backoff.
        attempts = session.get_config_variable("max_attempts") or ATTEMPTS
        # S3 compares the bytes with a CRC32, which is signed; the SHA-256 that plain HTTP adds costs more than sending
        signing = {"payload_signing_enabled": False, **(session.get_config_variable("s3") or {})}
        config = Config(
            retries={"total_max_attempts": 2 if timeout else attempts},
            connect_timeout=timeout or 10,
            read_timeout=timeout or 60,
            max_pool_connections=16,
            s3=signing,
        )
        # boto3 does not read AWS_REGION, but AWS's other tools do
        chosen = region or os.environ.get("AWS_DEFAULT_REGION") or os.environ.get("AWS_REGION")
        return boto3.session.Session(botocore_session=session).client(service, region_name=chosen, config=config)


class _InterruptibleClient:
    """Base class of clients whose calls an interrupt ends without waiting for the answer."""

    def _make_api_call(self, operation: str, parameters: Mapping[str, Any]) -> Any:
        call = super()._make_api_call  # type: ignore[misc]  # the class is the first base of a client
        return cancel.call(lambda: call(operation, parameters))


def _make_interruptible(base_classes: list[type], **_: object) -> None:
    base_classes.insert(0, _InterruptibleClient)


class ObjectBody:
    """An S3 object's bytes as a stream that resumes after its connection breaks, which boto3's does not.

    It reads one version of the object, the current one unless `version` names another; it is an error if the object is
    replaced meanwhile. `size` is the number of bytes in `span` (an HTTP range, such as `bytes=5-`) or in the whole
    object. Open it within `translate_aws_errors`, or else expect ClientError; `read` raises UnreachableError.
    """

    def __init__(self, s3: Any, bucket: str, key: str, span: str | None = None, **version: str) -> None:
        self._get = s3.get_object
        self._target = {"Bucket": bucket, "Key": key, **version}
        self._uri = f"s3://{bucket}/{key}"
        answer = self._get(**self._target, **({"Range": span} if span else {}))
        self._body = answer["Body"]
        self._version = {"IfMatch": answer["ETag"]}
        self._next = int(answer.get("ContentRange", "bytes 0-").split()[1].partition("-")[0])
        self.size = int(answer["ContentLength"])
        self._end = self._next + self.size

    def read(self, size: int = -1) -> bytes:
        """The next `size` bytes, or fewer at the object's end; all the rest if `size` is negative."""
        end = self._end if size < 0 else min(self._end, self._next + size)
        with translate_aws_errors(self._uri):
            return cancel.call(lambda: self._read_to(end))

    def close(self) -> None:
        """Release the connection."""
        self._body.close()

    def _read_to(self, end: int) -> bytes:
        blocks = []
        while self._next < end:
            blocks.append(self._block(min(256 * 1024, end - self._next)))
            self._next += len(blocks[-1])
        if self._next == self._end:
            self._body.read(1)  # boto3 compares the checksum of a whole object only when it finds the end
        return b"".join(blocks)

    def _block(self, size: int) -> bytes:
        for attempt in range(1, ATTEMPTS + 1):
            broken: Exception = IncompleteReadError(actual_bytes=self._next, expected_bytes=self._end)
            try:
                if block := self._body.read(size):
                    return bytes(block)
            except (HTTPClientError, IncompleteReadError, OSError) as error:
                broken = error
            if attempt < ATTEMPTS:
                # like botocore's pauses: a random share of a time that doubles
                cancel.wait(SystemRandom().uniform(0, _FIRST_PAUSE * 2**attempt))
                self._reopen()
        message = f"reading {self._uri} broke off {ATTEMPTS} times: {one_line(broken)}"
        raise UnreachableError(message, hint=_NETWORK) from broken

    def _reopen(self) -> None:
        self._body.close()
        span = f"bytes={self._next}-{self._end - 1}"
        self._body = self._get(**self._target, **self._version, Range=span)["Body"]


def error_code(error: BaseException | None) -> str:
    """AWS's code of an error, such as NoSuchKey, or ''."""
    return str(error.response.get("Error", {}).get("Code", "")) if isinstance(error, ClientError) else ""


def is_transient(error: BaseException) -> bool:
    """Whether an error that was translated may pass by itself: a lost connection, throttling, a fault of AWS's."""
    cause = error.__cause__
    if not isinstance(cause, ClientError):
        return isinstance(cause, HTTPClientError)
    status = cause.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return status >= 500 or status == 429 or "Throttl" in error_code(cause) or error_code(cause).startswith("TooMany")


@contextmanager
def translate_aws_errors(what: str) -> Iterator[None]:
    """Raise boto3's errors as UnreachableError, with a message that names `what`, and a hint."""
    try:
        yield
    except ClientError as error:
        raise aws_error(what, error) from error
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
            hint="correct the setting with that name; `shopease check` lists the settings",
        ) from error
    except (BotoCoreError, ValueError) as error:
        raise UnreachableError(f"cannot reach {what}: {one_line(error)}", hint=_NETWORK) from error


def aws_error(what: str, error: ClientError) -> UnreachableError:
    """AWS's error as one of ours, with a hint."""
    code = error_code(error)
    reason = str(error.response.get("Error", {}).get("Message") or code)
    if code in {"404", "NoSuchBucket", "NoSuchKey"}:
        return UnreachableError(f"{what} does not exist: {reason}", hint=_HINTS.get(code))
    if code in {"AccessDenied", "AccessDeniedException", "403"}:
        return _denial(what, error, reason)
    headers = error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    region = headers.get("x-amz-bucket-region") or error.response.get("Error", {}).get("Region")
    if code in {"PermanentRedirect", "301", "307", "IllegalLocationConstraintException"} or (
        region and code == "AuthorizationHeaderMalformed"
    ):
        hint = f"set AWS_REGION to {region or 'the region of the bucket'}"
        return UnreachableError(f"{what} is in another region: {reason}", hint=hint)
    named = reason if reason.startswith(code) else f"{code}: {reason}"
    return UnreachableError(f"AWS refuses {what}: {named}", hint=_HINTS.get(code))


def _denial(what: str, error: ClientError, reason: str) -> UnreachableError:
    permission = _permission(error.operation_name, reason)
    lack = "" if permission in reason else f": the credentials in use lack {permission}"
    listing = ", and s3:ListBucket, without which S3 does not report that an object is missing"
    more = listing if error.operation_name in {"HeadObject", "GetObject"} else ""
    hint = f"give them {permission}{more} (terraform/ creates a policy with all that shopease needs)"
    return UnreachableError(f"AWS refuses {what}{lack}: {reason}", hint=hint)


def _permission(call: str, reason: str) -> str:
    """The permission that the credentials lack, as IAM names it."""
    if named := re.search(r"not authorized to perform:? ([\w-]+:\w+)", reason):
        return named[1]
    services = {
        "glue": "Crawler|Crawls|Database|Table|Partition|Classifier",
        "athena": "Query|WorkGroup|DataCatalog|PreparedStatement",
        "sts": "CallerIdentity|AssumeRole",
        "emr-serverless": "JobRun|Application",
        "secretsmanager": "SecretValue",
    }
    service = next((service for service, calls in services.items() if re.search(calls, call)), "s3")
    return _PERMISSIONS.get(call) or f"{service}:{call}"
