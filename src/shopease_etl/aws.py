"""AWS's clients, and what AWS refuses told in our words, with the fix."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import boto3
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    NoCredentialsError,
    PartialCredentialsError,
    ProfileNotFound,
    TokenRetrievalError,
)

from shopease_etl.errors import UnreachableError

# Standard mode tries again after 5xx, SlowDown, throttling and lost connections, with jittered exponential backoff.
_CLIENT: Final = Config(
    retries={"mode": "standard", "total_max_attempts": 6}, connect_timeout=10, read_timeout=60, max_pool_connections=16
)
_CREDENTIALS: Final = "set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
_EXPIRED: Final = "the credentials have expired: log in again, as with `aws sso login`"
_CLOCK: Final = "set this machine's clock: AWS refuses signatures that are minutes off"
_NO_BUCKET: Final = "create the bucket, or set SHOPEASE_LAKE to one that exists"
_HINTS: Final = {
    "NoSuchBucket": _NO_BUCKET,
    "404": _NO_BUCKET,
    "ExpiredToken": _EXPIRED,
    "ExpiredTokenException": _EXPIRED,
    "InvalidAccessKeyId": _CREDENTIALS,
    "InvalidClientTokenId": _CREDENTIALS,
    "InvalidToken": _CREDENTIALS,
    "SignatureDoesNotMatch": _CREDENTIALS,
    "UnrecognizedClientException": _CREDENTIALS,
    "RequestTimeTooSkewed": _CLOCK,
    "RequestExpired": _CLOCK,
    "InvalidSignatureException": f"{_CREDENTIALS}; or {_CLOCK}",
    "SlowDown": "S3 asks for fewer requests, and still did after several tries: try again later",
    "ThrottlingException": "AWS asks for fewer requests, and still did after several tries: try again later",
}
_DENIED: Final = {"AccessDenied", "AccessDeniedException", "403"}
_MOVED: Final = {"PermanentRedirect", "301", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException"}

# Calls whose right has another name than the call.
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
}
_SERVICES: Final = {
    **dict.fromkeys(("GetDatabase", "GetTables", "CreateTable", "UpdateTable"), "glue"),
    **dict.fromkeys(("StartCrawler", "StopCrawler", "GetCrawler"), "glue"),
    **dict.fromkeys(("StartQueryExecution", "StopQueryExecution", "GetQueryExecution"), "athena"),
    **dict.fromkeys(("GetQueryResults", "GetWorkGroup"), "athena"),
}
_NAMED_RIGHT: Final = re.compile(r"not authorized to perform:? ([\w-]+:\w+)")


def client(service: str) -> Any:
    """A boto3 client that tries again, with credentials, region and endpoint from AWS's own settings.

    A new session looks for them anew: boto3's default one would keep what it found first.
    """
    with refusals(service):
        return boto3.session.Session().client(service, config=_CLIENT)


def code_of(error: BaseException | None) -> str:
    """AWS's code of an error, such as NoSuchKey; empty where it has none."""
    return str(error.response.get("Error", {}).get("Code", "")) if isinstance(error, ClientError) else ""


@contextmanager
def refusals(what: str) -> Iterator[None]:
    """Raise UnreachableError for what boto3 raises, naming `what` was asked for and the fix."""
    try:
        yield
    except ClientError as error:
        raise _refusal(what, error) from error
    except (NoCredentialsError, PartialCredentialsError, ProfileNotFound) as error:
        raise UnreachableError(f"no AWS credentials for {what}: {error}", hint=_CREDENTIALS) from error
    except TokenRetrievalError as error:
        raise UnreachableError(f"the AWS credentials for {what} cannot be had: {error}", hint=_EXPIRED) from error
    except (BotoCoreError, ValueError) as error:
        hint = "see AWS_REGION and AWS_ENDPOINT_URL, and the network"
        raise UnreachableError(f"cannot reach {what}: {error}", hint=hint) from error


def _refusal(what: str, error: ClientError) -> UnreachableError:
    code = code_of(error)
    reason = str(error.response.get("Error", {}).get("Message") or code)
    if code in {"404", "NoSuchBucket"}:
        return UnreachableError(f"{what} is not there: {reason}", hint=_HINTS[code])
    if code in _DENIED:
        right = _right(error, reason)
        told = "" if right in reason else f": the credentials in use lack {right}"
        hint = f"give them {right} (terraform/ makes a policy with all that shopease needs)"
        return UnreachableError(f"AWS refuses {what}{told}: {reason}", hint=hint)
    if code in _MOVED:
        region = error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("x-amz-bucket-region")
        hint = f"set AWS_REGION to {region or 'the region of the bucket'}"
        return UnreachableError(f"{what} is in another region: {reason}", hint=hint)
    told = reason if reason.startswith(code) else f"{code}: {reason}"
    return UnreachableError(f"AWS refuses {what}: {told}", hint=_HINTS.get(code))


def _right(error: ClientError, reason: str) -> str:
    """The action that the credentials lack, as IAM names it."""
    call = error.operation_name
    named = _NAMED_RIGHT.search(reason)
    if named:
        return named[1]
    return _RIGHTS.get(call) or f"{_SERVICES.get(call, 's3')}:{call}"
