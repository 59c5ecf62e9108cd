"""The source: attempts, each on its own snapshot, and the limits on every session."""

import logging
import socket
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import psycopg
import pytest

from commands import execute
from conftest import eventually
from lakes import given_source
from replicated import cluster
from shopease_etl import cancel
from shopease_etl.errors import DataRefusedError, ShopeaseError, SourceDownError, SourceFaultError, UnreachableError
from shopease_etl.source import session as source
from shopease_etl.source.postgres import Snapshot
from shopease_etl.source.session import Source, source_snapshot, with_retries


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses between attempts, which are not made."""
    made: list[float] = []
    monkeypatch.setattr(cancel, "wait", made.append)
    return made


def failing(times: int, error: BaseException) -> tuple[list[str], Callable[[Snapshot], int]]:
    """Work that fails so often, and the snapshots that it was given."""
    given: list[str] = []

    def work(moment: Snapshot) -> int:
        given.append(moment.id)
        if len(given) <= times:
            raise error
        return 42

    return given, work


def test_each_attempt_has_a_snapshot_of_its_own(
    sales: str, tmp_path: Path, pauses: list[float], caplog: pytest.LogCaptureFixture
) -> None:
    given, work = failing(3, SourceFaultError("the line is dead"))
    assert with_retries(given_source(sales, tmp_path, source_attempts="4"), [], work) == 42
    assert len(set(given)) == 4
    told = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    wanted = [
        f"the line is dead; trying again from a new snapshot in {pauses[n]:.1f} s ({n + 2} of 4)" for n in range(3)
    ]
    assert told == [f"the source failed: {text}" for text in wanted]


def test_the_pauses_grow_and_differ(sales: str, tmp_path: Path, pauses: list[float]) -> None:
    _, work = failing(9, SourceFaultError("no"))
    with_retries(given_source(sales, tmp_path, source_attempts="10"), [], work)
    expected = [min(2.0**number, source.LONGEST_PAUSE) for number in range(9)]
    assert all(0.75 * middle <= pause <= 1.25 * middle for pause, middle in zip(pauses, expected, strict=True))
    assert len(set(pauses)) == 9


@pytest.mark.parametrize("attempts", [1, 3])
def test_the_last_failure_is_raised(sales: str, tmp_path: Path, pauses: list[float], attempts: int) -> None:
    given, work = failing(99, SourceFaultError("the line is dead"))
    with pytest.raises(SourceFaultError, match="the line is dead"):
        with_retries(given_source(sales, tmp_path, source_attempts=str(attempts)), [], work)
    assert (len(given), len(pauses)) == (attempts, attempts - 1)


@pytest.mark.parametrize(
    "error", [KeyboardInterrupt(), UnreachableError("x"), DataRefusedError("x"), ShopeaseError("x"), ValueError("x")]
)
def test_permanent_failures_are_not_retried(
    sales: str, tmp_path: Path, pauses: list[float], error: BaseException
) -> None:
    given, work = failing(1, error)
    with pytest.raises(type(error)):
        with_retries(given_source(sales, tmp_path), [], work)
    assert (len(given), pauses) == (1, [])


@pytest.fixture
def down(tmp_path: Path) -> Iterator[tuple[Source, Callable[[], AbstractContextManager[str]]]]:
    """A source whose server does not run yet, with one attempt, and how to start it."""
    with cluster() as place, socket.socket() as probe:
        folder = place.account.make_folder(place.home, "data-")
        place.done("initdb", "-D", folder, "-U", "owner", "--auth=trust", "-N")
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        probe.close()
        url = f"postgresql://owner@127.0.0.1:{port}/postgres"
        chosen = given_source(url, tmp_path, source_attempts="1", source_wait="30")
        yield chosen, lambda: place.server(folder, listen_addresses="127.0.0.1", port=str(port))


def test_it_waits_for_a_server_that_starts_late(
    down: tuple[Source, Callable[[], AbstractContextManager[str]]], caplog: pytest.LogCaptureFixture
) -> None:
    chosen, start = down
    with ThreadPoolExecutor(1) as pool:
        result = pool.submit(with_retries, chosen, [], lambda moment: moment.database)
        eventually(lambda: "the source accepts no connections" in caplog.text)
        with start():
            assert result.result(30) == "postgres"


def test_the_wait_for_a_server_is_limited(tmp_path: Path, pauses: list[float]) -> None:
    chosen = given_source("host=127.0.0.1 port=1 user=u", tmp_path, source_wait="0.2", source_attempts="1")
    with pytest.raises(SourceDownError, match="refused") as caught:
        with_retries(chosen, [], lambda _: None)
    assert "SHOPEASE_SOURCE_WAIT" in str(caught.value.hint)
    assert max(pauses) <= 0.2


def test_waiting_uses_up_no_attempt(sales: str, tmp_path: Path, pauses: list[float]) -> None:
    errors = [SourceFaultError("a"), *[SourceDownError("b")] * 5, SourceFaultError("c"), SourceFaultError("d")]

    def work(_: Snapshot) -> None:
        raise errors.pop(0)

    with pytest.raises(SourceFaultError, match="d"):
        with_retries(given_source(sales, tmp_path, source_attempts="3"), [], work)
    assert len(pauses) == 7


def shown(connection: psycopg.Connection, setting: str) -> str:
    row = connection.execute(f"SHOW {setting}".encode()).fetchone()
    assert row
    return str(row[0])


@contextmanager
def role_with(url: str, settings: Mapping[str, str]) -> Iterator[None]:
    """New sessions of the role begin with these settings for as long as the block lasts."""
    execute(url, *(f"ALTER ROLE shopease SET {name} = {value!r}" for name, value in settings.items()))
    try:
        yield
    finally:
        with psycopg.connect(url, autocommit=True, options="-c transaction_timeout=0") as connection:
            connection.execute("ALTER ROLE shopease RESET ALL")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, ("1h", "1min", "10min", "0")),
        (
            {"source_statement_timeout": "1.5", "source_lock_timeout": "0.0001", "source_idle_timeout": "1e9"},
            ("1500ms", "1ms", "2147483647ms", "0"),
        ),
        (
            dict.fromkeys(("source_statement_timeout", "source_lock_timeout", "source_idle_timeout"), "0"),
            ("0", "0", "0", "0"),
        ),
    ],
    ids=["default", "odd", "none"],
)
def test_the_limits_apply_to_every_session(
    bare: str, tmp_path: Path, given: dict[str, str], expected: tuple[str, ...]
) -> None:
    names = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout", "transaction_timeout")
    with role_with(bare, dict.fromkeys(names, "7min")):
        with source_snapshot(given_source(bare, tmp_path, **given)) as moment, moment.worker() as connection:
            assert tuple(shown(connection, name) for name in names) == expected
            assert tuple(shown(moment._leader, name) for name in names) == expected
        with psycopg.connect(bare) as connection:
            assert shown(connection, "transaction_timeout") == "7min"


def test_a_transaction_limit_of_the_role_ends_no_extract(bare: str, tmp_path: Path) -> None:
    with (
        role_with(bare, {"transaction_timeout": "300ms"}),
        source_snapshot(given_source(bare, tmp_path), lock=["stores"]) as moment,
        moment.worker() as connection,
    ):
        connection.execute("SELECT pg_sleep(0.4)")
        moment.require_locked(["stores"])


def test_zone_and_schema_come_from_the_settings(bare: str, tmp_path: Path) -> None:
    execute(bare, "CREATE SCHEMA shop", "CREATE TABLE shop.stores (store_id int)")
    chosen = given_source(bare, tmp_path, source_schema="shop", business_timezone="Europe/Berlin")
    with source_snapshot(chosen) as moment, moment.worker() as connection:
        assert {name: table.columns for name, table in moment.tables(["stores", "products"]).items()} == {
            "stores": ("store_id",)
        }
        assert shown(connection, "TimeZone") == "Europe/Berlin"
