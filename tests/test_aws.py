"""AWS's errors become one line with a hint.

A small server gives the responses that no emulator does (expired credentials, a wrong clock, a bucket in another
region, KMS keys, damage in transit), with the status, headers and XML that AWS documents. Missing permissions are
tested in `lake/test_s3_rights.py`, where ministack enforces IAM.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

import pytest
from botocore.exceptions import ClientError, IncompleteReadError, SSOTokenLoadError
from hypothesis import given
from hypothesis import strategies as st

from accounts import Account, set_environment
from shopease_etl import aws
from shopease_etl.errors import UnreachableError
from shopease_etl.lake.open import open_store
from shopease_etl.lake.s3 import S3Store

KEY: Final = "bronze/customers/customers.csv"


@contextmanager
def answering(status: int, body: str, headers: dict[str, str]) -> Iterator[str]:
    """The address of a server that gives one response to all requests, without the body to a HEAD."""

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response_only(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(b"" if self.command == "HEAD" else body.encode())

        do_GET = do_HEAD = do_POST = do_PUT = _answer  # noqa: N815 (http.server names them)

        def log_message(self, *_: Any) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def error(code: str, message: str, more: str = "") -> str:
    """An error as S3 writes it."""
    return f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{message}</Message>{more}</Error>"


WRONG_REGION: Final = error(
    "AuthorizationHeaderMalformed",
    "The authorization header is malformed; the region 'us-east-1' is wrong; expecting 'eu-west-1'",
    "<Region>eu-west-1</Region>",
)
MOVED: Final = error(
    "PermanentRedirect",
    "The bucket you are attempting to access must be addressed using the specified endpoint.",
    "<Endpoint>bucket.s3.eu-west-1.amazonaws.com</Endpoint><Bucket>bucket</Bucket>",
)
NO_KMS_RIGHT: Final = error(
    "AccessDenied",
    "User: arn:aws:iam::123456789012:user/etl is not authorized to perform: kms:GenerateDataKey on resource: x",
)
ABROAD: Final = {"x-amz-bucket-region": "eu-west-1"}
ANSWERS: Final = {
    "expired": (400, error("ExpiredToken", "The provided token has expired."), {}, "has expired", "log in again"),
    "skewed": (
        403,
        error("RequestTimeTooSkewed", "The difference between the request time and the current time is too large."),
        {},
        "RequestTimeTooSkewed",
        "clock",
    ),
    "malformed": (400, WRONG_REGION, {}, "is in another region", "set AWS_REGION to eu-west-1"),
    "moved": (301, MOVED, ABROAD, "is in another region", "set AWS_REGION to eu-west-1"),
    "no bucket": (404, error("NoSuchBucket", "The specified bucket does not exist"), {}, "does not exist", "create"),
    "no right to the key": (403, NO_KMS_RIGHT, {}, "kms:GenerateDataKey", "kms:GenerateDataKey"),
    "no key": (400, error("KMS.NotFoundException", "Invalid keyId x"), {}, "Invalid keyId", "SHOPEASE_S3_KMS_KEY"),
    "busy": (503, error("SlowDown", "Please reduce your request rate."), {}, "SlowDown", "try again later"),
    "fault": (500, error("InternalError", "We encountered an internal error."), {}, "InternalError", "try again later"),
}


@pytest.fixture
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    set_environment(monkeypatch, {**Account("", "x", "y").environment, "AWS_MAX_ATTEMPTS": "1"})


@pytest.mark.usefixtures("credentials")
@pytest.mark.parametrize("use", [S3Store.check, lambda store: store.read(KEY)], ids=["check", "read"])
@pytest.mark.parametrize(("status", "body", "headers", "message", "fix"), ANSWERS.values(), ids=ANSWERS)
def test_an_error_of_aws_has_a_hint(
    monkeypatch: pytest.MonkeyPatch,
    status: int,
    body: str,
    headers: dict[str, str],
    message: str,
    fix: str,
    use: Callable[[S3Store], object],
) -> None:
    """The response to a HEAD has no body, so `check` sends another request to learn more than a number."""
    with answering(status, body, headers) as endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        with pytest.raises(UnreachableError, match=message) as caught:
            use(S3Store("bucket"))
    assert fix in str(caught.value.hint)
    assert caught.value.exit_code == 4


@pytest.mark.usefixtures("credentials")
@pytest.mark.parametrize(
    ("status", "message", "fix"),
    [
        (403, "lack s3:GetObject", "and s3:ListBucket"),
        (400, "400", "expired"),
        (301, "another region", "AWS_REGION to eu-west-1"),
        (503, "503", "try again later"),
    ],
)
def test_an_error_without_a_message_has_a_hint_too(
    monkeypatch: pytest.MonkeyPatch, status: int, message: str, fix: str
) -> None:
    with answering(status, "", ABROAD if status == 301 else {}) as endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        with pytest.raises(UnreachableError, match=message) as caught:
            S3Store("bucket").find(KEY)
    assert fix in str(caught.value.hint)


@pytest.mark.usefixtures("credentials")
def test_a_failed_delete_names_the_first_object_and_counts_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    refused = "".join(f"<Error><Key>lake/{key}</Key><Code>AccessDenied</Code></Error>" for key in "abc")
    with answering(200, f"<DeleteResult>{refused}</DeleteResult>", {}) as endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        with pytest.raises(UnreachableError, match=r"\(and 2 more\).*s3://bucket/lake/a.*s3:DeleteObject") as caught:
            S3Store("bucket", "lake").delete(list("abcd"))
    assert "s3:DeleteObject" in str(caught.value.hint)


@pytest.mark.usefixtures("credentials")
def test_an_object_with_a_wrong_checksum_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    headers = {"x-amz-checksum-crc32": "AAAAAA==", "x-amz-checksum-type": "FULL_OBJECT", "ETag": '"1"'}
    with answering(200, "a,b\n1,2\n", headers) as endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        with pytest.raises(UnreachableError, match=f"{KEY} arrived damaged"):
            S3Store("bucket").read(KEY)


def without_credentials(patch: pytest.MonkeyPatch, folder: Path, config: str = "") -> None:
    """Leave only the configuration file."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION"):
        patch.delenv(name, raising=False)
    (folder / "config").write_text(config)
    patch.setenv("HOME", str(folder))
    patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    patch.setenv("AWS_CONFIG_FILE", str(folder / "config"))
    patch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(folder / "none"))


