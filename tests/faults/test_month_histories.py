"""Extracts by month of servers whose history takes a turn: ids that wrap, promotion, restored copies."""

import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import psycopg
import pytest

from commands import CONTRACT_TABLES, count, execute
from conftest import eventually
from month_extracts import FIVE, SALES, Months, copied
from replicated import Cluster, cluster, primary, standby

SEGMENT: Final = 1 << 20  # transaction ids whose states are in one file
BACKUP: Final = ("-c", "fast", "--no-sync")


@pytest.fixture
def place() -> Iterator[Cluster]:
    with cluster() as made:
        yield made


def sold(month: int, number: int) -> str:
    """A sale in a month of the first half of 2024."""
    at = f"'2024-{month:02}-20'"
    return f"INSERT INTO sale_transactions (transaction_id, quantity, created_at) VALUES ({number}, 1, {at})"


def burn(url: str, transactions: int) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        for _ in range(transactions):
            connection.execute("SELECT pg_current_xact_id()")


@contextmanager
def in_order(place: Cluster, folder: Path) -> Iterator[str]:
    """The URL of the server in a folder; autovacuum adds no transactions."""
    with place.server(folder, autovacuum="off") as url:
        yield url


def new_folder(place: Cluster) -> Path:
    folder = place.account.make_folder(place.home, "server-")
    place.done("initdb", "-D", folder, "-U", "owner", "--auth=trust", "-N")
    return folder


def ids_wrap(place: Cluster, tmp_path: Path) -> None:
    folder = new_folder(place)
    months = Months("", tmp_path)
    with in_order(place, folder) as months.url:
        execute(months.url, CONTRACT_TABLES[-1], SALES.format(1, 1000))
        execute(months.url, "ALTER DATABASE template0 ALLOW_CONNECTIONS true")
        months.extract()
        freeze(place, months.url)
    number = 2000
    for segment, ahead in ((1000, 0), (2047, SEGMENT - 40), (3000, 0), (4095, SEGMENT - 40)):
        jump(place, folder, segment, ahead)
        with in_order(place, folder) as months.url:
            months.extract()
            for month in (1, 2, 3, 4, 5):
                burn(months.url, 8)
                execute(months.url, sold(month, number := number + 1))
                assert months.copied() >= {f"2024-{month:02}"}
                assert segment == 4095 or months.copied() == set()
            freeze(place, months.url)
            assert segment == 4095 or months.copied() == set()
    assert months.last
    assert months.last.watermark
    assert months.last.watermark["next_xid"] > 1 << 32


def freeze(place: Cluster, url: str) -> None:
    place.done("vacuumdb", "--all", "--freeze", "--maintenance-db", url)


def jump(place: Cluster, folder: Path, segment: int, ahead: int) -> None:
    """Let a stopped server's next transaction have an id in a segment; PostgreSQL must find the segment's file."""
    place.done("pg_resetwal", "-x", segment * SEGMENT + ahead, "-D", folder)
    path = folder / "pg_xact" / f"{segment:04X}"
    path.write_bytes(bytes(SEGMENT // 4))
    shutil.chown(path, folder.stat().st_uid, folder.stat().st_gid)


def a_standby_is_promoted(place: Cluster, tmp_path: Path) -> None:
    with primary(place) as former:
        execute(former, SALES.format(1, 1000))
        months = Months(former, tmp_path)
        months.extract()
        with standby(place, former) as follower:
            for url in (follower, former, follower):
                execute(former, sold(2, 2000))
                replayed(former, follower)
                months.url = url
                assert months.copied() == {"2024-02"}
                assert months.copied() == set()
            execute(follower, "SELECT pg_wal_replay_pause()")
            execute(former, sold(3, 2001))
            months.url = former
            assert months.copied() == {"2024-03"}
            months.url = follower
            assert months.extract().full == "the server is at an older point than at the last extract"
            execute(follower, "SELECT pg_wal_replay_resume()")
            replayed(former, follower)
            execute(follower, "SELECT pg_promote()")
            eventually(lambda: count(follower, "pg_roles WHERE NOT pg_is_in_recovery()"))
            execute(follower, sold(4, 2002))
            result = months.extract()
            assert (copied(result), result.full) == (FIVE, "the server's history took another course (timeline)")
            assert months.copied() == set()


def replayed(former: str, follower: str) -> None:
    with psycopg.connect(former) as connection:
        ((written,),) = connection.execute("SELECT pg_current_wal_lsn()::text").fetchall()
    eventually(lambda: count(follower, f"pg_roles WHERE pg_last_wal_replay_lsn() >= '{written}'"))


def a_backup_is_restored(place: Cluster, tmp_path: Path) -> None:
    """To the point in time of the backup; then more happens there than was lost."""
    with primary(place) as former:
        execute(former, SALES.format(1, 1000))
        folder = place.account.make_folder(place.home, "backup-")
        place.done("pg_basebackup", "-d", former, "-D", folder, *BACKUP)
        months = Months(former, tmp_path)
        execute(former, sold(2, 2000))
        months.extract()
    (folder / "recovery.signal").touch()
    with place.server(folder, restore_command="false") as months.url:
        eventually(lambda: count(months.url, "pg_roles WHERE NOT pg_is_in_recovery()"))
        execute(months.url, sold(2, 2001))
        burn(months.url, 100)
        execute(months.url, "SELECT pg_switch_wal()")
        assert months.extract().full == "the server's history took another course (timeline)"
        assert months.copied() == set()


def files_are_restored(place: Cluster, tmp_path: Path) -> None:
    """From a copy of a stopped server's files: nothing shows it but older ids, and later what was sold."""
    folder = new_folder(place)
    with in_order(place, folder) as url:
        execute(url, CONTRACT_TABLES[-1], SALES.format(1, 1000))
    copy = place.account.make_folder(place.home, "copy-")
    subprocess.run(["cp", "-a", f"{folder}/.", str(copy)], check=True)
    months = Months("", tmp_path)
    with in_order(place, folder) as months.url:
        execute(months.url, sold(2, 2000))
        burn(months.url, 50)
        months.extract()
    with in_order(place, copy) as months.url:
        execute(months.url, sold(2, 2001))
        last = months.last
        assert months.extract().full == "the server is at an older point than at the last extract"
        months.last = last
        burn(months.url, 100)
        execute(months.url, "SELECT pg_switch_wal()", sold(3, 2002))
        assert months.extract().full == "values of 2024-02 changed, but no row is new"


def a_dump_is_restored(place: Cluster, tmp_path: Path) -> None:
    with primary(place) as former:
        execute(former, SALES.format(1, 1000), "CREATE DATABASE other")
        months = Months(former, tmp_path)
        months.extract()
        dump = place.account.make_folder(place.home, "dump-") / "dump"
        place.done("pg_dump", "-d", former, "-t", "sale_transactions", "-f", dump)
        with in_order(place, new_folder(place)) as url:
            place.done("psql", "-d", url, "-f", dump)
            months.url = url
            assert months.extract().full == "the server is another one (system identifier)"
            assert months.copied() == set()
        months.url = former
        months.extract()
        months.url = former.replace("/postgres?", "/other?")
        place.done("psql", "-d", months.url, "-f", dump)
        assert months.extract().full == "the database is another one"


HISTORIES = (a_standby_is_promoted, a_backup_is_restored, files_are_restored, a_dump_is_restored, ids_wrap)


@pytest.mark.parametrize("history", HISTORIES)
@pytest.mark.quick(1)
def test_no_turn_of_history_loses_a_change(
    place: Cluster, tmp_path: Path, history: Callable[[Cluster, Path], None]
) -> None:
    history(place, tmp_path)
