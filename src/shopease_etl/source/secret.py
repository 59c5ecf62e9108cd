"""The source's URL in AWS Secrets Manager: as text, or as the JSON that RDS keeps there."""

import json
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

from shopease_etl.addresses import URL_FORM, AddressError, check_database_url
from shopease_etl.errors import ConfigurationError, UnreachableError
from shopease_etl.redaction import Secrets

_FORMS: Final = f"its text must be {URL_FORM}, or JSON with host, port, dbname, username and password, as RDS writes it"
_POSTGRES: Final = frozenset({"postgres", "postgresql", "aurora-postgresql"})


class DatabaseSecret:
    """A secret with the source's URL, by its name or ARN; its password is hidden in whatever `secrets` redacts.

    `last` is the URL as it was last read, None before that.
    """

    def __init__(self, name: str, secrets: Secrets) -> None:
        self.name = name
        self.last: str | None = None
        self._secrets = secrets

    def read(self) -> str:
        """The URL as it is now: the password may have changed since the last time.

        Raises:
            UnreachableError: there is no such secret, or AWS refuses it.
            ConfigurationError: it holds no URL of a PostgreSQL.
        """
        answer = self._fetch()
        if "SecretString" not in answer:
            raise self._unfit("it is binary")
        text = str(answer["SecretString"]).strip()
        if not text:
            raise self._unfit("it is empty")
        url = self._url_of(text) if text.startswith("{") else text
        self._secrets.learn(url)
        try:
            check_database_url(url, "")
        except AddressError as error:
            raise self._unfit(str(error)) from None
        self.last = url
        return url

    def _fetch(self) -> dict[str, Any]:
        # it imports boto3, which is slow: most sources have no secret
        from shopease_etl.aws import client, error_code, translate_aws_errors

        what = f"the secret {self.name} (SHOPEASE_DATABASE_SECRET)"
        try:
            with translate_aws_errors(what):
                answer: dict[str, Any] = client("secretsmanager", what).get_secret_value(SecretId=self.name)
                return answer
        except UnreachableError as error:
            if error_code(error.__cause__) != "ResourceNotFoundException":
                raise
            hint = "`aws secretsmanager list-secrets` lists those of this account and region (AWS_REGION)"
            raise UnreachableError(f"{what} does not exist", hint=hint) from error

    def _url_of(self, text: str) -> str:
        try:
            found = json.loads(text)
        except ValueError:
            raise self._unfit("it begins like JSON, but is none") from None
        if (engine := found.get("engine", "postgres")) not in _POSTGRES:
            raise self._unfit(f"it is for another database: {engine}")
        if missing := [name for name in ("host", "dbname", "username", "password") if not found.get(name)]:
            raise self._unfit(f"it has no {', '.join(missing)}")
        return url_of_rds(found)

    def _unfit(self, problem: str) -> ConfigurationError:
        message = f"the secret {self.name} (SHOPEASE_DATABASE_SECRET) holds no database URL: {problem}"
        return ConfigurationError(message, hint=_FORMS)


def url_of_rds(found: Mapping[str, Any]) -> str:
    """The URL for what RDS writes into a secret; the port is PostgreSQL's own if there is none."""
    user, password, database = (quote(str(found[name]), safe="") for name in ("username", "password", "dbname"))
    return f"postgresql://{user}:{password}@{found['host']}:{found.get('port') or 5432}/{database}"
