"""Behind a real pooler an extract is complete or refused, and other clients keep their settings."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from pathlib import Path

import psycopg
import pytest

from commands import execute
from lakes import given_source, read
from month_extracts import SALES, Months
from poolers import needs_pgbouncer, pooler, value
from replicated import Cluster, cluster, primary
from shopease_etl.contract.tables import CUSTOMERS, TABLES
from shopease_etl.errors import SourceFaultError, UnreachableError
from shopease_etl.lake.local import LocalStore
from shopease_etl.source.session import with_retries
from shopease_etl.stages.extract import extract

pytestmark = needs_pgbouncer

NAMES = [table.source for table in TABLES]
ROWS = 2000
OURS = (
    *(
        "statement_timeout",
        "lock_timeout",
        "idle_in_transaction_session_timeout",
        "transaction_timeout",
        "row_security",
    ),
    *("TimeZone", "DateStyle", "synchronize_seqscans", "search_path", "extra_float_digits"),
    *("max_parallel_workers_per_gather", "enable_sort", "enable_indexscan", "jit"),
)


@pytest.fixture(scope="module")
def place() -> Iterator[Cluster]:
    with cluster() as made:
        yield made


@pytest.fixture(scope="module")
def server(place: Cluster) -> Iterator[str]:
    """The URL of a server whose customers are hidden from `reader` by row-level security, all but a few."""
    with primary(place) as url:
        execute(
            url,
            f"INSERT INTO customers (customer_id, state) SELECT n, 'x' FROM generate_series(1, {ROWS}) n",
            "ALTER TABLE customers ENABLE ROW LEVEL SECURITY",
            "CREATE POLICY hidden ON customers USING (customer_id <= 5)",
            "GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader",
        )
        yield url


@contextmanager
def traffic(url: str) -> Iterator[None]:
    """Other clients of the pool, with transactions of their own, for as long as the block lasts."""
    stopped = threading.Event()

    def work() -> None:
        with psycopg.connect(url, autocommit=True, prepare_threshold=None) as connection:
            while not stopped.is_set():
                connection.execute("SELECT count(*) FROM customers")

    with ThreadPoolExecutor(2) as pool:
        clients = [pool.submit(work) for _ in range(2)]
        try:
            yield
        finally:
            stopped.set()
        for client in clients:
            client.result(30)


def rows_copied(url: str, folder: Path, connections: int) -> int:
    store = LocalStore(folder / "lake")
    chosen = given_source(url, folder, business_timezone="Asia/Tokyo", source_attempts="1")
    with_retries(chosen, NAMES, lambda moment: extract(moment, store, TABLES, connections=connections))
    return read(folder, CUSTOMERS.bronze_key).height


def settings_of(url: str, connections: int) -> list[list[str]]:
    """The settings of several clients of a pool at the same time, each on another connection of the server."""
    clients = [psycopg.connect(url) for _ in range(connections)]
    try:
        return [[value(client, f"SELECT current_setting('{name}', true)") for name in OURS] for client in clients]
    finally:
        for client in clients:
            client.close()


@pytest.mark.parametrize("mode", ["session", "transaction"])
@pytest.mark.parametrize("size", [1, 2, 4, 8])
@pytest.mark.quick(4)
def test_behind_a_pooler_everything_is_copied_or_nothing(server: str, tmp_path: Path, mode: str, size: int) -> None:
    """The pool also serves other clients in transaction mode; the smallest is too small for an extract."""
    with pooler(server, mode, size) as url:
        before = settings_of(url, size)
        with traffic(url) if mode == "transaction" and size > 1 else nullcontext():
            try:
                assert rows_copied(url, tmp_path, connections=1 if size < 4 else 3) == ROWS
                is_copied = True
            except SourceFaultError as error:
                is_copied = False
                assert "enlarge its pool" in str(error.hint)
                assert not (tmp_path / "lake" / CUSTOMERS.bronze_key).exists()
        assert is_copied == (size > 1)
        assert settings_of(url, size) == before


@pytest.mark.parametrize("mode", ["session", "transaction"])
def test_behind_a_pooler_changed_months_are_found(server: str, tmp_path: Path, mode: str) -> None:
    execute(server, "TRUNCATE sale_transactions", SALES.format(1, 1000))
    with pooler(server, mode, 5) as url, traffic(url) if mode == "transaction" else nullcontext():
        before = settings_of(url, 1)
        months = Months(url, tmp_path)
        months.extract()
        execute(server, "DELETE FROM sale_transactions WHERE transaction_id = 7")
        assert months.copied() == {"2024-03"}
        assert months.copied() == set()
        assert settings_of(url, 1) == before


@pytest.mark.parametrize("mode", ["session", "transaction"])
def test_a_policy_that_hides_rows_refuses_the_extract_behind_a_pooler(server: str, tmp_path: Path, mode: str) -> None:
    with (
        pooler(server.replace("owner@", "reader@"), mode, 6) as url,
        traffic(url),
        pytest.raises(UnreachableError, match="row-level security") as caught,
    ):
        rows_copied(url, tmp_path, connections=2)
    assert not isinstance(caught.value, SourceFaultError)
    assert not (tmp_path / "lake" / CUSTOMERS.bronze_key).exists()


def test_statement_mode_is_refused_with_the_modes_that_work(server: str, tmp_path: Path) -> None:
    with pooler(server, "statement", 4) as url, pytest.raises(UnreachableError, match="statement mode") as caught:
        rows_copied(url, tmp_path, connections=2)
    assert not isinstance(caught.value, SourceFaultError)
    assert "pool_mode = session" in str(caught.value.hint)
