"""Which of PostgreSQL's errors are temporary: real errors where possible, otherwise their messages."""

from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from commands import execute
from shopease_etl.errors import ShopeaseError, SourceDownError, SourceFaultError, UnreachableError
from shopease_etl.source.postgres import connect
from shopease_etl.source.postgres.errors import connection_error, query_error


def refused(url: str) -> ShopeaseError:
    with pytest.raises(UnreachableError) as caught, connect(url):
        pass
    assert "\n" not in str(caught.value)
    return caught.value


@pytest.mark.parametrize(
    "url",
    [
        "host=127.0.0.1 port=1 user=u",
        "host=127.0.0.1,localhost port=1 user=u",
        "host=/nowhere-at-all user=u",
    ],
    ids=["port", "several hosts", "socket"],
)
def test_a_missing_server_is_a_temporary_error(url: str) -> None:
    assert isinstance(refused(url), SourceDownError)


@pytest.mark.parametrize(
    "url",
    [
        "host=127.0.0.1 port=1 user=u sslmode=nonsense",
        "host=127.0.0.1 port=99999 user=u",
        "service=no-such-service",
    ],
)
def test_a_wrong_url_is_a_permanent_error(url: str, tmp_path: Path) -> None:
    assert not isinstance(refused(f"{url} passfile={tmp_path}/none"), SourceFaultError)


@pytest.mark.parametrize("name", ["nowhere", "timeout", "connection refused"])
def test_a_missing_database_is_a_permanent_error_whatever_its_name(database_url: str, name: str) -> None:
    url = database_url.replace("/sales_db?", f"/{name.replace(' ', '%20')}?")
    assert not isinstance(refused(url), SourceFaultError)


def test_a_full_database_is_a_temporary_error(bare: str) -> None:
    with psycopg.connect(bare) as connection:
        name = connection.info.dbname
    execute(bare.replace(f"/{name}?", "/sales_db?"), f"ALTER DATABASE {name} CONNECTION LIMIT 0")
    assert isinstance(refused(bare), SourceFaultError)


@pytest.mark.parametrize(
    ("words", "passes"),
    [
        ('connection to server at "10.0.0.1", port 5432 failed: FATAL:  the database system is starting up', True),
        ('connection to server at "10.0.0.1", port 5432 failed: FATAL:  the database system is shutting down', True),
        ('connection to server at "10.0.0.1", port 5432 failed: FATAL:  sorry, too many clients already', True),
        ("failed: FATAL:  remaining connection slots are reserved for roles with the SUPERUSER attribute", True),
        ("failed: FATAL:  no more connections allowed (max_client_conn)", True),
        ('connection to server at "10.0.0.1", port 5432 failed: No route to host', True),
        ('connection to server at "10.0.0.1", port 5432 failed: timeout expired', True),
        ("connection timeout expired", True),
        ("failed: SSL SYSCALL error: EOF detected", True),
        ("failed to resolve host 'db': [Errno -3] Temporary failure in name resolution", True),
        ("failed to resolve host 'db': [Errno -2] Name or service not known", False),
        ('failed: FATAL:  password authentication failed for user "timeout"', False),
        ('failed: FATAL:  database "z" is not currently accepting connections', False),
        ('failed: FATAL:  no pg_hba.conf entry for host "10.0.0.1", user "u", database "d", no encryption', False),
        ("failed: server does not support SSL, but SSL was required", False),
        ("failed: SSL error: certificate verify failed", False),
        ('failed: could not open certificate file "/x": No such file or directory', False),
        (
            'connection failed: connection to server at "127.0.0.1", port 5432 failed: FATAL:  password authentication '
            'failed for user "u"\nMultiple connection attempts failed. All failures were:\n'
            "- host: 'localhost', port: None, hostaddr: '::1': connection failed: connection to server at \"::1\", "
            "port 5432 failed: Connection refused\n\tIs the server running on that host and accepting connections?",
            False,
        ),
    ],
)
def test_the_message_decides_whether_a_refusal_is_temporary(words: str, passes: bool) -> None:
    assert isinstance(connection_error(psycopg.OperationalError(words)), SourceFaultError) == passes


@pytest.mark.parametrize(
    ("wrong", "hint"),
    [
        ({"dbname": "nope"}, "correct the database in SHOPEASE_DATABASE_URL, or create it on that server"),
        ({"user": "nope"}, "correct the user and password in SHOPEASE_DATABASE_URL, or ~/.pgpass"),
    ],
)
def test_a_server_that_refuses_need_not_be_started(database_url: str, wrong: dict[str, str], hint: str) -> None:
    assert refused(make_conninfo(database_url, **wrong)).hint == hint


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        ('failed: FATAL:  role "nope" does not exist', "correct the user in"),
        ('failed: FATAL:  password authentication failed for user "u"', "correct the user and password in"),
        (
            'failed: FATAL:  no pg_hba.conf entry for host "::1", user "u", database "d", no encryption',
            "let pg_hba.conf",
        ),
        ("failed: server does not support SSL, but SSL was required", "correct sslmode"),
        ("failed to resolve host 'db': [Errno -2] Name or service not known", "correct the host in"),
        ('failed: FATAL:  database "z" is not currently accepting connections', "see the log of that server"),
        ("failed: Connection refused", "start that server"),
    ],
)
def test_the_hint_fits_the_refusal(words: str, hint: str) -> None:
    assert str(connection_error(psycopg.OperationalError(words)).hint).startswith(hint)


@pytest.mark.parametrize(
    ("words", "is_down"),
    [
        ("failed: Connection refused\n\tIs the server running on that host and accepting TCP/IP connections?", True),
        ("failed: No such file or directory\n\tIs the server running locally and accepting connections?", True),
        ("failed: FATAL:  the database system is starting up", True),
        ("failed: FATAL:  the database system is shutting down", True),
        ("failed: FATAL:  the database system is in recovery mode", True),
        ("failed: FATAL:  the database system is not yet accepting connections", True),
        ("failed: FATAL:  pgbouncer cannot connect to server", True),
        ("failed: FATAL:  sorry, too many clients already", False),
        ("failed: timeout expired", False),
        ('failed: FATAL:  password authentication failed for user "the database system is"', False),
    ],
)
def test_the_message_decides_whether_a_server_is_down(words: str, is_down: bool) -> None:
    assert isinstance(connection_error(psycopg.OperationalError(words)), SourceDownError) == is_down


@pytest.mark.parametrize(
    ("state", "kind"),
    [
        *((state, SourceFaultError) for state in ("08000", "08003", "08006", "08P01", "57P01", "57P02")),
        ("57P03", SourceDownError),
        *((state, SourceFaultError) for state in ("25P03", "53300", "40001", "40P01")),
        *((state, UnreachableError) for state in ("57014", "55P03", "53100", "53200", "42501", "58030")),
        *((state, ShopeaseError) for state in ("42601", "22012", "XX001", "25006")),
    ],
)
def test_the_sqlstate_decides_whether_an_error_is_temporary(state: str, kind: type[ShopeaseError]) -> None:
    error = query_error(psycopg.errors.lookup(state)("the words\nand more"), "COPY of x")
    assert (type(error), str(error)) == (kind, "COPY of x: the words")


def test_a_broken_connection_is_temporary_and_a_misuse_is_not() -> None:
    for broken in (psycopg.OperationalError("consuming input failed"), psycopg.DatabaseError("insufficient data")):
        assert type(query_error(broken, "x")) is SourceFaultError
    assert type(query_error(psycopg.ProgrammingError("no"), "x")) is ShopeaseError
