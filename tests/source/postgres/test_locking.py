"""Statements that are not MVCC-safe during an extract: it copies the table before or after them, never empty."""

import itertools
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from commands import count, execute
from conftest import eventually
from lakes import given_source, read
from shopease_etl.contract.tables import STORES
from shopease_etl.errors import SourceFaultError
from shopease_etl.lake.local import LocalStore
from shopease_etl.source import session as source
from shopease_etl.source.postgres import Limits, Snapshot, snapshot
from shopease_etl.source.session import with_retries
from shopease_etl.stages.extract import extract

ROWS = 500
FILLED = "INSERT INTO stores (store_id, store_name) SELECT n, 'one' FROM generate_series(1, 500) n"
PARTITIONED = (
    "ALTER TABLE stores RENAME TO shops",
    "CREATE TABLE stores (LIKE shops) PARTITION BY RANGE (store_id)",
    "CREATE TABLE child PARTITION OF stores FOR VALUES FROM (0) TO (1000)",
    FILLED,
)
INHERITED = ("CREATE TABLE child () INHERITS (stores)", FILLED.replace("stores", "child"))
MATERIALIZED = ("ALTER TABLE stores RENAME TO child", "CREATE MATERIALIZED VIEW stores AS SELECT * FROM child")


def truncated(table: str) -> tuple[str, ...]:
    return (
        f"CREATE TABLE keep AS SELECT * FROM {table}",
        f"TRUNCATE {table}",
        f"INSERT INTO {table} SELECT * FROM keep",
    )


CASES = {
    "truncate": ((FILLED,), truncated("stores")),
    "alter type": ((FILLED,), ("ALTER TABLE stores ALTER store_id TYPE bigint",)),
    "cluster": ((FILLED, "CREATE INDEX ordered ON stores (store_name)"), ("CLUSTER stores USING ordered",)),
    "replace": (
        (FILLED,),
        ("CREATE TABLE new AS SELECT * FROM stores", "DROP TABLE stores", "ALTER TABLE new RENAME TO stores"),
    ),
    "materialized view": ((FILLED, *MATERIALIZED), ("REFRESH MATERIALIZED VIEW stores",)),
    "partition": (PARTITIONED, truncated("child")),
    "new partition": (
        PARTITIONED,
        (
            "CREATE TABLE new (LIKE stores)",
            "INSERT INTO new SELECT * FROM child",
            "ALTER TABLE stores DETACH PARTITION child",
            "ALTER TABLE stores ATTACH PARTITION new FOR VALUES FROM (0) TO (1000)",
        ),
    ),
    "child table": (INHERITED, truncated("child")),
    "below a view": (
        (FILLED, "ALTER TABLE stores RENAME TO child", "CREATE VIEW stores AS SELECT * FROM child"),
        truncated("child"),
    ),
    "below a view of a materialized view": (
        (FILLED, *MATERIALIZED, "ALTER MATERIALIZED VIEW stores RENAME TO m", "CREATE VIEW stores AS SELECT * FROM m"),
        ("REFRESH MATERIALIZED VIEW m",),
    ),
}


def copied(url: str, folder: Path) -> int:
    store = LocalStore(folder / "lake")
    chosen = given_source(url, folder)
    with_retries(chosen, [STORES.source], lambda moment: extract(moment, store, (STORES,)))
    return read(folder, STORES.bronze_key).height


def is_waiting(url: str) -> bool:
    return bool(count(url, "pg_locks WHERE NOT granted"))


def execute_together(url: str, statements: tuple[str, ...]) -> None:
    """The statements in one transaction."""
    with psycopg.connect(url) as connection:
        for statement in statements:
            connection.execute(statement.encode())


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """No pauses between attempts."""
    monkeypatch.setattr(source, "FIRST_PAUSE", 0.01)


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as made:
        yield made


@pytest.mark.parametrize("case", CASES)
def test_a_table_rewritten_before_the_snapshot_is_complete(
    bare: str, tmp_path: Path, pool: ThreadPoolExecutor, case: str
) -> None:
    """The rewriting transaction is open as the extract begins, and ends while it waits."""
    made, rewritten = CASES[case]
    execute(bare, *made)
    with psycopg.connect(bare) as writer:
        for statement in rewritten:
            writer.execute(statement.encode())
        extracting = pool.submit(copied, bare, tmp_path)
        eventually(lambda: is_waiting(bare) or extracting.done())
        writer.commit()
    assert extracting.result(30) == ROWS


