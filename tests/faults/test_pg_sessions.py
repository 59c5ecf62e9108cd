"""A server that ends, refuses or delays an extract's sessions: temporary failures are retried, others are errors."""

import os
import signal
from collections.abc import Iterator
from typing import Final

import psycopg
import pytest
from pg_gates import AGAIN, AT_GATE, GATE, LEADER, OURS, at_gate, closed_gate, gated_copy, under_way, with_settings
from psycopg.conninfo import conninfo_to_dict

from commands import Shop, count, execute, hashes, leftovers
from conftest import eventually, is_stopped, temporary_home
from shopease_etl.source import embedded

END: Final = "SELECT pg_terminate_backend(pid) FROM"


@pytest.fixture(scope="module")
def url(sales: str) -> Iterator[str]:
    with gated_copy(sales) as made:
        yield made


@pytest.fixture(scope="module")
def whole(url: str, tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """A shop with bronze, which every test leaves as it is."""
    shop = Shop(tmp_path_factory.mktemp("shop"), url)
    shop.run("extract").done()
    return shop


@pytest.fixture(scope="module")
def lake(whole: Shop) -> dict[str, str]:
    return hashes(whole.folder / "lake")


@pytest.fixture(autouse=True)
def left_whole(whole: Shop, lake: dict[str, str]) -> Iterator[None]:
    """However a run ended, the lake is as it was, and neither files nor sessions are left."""
    yield
    assert (hashes(whole.folder / "lake"), leftovers(whole.folder / "lake")) == (lake, [])
    eventually(lambda: count(whole.database_url, OURS) == 0, 10)


@pytest.mark.parametrize(
    ("sessions", "words"),
    [
        (LEADER, "snapshot of the source is gone"),
        (f"{AT_GATE} LIMIT 1", "COPY of public."),
        (AT_GATE, "COPY of public."),
        (OURS, ""),
    ],
    ids=["leader", "worker", "workers", "all"],
)
def test_a_run_restarts_after_its_sessions_are_ended(whole: Shop, sessions: str, words: str) -> None:
    shop = with_settings(whole, idle_timeout=3)
    with closed_gate(whole.database_url) as holder, at_gate(shop) as running:
        execute(whole.database_url, f"{END} {sessions}")
        eventually(lambda: running.has_told(AGAIN))
        holder.close()
        told = running.ended().done().stderr
    assert told.count(AGAIN) == 1
    assert words in told


def test_a_run_restarts_after_a_long_pause(whole: Shop) -> None:
    shop = with_settings(whole, idle_timeout=1)
    with closed_gate(whole.database_url) as holder, at_gate(shop) as running:
        running.process.send_signal(signal.SIGSTOP)
        eventually(lambda: count(whole.database_url, LEADER) == 0)
        running.process.send_signal(signal.SIGCONT)
        eventually(lambda: running.has_told(AGAIN))
        holder.close()
        assert running.ended().done().stderr.count(AGAIN) == 1


def test_a_slow_run_keeps_its_snapshot_alive(whole: Shop) -> None:
    shop = with_settings(whole, idle_timeout=2)
    with closed_gate(whole.database_url) as holder, at_gate(shop) as running:
        long_since = f"{LEADER} AND xact_start < clock_timestamp() - interval '5 s'"
        eventually(lambda: count(whole.database_url, long_since))
        holder.close()
        assert AGAIN not in running.ended().done().stderr


def test_the_wait_for_a_lock_is_limited(whole: Shop) -> None:
    with closed_gate(whole.database_url):
        told = with_settings(whole, lock_timeout=1).run("extract").failed(4, "stores", "lock timeout").stderr
    assert "SHOPEASE_SOURCE_LOCK_TIMEOUT" in told
    assert AGAIN not in told


def test_the_wait_for_a_locked_table_is_limited(whole: Shop) -> None:
    with psycopg.connect(whole.database_url) as holder:
        holder.execute("LOCK TABLE customers IN ACCESS EXCLUSIVE MODE")
        ended = with_settings(whole, lock_timeout=0.5, attempts=2).run("extract")
    told = ended.failed(4, "public.customers is locked by another session").stderr
    assert "SHOPEASE_SOURCE_LOCK_TIMEOUT" in told
    assert told.count(AGAIN) == 1


def test_statements_have_a_time_limit(whole: Shop) -> None:
    with closed_gate(whole.database_url):
        told = with_settings(whole, statement_timeout=1).run("extract").failed(4, "stores", "statement timeout").stderr
    assert "SHOPEASE_SOURCE_STATEMENT_TIMEOUT" in told
    assert AGAIN not in told


def test_a_cancelled_statement_is_not_retried(whole: Shop) -> None:
    with closed_gate(whole.database_url), at_gate(whole) as running:
        execute(whole.database_url, f"SELECT pg_cancel_backend(pid) FROM {AT_GATE}")
        told = running.ended().failed(4, "stores", "user request").stderr
    assert "SHOPEASE_SOURCE" not in told
    assert AGAIN not in told


def test_a_server_without_free_connections_is_retried(whole: Shop, database_url: str) -> None:
    name = conninfo_to_dict(whole.database_url)["dbname"]
    execute(database_url, f"ALTER DATABASE {name} CONNECTION LIMIT 1")
    try:
        told = with_settings(whole, attempts=2).run("extract").failed(4, "too many connections").stderr
        assert told.count(AGAIN) == 1
        with under_way(whole) as running:
            eventually(lambda: running.has_told(AGAIN))
            execute(database_url, f"ALTER DATABASE {name} CONNECTION LIMIT -1")
            running.ended().done()
    finally:
        execute(database_url, f"ALTER DATABASE {name} CONNECTION LIMIT -1")


def test_a_permanent_failure_beside_a_temporary_one_is_final(whole: Shop) -> None:
    with closed_gate(whole.database_url), at_gate(whole) as running:
        execute(whole.database_url, f"SELECT pg_cancel_backend(pid) FROM {AT_GATE} AND query LIKE '%sales_managers%'")
        eventually(lambda: count(whole.database_url, OURS) == 2)
        execute(whole.database_url, f"{END} {AT_GATE}")
        told = running.ended().failed(4, "2 tables failed", "user request", "administrator command").stderr
    assert AGAIN not in told


def test_a_stopped_embedded_server_is_restarted() -> None:
    with temporary_home() as home:
        shop = Shop(home.parent)
        shop.run("sample", "sales.sql", "--scale", "0.002").done()
        shop.run("restore", "sales.sql").done()
        shop.run("extract").done()
        before = hashes(shop.folder / "lake")
        with embedded.running(home) as url:
            execute(url, *GATE)
            with closed_gate(url), under_way(shop) as running:
                eventually(lambda: count(url, AT_GATE))
                process = (home / "postgres" / "data" / "postmaster.pid").read_text().split()[0]
                os.kill(int(process), signal.SIGINT)
                assert running.ended().done().stderr.count(AGAIN) == 1
        assert (hashes(shop.folder / "lake"), leftovers(shop.folder / "lake")) == (before, [])
        eventually(lambda: is_stopped(home), 10)
