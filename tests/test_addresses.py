"""Addresses in a wrong spelling are refused at once, with the right one and without the password."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg.conninfo import conninfo_to_dict
from psycopg.pq import Conninfo

from commands import Shop
from shopease_etl import addresses
from shopease_etl.errors import ConfigurationError
from shopease_etl.settings import load

RIGHT = "postgresql://USER:PASSWORD@db:5432/sales"
LAKE_BELOW_HOME = "$HOME/lake"


@pytest.fixture(autouse=True)
def empty_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/me")


def refused(**settings: str) -> ConfigurationError:
    with pytest.raises(ConfigurationError) as caught:
        load(**settings)
    assert caught.value.exit_code == 2
    return caught.value


@pytest.mark.parametrize(
    ("url", "hint"),
    [
        ("postgresql://me:s3c/r3t@db:5432/sales", f"write a / in the user or the password as %2F: {RIGHT}"),
        ("postgresql://me:s3c/r3t?x=r3t@db:5432/sales", f"write a / in the user or the password as %2F: {RIGHT}"),
        ("postgresql://me:s3c@r3t@db:5432/sales", f"write an @ in the user or the password as %40: {RIGHT}"),
        ("postgresql://me:s3c@r3/t@db:5432/sales", f"write an @ in the user or the password as %40: {RIGHT}"),
        (
            "postgresql://me:s3c@r3t@db:5432/sales?shop=a%40b",
            f"write an @ in the user or the password as %40: {RIGHT}",
        ),
        ("postgresql://me:s3c r3t@db:5432/sales", f"write a space in the user or the password as %20: {RIGHT}"),
        ("postgresql://me:s3c%r3t@db:5432/sales", f"write a % in the user or the password as %25: {RIGHT}"),
        ("postgresql://me:s3cr3t@db:5432/sales?schema=shop", f"write it as {RIGHT}, and SHOPEASE_SOURCE_SCHEMA=shop"),
        (
            "postgresql://me:s3cr3t@db:5432/sales?sslmode=require&pgbouncer=true&connection_limit=1",
            f"write it as {RIGHT}?sslmode=require",
        ),
        ("postgresql://db:5432/sales?schema=public&user=a@b&password=s3cr3t@x", None),
        ("jdbc:postgresql://db:5432/sales?user=me&password=s3cr3t", f"write it as {RIGHT}"),
        ("jdbc:postgresql://db:5432/sales", "write it as postgresql://db:5432/sales"),
        (
            "jdbc:postgresql://db:5432/sales?currentSchema=shop&ssl=true",
            "write it as postgresql://db:5432/sales?ssl=true, and SHOPEASE_SOURCE_SCHEMA=shop",
        ),
        ("postgres+psycopg2://me:s3cr3t@db:5432/sales", f"write it as {RIGHT}"),
        ("postgresql+asyncpg://me:s3c/r3t@db:5432/sales", f"write it as {RIGHT}"),
        ("PostgreSQL://me:s3cr3t@db:5432/sales", f"write it as {RIGHT}"),
        ("postgresql:/me:s3cr3t@db:5432/sales", f"write it as {RIGHT}"),
        ("postgresql://me:s3cr3t", f"write it as {addresses.URL_FORM}"),
        ("mysql://me:s3cr3t@db/sales", f"write it as {addresses.URL_FORM}, or embedded"),
        ("me:s3cr3t@db/sales", f"write it as {addresses.URL_FORM}, or embedded"),
        ("sales_db", f"write it as {addresses.URL_FORM}, or embedded"),
        ("Embedded", "write it as embedded"),
        ("'postgresql://me:s3cr3t@db:5432/sales'", "write it without the quotes"),
        ("postgresql://me:s3cr3t@db:5432/sales ", "write it without the white space"),
    ],
)
def test_a_database_url_in_another_spelling(url: str, hint: str | None) -> None:
    error = refused(database_url=url)
    assert str(error).startswith("SHOPEASE_DATABASE_URL is not valid: ")
    assert hint is None or error.hint == hint
    assert [part for part in ("s3c", "r3t") if part in f"{error} {error.hint}"] == []


@pytest.mark.parametrize(
    "url",
    [
        *("embedded", "postgresql://", "postgres://db", "postgresql:///sales?host=/tmp", "host=db password='a b'"),
        *("postgresql://me:p%2F%40s@db:5432/sales?sslmode=require", "postgresql://a:1,b:2/sales?ssl=true"),
        *("postgresql://me@[::1]:5432/sales", "postgresql://%2Fvar%2Frun/sales", "postgresql://db/x?user=me@tenant"),
        *("postgresql://me:a?b#c@db/sales", "postgresql://db?options=-c%20jit%3Doff", "service=shop"),
    ],
)
def test_a_database_url_that_libpq_reads(url: str) -> None:
    assert load(database_url=url).database_url.get_secret_value() == url
    assert url == "embedded" or conninfo_to_dict(url) is not None


def test_every_parameter_of_libpq_is_known() -> None:
    assert {option.keyword.decode() for option in Conninfo.get_defaults()} <= addresses.PARAMETERS


@given(st.text(st.characters(codec="ascii", exclude_characters="0\r\n"), min_size=5, max_size=12))
def test_no_message_shows_a_password(secret: str) -> None:
    password = f"9{secret}9"
    for url in (f"postgresql://me:{password}@db:5432/sales?schema=x", f"jdbc:postgresql://me:{password}@db/sales"):
        with pytest.raises(addresses.AddressError) as caught:
            addresses.check_database_url(url, "embedded")
        assert password not in f"{caught.value} {caught.value.hint}"
        assert (
            max((part for part in secret.split("@")), key=len) not in f"{caught.value.hint}".split("postgresql://")[-1]
        )


@pytest.mark.parametrize(
    ("lake", "right"),
    [
        *(
            (f"{scheme}bucket/a/b", "s3://bucket/a/b")
            for scheme in ("s3:/", "s3a://", "s3n://", "S3://", "s3:", "s3:///")
        ),
        *((f"{arn}bucket/a", "s3://bucket/a") for arn in ("arn:aws:s3:::", "arn:aws-cn:s3:::")),
        ("https://bucket.s3.amazonaws.com", "s3://bucket"),
        ("https://bucket.s3.eu-west-1.amazonaws.com/a%20b/", "s3://bucket/a b"),
        ("https://my.bucket.s3-eu-west-1.amazonaws.com/a?x=y", "s3://my.bucket/a"),
        ("bucket.s3.amazonaws.com/a", "s3://bucket/a"),
        ("https://s3.amazonaws.com/bucket/a", "s3://bucket/a"),
        ("https://s3.eu-west-1.amazonaws.com/bucket", "s3://bucket"),
        ("https://us-east-1.console.aws.amazon.com/s3/buckets/bucket?region=us-east-1&prefix=a/", "s3://bucket/a"),
        ("file:///srv/lake", "/srv/lake"),
        (LAKE_BELOW_HOME, "/home/me/lake"),
        ("${HOME}/lake", "/home/me/lake"),
        (" lake", "lake"),
        ('"s3://bucket"', "s3://bucket"),
        ("'lake'", "lake"),
    ],
)
def test_a_lake_in_another_spelling(lake: str, right: str) -> None:
    error = refused(lake=lake)
    assert str(error).startswith("SHOPEASE_LAKE is not valid: ")
    assert error.hint == f"write it as {right}"
    assert load(lake=right).lake == right


@pytest.mark.parametrize("lake", ["gs://bucket", "https://localhost:9000/bucket", "s3://", "$NOT_SET_ANYWHERE/lake"])
def test_a_lake_that_cannot_be_guessed(lake: str) -> None:
    assert refused(lake=lake).hint


@pytest.mark.parametrize("lake", [LAKE_BELOW_HOME, "${HOME}/lake"])
def test_a_variable_in_dotenv_is_refused_by_every_command(tmp_path: Path, lake: str) -> None:
    (tmp_path / ".env").write_text(f"SHOPEASE_LAKE={lake}\n")
    shop = Shop(tmp_path)
    without = {name: value for name, value in shop.environment.items() if name != "SHOPEASE_LAKE"}
    ended = shop.run("status", env=without).failed(2, "SHOPEASE_LAKE is not valid")
    assert f"hint: write it as {tmp_path}/lake" in ended.stderr
    assert not (tmp_path / "$HOME").exists()


@pytest.mark.parametrize(
    ("line", "hint"),
    [
        ("SHOPEASE_LAKE=${NOT_SET}/lake", "write the value in place of ${NOT_SET}"),
        ("SHOPEASE_LAKE=${NOT_SET:-/srv}/lake", "write the value in place of ${NOT_SET}"),
        ("SHOPEASE_GLUE_DATABASE=shop_${HOME}", "write it as shop_/home/me"),
        ("SHOPEASE_MAX_SHRINK=${HOME}", "write it as /home/me"),
        ("SHOPEASE_DATABASE_URL=postgresql://me:${HOME}@db/sales", "write the value in place of ${HOME}"),
        ("SHOPEASE_ALERTS=mailto://${HOME}@host", "write the value in place of ${HOME}"),
    ],
)
def test_a_variable_in_braces_is_refused_in_every_setting(tmp_path: Path, line: str, hint: str) -> None:
    (tmp_path / ".env").write_text(f"{line}\n")
    error = refused()
    assert "are not expanded in settings" in str(error)
    assert error.hint == hint


def test_a_password_may_have_a_dollar_sign(tmp_path: Path) -> None:
    url = "postgresql://me:s3$HOME@db/sales"
    (tmp_path / ".env").write_text(f"SHOPEASE_DATABASE_URL={url}\n")
    assert load().database_url.get_secret_value() == url


def test_a_bad_line_in_dotenv_is_reported_once(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("no assignment, no comment\n")
    assert Shop(tmp_path).run("check").stderr.count("could not parse") == 1


@pytest.mark.parametrize("dump", ["s3:/bucket/x.dump", "arn:aws:s3:::bucket/x.dump"])
def test_a_dump_in_another_spelling(sales: str, tmp_path: Path, dump: str) -> None:
    ended = Shop(tmp_path, sales).run("restore", dump).failed(2, dump)
    assert "hint: write it as s3://bucket/x.dump" in ended.stderr
