"""What `shopease submit` starts a job with, and what it refuses before."""

import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import boto3
import pytest
from hypothesis import given
from hypothesis import strategies as st

from commands import Shop, end
from emr_server import APPLICATION, ROLE, URL, EmrServer, emr_server, submitting, with_secret, with_settings
from shopease_etl.errors import ConfigurationError
from shopease_etl.operations.emr.entry import NAME, SCRIPT
from shopease_etl.operations.emr.request import SECRET, job_request
from shopease_etl.settings import Settings, load


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


@given(value=st.text("ab9_-=,./'\" $\\#é\n", max_size=6) | st.text(max_size=20))
def test_a_value_arrives_as_it_is_or_is_refused(value: str) -> None:
    """Whatever reads the parameters reads them as a shell would, or splits them at blanks, or has Spark's own rules."""
    try:
        settings = load(
            database_url=URL,
            lake="s3://bucket/lake",
            source_schema=value,
            emr_application=APPLICATION,
            emr_role=ROLE,
            spark_archive="s3://bucket/x.tar.gz",
        )
        parameters = job_request(settings, ("run-all",)).spark_parameters("us-east-1")
    except ConfigurationError:
        return
    option = f"spark.emr-serverless.driverEnv.SHOPEASE_SOURCE_SCHEMA={value}"
    assert option in shlex.split(parameters)
    assert option in parameters.split(" ")
    assert value


def test_what_the_job_gets(shop: Shop, emr: EmrServer, bucket: str) -> None:
    (shop.folder / ".env").write_text("SHOPEASE_LEASE_SECONDS=90\nSHOPEASE_HOME=here\n")
    chosen = with_settings(shop, CLV="on", CRAWLERS="a, b", MAX_SHRINK="0.35", MAX_MEMORY="2GB", PRICE_ATHENA_TB="6.5")
    chosen.run("submit", "run-all", "--allow-shrink").done()
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
        "SHOPEASE_LEASE_SECONDS": "90.0",
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


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("query", "SELECT 1"), ("'query' is not one of",)),
        (("run-all", "--nonsense"), ("No such option: --nonsense",)),
        (("clean", "--full", "more"), ("unexpected extra argument(s) (more)",)),
        (("run-all", "--from", "restore"), ("'restore' is not one of",)),
        (("run-all", "--json"), ("a job cannot have --json",)),
        (("run-all", "--lake", "s3://other/lake"), ("a job cannot have --lake",)),
        (("run-all", "--database-url", "embedded"), ("a job cannot have --database-url",)),
        (("run-all", "--engine", "local"), ("--engine",)),
        (("run-all", "--home", "here"), ("a job cannot have --home",)),
        (("run-all", "--log-file", "here.log"), ("a job cannot have --log-file",)),
        (("run-all", "--report", "report.html"), ("a job cannot have --report",)),
        (("run-all", "--dry-run"), ("a job cannot have --dry-run",)),
        (("extract", "--table", "two words"), ("the argument 'two words'", "cannot be handed to a job")),
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
        ({"SPARK_ARCHIVE": "environment.tar.gz"}, 2, "SHOPEASE_SPARK_ARCHIVE is not valid: write it as s3://"),
        ({"EMR_ROLE": "shopease-job"}, 2, "SHOPEASE_EMR_ROLE is not valid: write it as arn:"),
        ({"EMR_APPLICATION": "/applications/00f1"}, 2, "SHOPEASE_EMR_APPLICATION is not valid: write it as 00f1"),
        ({"SPARK_ARCHIVE": "s3://nowhere-at-all/x.tar.gz"}, 4, "s3://nowhere-at-all"),
    ],
)
def test_settings_are_checked_before_a_job_starts(
    shop: Shop, emr: EmrServer, settings: dict[str, str], code: int, words: str
) -> None:
    ended = with_settings(shop, **settings).run("submit", "run-all").failed(code, words)
    if "has a password" in words or "embedded" in words:
        assert "aws secretsmanager create-secret" in ended.stderr
        assert "then set SHOPEASE_DATABASE_SECRET=shopease/source in place of SHOPEASE_DATABASE_URL" in ended.stderr
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
    with_settings(shop, RUN_TIMEOUT="1e9").run("submit", "run-all").done()
    assert emr.started["executionTimeoutMinutes"] == 7 * 24 * 60


