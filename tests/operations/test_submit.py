"""`shopease submit`: jobs that succeed, fail, are cancelled, and what a job is started with."""

import gzip
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

import boto3
import pytest

from commands import Ended, Shop, end, on_a_terminal
from conftest import eventually
from emr_server import APPLICATION, JOB, EmrServer, emr_server
from shopease_etl.operations.emr import logs
from shopease_etl.operations.emr.entry import NAME, SCRIPT
from shopease_etl.operations.emr.logs import driver_log_key
from shopease_etl.operations.emr.request import SECRET, JobRequest
from shopease_etl.operations.emr.submission import JobFailedError, Submission
from shopease_etl.pipeline.costs import Prices
from shopease_etl.settings import Settings

ROLE: Final = "arn:aws:iam::123456789012:role/shopease-job"
URL: Final = "postgresql://reader@db.example.com:5432/sales"
LOG_KEY: Final = f"some/lake/{driver_log_key('_spark/logs/', APPLICATION, JOB)}"


@pytest.fixture
def emr() -> Iterator[EmrServer]:
    with emr_server() as server:
        yield server


@pytest.fixture
def bucket(new_bucket: Callable[[], str]) -> str:
    """A bucket with a packed environment."""
    name = new_bucket()
    boto3.client("s3").put_object(Bucket=name, Key="some/lake/_spark/environment.tar.gz", Body=b"packed")
    return name


@pytest.fixture
def shop(bucket: str, emr: EmrServer, tmp_path: Path) -> Shop:
    settings = {
        **emr.environment,
        "SHOPEASE_EMR_APPLICATION": APPLICATION,
        "SHOPEASE_EMR_ROLE": ROLE,
        "SHOPEASE_SPARK_ARCHIVE": f"s3://{bucket}/some/lake/_spark/environment.tar.gz",
    }
    return Shop(tmp_path, URL, f"s3://{bucket}/some/lake", settings)


def with_settings(shop: Shop, **more: str) -> Shop:
    return replace(shop, more={**shop.more, **{f"SHOPEASE_{name}": value for name, value in more.items()}})


def with_secret(shop: Shop, name: str, **more: str) -> dict[str, str]:
    """The environment with a secret in place of the URL."""
    environment = {**with_settings(shop, DATABASE_SECRET=name, **more).environment}
    del environment["SHOPEASE_DATABASE_URL"]
    return environment


def put_log(bucket: str, text: str) -> None:
    boto3.client("s3").put_object(Bucket=bucket, Key=LOG_KEY, Body=gzip.compress(text.encode()))


def test_a_job_runs_to_its_end(shop: Shop, emr: EmrServer, bucket: str) -> None:
    emr.billed = {"vCPUHour": 2.0, "memoryGBHour": 16.0, "storageGBHour": 0.0}
    ended = shop.run("submit", "run-all", "--wait", "600", "--full").done()
    started = emr.started
    script = f"s3://{bucket}/some/lake/_spark/{NAME}"
    assert started["jobDriver"]["sparkSubmit"]["entryPoint"] == script
    assert started["jobDriver"]["sparkSubmit"]["entryPointArguments"] == ["run-all", "--wait", "600", "--full"]
    assert started["executionRoleArn"] == ROLE
    assert started["executionTimeoutMinutes"] == (14400 + 600 + 1800) / 60
    logs = started["configurationOverrides"]["monitoringConfiguration"]["s3MonitoringConfiguration"]
    assert logs == {"logUri": f"s3://{bucket}/some/lake/_spark/logs/"}
    body = boto3.client("s3").get_object(Bucket=bucket, Key=f"some/lake/_spark/{NAME}")["Body"].read()
    assert body == SCRIPT
    # two vCPU hours and 16 GB hours at the default prices
    assert "ended with SUCCESS after 213 s, billed 2 vCPU hours and 16 GB hours: $0.2." in ended.stdout
    told = [line.split(":")[0].strip() for line in ended.stderr.splitlines()]
    assert [state for state in told if state in {"submitted", "pending", "scheduled", "running"}] == [
        *("submitted", "pending", "scheduled", "running")
    ]
    assert " UTC, " in ended.stderr


