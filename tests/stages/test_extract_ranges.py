"""Tables read in ranges over several connections give the same bronze as with one, or none."""

import itertools
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Final

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from commands import Shop, copy_of, count, execute
from conftest import eventually
from lakes import read, unfinished
from shopease_etl.contract.tables import CUSTOMERS, STORES, TABLES, Table
from shopease_etl.errors import SourceFaultError
from shopease_etl.lake.local import LocalStore
from shopease_etl.progress import Silent
from shopease_etl.report import DatasetResult
from shopease_etl.source.postgres import CopyOut, Snapshot, snapshot
from shopease_etl.stages.extract import extract

BLOCK: Final = 8192
ALL_OF_IT: Final = 1 << 40
RAGGED: Final = (
    "DROP TABLE stores",
    "CREATE TABLE stores (store_id int, store_name text, note text, city text, state text) "
    "WITH (autovacuum_enabled = off)",
    "ALTER TABLE stores ALTER note SET STORAGE EXTERNAL",
    "INSERT INTO stores SELECT n, repeat(E'x\"\\n,\\r\\n', n % 50), "
    "CASE WHEN n % 3 = 0 THEN 'one' || chr(10) || 'two' END FROM generate_series(1, 6000) n",
    "DELETE FROM stores WHERE store_id BETWEEN 1000 AND 2500 OR store_id % 17 = 0",
    "VACUUM (TRUNCATE off) stores",
    "UPDATE stores SET store_name = 'changed ' || store_id WHERE store_id % 5 = 0",
    "INSERT INTO stores VALUES (9000, 'huge', repeat(E'\"very\\nlong ', 500000)), (9001, 'small', NULL)",
    "INSERT INTO stores SELECT n, 'after', NULL FROM generate_series(9002, 9500) n",
)


def locked(url: str) -> AbstractContextManager[Snapshot]:
    """A snapshot with locks on all tables, as an extract takes it."""
    return snapshot(url, "UTC", "public", lock=[table.source for table in TABLES])


def copied(
    url: str, folder: Path, connections: int, range_bytes: int, tables: tuple[Table, ...] = (STORES,)
) -> tuple[DatasetResult, ...]:
    with locked(url) as moment:
        store = LocalStore(folder / "lake")
        return extract(moment, store, tables, connections=connections, range_bytes=range_bytes).datasets


def plain_copy(url: str) -> bytes:
    """The table as one COPY gives it."""
    with (
        psycopg.connect(url) as connection,
        connection.cursor().copy("COPY stores TO STDOUT (FORMAT csv, HEADER)") as copy,
    ):
        return b"".join(copy)


@pytest.fixture
def ragged(bare: str) -> str:
    """A table with gaps, moved rows, a row larger than many ranges, and quotes and line ends wherever ranges meet."""
    execute(bare, *RAGGED)
    return bare


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(connections=st.sampled_from([1, 2, 5]), blocks=st.sampled_from([1, 2, 3, 7, 31, 1000]))
def test_bronze_has_the_same_bytes_with_any_ranges(ragged: str, tmp_path: Path, connections: int, blocks: int) -> None:
    (result,) = copied(ragged, tmp_path, connections, blocks * BLOCK)
    assert (tmp_path / "lake" / STORES.bronze_key).read_bytes() == plain_copy(ragged)
    assert result.rows_in == result.rows_out == count(ragged, "stores")


def test_every_table_of_a_source_has_the_same_bytes_in_ranges(sales: str, tmp_path: Path) -> None:
    with copy_of(sales) as url:
        whole = copied(url, tmp_path / "whole", 1, ALL_OF_IT, TABLES)
        ranged = copied(url, tmp_path / "ranged", 3, BLOCK, TABLES)
    assert [(item.key, item.rows_in, item.sha256) for item in ranged] == [
        (item.key, item.rows_in, item.sha256) for item in whole
    ]


@pytest.mark.parametrize("emptied", ["DELETE FROM stores", "TRUNCATE stores"])
def test_a_table_without_rows_has_its_header(ragged: str, tmp_path: Path, emptied: str) -> None:
    execute(ragged, emptied)
    (result,) = copied(ragged, tmp_path, 3, BLOCK)
    assert (tmp_path / "lake" / STORES.bronze_key).read_bytes() == b"store_id,store_name,note,city,state\n"
    assert result.rows_in == result.rows_out == 0


