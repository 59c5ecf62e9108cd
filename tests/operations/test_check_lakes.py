"""What a check says about the lake, the machine and the settings; it leaves nothing behind in a bucket."""

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Final

import pytest
from pydantic import SecretStr

from accounts import REGION, Account, running_emulator, set_environment
from commands import Shop
from shopease_etl.contract.layout import JOURNAL
from shopease_etl.errors import LakeLockedError
from shopease_etl.lake.lock.file import locked_file
from shopease_etl.lake.lock.holder import Holder, this_process
from shopease_etl.lake.lock.lease import leased
from shopease_etl.lake.open import open_store
from shopease_etl.lake.s3 import S3Store
from shopease_etl.lake.store import put_stream
from shopease_etl.operations.check.lakes import RunHistory, catalog, lake
from shopease_etl.operations.check.lines import CheckLine, TimedChecks, clock_skew
from shopease_etl.operations.check.machine import disks, given_settings, machine
from shopease_etl.settings import Settings, load
from shopease_etl.warehouse.aws import AwsWarehouse

WORDS: Final = "p4ss-w0rd"


def checked(location: str, folder: Path) -> dict[str, CheckLine]:
    """The lines on a lake by name; of several with the same name the last."""
    settings, store = load(lake=location, home=folder / "home"), open_store(location)
    return {line.name: line for line in lake(settings, store, RunHistory())}


