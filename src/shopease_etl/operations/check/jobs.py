"""What `submit` needs: the EMR Serverless application, the role's ARN, and the packed environment."""

from collections.abc import Iterator

from shopease_etl.errors import ConfigurationError, UnreachableError
from shopease_etl.operations.check.lines import CheckLine, check, failure, warning
from shopease_etl.settings import PREFIX, Settings


def jobs(settings: Settings) -> Iterator[CheckLine]:
    """A line for each thing, if any of these settings is given."""
    names = ("emr_application", "emr_role", "spark_archive")
    missing = [PREFIX + name.upper() for name in names if not getattr(settings, name)]
    if len(missing) == len(names):
        return
    if missing:
        error = ConfigurationError(
            f"not set: {', '.join(missing)}", hint="docs/EMR.md says how to set up EMR Serverless"
        )
        yield failure("submit", error)
    if name := settings.emr_application:
        yield _application(name)
    if archive := settings.spark_archive:
        yield check("spark archive", lambda: _archive(archive))


def _application(name: str) -> CheckLine:
    """The application; whether it can be read does not matter to `submit`, which needs other rights."""
    from shopease_etl.aws import client, error_code, translate_aws_errors

    what = f"the EMR Serverless application {name}"
    try:
        with translate_aws_errors(what):
            found = client("emr-serverless", what).get_application(applicationId=name)["application"]
    except UnreachableError as error:
        if error_code(error.__cause__) == "ResourceNotFoundException":
            return failure("emr application", error)
        return warning("emr application", f"could not be checked: {error}", error.hint)
    detail = f"{found.get('name') or name}, {found['releaseLabel']}, {found['state'].lower()}"
    fix = "set SHOPEASE_EMR_APPLICATION to one that exists"
    return warning("emr application", detail, fix, is_bad=found["state"] == "TERMINATED")


def _archive(address: str) -> str:
    from shopease_etl.operations.emr.entry import archive_bytes

    return f"{address}, {archive_bytes(address) / 1e6:,.1f} MB"
