"""The settings: flag, else environment (`SHOPEASE_…`), else `.env`, else default."""

import difflib
import os
import re
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import (
    ByteSize,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from shopease_etl import addresses
from shopease_etl.dotenv_file import DOTENV, dotenv_variables
from shopease_etl.errors import ConfigurationError

PREFIX: Final = "SHOPEASE_"
EMBEDDED: Final = "embedded"
# Settings of one form: the pattern, and an example.
_FORMS: Final = {
    "emr_application": (r"[0-9a-z]{1,64}", "00f1abcdefghij09, the application's id"),
    "emr_role": (r"arn:[\w-]+:iam::\d{12}:role/\S+", "arn:aws:iam::123456789012:role/NAME"),
    "spark_archive": (r"s3://[^/\s]+/[^\s#]*[^/\s#]", "s3://BUCKET/PREFIX/_spark/environment.tar.gz"),
}


class Settings(BaseSettings):
    """All settings, but not AWS credentials, region and endpoint: boto3 finds these."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, extra="ignore", frozen=True, allow_inf_nan=False, hide_input_in_errors=True
    )

    database_url: SecretStr = Field(
        SecretStr(EMBEDDED),
        description="Source database: a libpq URL (missing parts come from PG… variables), or `embedded`.",
    )
    database_secret: str | None = Field(
        None, description="Secret in AWS Secrets Manager with the source's URL, in place of SHOPEASE_DATABASE_URL."
    )
    source_schema: str = Field("public", description="Schema of the source tables.")
    lake: str = Field("lake", description="The lake: a folder, or s3://BUCKET[/PREFIX].")
    home: Path = Field(Path(".shopease"), description="Folder of the embedded database and the local catalog.")
    business_timezone: str = Field("UTC", description="Time zone that decides the date of a sale.")
    glue_database: str = Field("shopease_catalog", description="Name of the catalog's database.")
    athena_workgroup: str = Field("shopease-analytics", description="Athena workgroup that queries run in.")
    crawlers: Annotated[tuple[str, ...], NoDecode] = Field(
        ("shopease-bronze-crawler", "shopease-silver-crawler", "shopease-gold-crawler"),
        description="The Glue crawlers, separated by commas.",
    )
    query_timeout: PositiveFloat = Field(600, description="Seconds after which a query is cancelled.")
    queries: Path | None = Field(None, description="Folder with queries of your own, each in a file NAME.sql.")
    crawler_timeout: PositiveFloat = Field(1800, description="Seconds to wait for the crawlers.")
    s3_encryption: Literal["AES256", "aws:kms"] | None = Field(
        None, description="Encryption requested from S3 for each object; unset: the bucket's default."
    )
    s3_kms_key: str | None = Field(None, description="KMS key for aws:kms; unset: the account's default key.")
    keep_generations: NonNegativeInt = Field(
        1, description="Previous versions that a local lake keeps for `rollback` (S3 has its own)."
    )
    keep_manifests: PositiveInt = Field(
        1000, description="Manifests to keep; those that the current and previous lakes need are never deleted."
    )
    max_shrink: float = Field(
        0.2, ge=0, le=1, description="Largest drop of rows or revenue since the last run that is published, as a share."
    )
    max_rejected: float = Field(0.5, ge=0, le=1, description="Largest share of a table's rows that may be rejected.")
    partitions: Literal["none", "month"] = Field(
        "none",
        description="Whether sales are kept in one file, or in one for each month, so that runs are incremental.",
    )
    full_every: NonNegativeFloat = Field(
        30, description="Days after which a run copies all months again (with SHOPEASE_PARTITIONS=month)."
    )
    engine: Literal["local", "spark"] = Field(
        "local", description="Where months are worked on: on this machine, or in Spark's tasks (extra `spark`)."
    )
    clv: Literal["off", "on"] = Field("off", description="Whether gold has customer_lifetime_value (extra `clv`).")
    source_attempts: PositiveInt = Field(3, description="Attempts of an extract whose connection fails.")
    source_wait: NonNegativeFloat = Field(
        60, description="Seconds to wait for a source that does not accept connections yet; 0: do not wait."
    )
    source_connections: PositiveInt | None = Field(
        None, description="Connections for an extract; unset: one per core, at most 4."
    )
    source_statement_timeout: NonNegativeFloat = Field(
        3600, description="Seconds after which the source cancels a statement; 0: never."
    )
    source_lock_timeout: NonNegativeFloat = Field(
        60, description="Seconds to wait for a lock in the source; 0: forever."
    )
    source_idle_timeout: NonNegativeFloat = Field(
        600, description="Seconds after which the source ends an idle transaction; 0: never."
    )
    stage_timeout: PositiveFloat | None = Field(7200, description="Seconds that a stage may take; empty: no limit.")
    run_timeout: PositiveFloat | None = Field(14400, description="Seconds that a run may take; empty: no limit.")
    lease_seconds: float = Field(60, ge=3, description="Seconds after which the lock of a run that died is free (S3).")
    alerts: Annotated[tuple[SecretStr, ...], NoDecode] = Field(
        (), description="Apprise addresses that get failures and recoveries, separated by spaces."
    )
    ping_url: SecretStr | None = Field(None, description="URL of a dead man's switch, called at a run's start and end.")
    lineage: str | None = Field(
        None, description="Destination of OpenLineage events: a file, or an http(s):// address."
    )
    emr_application: str | None = Field(None, description="EMR Serverless application of `submit`: its id.")
    emr_role: str | None = Field(None, description="ARN of the role that submitted jobs run with.")
    spark_archive: str | None = Field(None, description="s3:// address of the packed environment that jobs run in.")
    log_format: Literal["text", "json"] = Field("text", description="Format of the log.")
    log_file: Path | None = Field(None, description="File that also gets the log; rotated.")
    price_s3_gb_month: NonNegativeFloat = Field(0.023, description="Dollars per GB and month in S3.")
    price_s3_1000_puts: NonNegativeFloat = Field(0.005, description="Dollars per 1,000 write requests to S3.")
    price_glue_dpu_hour: NonNegativeFloat = Field(0.44, description="Dollars per DPU hour of a Glue crawler.")
    price_athena_tb: NonNegativeFloat = Field(5.0, description="Dollars per TB that Athena scans.")
    price_emr_vcpu_hour: NonNegativeFloat = Field(0.052624, description="Dollars per vCPU hour on EMR Serverless.")
    price_emr_gb_hour: NonNegativeFloat = Field(0.0057785, description="Dollars per GB hour on EMR Serverless.")
    max_memory: ByteSize | None = Field(
        None, description="Memory limit of a run or a query, such as 2GB; unset: a run plans with 1GB."
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - pydantic names it
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - likewise
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Flags, the environment, and `.env` verbatim: pydantic's own source expands variables in it."""
        in_file = {name.upper(): value for name, value in dotenv_variables().items() if value is not None}
        variables = {name: PREFIX + name.upper() for name in settings_cls.model_fields}
        values = {name: in_file[variable] for name, variable in variables.items() if variable in in_file}
        return init_settings, env_settings, InitSettingsSource(settings_cls, values)

    @field_validator("crawlers", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(name.strip() for name in value.split(",") if name.strip()) if isinstance(value, str) else value

    @field_validator("alerts", mode="before")
    @classmethod
    def _addresses(cls, value: object) -> object:
        return tuple(value.split()) if isinstance(value, str) else value

    @field_validator("alerts")
    @classmethod
    def _are_addresses(cls, value: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        if not all("://" in address.get_secret_value() for address in value):
            raise ValueError("write addresses such as mailto://..., separated by spaces")
        return value

    @field_validator("ping_url")
    @classmethod
    def _http(cls, value: SecretStr | None) -> SecretStr | None:
        if value and not re.fullmatch(r"https?://[^\s/:]+(:[0-9]+)?(/\S*)?", value.get_secret_value()):
            raise ValueError("must be an http(s):// address without user and password")
        return value

    @field_validator("business_timezone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (KeyError, ValueError, OSError):
            raise ValueError("no such time zone; write it as in Europe/Berlin") from None
        return value

    @field_validator("home", "queries", mode="before")
    @classmethod
    def _folder(cls, value: object) -> object:
        if isinstance(value, str) and not value.strip():
            raise ValueError("must not be empty")
        try:
            return value and Path(str(value)).expanduser()
        except RuntimeError:
            raise ValueError("there is no user with this home folder") from None

    @field_validator(
        *("database_url", "source_schema", "lake", "home", "business_timezone", "glue_database", "athena_workgroup"),
        *("ping_url", "lineage", "log_file", "s3_kms_key", "queries"),
        *("database_secret", "emr_application", "emr_role", "spark_archive"),
        mode="before",
    )
    @classmethod
    def _spelled(cls, value: object, info: ValidationInfo) -> object:
        """Refuse what a shell, another tool or a container's env file would read differently."""
        if isinstance(value, str):
            addresses.check_ends(value, is_secret=info.field_name in ("database_url", "ping_url", "lineage"))
        return value

    @field_validator("*", mode="before")
    @classmethod
    def _without_variables(cls, value: object, info: ValidationInfo) -> object:
        if isinstance(value, str):
            is_secret = info.field_name in ("database_url", "ping_url", "lineage", "alerts")
            is_path = info.field_name in ("lake", "home", "log_file", "queries")
            addresses.check_variables(value, is_secret=is_secret, is_path=is_path)
        return value

    @field_validator("lake")
    @classmethod
    def _lake(cls, value: str) -> str:
        addresses.check_lake(value)
        return value

    @field_validator("database_url")
    @classmethod
    def _url(cls, value: SecretStr) -> SecretStr:
        addresses.check_database_url(value.get_secret_value(), EMBEDDED)
        return value

    @field_validator(
        *("max_memory", "source_connections", "s3_encryption", "s3_kms_key", "stage_timeout", "run_timeout"),
        *("lineage", "log_file", "ping_url", "queries"),
        *("database_secret", "emr_application", "emr_role", "spark_archive"),
        mode="before",
    )
    @classmethod
    def _unset(cls, value: object) -> object:
        return value or None

    @field_validator(*_FORMS)
    @classmethod
    def _formed(cls, value: str | None, info: ValidationInfo) -> str | None:
        pattern, form = _FORMS[str(info.field_name)]
        if value and not re.fullmatch(pattern, value, re.ASCII):
            raise ValueError(f"write it as {form}")
        return value

    @property
    def is_embedded(self) -> bool:
        """Whether the source is the embedded database."""
        return self.database_url.get_secret_value() == EMBEDDED and not self.database_secret

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        if self.s3_kms_key and self.s3_encryption != "aws:kms":
            raise addresses.SettingError("s3_kms_key", "it needs SHOPEASE_S3_ENCRYPTION=aws:kms")
        if self.database_secret and "database_url" in self.model_fields_set:
            problem = "SHOPEASE_DATABASE_URL is set, too"
            raise addresses.SettingError("database_secret", problem, "set only one of the two")
        return self

    @field_validator("database_url", "source_schema", "lake", "glue_database", "athena_workgroup")
    @classmethod
    def _not_empty(cls, value: SecretStr | str) -> SecretStr | str:
        if not (value if isinstance(value, str) else value.get_secret_value()).strip():
            raise ValueError("must not be empty")
        return value


def load(**flags: Any) -> Settings:
    """Read the settings; a flag that is None was not given.

    Raises:
        ConfigurationError: a value is not valid, or a `SHOPEASE_…` variable is not a setting.
    """
    try:
        _refuse_unknown()
        return Settings(**{name: value for name, value in flags.items() if value is not None})
    except UnicodeDecodeError as error:
        message = f"{DOTENV} is not in UTF-8"
        raise ConfigurationError(message) from error
    except ValidationError as error:
        first = error.errors()[0]
        cause = first.get("ctx", {}).get("error")
        name = cause.setting if isinstance(cause, addresses.SettingError) else str(first["loc"][0])
        reason = str(first["msg"]).removeprefix("Value error, ")
        message = f"{PREFIX}{name.upper()} is not valid: {reason}"
        raise ConfigurationError(message, hint=getattr(cause, "hint", None)) from None


def _refuse_unknown() -> None:
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    for name in sorted({*os.environ, *dotenv_variables()}):
        if name.upper().startswith(PREFIX) and name.upper() not in known:
            close = difflib.get_close_matches(name.upper(), known, 1)
            hint = f"did you mean {close[0]}?" if close else f"the settings are {', '.join(sorted(known))}"
            message = f"{name} is not a setting of shopease"
            raise ConfigurationError(message, hint=hint)