def beside(url: str, folder: Path, change: Callable[[], None]) -> int:
    """How many attempts an extract takes if the change comes between its first snapshot and the first COPY."""
    store, attempts = LocalStore(folder / "lake"), itertools.count()

    def work(moment: Snapshot) -> None:
        if next(attempts) == 0:
            change()
        extract(moment, store, (STORES,))

    with_retries(given_source(url, folder), [STORES.source], work)
    assert read(folder, STORES.bronze_key).height == ROWS
    return next(attempts)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.usefixtures("at_once")
def test_a_table_cannot_be_rewritten_between_the_snapshot_and_its_copy(
    bare: str, tmp_path: Path, pool: ThreadPoolExecutor, case: str
) -> None:
    """The rewriting session waits for the extract, which ends its attempt and starts again after it."""
    made, rewritten = CASES[case]
    execute(bare, *made)
    writing: list[Future[None]] = []

    def change() -> None:
        writing.append(pool.submit(execute_together, bare, rewritten))
        eventually(lambda: is_waiting(bare))

    assert beside(bare, tmp_path, change) == 2
    writing[0].result(30)


@pytest.mark.parametrize(
    ("made", "change"),
    [
        (
            (*PARTITIONED, "CREATE TABLE new (LIKE stores)"),
            ("ALTER TABLE stores ATTACH PARTITION new FOR VALUES FROM (1000) TO (2000)",),
        ),
        (
            (FILLED, "CREATE SCHEMA new", "CREATE TABLE new.stores AS SELECT * FROM stores"),
            ("ALTER SCHEMA public RENAME TO old", "ALTER SCHEMA new RENAME TO public"),
        ),
    ],
    ids=["partition attached", "schema swapped"],
)
@pytest.mark.usefixtures("at_once")
def test_changes_that_locks_do_not_prevent_are_noticed(
    bare: str, tmp_path: Path, made: tuple[str, ...], change: tuple[str, ...]
) -> None:
    execute(bare, *made)
    assert beside(bare, tmp_path, lambda: execute_together(bare, change)) == 2


def test_while_waiting_for_one_table_no_other_is_locked(bare: str, pool: ThreadPoolExecutor) -> None:
    """Otherwise a session with a lock on one that waits for the other would end in a deadlock, or wait for us."""

    def lock() -> set[str]:
        with snapshot(bare, "UTC", "public", lock=["customers", "stores"]) as moment:
            return set(moment.tables(["customers", "stores"]))

    with psycopg.connect(bare) as other:
        other.execute("LOCK TABLE stores IN ACCESS EXCLUSIVE MODE")
        locking = pool.submit(lock)
        eventually(lambda: is_waiting(bare))
        other.execute("LOCK TABLE customers IN ACCESS EXCLUSIVE MODE NOWAIT")
    assert locking.result(30) == {"customers", "stores"}


def test_the_limit_is_for_all_waits_for_locks_together(bare: str) -> None:
    with psycopg.connect(bare) as other:
        other.execute("LOCK TABLE stores IN ACCESS EXCLUSIVE MODE")
        with (
            pytest.raises(
                SourceFaultError, match=r"public\.stores is locked by another session; waited 0.3 s"
            ) as caught,
            snapshot(bare, "UTC", "public", Limits(lock=0.3), lock=["customers", "stores"]),
        ):
            pass
    assert "SHOPEASE_SOURCE_LOCK_TIMEOUT" in str(caught.value.hint)


def test_locks_of_a_run_block_no_readers_or_writers(bare: str) -> None:
    execute(bare, *PARTITIONED)
    with snapshot(bare, "UTC", "public", lock=["stores", "nothing"]), psycopg.connect(bare) as other:
        modes = "pg_locks WHERE mode = 'AccessShareLock' AND pid <> pg_backend_pid() AND relation = '{}'::regclass"
        tables = ("stores", "child", "customers")
        assert [bool(count(bare, modes.format(table))) for table in tables] == [True, True, False]
        other.execute("INSERT INTO stores (store_id) VALUES (501)")
        other.execute("TRUNCATE customers")


def test_an_extract_needs_the_locks(bare: str, tmp_path: Path) -> None:
    with snapshot(bare, "UTC", "public") as moment, pytest.raises(SourceFaultError, match="stores"):
        extract(moment, LocalStore(tmp_path / "lake"), (STORES,))
