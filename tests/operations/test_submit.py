"""`shopease submit`: jobs that succeed, fail, and are cancelled."""

import gzip
import json
import re
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import boto3
import pytest

from commands import Ended, Shop, end, on_a_terminal
from conftest import eventually
from emr_server import APPLICATION, JOB, ROLE, WAY, EmrServer, emr_server, submitting
from shopease_etl.errors import UnreachableError
from shopease_etl.operations.emr import jobs, logs
from shopease_etl.operations.emr.entry import NAME, SCRIPT
from shopease_etl.operations.emr.jobs import Jobs
from shopease_etl.operations.emr.logs import driver_log_key
from shopease_etl.operations.emr.request import JobRequest
from shopease_etl.operations.emr.submission import JobFailedError, Submission
from shopease_etl.pipeline.costs import Prices
from shopease_etl.progress import Silent

LOG_KEY: Final = f"some/lake/{driver_log_key('_spark/logs/', APPLICATION, JOB)}"


@pytest.fixture
def emr() -> Iterator[EmrServer]:
    with emr_server() as server:
        yield server


@pytest.fixture
def bucket(new_bucket: Callable[[], str]) -> str:
    return new_bucket()


@pytest.fixture
def shop(bucket: str, emr: EmrServer, tmp_path: Path) -> Shop:
    return submitting(emr, bucket, tmp_path)


def put_log(bucket: str, text: str) -> None:
    boto3.client("s3").put_object(Bucket=bucket, Key=LOG_KEY, Body=gzip.compress(text.encode()))


def test_a_job_runs_to_its_end(shop: Shop, emr: EmrServer, bucket: str) -> None:
    emr.states = [*WAY, "SUCCESS"]
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
    assert "succeeded after 213 s, billed 2 vCPU hours and 16 GB hours: $0.2." in ended.stdout
    shown = re.findall(r"^  (\w+): since [0-9:]{8} UTC, [0-9.]+ s$", ended.stderr, re.MULTILINE)
    assert shown == [state.lower() for state in WAY]


SPARK: Final = "26/11/29 03:30:01 INFO SparkContext: Running Spark version 4.0.2\n"
FAILING: Final = (
    "".join(f"line {number}\n{SPARK}" for number in range(40))
    + "shopease: error: 3 customers \x1b[31mwould be lost, as in postgresql://reader:hunter2@db/sales\n"
    + "26/11/29 03:30:59 WARN TaskSetManager: Lost task 3\n"
    + f"shopease: exit code 3\n{SPARK}26/11/29 03:31:00 WARN ShutdownHookManager: Deleting directory\n"
)
SHOWN: Final = (
    "".join(f"  line {number}\n" for number in range(22, 40))
    + "  shopease: error: 3 customers \\x1b[31mwould be lost, as in postgresql://reader:***@db/sales\n"
    + "  26/11/29 03:30:59 WARN TaskSetManager: Lost task 3\n"
)


def test_a_failed_job_ends_with_its_exit_code_and_the_end_of_its_log(shop: Shop, emr: EmrServer, bucket: str) -> None:
    emr.states[-1], emr.details, emr.billed = "FAILED", "Job failed", {"vCPUHour": 0.5, "memoryGBHour": 2.0}
    put_log(bucket, FAILING)
    ended = shop.run("--json", "submit", "clean").failed(3, JOB)
    shown = f"shopease: error: the job {JOB} on EMR Serverless ended with exit code 3\n{SHOWN}  hint: for the whole log"
    assert shown in ended.stderr
    assert "failed after 213 s, billed 0.5 vCPU hours and 2 GB hours: $0.038.\n" in ended.stderr
    assert "hunter2" not in ended.stderr + ended.stdout
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
    shop: Shop, emr: EmrServer, bucket: str, monkeypatch: pytest.MonkeyPatch, log: bytes | None, shown: tuple[str, ...]
) -> None:
    monkeypatch.setattr(logs, "LOG_SECONDS", 0.1)
    if log is not None:
        boto3.client("s3").put_object(Bucket=bucket, Key=LOG_KEY, Body=log)
    for name, value in emr.environment.items():
        monkeypatch.setenv(name, value)
    emr.states, emr.details = ["FAILED"], "the role may not be assumed"
    request = JobRequest(APPLICATION, ROLE, shop.more["SHOPEASE_SPARK_ARCHIVE"], shop.lake, ("retry",), {}, 60)
    with pytest.raises(JobFailedError, match="ended with FAILED: the role may not be assumed") as raised:
        Submission.start(request, "s3://bucket/script.py", Prices(*[1.0] * 6)).finish()
    assert raised.value.exit_code == 1
    assert raised.value.details[-len(shown) :] == shown if shown else raised.value.details == ()