def test_a_bucket_without_versions_or_rules_gets_warnings_and_keeps_nothing(account: Account, tmp_path: Path) -> None:
    name, s3 = account.new_bucket(), account.client("s3")
    found = checked(f"s3://{name}/shop", tmp_path)
    assert [line.name for line in found.values() if line.exit_code] == []
    assert {name for name, line in found.items() if line.warning} == {"lake versions", "lake lifecycle"}
    assert f"--bucket {name} " in str(found["lake versions"].fix)
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    rule = {"ID": "x", "Status": "Enabled", "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7}}
    for prefix, is_covered in (("other/", False), ("shop/", True), ("", True)):
        rules = {"Rules": [{**rule, "Filter": {"Prefix": prefix}}]}
        s3.put_bucket_lifecycle_configuration(Bucket=name, LifecycleConfiguration=rules)
        after = checked(f"s3://{name}/shop", tmp_path)
        assert (after["lake versions"].warning, after["lake lifecycle"].warning) == (False, not is_covered)
    versions = s3.list_object_versions(Bucket=name)
    assert (versions.get("Versions"), versions.get("DeleteMarkers")) == (None, None)
    assert not s3.list_multipart_uploads(Bucket=name).get("Uploads")


def test_a_missing_bucket_hides_no_other_line(account: Account, tmp_path: Path) -> None:
    assert account
    found = checked("s3://no-such-bucket-here", tmp_path)
    assert found["lake"].exit_code == 4
    assert "disk home" in found


@pytest.fixture(scope="module")
def guarded() -> Iterator[Account]:
    """The root of an account on a ministack that enforces IAM."""
    with running_emulator(AUTH="true") as endpoint:
        yield Account(endpoint, "test", "any")


def test_every_missing_right_is_named(guarded: Account, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name, iam = guarded.new_bucket(), guarded.client("iam")
    iam.create_user(UserName="looker")
    statement = {"Effect": "Allow", "Action": ["s3:ListBucket"], "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    iam.put_user_policy(UserName="looker", PolicyName="p", PolicyDocument=policy)
    key = iam.create_access_key(UserName="looker")["AccessKey"]
    set_environment(monkeypatch, Account(guarded.endpoint, key["AccessKeyId"], key["SecretAccessKey"]).environment)
    store = open_store(f"s3://{name}")
    lines = list(lake(load(lake=f"s3://{name}", home=tmp_path), store, RunHistory()))
    details = [line.detail for line in lines if line.name == "lake rights"]
    wanted = ("s3:GetObject", "s3:PutObject", "s3:ListBucketMultipartUploads", "s3:DeleteObject")
    assert [any(right in detail for detail in details) for right in wanted] == [True] * len(wanted), details
    versions = next(line for line in lines if line.name == "lake versions")
    assert (versions.warning, versions.exit_code, "could not be checked" in versions.detail) == (True, 0, True)


def test_a_bucket_in_another_region_is_a_warning_with_its_fix(
    new_bucket: Callable[[], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = new_bucket()
    assert not checked(f"s3://{name}", tmp_path)["lake region"].warning
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    line = checked(f"s3://{name}", tmp_path)["lake region"]
    assert (line.warning, line.fix) == (True, f"set AWS_REGION and AWS_DEFAULT_REGION to {REGION}")


def test_a_lease_on_s3_names_its_run(new_bucket: Callable[[], str], tmp_path: Path) -> None:
    location = f"s3://{new_bucket()}"
    store = open_store(location)
    assert isinstance(store, S3Store)
    assert checked(location, tmp_path)["lake lock"].detail == "free"
    with leased(store, this_process("the-run", "token"), 60):
        line = checked(location, tmp_path)["lake lock"]
        assert ("the-run" in line.detail, line.warning, line.exit_code) == (True, False, 0)
    assert checked(location, tmp_path)["lake lock"].detail == "free"


def test_a_lock_file_names_its_run_and_whether_it_died(tmp_path: Path) -> None:
    location, path = str(tmp_path / "lake"), tmp_path / "lake" / "_runs" / ".lock"
    with locked_file(path, "the-run"):
        line = checked(location, tmp_path)["lake lock"]
        assert ("the-run" in line.detail, line.warning) == (True, False)
        with pytest.raises(LakeLockedError), locked_file(path, "another"):
            pass
    ended = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    dead = Holder("dead-run", socket.gethostname(), int(ended.stdout), "2026-01-01")
    for holder in (dead, Holder("dead-run", "another-host", os.getpid(), "2026-01-01")):
        path.write_text(json.dumps(asdict(holder)))
        line = checked(location, tmp_path)["lake lock"]
        assert ("has died" in line.detail, line.warning) == (True, True)
    put_stream(open_store(location), f"{JOURNAL}dead-run", [b"{}"])
    assert checked(location, tmp_path)["lake publication"].warning


def test_a_lock_held_on_another_machine_is_seen(tmp_path: Path) -> None:
    path = tmp_path / "lake" / "_runs" / ".lock"
    with locked_file(path, "the-run"):
        path.write_text(json.dumps(asdict(Holder("the-run", "another-host", 1, "2026-01-01"))))
        assert "the-run" in checked(str(tmp_path / "lake"), tmp_path)["lake lock"].detail


def test_a_workgroup_without_a_cutoff_is_a_warning_with_its_fix(account: Account) -> None:
    name = account.new_bucket()
    account.new_catalog(name)
    settings, store = load(lake=f"s3://{name}"), open_store(f"s3://{name}")
    warehouse = AwsWarehouse(store, settings.glue_database, settings.athena_workgroup, 5)
    found = {line.name: line for line in catalog(settings, warehouse, is_on_aws=True)}
    assert found["catalog"].exit_code == 0
    assert found["athena"].warning
    assert "update-work-group" in str(found["athena"].fix)
    updates = {"BytesScannedCutoffPerQuery": 10_000_000}
    account.client("athena").update_work_group(WorkGroup=settings.athena_workgroup, ConfigurationUpdates=updates)
    after = {line.name: line for line in catalog(settings, warehouse, is_on_aws=True)}
    assert (after["athena"].warning, "10 MB" in after["athena"].detail) == (False, True)


def test_a_check_that_hangs_fails_after_its_time_limit() -> None:
    answer = threading.Event()

    def hang() -> Iterator[CheckLine]:
        yield CheckLine("first", "there")
        answer.wait()

    first, last = TimedChecks("lake", 0.3, hang).lines()
    answer.set()
    assert (first.name, last.name, last.exit_code) == ("first", "lake", 4)
    assert "no answer within 0.3 s" in last.detail


def test_an_unexpected_exception_becomes_a_line() -> None:
    def broken() -> Iterator[CheckLine]:
        yield CheckLine("first", "there")
        raise KeyError("odd")

    assert [(line.name, line.exit_code) for line in TimedChecks("lake", 5, broken).lines()] == [
        ("first", 0),
        ("lake", 1),
    ]


@pytest.mark.parametrize(
    ("ahead", "warning", "code"), [(0, False, 0), (-60, False, 0), (61, True, 0), (-901, False, 4), (901, False, 4)]
)
def test_clock_skew_is_a_warning_and_then_a_failure(ahead: float, warning: bool, code: int) -> None:
    line = clock_skew("clock", "S3's", ahead, 900)
    assert (line.warning, line.exit_code, bool(line.fix)) == (warning, code, bool(warning or code))
    assert clock_skew("clock", "the database's", ahead, float("inf")).exit_code == 0


def test_a_disk_needs_room_for_another_run_of_the_last_size(tmp_path: Path) -> None:
    settings, store = load(home=tmp_path / "home"), open_store(str(tmp_path / "lake"))
    small, large = (next(disks(settings, store, size)) for size in (1, 10**18))
    assert (small.exit_code, large.exit_code, large.fix) == (0, 1, "make room")


@pytest.mark.parametrize(("limit", "is_low"), [("100MB", True), ("400TB", True), ("400MB", False)])
def test_an_impossible_memory_limit_is_a_warning(limit: str, is_low: bool) -> None:
    lines = {line.name: line for line in machine(load(max_memory=limit))}
    assert lines["memory"].warning is is_low


def test_each_setting_shows_its_source_and_no_secret(tmp_path: Path) -> None:
    url = f"postgresql://u:{WORDS}@127.0.0.1:1/db"
    (tmp_path / ".env").write_text(f"SHOPEASE_LAKE=other\nSHOPEASE_MAX_SHRINK=0.5\nSHOPEASE_DATABASE_URL={url}\n")
    result = Shop(tmp_path, url).run("check", "--json", "--lake", "mine")
    lines = {line["name"]: line for line in result.document}
    assert WORDS not in result.stdout + result.stderr
    assert "***" in lines["setting database_url"]["detail"]
    sources = "from --lake, overrides SHOPEASE_LAKE in the environment and SHOPEASE_LAKE in .env"
    assert lines["setting lake"]["detail"] == f"mine ({sources})"
    assert lines["setting max_shrink"]["detail"] == "0.5 (from SHOPEASE_MAX_SHRINK in .env)"
    assert "setting glue_database" not in lines
    assert (result.code, lines["database"]["exit_code"]) == (4, 4)
    assert lines["lake"]["exit_code"] == 0


def test_a_secret_added_to_the_settings_is_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    class More(Settings):
        webhook_token: SecretStr | None = None

    monkeypatch.setenv("SHOPEASE_WEBHOOK_TOKEN", WORDS)
    lines = {line.name: line.detail for line in given_settings(More(), ())}  # type: ignore[call-arg]  # the environment has them
    assert lines["setting webhook_token"] == "*** (from SHOPEASE_WEBHOOK_TOKEN in the environment)"
