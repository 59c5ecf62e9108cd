"""The source's URL in Secrets Manager: read when the source is opened, and its password shown nowhere."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import boto3
import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from commands import Ended, Shop
from emr_server import emr_server
from shopease_etl.addresses import URL_FORM, check_database_url
from shopease_etl.errors import ConfigurationError, ShopeaseError
from shopease_etl.pipeline.wiring import source
from shopease_etl.redaction import Secrets
from shopease_etl.settings import load
from shopease_etl.source.secret import DatabaseSecret, url_of_rds
from shopease_etl.source.session import source_url

PASSWORD = "hunter2/with @ and % in it"


@pytest.fixture
def secrets(new_bucket: Callable[[], str]) -> Any:
    """Secrets Manager, to which AWS's own variables point."""
    new_bucket()
    return boto3.client("secretsmanager")


def created(secrets: Any, **content: Any) -> str:
    name = f"shopease/source-{uuid4().hex}"
    secrets.create_secret(Name=name, **content)
    return name


def rds(**more: Any) -> dict[str, Any]:
    """What RDS writes into a secret."""
    found = {"engine": "postgres", "host": "db.example.com", "port": 5433, "dbname": "sales", "username": "me"}
    return {**found, "password": PASSWORD, "dbInstanceIdentifier": "shop", **more}


def run(folder: Path, name: str, *arguments: str, **more: str) -> Ended:
    """A command whose source is in a secret."""
    shop = Shop(folder, more={"SHOPEASE_DATABASE_SECRET": name, **more})
    environment = {name: value for name, value in shop.environment.items() if name != "SHOPEASE_DATABASE_URL"}
    return shop.run(*arguments, env=environment)


@pytest.mark.parametrize(
    ("text", "url"),
    [
        (" postgresql://me:secret@db/sales\n", "postgresql://me:secret@db/sales"),
        ("host=db password=secret", "host=db password=secret"),
        (json.dumps(rds()), f"postgresql://me:{quote(PASSWORD, safe='')}@db.example.com:5433/sales"),
        (
            json.dumps({"host": "db", "dbname": "my sales", "username": "m@e", "password": "p:w/d"}),
            "postgresql://m%40e:p%3Aw%2Fd@db:5432/my%20sales",
        ),
    ],
)
def test_the_url_is_the_text_or_made_of_what_rds_writes(secrets: Any, text: str, url: str) -> None:
    known = Secrets()
    secret = DatabaseSecret(created(secrets, SecretString=text), known)
    assert secret.read() == secret.last == url
    assert known.redacted(f"it is {conninfo_to_dict(url)['password']}") == "it is ***"


TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1)


@given(user=TEXTS, password=TEXTS, database=TEXTS)
def test_of_rds_each_value_arrives_as_it_is(user: str, password: str, database: str) -> None:
    url = url_of_rds(rds(username=user, password=password, dbname=database))
    check_database_url(url, "")
    parts = {"host": "db.example.com", "port": "5433", "dbname": database, "user": user, "password": password}
    assert conninfo_to_dict(url) == parts


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ({"SecretString": " \n"}, "it is empty"),
        ({"SecretBinary": b"postgresql://db/sales"}, "it is binary"),
        ({"SecretString": "hunter2"}, "it is not a PostgreSQL URL"),
        ({"SecretString": "embedded"}, "it is not a PostgreSQL URL"),
        ({"SecretString": "mysql://me:hunter2@db/sales"}, "only PostgreSQL is supported"),
        ({"SecretString": "postgresql://me:hunter2 @db/sales"}, "the URL contains white space"),
        ({"SecretString": '{"host": "hunter2"'}, "it begins like JSON, but is none"),
        ({"SecretString": json.dumps(rds(engine="mysql"))}, "it is for another database: mysql"),
        ({"SecretString": json.dumps({"username": "me", "password": "hunter2"})}, "it has no host, dbname"),
        ({"SecretString": json.dumps(rds(dbname=""))}, "it has no dbname"),
        ({"SecretString": json.dumps(rds(port="hunter2"))}, "the port is not a number"),
    ],
)
def test_what_is_no_url_is_refused_without_showing_it(secrets: Any, content: dict[str, Any], problem: str) -> None:
    name = created(secrets, **content)
    with pytest.raises(ConfigurationError, match=f"the secret {name} .* holds no database URL: {problem}") as raised:
        DatabaseSecret(name, Secrets()).read()
    assert "hunter2" not in f"{raised.value} {raised.value.hint}"
    assert URL_FORM in str(raised.value.hint)