def test_what_the_job_gets(shop: Shop, emr: EmrServer, bucket: str) -> None:
    given = with_settings(shop, CLV="on", CRAWLERS="a, b", MAX_SHRINK="0.35", MAX_MEMORY="2GB", PRICE_ATHENA_TB="6.5")
    given.run("submit", "run-all").done()
    python = "./environment/bin/python"
    assert emr.variables == {
        "AWS_DEFAULT_REGION": "us-east-1",
        "PYSPARK_DRIVER_PYTHON": python,
        "PYSPARK_PYTHON": python,
        "SHOPEASE_CLV": "on",
        "SHOPEASE_CRAWLERS": "a,b",
        "SHOPEASE_DATABASE_URL": URL,
        "SHOPEASE_ENGINE": "spark",
        "SHOPEASE_LAKE": f"s3://{bucket}/some/lake",
        "SHOPEASE_MAX_MEMORY": "2000000000",
        "SHOPEASE_MAX_SHRINK": "0.35",
        "SHOPEASE_PARTITIONS": "month",
        "SHOPEASE_PRICE_ATHENA_TB": "6.5",
    }
    others = {name: value for name, value in emr.parameters.items() if "driverEnv" not in name}
    assert others == {
        "spark.archives": f"s3://{bucket}/some/lake/_spark/environment.tar.gz#environment",
        "spark.executorEnv.AWS_DEFAULT_REGION": "us-east-1",
        "spark.executorEnv.PYSPARK_PYTHON": python,
    }


FAILING: Final = "".join(
    [
        *(f"26/11/29 03:30:{second:02} INFO SparkContext: something {second}\n" for second in range(40)),
        "shopease: error: 3 customers \x1b[31mwould be lost\n",
        "  hint: postgresql://reader:hunter2@db/sales\n",
        "shopease: exit code 3\n",
        "26/11/29 03:31:00 INFO ShutdownHookManager: Deleting directory\n",
    ]
)


def test_a_failed_job_ends_with_its_exit_code_and_the_end_of_its_log(shop: Shop, emr: EmrServer, bucket: str) -> None:
    emr.states[-1], emr.details, emr.billed = "FAILED", "Job failed", {"vCPUHour": 0.5, "memoryGBHour": 2.0}
    put_log(bucket, FAILING)
    ended = shop.run("--json", "submit", "clean").failed(3, JOB, "ended with exit code 3")
    assert "  shopease: error: 3 customers \\x1b[31mwould be lost\n" in ended.stderr
    assert "something 39" in ended.stderr
    assert "something 15" not in ended.stderr  # only the last twenty lines
    assert "ShutdownHookManager" not in ended.stderr
    assert "hunter2" not in ended.stderr + ended.stdout
    assert (
        f"ended with FAILED after 213 s, billed 0.5 vCPU hours and 2 GB hours: ${0.5 * 0.052624 + 2 * 0.0057785:.2g}"
        in (ended.stderr)
    )
    address = f"s3://{bucket}/{LOG_KEY}"
    (line,) = ended.stdout.splitlines()
    document = json.loads(line)
    assert document.pop("dollars") == pytest.approx(0.037869)
    assert document == {
        "status": "failed",
        "error": f"the job {JOB} on EMR Serverless ended with exit code 3",
        "hint": f"for the whole log: aws s3 cp {address} - | gunzip",
        "exit_code": 3,
        "job_id": JOB,
        "application": APPLICATION,
        "state": "FAILED",
        "log": address,
        "seconds": 213,
        "vcpu_hours": 0.5,
        "gb_hours": 2.0,
    }


