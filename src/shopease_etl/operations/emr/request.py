"""What a job is started with: the settings that it gets, and those that stay here."""

import math
import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from shopease_etl.contract.layout import SPARK
from shopease_etl.errors import ConfigurationError
from shopease_etl.pipeline.wiring import lake_store
from shopease_etl.settings import PREFIX, Settings

LOGS: Final = f"{SPARK}/logs/"
# Settings of this machine, or of `submit` itself: a job has its own folders, and submits nothing.
_NOT_FOR_JOBS: Final = frozenset({"home", "queries", "log_file", "emr_application", "emr_role", "spark_archive"})
SECRET: Final = frozenset({"database_url", "alerts", "ping_url", "lineage"})
_ALWAYS: Final = {"SHOPEASE_ENGINE": "spark", "SHOPEASE_PARTITIONS": "month"}
_PASSWORDS: Final = frozenset(
    {"password", "sslpassword", "scram_client_key", "scram_server_key", "oauth_client_secret"}
)
_ENVIRONMENT: Final = "environment"  # the folder that the archive is unpacked to, beside the driver and the executors
_PYTHON: Final = f"./{_ENVIRONMENT}/bin/python"
# AWS ends a job that has not ended by itself: after its own limit and this, and never after more than a week
_MARGIN_SECONDS: Final = 1800
_LEAST_MINUTES: Final = 5
_MOST_MINUTES: Final = 7 * 24 * 60


@dataclass(frozen=True)
class JobRequest:
    """A command to run as a job: its words, the job's variables, and where things are on AWS.

    Its logs are in the lake, below `LOGS`. `notes` say which settings the job does not get. AWS ends the job after so
    many `minutes`.
    """

    application: str
    role: str
    archive: str
    lake: str
    words: tuple[str, ...]
    environment: Mapping[str, str]
    minutes: int
    notes: tuple[str, ...] = ()
    log_key: str | None = None

    def spark_parameters(self, region: str) -> str:
        """The parameters of spark-submit; the driver has the variables, and the region as the executors do."""
        driver, executor = "spark.emr-serverless.driverEnv.", "spark.executorEnv."
        properties = {
            "spark.archives": f"{self.archive}#{_ENVIRONMENT}",
            f"{driver}PYSPARK_PYTHON": _PYTHON,
            f"{driver}PYSPARK_DRIVER_PYTHON": _PYTHON,
            f"{executor}PYSPARK_PYTHON": _PYTHON,
            f"{driver}AWS_DEFAULT_REGION": region,
            f"{executor}AWS_DEFAULT_REGION": region,
            **{f"{driver}{name}": value for name, value in self.environment.items()},
        }
        return " ".join(f"--conf {name}={value}" for name, value in properties.items())


def job_request(settings: Settings, words: Sequence[str], wait: float = 0) -> JobRequest:
    """The job for a command with these words, which may `wait` so many seconds for another run.

    Raises:
        ConfigurationError: a setting is missing, cannot be handed to a job, or holds a secret.
    """
    found = {name: getattr(settings, name) for name in ("emr_application", "emr_role", "spark_archive")}
    if missing := [PREFIX + name.upper() for name, value in found.items() if not value]:
        raise ConfigurationError(f"not set: {', '.join(missing)}", hint="docs/EMR.md says how to set up EMR Serverless")
    if not lake_store(settings).is_on_aws:
        message = f"a job cannot write to the lake {settings.lake}, which is a folder of this machine"
        raise ConfigurationError(message, hint="set SHOPEASE_LAKE to s3://BUCKET/PREFIX")
    key = settings.s3_kms_key
    return JobRequest(
        application=str(settings.emr_application),
        role=str(settings.emr_role),
        archive=_safe("SHOPEASE_SPARK_ARCHIVE", str(settings.spark_archive)),
        lake=settings.lake.rstrip("/"),
        words=tuple(_safe(f"the argument {word!r}", word) for word in words),
        environment={**dict(_variables(settings)), **_ALWAYS},
        minutes=_minutes(settings.run_timeout, wait),
        notes=tuple(_notes(settings)),
        log_key=key if key and key.startswith("arn:") else None,
    )