def test_a_log_that_cannot_be_read_does_not_hide_the_failure(
    emr: EmrServer, followed: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9")
    emr.states = ["FAILED"]
    request = JobRequest(followed.application, ROLE, "s3://bucket/x.tar.gz", "s3://bucket/lake", ("retry",), {}, 60)
    with pytest.raises(JobFailedError, match="ended with FAILED: AWS gives no reason") as raised:
        Submission.start(request, "s3://bucket/script.py", Prices(*[1.0] * 6)).finish()
    assert raised.value.details[0].startswith("(the log cannot be read: cannot reach s3://bucket/")


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


def test_a_request_whose_answers_are_all_lost_may_have_started_a_job(shop: Shop, emr: EmrServer) -> None:
    emr.faults["POST"] = [(0, "")] * 2
    ended = shop.run("submit", "run-all").failed(4, f"cannot reach the EMR Serverless application {APPLICATION}")
    listing = f"aws emr-serverless list-job-runs --application-id {APPLICATION}"
    assert f"  hint: a job may have been started: {listing}\n" in ended.stderr


class Recorder(Silent):
    """Counts the signs of life."""

    signs = 0

    def advance(self, task: str, *, size: int = 0, rows: int = 0) -> None:  # noqa: ARG002 - progress has them
        self.signs += 1


@pytest.fixture
def followed(emr: EmrServer, monkeypatch: pytest.MonkeyPatch, bucket: str) -> Jobs:  # noqa: ARG001 - for AWS's variables
    """Jobs that are followed in this process."""
    for name, value in emr.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(jobs, "_SHORTEST_PAUSE", 0.05)
    return Jobs(APPLICATION)


def test_a_long_state_gives_signs_of_life(emr: EmrServer, followed: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "_SIGN_OF_LIFE", 0.0)
    emr.states = [*["RUNNING"] * 4, "SUCCESS"]
    recorder = Recorder()
    assert followed.follow(JOB, recorder)["state"] == "SUCCESS"
    assert recorder.signs == 3


def test_faults_that_do_not_pass_end_the_following(
    emr: EmrServer, followed: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jobs, "_PATIENCE", 0.2)
    emr.faults["GET"] = [(500, "InternalServerException")] * 100
    with pytest.raises(UnreachableError, match=f"the state of the job {JOB} is not known: AWS refuses") as raised:
        followed.follow(JOB)
    assert raised.value.hint == f"the job goes on; cancel it: {CANCEL}"


def test_a_cancellation_that_takes_long(emr: EmrServer, followed: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "_CANCEL_SECONDS", 0.2)
    emr.until_cancelled = 1000
    text = f"the job {JOB} is being cancelled, but is still CANCELLING; to cancel it again: {CANCEL}"
    assert followed.cancel(JOB) == text


@pytest.mark.usefixtures("bucket")
def test_a_job_on_another_server_of_the_service_is_cancelled() -> None:
    client = boto3.client("emr-serverless")
    application = client.create_application(name="shopease", releaseLabel="emr-7.1.0", type="SPARK")["applicationId"]
    request = JobRequest(application, ROLE, "s3://bucket/x.tar.gz", "s3://bucket/lake", ("retry",), {}, 60)
    there = Jobs(application)
    job = there.start(request, "s3://bucket/script.py")
    assert there.cancel(job) == f"the job {job} was cancelled"
    assert client.get_job_run(applicationId=application, jobRunId=job)["jobRun"]["state"] == "CANCELLED"


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


def test_a_second_interrupt_at_the_start_says_how_to_find_the_job(shop: Shop, emr: EmrServer) -> None:
    emr.until_started.clear()
    with shop.start("submit", "run-all") as process:
        eventually(lambda: emr.requests)
        for _ in range(2):
            process.send_signal(signal.SIGINT)
            time.sleep(1)
        ended = end(process)
    emr.until_started.set()
    listing = f"aws emr-serverless list-job-runs --application-id {APPLICATION}"
    assert ended.code == 130
    assert ended.stderr.endswith(f"ended at once\n  hint: a job may have been started: {listing}\n")


def test_an_interrupt_while_the_log_is_read(shop: Shop, emr: EmrServer) -> None:
    emr.states[-1] = "FAILED"
    emr.ends_first = True
    with shop.start("submit", "run-all") as process:
        eventually(lambda: emr.states == ["FAILED"])
        time.sleep(2)
        process.send_signal(signal.SIGINT)
        ended = end(process)
    assert ended.code == 130
    assert f"hint: the job {JOB} had ended before: FAILED\n" in ended.stderr


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


def test_as_a_document_and_quietly(shop: Shop, bucket: str) -> None:
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