def test_a_log_that_comes_late_is_waited_for(shop: Shop, emr: EmrServer, bucket: str) -> None:
    emr.states[-1] = "FAILED"
    put_log(bucket, "half of it\n")
    with shop.start("submit", "run-all") as process:
        eventually(lambda: emr.states == ["FAILED"])
        time.sleep(3)
        put_log(bucket, "half of it\nshopease: exit code 75\n")
        end(process).failed(75, JOB)


@pytest.mark.parametrize(
    ("log", "shown"),
    [
        (None, ()),
        (gzip.compress(b"Exception in thread main\nno code\n"), ("Exception in thread main", "no code")),
        (gzip.compress(b"x" * 5000 + b"\nshopease: exit code 3")[:-9], ("(the rest of the log cannot be unpacked)",)),
        (b"not packed", ("(the rest of the log cannot be unpacked)",)),
    ],
    ids=["no log", "no exit code", "cut off", "not packed"],
)
def test_without_an_exit_code_in_the_log_it_is_1(
    bucket: str, monkeypatch: pytest.MonkeyPatch, log: bytes | None, shown: tuple[str, ...]
) -> None:
    monkeypatch.setattr(logs, "LOG_SECONDS", 0.1)
    if log is not None:
        boto3.client("s3").put_object(Bucket=bucket, Key=LOG_KEY, Body=log)
    with emr_server(states=["FAILED"], details="the role may not be assumed") as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        with pytest.raises(JobFailedError, match="ended with FAILED: the role may not be assumed") as raised:
            started(bucket).finish()
    assert raised.value.exit_code == 1
    assert raised.value.details[-len(shown) :] == shown if shown else raised.value.details == ()


def started(bucket: str) -> Submission:
    request = JobRequest(
        APPLICATION,
        ROLE,
        f"s3://{bucket}/some/lake/_spark/environment.tar.gz",
        f"s3://{bucket}/some/lake",
        ("retry",),
        {},
        60,
    )
    return Submission.start(request, None, Prices(*[1.0] * 6))


def test_a_job_that_someone_else_cancels_has_failed(shop: Shop, emr: EmrServer, bucket: str) -> None:
    emr.states[-1] = "CANCELLED"
    put_log(bucket, "shopease: interrupted\nshopease: exit code 130\n")
    shop.run("submit", "run-all").failed(130, JOB)


FAULTS: Final = [
    (429, "TooManyRequestsException"),
    (400, "ThrottlingException"),
    (500, "InternalServerException"),
    (0, ""),
]


@pytest.mark.parametrize("fault", FAULTS, ids=[code or "lost" for _, code in FAULTS])
def test_faults_that_pass_do_not_give_the_job_up(shop: Shop, emr: EmrServer, fault: tuple[int, str]) -> None:
    emr.faults["GET"] = [fault] * 5  # more than boto3's own attempts at a call
    ended = shop.run("submit", "run-all").done()
    assert f"the state of the job {JOB} is not known for now" in ended.stderr
    assert emr.faults["GET"] == []


def test_a_state_that_may_not_be_read_ends_the_following_but_not_the_job(shop: Shop, emr: EmrServer) -> None:
    emr.faults["GET"] = [(403, "AccessDeniedException")]
    ended = shop.run("submit", "run-all").failed(
        4, f"the state of the job {JOB} is not known", "emr-serverless:GetJobRun"
    )
    assert f"the job goes on; cancel it: {CANCEL}" in ended.stderr
    assert emr.cancelled is None


@pytest.mark.parametrize("fault", [(0, ""), (500, "InternalServerException")])
def test_a_request_whose_answer_is_lost_starts_one_job(shop: Shop, emr: EmrServer, fault: tuple[int, str]) -> None:
    emr.faults["POST"] = [fault]
    shop.run("submit", "run-all").done()
    assert [method for method, _, _ in emr.requests].count("POST") == 2
    assert len(emr.tokens) == 1


CANCEL: Final = f"aws emr-serverless cancel-job-run --application-id {APPLICATION} --job-run-id {JOB}"