def test_ranges_cover_every_block_once(ragged: str) -> None:
    with snapshot(ragged, "UTC", "public") as moment:
        table = moment.tables(["stores"])["stores"]
    ranges = [blocks for blocks in table.ranges(5 * BLOCK) if blocks]
    assert table.blocks > 100
    assert len(ranges) == -(-table.blocks // 5)
    assert [blocks.first for blocks in ranges[1:]] == [blocks.end for blocks in ranges[:-1]]
    assert (ranges[0].first, ranges[-1].end) == (0, None)


@pytest.mark.parametrize(
    "change",
    [
        "CREATE TABLE more () INHERITS (stores)",
        "ALTER TABLE stores ADD twice int GENERATED ALWAYS AS (store_id * 2) STORED",
        "ALTER TABLE stores RENAME TO shops; CREATE VIEW stores AS SELECT * FROM shops",
    ],
    ids=["child table", "generated column", "view"],
)
def test_a_table_that_is_not_plain_is_read_in_one_range(ragged: str, change: str) -> None:
    execute(ragged, change)
    with snapshot(ragged, "UTC", "public") as moment:
        assert moment.tables(["stores"])["stores"].ranges(BLOCK) == (None,)


def test_all_ranges_are_from_one_snapshot(ragged: str, tmp_path: Path) -> None:
    """Rows are moved from block to block, and units from row to row; no snapshot has more or fewer of either."""
    execute(ragged, "DELETE FROM stores", "INSERT INTO stores SELECT n, '100', NULL FROM generate_series(1, 3000) n")
    stopped, traded = threading.Event(), threading.Event()

    def trade() -> None:
        with psycopg.connect(ragged) as connection:
            for number in itertools.takewhile(lambda _: not stopped.is_set(), itertools.count()):
                first, second = number * 7 % 3000 + 1, (number * 13 + 1) % 3000 + 1
                change = "UPDATE stores SET store_name = (store_name::int + %s)::text WHERE store_id = %s"
                connection.execute(change, [1, first])
                connection.execute(change, [-1, second])
                connection.commit()
                traded.set()

    trader = threading.Thread(target=trade)
    trader.start()
    seen: set[tuple[int, ...]] = set()
    try:
        for number in range(6):
            traded.clear()
            assert traded.wait(30)
            copied(ragged, tmp_path / str(number), 3, 2 * BLOCK)
            frame = read(tmp_path / str(number), STORES.bronze_key)
            names = frame["store_name"].cast(int)
            assert (frame["store_id"].n_unique(), frame.height, names.sum()) == (3000, 3000, 300_000)
            seen.add(tuple(names))
    finally:
        stopped.set()
        trader.join()
    assert len(seen) > 1


class Killer(Silent):
    """Ends the server's process that reads the third range, after its first bytes."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.killed = 0
        self._guard = threading.Lock()

    def advance(self, task: str, *, size: int = 0, rows: int = 0) -> None:  # noqa: ARG002 - a progress takes them
        third = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE state = 'active' AND query LIKE %s"
        with self._guard, psycopg.connect(self.url, autocommit=True) as connection:
            if not self.killed:
                self.killed = len(connection.execute(third, ["COPY%ctid >= '(2,0)'%"]).fetchall())


def test_a_connection_that_dies_within_a_range_leaves_nothing(ragged: str, tmp_path: Path) -> None:
    execute(
        ragged,
        "TRUNCATE stores",
        "INSERT INTO stores SELECT n, repeat('p', 200), repeat('long ', 50000) FROM generate_series(1, 150) n",
    )
    killer, store = Killer(ragged), LocalStore(tmp_path / "lake")
    with (
        locked(ragged) as moment,
        pytest.raises(SourceFaultError, match=r"COPY of public\.stores"),
    ):
        extract(moment, store, (STORES,), connections=3, range_bytes=BLOCK, progress=killer)
    assert killer.killed == 1
    assert unfinished(store) == []
    assert not (tmp_path / "lake" / STORES.bronze_key).exists()


@contextmanager
def waiting_to_change(url: str) -> Iterator[None]:
    """Another session waits for an exclusive lock on a table."""
    with psycopg.connect(url) as connection:
        waiter = threading.Thread(target=connection.execute, args=["LOCK TABLE stores IN ACCESS EXCLUSIVE MODE"])
        waiter.start()
        eventually(lambda: count(url, "pg_locks WHERE mode = 'AccessExclusiveLock' AND NOT granted"))
        yield
        waiter.join(30)


def test_a_session_that_waits_for_a_table_ends_the_extract(ragged: str) -> None:
    with waiting_ranges(ragged) as (first, second):
        assert b"".join(first).startswith(b"store_id,")
        with waiting_to_change(ragged):
            with pytest.raises(SourceFaultError, match=r"waits to change public\.stores"):
                list(second)
            first._connection.rollback()


@contextmanager
def waiting_ranges(url: str) -> Iterator[tuple[CopyOut, CopyOut]]:
    """Two ranges of a table, each on its own connection."""
    with snapshot(url, "UTC", "public") as moment, moment.worker() as one, moment.worker() as other:
        table = moment.tables(["stores"])["stores"]
        ranges = table.ranges(BLOCK)
        yield CopyOut(one, table, ranges[0]), CopyOut(other, table, ranges[1])


def test_a_connection_serves_one_range_after_the_other(ragged: str) -> None:
    with snapshot(ragged, "UTC", "public") as moment, moment.worker() as connection:
        table = moment.tables(["stores"])["stores"]
        parts = [b"".join(CopyOut(connection, table, blocks)) for blocks in table.ranges(9 * BLOCK)]
    assert b"".join(parts) == plain_copy(ragged)


class Finished(Silent):
    """The tables that are done."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def finish(self, task: str, note: str = "") -> None:  # noqa: ARG002 - a progress takes it
        self.names.append(task)


class Started(Silent):
    """What arrives of a table before its slow start."""

    def __init__(self) -> None:
        self.started: set[str] = set()
        self.early: list[str] = []

    def start(self, task: str, total_bytes: int | None = None) -> None:  # noqa: ARG002 - a progress takes it
        time.sleep(0.2)
        self.started.add(task)

    def advance(self, task: str, *, size: int = 0, rows: int = 0) -> None:  # noqa: ARG002 - a progress takes them
        if task not in self.started:
            self.early.append(task)


def test_no_range_is_written_before_its_table_has_begun(ragged: str, tmp_path: Path) -> None:
    started = Started()
    with locked(ragged) as moment:
        store = LocalStore(tmp_path / "lake")
        extract(moment, store, (STORES,), connections=3, range_bytes=BLOCK, progress=started)
    assert (started.started, started.early) == ({STORES.name}, [])


def test_a_failed_table_gives_its_connection_to_the_others(ragged: str, tmp_path: Path) -> None:
    execute(
        ragged,
        "DROP TABLE customers",
        "CREATE VIEW customers AS SELECT store_id AS customer_id, store_name AS customer_name, note AS email, "
        "1 / (store_id - 9001) AS city, '' AS state, now() AS created_at, now() AS updated_at FROM stores",
    )
    with locked(ragged) as moment:
        finished = Finished()
        with pytest.raises(Exception, match="division by zero"):
            extract(moment, LocalStore(tmp_path / "lake"), (CUSTOMERS, STORES), connections=1, progress=finished)
    assert finished.names == [STORES.name]


@pytest.mark.parametrize("connections", ["1", "3"])
def test_the_setting_says_how_many_connections_read(ragged: str, tmp_path: Path, connections: str) -> None:
    shop = Shop(tmp_path, ragged, more={"SHOPEASE_SOURCE_CONNECTIONS": connections})
    gated = ("products", "customers", "inventory", "sales_managers")
    for name in gated:
        execute(
            ragged,
            f"ALTER TABLE {name} RENAME TO real_{name}",
            f"CREATE VIEW {name} AS SELECT * FROM real_{name} "
            "WHERE (SELECT pg_advisory_xact_lock_shared(42) IS NOT NULL)",
        )
    waiting = "pg_stat_activity WHERE datname = current_database() AND wait_event = 'advisory'"
    with psycopg.connect(ragged) as holder:
        holder.execute("SELECT pg_advisory_xact_lock(42)")
        with shop.start("extract", *(word for name in gated for word in ("--table", name))) as process:
            eventually(lambda: count(ragged, waiting) == int(connections))
            time.sleep(0.3)
            assert count(ragged, waiting) == int(connections)
            holder.rollback()
            process.communicate(timeout=60)
    assert process.returncode == 0