def test_secrets_stay_here(shop: Shop, emr: EmrServer) -> None:
    secrets = {
        "ALERTS": "json://me:alert-secret@host",
        "PING_URL": "https://hc-ping.com/ping-secret",
        "LINEAGE": "http://me:lineage-secret@marquez:5000",
    }
    environment = {
        **with_secret(with_settings(shop, **secrets), "shopease/source"),
        "OPENLINEAGE_API_KEY": "key-secret",
    }
    ended = shop.run("submit", "run-all", env=environment).done()
    assert "The job does not get SHOPEASE_ALERTS and SHOPEASE_PING_URL: secrets stay on this machine." in ended.stderr
    assert "The job does not get SHOPEASE_LINEAGE: it may hold a secret." in ended.stderr
    assert emr.variables["SHOPEASE_DATABASE_SECRET"] == "shopease/source"
    assert not emr.variables.keys() & {"SHOPEASE_DATABASE_URL", *(f"SHOPEASE_{name}" for name in secrets)}
    assert emr.sent("alert-secret", "ping-secret", "lineage-secret", "key-secret", "pg-secret") == []
    assert emr.sent("shopease/source") != []  # the scan finds what is there


@pytest.mark.parametrize(
    ("target", "more", "note"),
    [
        ("http://marquez:5000", {}, None),
        ("http://marquez:5000", {"OPENLINEAGE_API_KEY": "key-secret"}, "it needs OPENLINEAGE_API_KEY, a secret"),
        ("http://marquez:5000/?token=lineage-secret", {}, "it may hold a secret"),
        ("http://lineage-secret@marquez:5000", {}, "it may hold a secret"),
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


def test_the_script_is_uploaded_only_if_it_differs(shop: Shop, bucket: str) -> None:
    s3, key = boto3.client("s3"), f"some/lake/_spark/{NAME}"
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    s3.put_object(Bucket=bucket, Key=key, Body=b"import os")
    for _ in range(2):
        shop.run("submit", "run-all").done()
    versions = s3.list_object_versions(Bucket=bucket, Prefix=key)["Versions"]
    assert len(versions) == 2
    assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == SCRIPT


def checked(shop: Shop, **settings: str) -> dict[str, tuple[int, str]]:
    """What `check` finds of an application on moto's server."""
    environment = with_settings(shop, **settings).environment
    del environment["AWS_ENDPOINT_URL_EMR_SERVERLESS"]
    lines = shop.run("check", "--json", env=environment).document
    return {line["name"]: (line["exit_code"], line["detail"]) for line in lines}


def test_check_says_whether_jobs_can_be_submitted(shop: Shop, bucket: str) -> None:
    client = boto3.client("emr-serverless")
    application = client.create_application(name="shopease", releaseLabel="emr-7.1.0", type="SPARK")["applicationId"]
    found = checked(shop, EMR_APPLICATION=application)
    assert found["emr application"] == (0, "shopease, emr-7.1.0, started")
    assert found["spark archive"] == (0, f"s3://{bucket}/some/lake/_spark/environment.tar.gz, 0.0 MB")
    assert "submit" not in found
    found = checked(shop, EMR_APPLICATION="00f1other", EMR_ROLE="", SPARK_ARCHIVE=f"s3://{bucket}/nowhere.tar.gz")
    assert found["submit"] == (2, "not set: SHOPEASE_EMR_ROLE")
    assert found["emr application"][0] == found["spark archive"][0] == 4
    assert "does not exist" in found["spark archive"][1]
    assert not {"submit", "spark archive"} & checked(shop, EMR_APPLICATION="", EMR_ROLE="", SPARK_ARCHIVE="").keys()


def test_on_another_server_of_the_service(shop: Shop) -> None:
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
        command = [sys.executable, str(script), *arguments]
        ran = subprocess.run(command, cwd=tmp_path, env=shop.environment, capture_output=True, text=True, check=False)
        assert (ran.returncode, ran.stderr.splitlines()[-1]) == (code, f"shopease: exit code {code}")


def test_what_the_job_runs_can_be_interrupted(tmp_path: Path) -> None:
    script = tmp_path / NAME
    script.write_bytes(SCRIPT)
    shop = Shop(tmp_path, "postgresql://reader@127.0.0.1:9/sales")  # nothing listens: an extract waits for it
    command = [sys.executable, str(script), "extract"]
    with subprocess.Popen(command, cwd=tmp_path, env=shop.environment, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr
        while "accepts no connections" not in (line := process.stderr.readline()):
            assert line
        process.send_signal(signal.SIGTERM)
        assert end(process).stderr.splitlines()[-1] == "shopease: exit code 130"