def submitted(shop: Shop, emr: EmrServer, *signals: signal.Signals, seconds: float = 1.0, json: bool = False) -> Ended:
    """How a command ends that follows a running job, and gets these signals, a second apart."""
    emr.states[-1] = "RUNNING"
    with shop.start("submit", *(["--json"] if json else []), "run-all") as process:
        eventually(lambda: emr.states == ["RUNNING"])
        for number in signals:
            process.send_signal(number)
            time.sleep(seconds)
        return end(process)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_cancels_the_job(shop: Shop, emr: EmrServer, number: signal.Signals) -> None:
    ended = submitted(shop, emr, number, json=True)
    assert ended.code == 130
    assert f"shopease: interrupted\n  hint: the job {JOB} was cancelled\n" in ended.stderr
    assert ended.document["hint"] == f"the job {JOB} was cancelled"
    assert emr.cancelled == "shutdownGracePeriodInSeconds=30"
    assert emr.states == ["CANCELLED"]


def test_an_interrupt_at_the_start_waits_for_the_id_of_the_job(shop: Shop, emr: EmrServer) -> None:
    emr.states = ["RUNNING"]
    emr.until_started.clear()
    with shop.start("submit", "run-all") as process:
        eventually(lambda: emr.requests)
        process.send_signal(signal.SIGINT)
        time.sleep(1)
        emr.until_started.set()
        ended = end(process)
    assert ended.code == 130
    assert "shopease: interrupted; starting the job first" in ended.stderr
    assert f"hint: the job {JOB} was cancelled\n" in ended.stderr


def test_a_second_interrupt_ends_at_once_and_says_how_to_cancel(shop: Shop, emr: EmrServer) -> None:
    emr.until_cancelled = 1000
    ended = submitted(shop, emr, signal.SIGINT, signal.SIGINT)
    assert ended.code == 130
    lines = ended.stderr.splitlines()
    assert lines[-2:] == [
        "shopease: interrupted twice: ended at once",
        f"  hint: the job {JOB} may still be running; cancel it: {CANCEL}",
    ]
    assert emr.cancelled


def test_a_job_that_cannot_be_cancelled_is_named(shop: Shop, emr: EmrServer) -> None:
    emr.faults["DELETE"] = [(403, "AccessDeniedException")]
    ended = submitted(shop, emr, signal.SIGINT)
    assert ended.code == 130
    assert f"hint: the job {JOB} may still be running; cancel it: {CANCEL}\n" in ended.stderr


def test_a_job_that_ended_before_it_could_be_cancelled(shop: Shop, emr: EmrServer) -> None:
    emr.ends_first = True
    ended = submitted(shop, emr, signal.SIGINT)
    assert ended.code == 130
    assert f"hint: the job {JOB} had ended before: SUCCESS\n" in ended.stderr


def test_faults_that_pass_do_not_hide_that_the_job_was_cancelled(shop: Shop, emr: EmrServer) -> None:
    emr.until_cancelled = 3
    emr.faults["DELETE"] = [(500, "InternalServerException")]
    emr.states[-1] = "RUNNING"
    with shop.start("submit", "run-all") as process:
        eventually(lambda: emr.states == ["RUNNING"])
        process.send_signal(signal.SIGINT)
        eventually(lambda: emr.cancelled)
        emr.faults["GET"] = [(0, "")] * 4
        ended = end(process)
    assert ended.code == 130
    assert f"hint: the job {JOB} was cancelled\n" in ended.stderr


def test_without_waiting(shop: Shop, emr: EmrServer, bucket: str) -> None:
    address = f"s3://{bucket}/{LOG_KEY}"
    ended = shop.run("submit", "--no-wait", "extract", "--table", "customers").done()
    assert ended.stdout == f"Job {JOB}\nLog: {address}\n"
    assert f"To cancel it: {CANCEL}" in ended.stderr
    document = shop.run("submit", "--no-wait", "--json", "extract").done().document
    assert (document["job_id"], document["state"], document["log"]) == (JOB, "SUBMITTED", address)
    assert (document["exit_code"], document["seconds"]) == (None, None)
    assert [method for method, _, _ in emr.requests] == ["POST", "POST"]