SSO: Final = """[default]
region = us-east-1
sso_session = work
sso_account_id = 123456789012
sso_role_name = etl
[sso-session work]
sso_region = us-east-1
sso_start_url = https://example.awsapps.com/start
"""


@pytest.mark.parametrize(
    ("config", "variables", "message", "fix"),
    [
        ("", {}, "no AWS credentials for s3://bucket", "AWS_PROFILE"),
        ("", {"AWS_ACCESS_KEY_ID": "x"}, "no AWS credentials for s3://bucket", "AWS_SECRET_ACCESS_KEY"),
        ("", {"AWS_PROFILE": "none"}, "no AWS credentials.*none", "AWS_PROFILE"),
        (SSO, {}, "cannot get the AWS credentials", "aws sso login"),
        ("[default]\ncredential_process = false\n", {}, "cannot get the AWS credentials", "log in again"),
    ],
    ids=["none", "half", "unknown profile", "logged out", "failing program"],
)
def test_missing_credentials_have_a_hint(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, config: str, variables: dict[str, str], message: str, fix: str
) -> None:
    without_credentials(monkeypatch, tmp_path, config)
    set_environment(monkeypatch, variables)
    with pytest.raises(UnreachableError, match=message) as caught:
        open_store("s3://bucket").check()
    assert fix in str(caught.value.hint)


@pytest.mark.usefixtures("credentials")
def test_an_endpoint_that_does_not_respond_has_a_hint(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(UnreachableError, match="cannot reach s3://bucket") as caught:
        open_store("s3://bucket").check()
    assert "AWS_ENDPOINT_URL" in str(caught.value.hint)


@pytest.mark.usefixtures("credentials")
def test_an_invalid_bucket_name_is_one_line() -> None:
    with pytest.raises(UnreachableError, match="Invalid bucket name") as caught:
        open_store("s3://no bucket").check()
    assert "\n" not in str(caught.value)


def test_a_missing_region_has_a_hint(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    without_credentials(monkeypatch, tmp_path)
    with pytest.raises(UnreachableError, match="no AWS region for glue") as caught:
        aws.client("glue")
    assert caught.value.hint == "set AWS_REGION"


@pytest.mark.usefixtures("credentials")
def test_the_number_of_attempts_is_ours_unless_aws_has_a_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    assert aws.client("s3").meta.config.retries == {"total_max_attempts": 1, "mode": "standard"}
    monkeypatch.delenv("AWS_MAX_ATTEMPTS")
    assert aws.client("s3").meta.config.retries == {"total_max_attempts": aws.ATTEMPTS, "mode": "standard"}


@pytest.mark.parametrize(
    ("call", "right"),
    [
        ("GetTables", "glue:GetTables"),
        ("CreateDatabase", "glue:CreateDatabase"),
        ("StartCrawler", "glue:StartCrawler"),
        ("ListCrawls", "glue:ListCrawls"),
        ("GetPartitions", "glue:GetPartitions"),
        ("StartQueryExecution", "athena:StartQueryExecution"),
        ("GetWorkGroup", "athena:GetWorkGroup"),
        ("GetCallerIdentity", "sts:GetCallerIdentity"),
        ("UploadPart", "s3:PutObject"),
        ("AbortMultipartUpload", "s3:AbortMultipartUpload"),
    ],
)
def test_the_missing_permission_is_named_by_the_call(call: str, right: str) -> None:
    translated = aws.aws_error("it", ClientError({"Error": {"Code": "AccessDeniedException"}}, call))
    assert f"lack {right}" in str(translated)


def test_an_unknown_region_has_a_hint_too() -> None:
    translated = aws.aws_error(
        "it", ClientError({"Error": {"Code": "IllegalLocationConstraintException"}}, "GetObject")
    )
    assert translated.hint == "set AWS_REGION to the region of the bucket"


@given(st.text(st.characters(codec="ascii"), max_size=20), st.text(max_size=40), st.sampled_from(["GetObject", "X"]))
def test_every_error_of_aws_names_its_object(code: str, message: str, call: str) -> None:
    refused = ClientError({"Error": {"Code": code, "Message": message}}, call)
    with (
        pytest.raises(UnreachableError, match="s3://bucket/key") as caught,
        aws.translate_aws_errors("s3://bucket/key"),
    ):
        raise refused
    assert caught.value.__cause__ is refused
    assert aws.error_code(refused) == code


def test_other_errors_are_not_translated() -> None:
    with pytest.raises(ZeroDivisionError), aws.translate_aws_errors("it"):
        raise ZeroDivisionError
    assert aws.error_code(ZeroDivisionError()) == aws.error_code(None) == ""
    for other in (SSOTokenLoadError(error_msg="x"), IncompleteReadError(actual_bytes=1, expected_bytes=2)):
        with pytest.raises(UnreachableError), aws.translate_aws_errors("it"):
            raise other