@pytest.mark.usefixtures("secrets")
def test_a_secret_that_does_not_exist(tmp_path: Path) -> None:
    ended = run(tmp_path, "shopease/nowhere", "extract")
    ended.failed(4, "the secret shopease/nowhere (SHOPEASE_DATABASE_SECRET) does not exist")
    found = {line["name"]: line for line in run(tmp_path, "shopease/nowhere", "check", "--json").document}
    assert (found["database secret"]["exit_code"], "database" in found) == (4, False)
    assert "aws secretsmanager list-secrets" in found["database secret"]["fix"]
    assert found["setting database_secret"]["detail"].startswith("shopease/nowhere (from SHOPEASE_DATABASE_SECRET")


def test_a_command_that_needs_no_source_does_not_read_the_secret(tmp_path: Path) -> None:
    unreachable = {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_MAX_ATTEMPTS": "1"}
    run(tmp_path, "shopease/source", "status", **unreachable).done()


def test_a_url_beside_the_secret_is_refused(tmp_path: Path, sales: str) -> None:
    for url in (sales, "embedded"):
        shop = Shop(tmp_path, url, more={"SHOPEASE_DATABASE_SECRET": "shopease/source"})
        shop.run("status").failed(2, "SHOPEASE_DATABASE_SECRET is not valid: SHOPEASE_DATABASE_URL is set, too")
    ended = run(tmp_path, "shopease/source", "extract", "--database-url", "embedded")
    assert "  hint: set only one of the two\n" in ended.failed(2, "SHOPEASE_DATABASE_SECRET is not valid").stderr
    Shop(tmp_path, more={"SHOPEASE_DATABASE_SECRET": ""}).run("status").done()


def test_runs_and_checks_read_the_source_that_the_secret_names(secrets: Any, sales: str, tmp_path: Path) -> None:
    name = created(secrets, SecretString=make_conninfo(sales, password=PASSWORD))
    events = tmp_path / "lineage.jsonl"
    run(tmp_path, name, "run-all", "--skip-crawl", SHOPEASE_LINEAGE=str(events)).done()
    assert f":{conninfo_to_dict(sales)['port']}" in events.read_text()
    lines = {line["name"]: line for line in run(tmp_path, name, "check", "--json").document}
    assert lines["database secret"]["detail"].startswith(f"{name} has the address of ")
    assert lines["database"]["exit_code"] == 0
    assert all("hunter2" not in path.read_text(errors="replace") for path in (tmp_path / "lake/_runs").iterdir())


@pytest.mark.parametrize("command", ["extract", "check", "restore"])
def test_its_password_is_in_no_output_and_no_file(
    secrets: Any, database_url: str, tmp_path: Path, command: str
) -> None:
    """The server's own message says which database does not exist: here one that is named like the password."""
    parts = {**conninfo_to_dict(database_url), "dbname": "hunter22", "password": "hunter22"}
    name = created(secrets, SecretString=make_conninfo(**{key: str(value) for key, value in parts.items()}))
    dump = tmp_path / "dump.sql"
    dump.write_text("SELECT 1;\n")
    more = {"SHOPEASE_LOG_FILE": str(tmp_path / "log"), "SHOPEASE_SOURCE_WAIT": "0"}
    ended = run(tmp_path, name, command, *([str(dump)] if command == "restore" else []), "--debug", **more)
    assert ended.code == 4
    assert "***" in ended.stdout + ended.stderr
    files = [path.read_text(errors="replace") for path in tmp_path.rglob("*") if path.is_file()]
    assert [text for text in (ended.stdout, ended.stderr, *files) if "hunter22" in text] == []


def test_a_secret_that_has_changed_is_read_again(secrets: Any, sales: str) -> None:
    name = created(secrets, SecretString="postgresql://first:password@db/sales")
    opened = source(load(database_secret=name), Secrets())
    with source_url(opened) as url:
        assert url == "postgresql://first:password@db/sales"
    secrets.put_secret_value(SecretId=name, SecretString=sales)
    with source_url(opened) as url:
        assert url == opened.last_url == sales


def test_a_denial_names_the_permission(monkeypatch: pytest.MonkeyPatch) -> None:
    with emr_server(faults={"POST": [(400, "AccessDeniedException")]}) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL_SECRETS_MANAGER", f"http://127.0.0.1:{server.port}")
        for name, value in {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "AWS_REGION": "us-east-1"}.items():
            monkeypatch.setenv(name, value)
        with pytest.raises(ShopeaseError, match="lack secretsmanager:GetSecretValue") as raised:
            DatabaseSecret("shopease/source", Secrets()).read()
    assert raised.value.exit_code == 4