def test_as_a_document_and_quietly(shop: Shop, emr: EmrServer, bucket: str) -> None:
    ended = shop.run("--json", "submit", "run-all").done()
    assert ended.document == {
        "job_id": JOB,
        "application": APPLICATION,
        "state": "SUCCESS",
        "log": f"s3://{bucket}/{LOG_KEY}",
        "exit_code": 0,
        "seconds": 213,
        "vcpu_hours": None,
        "gb_hours": None,
        "dollars": None,
    }
    assert len(ended.stdout.splitlines()) == 1
    quiet = shop.run("submit", "--quiet", "run-all").done()
    assert quiet.stdout + quiet.stderr == ""


def test_on_a_terminal(shop: Shop) -> None:
    shown = on_a_terminal(shop, "submit", "run-all", columns=80)
    assert shown.code == 0
    assert "running" in shown.stdout
    assert "\x1b[" in shown.stdout  # the live display


def test_the_script_is_uploaded_only_if_it_differs(shop: Shop, bucket: str) -> None:
    s3, key = boto3.client("s3"), f"some/lake/_spark/{NAME}"
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    s3.put_object(Bucket=bucket, Key=key, Body=b"import os")
    for _ in range(2):
        shop.run("submit", "run-all").done()
    versions = s3.list_object_versions(Bucket=bucket, Prefix=key)["Versions"]
    assert len(versions) == 2
    assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == SCRIPT


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("query", "SELECT 1"), ("'query' is not one of",)),
        (("run-all", "--nonsense"), ("No such option: --nonsense",)),
        (("clean", "--full", "more"), ("unexpected extra argument (more)",)),
        (("run-all", "--from", "restore"), ("'restore' is not one of",)),
        (("run-all", "--json"), ("a job cannot have --json",)),
        (("run-all", "--lake", "s3://other/lake"), ("a job cannot have --lake",)),
        (("run-all", "--database-url", "embedded"), ("a job cannot have --database-url",)),
        (("run-all", "--home", "here"), ("a job cannot have --home",)),
        (("run-all", "--log-file", "here.log"), ("a job cannot have --log-file",)),
        (("run-all", "--report", "report.html"), ("a job cannot have --report",)),
        (("run-all", "--dry-run"), ("a job cannot have --dry-run",)),
        (("extract", "--table", "two words"), ("the argument", "cannot be handed to a job")),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) and len(value) < 4 else "",
)
def test_arguments_are_checked_before_anything_is_sent(
    shop: Shop, emr: EmrServer, arguments: tuple[str, ...], words: tuple[str, ...]
) -> None:
    ended = shop.run("submit", *arguments).failed(2, *words)
    assert "  hint: " in ended.stderr
    assert emr.requests == []


def test_help_is_that_of_the_command(shop: Shop, emr: EmrServer) -> None:
    ended = shop.run("submit", "run-all", "--help").done()
    assert "Usage: shopease run-all [OPTIONS]" in ended.stdout
    assert emr.requests == []


