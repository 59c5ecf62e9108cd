"""Missing permissions and wrong keys, refused by a ministack that enforces IAM."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Final

import pytest

from accounts import Account, running_emulator, set_environment
from shopease_etl.errors import UnreachableError
from shopease_etl.lake.s3 import S3Store
from shopease_etl.lake.store import UnfinishedUpload, put_stream

KEY: Final = "bronze/customers/customers.csv"


@pytest.fixture(scope="module")
def guarded() -> Iterator[Account]:
    """An account on a ministack that enforces IAM, with its root's key."""
    with running_emulator(AUTH="true") as endpoint:
        yield Account(endpoint, "test", "any")


@pytest.fixture
def bucket(guarded: Account) -> str:
    """The name of a bucket with an object."""
    name = guarded.new_bucket()
    guarded.client("s3").put_object(Bucket=name, Key=KEY, Body=b"x\n")
    return name


@pytest.fixture
def user(guarded: Account, monkeypatch: pytest.MonkeyPatch) -> Account:
    """A user without any rights, whose keys are in AWS's own variables."""
    iam = guarded.client("iam")
    name = f"user-{len(iam.list_users()['Users'])}"
    iam.create_user(UserName=name)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    made = Account(guarded.endpoint, key["AccessKeyId"], key["SecretAccessKey"])
    set_environment(monkeypatch, made.environment)
    return made


@pytest.mark.parametrize(
    ("right", "use"),
    [
        ("s3:ListBucket", lambda store: store.check()),
        ("s3:ListBucket", lambda store: list(store.list("bronze/"))),
        ("s3:PutObject", lambda store: put_stream(store, KEY, [b"new"])),
        ("s3:GetObject", lambda store: store.read(KEY)),
        ("s3:GetObject", lambda store: store.find(KEY)),
        ("s3:DeleteObject", lambda store: store.delete([KEY])),
        ("s3:ListBucketMultipartUploads", lambda store: list(store.unfinished_uploads())),
        ("s3:AbortMultipartUpload", lambda store: store.abort(UnfinishedUpload(KEY, "none", 0))),
    ],
)
def test_the_missing_permission_is_named(
    bucket: str, user: Account, right: str, use: Callable[[S3Store], object]
) -> None:
    assert user
    with pytest.raises(UnreachableError, match=right) as caught:
        use(S3Store(bucket))
    assert f"s3://{bucket}" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert right in str(caught.value.hint)


def test_a_refused_upload_keeps_the_former_object(guarded: Account, bucket: str, user: Account) -> None:
    assert user
    with pytest.raises(UnreachableError):
        put_stream(S3Store(bucket), KEY, [b"new"])
    assert guarded.client("s3").get_object(Bucket=bucket, Key=KEY)["Body"].read() == b"x\n"


def test_a_wrong_secret_and_an_unknown_key_are_named(
    bucket: str, user: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    for wrong, code in (
        (replace(user, secret_key="wrong"), "SignatureDoesNotMatch"),
        (replace(user, access_key="AKIA" + "X" * 16), "InvalidAccessKeyId"),
    ):
        set_environment(monkeypatch, wrong.environment)
        with pytest.raises(UnreachableError, match=code) as caught:
            S3Store(bucket).check()
        assert "AWS_PROFILE" in str(caught.value.hint)
        assert wrong.secret_key not in str(caught.value)