def _minutes(limit: float | None, wait: float) -> int:
    if limit is None:
        return _MOST_MINUTES
    return min(_MOST_MINUTES, max(_LEAST_MINUTES, math.ceil((limit + wait + _MARGIN_SECONDS) / 60)))


def _variables(settings: Settings) -> Iterator[tuple[str, str]]:
    """The settings that were given, and that a job may have."""
    if not settings.database_secret:
        yield "SHOPEASE_DATABASE_URL", _safe("SHOPEASE_DATABASE_URL", _database_url(settings))
    if settings.lineage and not _lineage_note(settings.lineage):
        yield "SHOPEASE_LINEAGE", _safe("SHOPEASE_LINEAGE", settings.lineage)
    for name in sorted(settings.model_fields_set - _NOT_FOR_JOBS - SECRET):
        value, default = getattr(settings, name), type(settings).model_fields[name].default
        if not (value is None and default is None):
            yield f"{PREFIX}{name.upper()}", _safe(f"{PREFIX}{name.upper()}", _text(value))


def _text(value: Any) -> str:
    """A setting's value as a variable has it."""
    if value is None:
        return ""
    return ",".join(value) if isinstance(value, tuple) else str(value)


def _safe(variable: str, value: str) -> str:
    """The value, if it arrives as it is: it is a word of a command line, whose quoting is not documented.

    Raises:
        ConfigurationError: it may not arrive as it is.
    """
    if shlex.quote(value) == value:
        return value
    problem = "it is empty" if not value else "it may have only letters and digits of ASCII and @%+=:,./-_"
    raise ConfigurationError(f"{variable} cannot be handed to a job: {problem}", hint="change it, or leave it unset")


def _database_url(settings: Settings) -> str:
    """The source's URL, if it has no secret and the job can use it."""
    # it imports psycopg, which is slow
    from shopease_etl.source.postgres.connections import parameters

    hint = (
        "aws secretsmanager create-secret --name shopease/source --secret-string file://URL.txt (a file with the URL), "
        "then set SHOPEASE_DATABASE_SECRET=shopease/source in place of SHOPEASE_DATABASE_URL"
    )
    if settings.is_embedded:
        raise ConfigurationError("a job cannot read the embedded database, which is on this machine", hint=hint)
    url = settings.database_url.get_secret_value()
    named = parameters(url)
    if named.keys() & _PASSWORDS:
        message = "SHOPEASE_DATABASE_URL has a password, which does not belong into the parameters of a job"
        raise ConfigurationError(message, hint=hint)
    if not named.get("host", named.get("hostaddr")):
        message = "SHOPEASE_DATABASE_URL has no host, and a job does not see the PG... variables of this machine"
        raise ConfigurationError(message, hint="write it as postgresql://USER@HOST:PORT/DATABASE")
    return url


def _notes(settings: Settings) -> Iterator[str]:
    """What the job does not do, because it does not get the setting for it."""
    held = {"SHOPEASE_ALERTS": settings.alerts, "SHOPEASE_PING_URL": settings.ping_url}
    if names := [name for name, value in held.items() if value]:
        yield (
            f"The job does not get {' and '.join(names)}: secrets stay on this machine. "
            "The exit code of submit is the job's; notify by that."
        )
    if settings.lineage and (why := _lineage_note(settings.lineage)):
        yield f"The job does not get SHOPEASE_LINEAGE: {why}."


def _lineage_note(target: str) -> str | None:
    """Why a job cannot send lineage to this target; None if it can."""
    if "://" not in target:
        return "it is a file of this machine"
    if "@" in urlsplit(target).netloc or urlsplit(target).query:
        return "it may hold a secret"
    if os.environ.get("OPENLINEAGE_API_KEY", "").strip():
        return "it needs OPENLINEAGE_API_KEY, a secret"
    return None