@pytest.mark.parametrize(
    ("settings", "code", "words"),
    [
        ({"EMR_APPLICATION": "", "SPARK_ARCHIVE": ""}, 2, "not set: SHOPEASE_EMR_APPLICATION, SHOPEASE_SPARK_ARCHIVE"),
        ({"LAKE": "lake"}, 2, "a job cannot write to the lake lake"),
        ({"DATABASE_URL": "embedded"}, 2, "the embedded database, which is on this machine"),
        ({"DATABASE_URL": "postgresql://reader:hunter2@db/sales"}, 2, "SHOPEASE_DATABASE_URL has a password"),
        ({"DATABASE_URL": "host=db password=hunter2"}, 2, "SHOPEASE_DATABASE_URL has a password"),
        ({"DATABASE_URL": "postgresql://db/sales?password=hunter2"}, 2, "SHOPEASE_DATABASE_URL has a password"),
        ({"DATABASE_URL": "postgresql://db/sales?sslpassword=hunter2"}, 2, "SHOPEASE_DATABASE_URL has a password"),
        ({"DATABASE_URL": "postgresql:///sales"}, 2, "SHOPEASE_DATABASE_URL has no host"),
        ({"DATABASE_URL": "host=db dbname=sales"}, 2, "SHOPEASE_DATABASE_URL cannot be handed to a job"),
        ({"SOURCE_SCHEMA": 'the "shop"'}, 2, "SHOPEASE_SOURCE_SCHEMA cannot be handed to a job: it may have only"),
        ({"SOURCE_SCHEMA": "größe"}, 2, "SHOPEASE_SOURCE_SCHEMA cannot be handed to a job: it may have only"),
        ({"RUN_TIMEOUT": ""}, 2, "SHOPEASE_RUN_TIMEOUT cannot be handed to a job: it is empty"),
        ({"SPARK_ARCHIVE": "environment.tar.gz"}, 2, "SHOPEASE_SPARK_ARCHIVE is not valid"),
        ({"SPARK_ARCHIVE": "s3://nowhere-at-all/x.tar.gz"}, 4, "s3://nowhere-at-all"),
    ],
)
def test_settings_are_checked_before_a_job_starts(
    shop: Shop, emr: EmrServer, settings: dict[str, str], code: int, words: str
) -> None:
    ended = with_settings(shop, **settings).run("submit", "run-all").failed(code, words)
    if "has a password" in words or "embedded" in words:
        assert "aws secretsmanager create-secret" in ended.stderr
    assert "hunter2" not in ended.stderr
    assert emr.requests == []


def test_the_packed_environment_must_be_there(shop: Shop, emr: EmrServer, bucket: str) -> None:
    other = with_settings(shop, SPARK_ARCHIVE=f"s3://{bucket}/other.tar.gz")
    other.run("submit", "run-all").failed(4, f"the packed environment s3://{bucket}/other.tar.gz", "does not exist")
    assert emr.requests == []


def test_an_application_that_does_not_exist(shop: Shop) -> None:
    other = with_settings(shop, EMR_APPLICATION="00f1other")
    other.run("submit", "run-all").failed(4, "the EMR Serverless application 00f1other", "does not exist")


def test_a_time_limit_for_a_run_without_one_is_a_week(shop: Shop, emr: EmrServer) -> None:
    given = with_settings(shop, RUN_TIMEOUT="1e9")
    given.run("submit", "run-all").done()
    assert emr.started["executionTimeoutMinutes"] == 7 * 24 * 60


def test_secrets_stay_here(shop: Shop, emr: EmrServer, bucket: str) -> None:
    secrets = {
        "ALERTS": "json://me:alert-secret@host",
        "PING_URL": "https://hc-ping.com/ping-secret",
        "LINEAGE": "http://me:lineage-secret@marquez:5000",
    }
    environment = {**with_secret(shop, "shopease/source", **secrets), "OPENLINEAGE_API_KEY": "key-secret"}
    ended = shop.run("submit", "run-all", env=environment).done()
    assert "The job does not get SHOPEASE_ALERTS and SHOPEASE_PING_URL: secrets stay on this machine." in ended.stderr
    assert "The job does not get SHOPEASE_LINEAGE: it may hold a secret." in ended.stderr
    assert emr.variables["SHOPEASE_DATABASE_SECRET"] == "shopease/source"
    assert not emr.variables.keys() & {"SHOPEASE_DATABASE_URL", *(f"SHOPEASE_{name}" for name in secrets)}
    assert emr.sent("alert-secret", "ping-secret", "lineage-secret", "key-secret") == []
    assert emr.sent("shopease/source") != []  # the scan finds what is there


@pytest.mark.parametrize(
    ("target", "more", "note"),
    [
        ("http://marquez:5000", {}, None),
        ("http://marquez:5000", {"OPENLINEAGE_API_KEY": "key-secret"}, "it needs OPENLINEAGE_API_KEY, a secret"),
        ("http://marquez:5000/?token=lineage-secret", {}, "it may hold a secret"),
        ("lineage.jsonl", {}, "it is a file of this machine"),
    ],
)
def test_lineage_goes_with_the_job_if_it_has_no_secret(
    shop: Shop, emr: EmrServer, target: str, more: dict[str, str], note: str | None
) -> None:
    environment = {**with_settings(shop, LINEAGE=target).environment, **more}
    ended = shop.run("submit", "run-all", env=environment).done()
    assert emr.variables.get("SHOPEASE_LINEAGE") == (None if note else target)
    assert (f"The job does not get SHOPEASE_LINEAGE: {note}." in ended.stderr) == bool(note)
    assert emr.sent("key-secret", "lineage-secret") == []


def test_no_setting_that_is_secret_is_handed_to_jobs() -> None:
    secret = {name for name, field in Settings.model_fields.items() if "SecretStr" in str(field.annotation)}
    assert secret <= SECRET


def test_logs_are_encrypted_as_the_lake(shop: Shop, emr: EmrServer) -> None:
    key = "arn:aws:kms:us-east-1:123456789012:key/12345678-1234-1234-1234-123456789012"
    with_settings(shop, S3_ENCRYPTION="aws:kms", S3_KMS_KEY=key).run("submit", "run-all").done()
    storage = emr.started["configurationOverrides"]["monitoringConfiguration"]["s3MonitoringConfiguration"]
    assert storage["encryptionKeyArn"] == key


def test_on_another_server_of_the_service(shop: Shop, new_bucket: Callable[[], str]) -> None:
    """The requests are those of the service's own description: moto's server takes them too."""
    client = boto3.client("emr-serverless")
    application = client.create_application(name="shopease", releaseLabel="emr-7.1.0", type="SPARK")["applicationId"]
    environment = with_settings(shop, EMR_APPLICATION=application).environment
    del environment["AWS_ENDPOINT_URL_EMR_SERVERLESS"]
    document = shop.run("--json", "submit", "run-all", env=environment).done().document
    assert (document["state"], document["exit_code"]) == ("SUCCESS", 0)
    job = client.get_job_run(applicationId=application, jobRunId=document["job_id"])["jobRun"]
    assert job["jobDriver"]["sparkSubmit"]["entryPointArguments"] == ["run-all"]
    assert job["executionTimeoutMinutes"] == (14400 + 1800) / 60


def test_what_the_job_runs_says_its_exit_code_last(shop: Shop, tmp_path: Path) -> None:
    script = tmp_path / NAME
    script.write_bytes(SCRIPT)
    for arguments, code in ((("--version",), 0), (("run-all", "--nonsense"), 2), (("status", "--lake", "nowhere"), 0)):
        command = [sys.executable, script, *arguments]
        ran = subprocess.run(command, cwd=tmp_path, env=shop.environment, capture_output=True, text=True, check=False)
        assert (ran.returncode, ran.stderr.splitlines()[-1]) == (code, f"shopease: exit code {code}")


def test_what_the_job_runs_can_be_interrupted(tmp_path: Path) -> None:
    script = tmp_path / NAME
    script.write_bytes(SCRIPT)
    shop = Shop(tmp_path, "postgresql://reader@127.0.0.1:9/sales")  # nothing listens: an extract waits for it
    command = [sys.executable, script, "extract"]
    with subprocess.Popen(command, cwd=tmp_path, env=shop.environment, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr
        while "accepts no connections" not in (line := process.stderr.readline()):
            assert line
        process.send_signal(signal.SIGTERM)
        assert end(process).stderr.splitlines()[-1] == "shopease: exit code 130"
