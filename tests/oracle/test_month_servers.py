"""What happens to a server between two runs by month: afterwards the lake has what a complete run gives."""

import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

import psycopg
import pytest
from month_edits import SALES, Edits, connected, corrections, deletions, duplicates, more_sales, moves
from month_nights import Nights
from month_sources import month_source
from month_upheavals import prepared_transaction

from commands import execute
from conftest import eventually
from replicated import Cluster, cluster

SEED: Final = 54  # it has sales, whose ids and quantities are numbers
CLOG_IDS: Final = 2**20  # of which a file tells how they ended
SETTLED: Final = ("-c", "fast", "--no-sync")
EDITS: Final = (corrections, more_sales, moves, deletions, duplicates)


@pytest.fixture(scope="module")
def place() -> Iterator[Cluster]:
    with cluster() as made:
        yield made


@pytest.fixture
def data(place: Cluster) -> Path:
    """The folder of a new server's data."""
    folder = place.account.make_folder(place.home, "data-")
    place.done("initdb", "-D", folder, "-U", "owner", "--auth=trust", "-N")
    return folder


@contextmanager
def nights_of(url: str, folder: Path) -> Iterator[Nights]:
    """The nights of a source with a lake, on whatever server it will be later."""
    source = month_source(SEED)
    columns = source.fill(url)["transactions"]
    with Edits.of(source, url, columns) as edits:
        nights = Nights.of(edits, folder)
        nights.usual()
        yield nights


def a_night(nights: Nights, reason: str | None = None) -> None:
    """Edits, and a run that has all of them; it is full for the reason, or copies what was touched."""
    nights.edit(4, EDITS)
    run(nights, reason)


def run(nights: Nights, reason: str | None = None) -> None:
    """A run that has all that the source has; it is full for the reason, or copies what was touched."""
    nights.usual(is_irregular=reason is not None)
    assert reason is None or reason in (nights.last_extract()["full"] or ""), nights.last_extract()["full"]
    nights.require_right()


def value(url: str, query: str) -> Any:
    """The only value of a query's only row."""
    with psycopg.connect(url, autocommit=True) as connection:
        ((found,),) = connection.execute(query.encode()).fetchall()
        return found


@pytest.mark.quick(0)
@pytest.mark.parametrize("boundary", [2**31, 2**32])
def test_transaction_ids_that_wrap(place: Cluster, data: Path, tmp_path: Path, boundary: int) -> None:
    with ExitStack() as stack:
        with place.server(data) as url:
            nights = stack.enter_context(nights_of(url, tmp_path))
            execute(url, "UPDATE pg_database SET datallowconn = true")
            freeze(place, url)
        for next_id in (*range(1_400_000_000, boundary - 10**8, 1_400_000_000), boundary - 300):
            jump(place, data, next_id)
            with place.server(data) as url:
                freeze(place, url)
                nights.edits.move_to(url)
                nights.edits.touched = None
                a_night(nights)
                if next_id == boundary - 300:
                    cross(nights, boundary)


def cross(nights: Nights, boundary: int) -> None:
    """Nights in which the ids come to the boundary, and pass it."""
    for _ in range(3):
        a_night(nights)
        for _ in range(150):
            nights.edits.run("SELECT pg_current_xact_id()")
        nights.edits.run(f"VACUUM (FREEZE) {nights.edits.table}")
    assert int(nights.edits.run("SELECT pg_current_xact_id()::text")[0][0]) > boundary
    a_night(nights)
    nights.require_equal("none")


def freeze(place: Cluster, url: str) -> None:
    """No row has an old id any more, in any database."""
    place.done("vacuumdb", "--all", "--freeze", "--quiet", f"--maintenance-db={url}")


def jump(place: Cluster, data: Path, next_id: int) -> None:
    """The next transaction of a server that is stopped has this id."""
    epoch, number = divmod(next_id, 2**32)
    place.done("pg_resetwal", "-D", data, "-x", number, "-e", epoch)
    file = data / "pg_xact" / f"{number // CLOG_IDS:04X}"
    if not file.exists():
        file.write_bytes(bytes(CLOG_IDS // 4))
        shutil.chown(file, data.owner(), data.group())


@pytest.mark.quick(0)
def test_two_phase_commits_and_crashes(place: Cluster, data: Path, tmp_path: Path) -> None:
    with ExitStack() as stack:
        with place.server(data) as url:
            nights = stack.enter_context(nights_of(url, tmp_path))
        for _ in range(3):
            with place.server(data, max_prepared_transactions="4") as url:
                nights.edits.move_to(url)
                prepared_transaction(nights.edits)
                a_night(nights)  # while half of a commit is still to come
                nights.edits.settle()
                a_night(nights)
                lost = connected(url, nights.edits.zone)
                lost.execute(f"DELETE FROM {SALES} WHERE quantity > 3".encode())
                place.done("pg_ctl", "stop", "-m", "immediate", "-D", data)
                lost.close()


@pytest.mark.quick(0)
def test_a_database_restored_from_a_dump(place: Cluster, data: Path, tmp_path: Path) -> None:
    with place.server(data) as url, nights_of(url, tmp_path) as nights:
        dump = place.account.make_folder(place.home, "dump-") / "sales.sql"
        place.done("pg_dump", "-d", url, "-f", dump)
        nights.edit(3, EDITS)
        execute(url, "CREATE DATABASE restored")
        restored = url.replace("/postgres?", "/restored?")
        place.done("psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", restored, "-f", dump)
        nights.edits.move_to(restored)
        a_night(nights, "database")
        # in place of the tables of the same database
        dropping = place.account.make_folder(place.home, "dump-") / "sales.sql"
        place.done("pg_dump", "--clean", "-d", restored, "-f", dropping)
        place.done("psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", restored, "-f", dropping)
        a_night(nights, "table")
        a_night(nights)


def test_a_standby_and_its_promotion(place: Cluster, data: Path, tmp_path: Path) -> None:
    with place.server(data) as url, nights_of(url, tmp_path) as nights:
        behind = place.account.make_folder(place.home, "standby-")
        place.done("pg_basebackup", "-d", url, "-D", behind, "-R", *SETTLED)
        with place.server(behind) as other:
            a_night(nights)
            nights.edit(4, EDITS)
            caught_up(url, other)
            read_from(nights, other, None)
            # the standby stays behind what a run has seen
            execute(other, "SELECT pg_wal_replay_pause()")
            a_night(nights)
            read_from(nights, other, "older point")
            nights.edits.touched = None  # it was before
            a_night(nights)
            # and what it has not replayed is lost, when it is promoted
            place.done("pg_ctl", "promote", "-D", behind)
            eventually(lambda: not value(other, "SELECT pg_is_in_recovery()"))
            nights.edits.move_to(other)
            for _ in range(50):
                nights.edits.run("SELECT pg_current_xact_id()")
            a_night(nights, "timeline")
            a_night(nights)


def caught_up(primary: str, standby: str) -> None:
    """The standby has what the primary has."""
    written = value(primary, "SELECT pg_current_wal_lsn()")
    eventually(lambda: value(standby, f"SELECT pg_last_wal_replay_lsn() >= '{written}'"))


def read_from(nights: Nights, standby: str, reason: str | None) -> None:
    """A run that reads a standby, where nobody can edit."""
    primary, nights.edits.url = nights.edits.url, standby
    run(nights, reason)
    nights.edits.url = primary


@pytest.mark.quick(0)
def test_a_server_recovered_to_a_point_in_time(place: Cluster, data: Path, tmp_path: Path) -> None:
    archive, base = (place.account.make_folder(place.home, name) for name in ("archive-", "base-"))
    archiving = {"archive_mode": "on", "archive_command": f"cp %p {archive}/%f", "archive_timeout": "1"}
    with ExitStack() as stack:
        with place.server(data, **archiving) as url:
            nights = stack.enter_context(nights_of(url, tmp_path))
            place.done("pg_basebackup", "-d", url, "-D", base, *SETTLED)
            a_night(nights)
            execute(url, "SELECT pg_create_restore_point('then')")
            a_night(nights)
            execute(url, "SELECT pg_switch_wal()")
            eventually(
                lambda: value(url, "SELECT archived_count > 0 AND last_failed_wal IS NULL FROM pg_stat_archiver")
            )
            a_night(nights)
        (base / "recovery.signal").touch()
        shutil.chown(base / "recovery.signal", base.owner(), base.group())
        to = {"recovery_target_name": "then", "recovery_target_action": "promote"}
        with place.server(base, restore_command=f"cp {archive}/%f %p", **to) as url:
            eventually(lambda: not value(url, "SELECT pg_is_in_recovery()"))
            nights.edits.move_to(url)
            for _ in range(100):
                nights.edits.run("SELECT pg_current_xact_id()")
            a_night(nights, "timeline")
            a_night(nights)


@pytest.mark.quick(1)
@pytest.mark.parametrize("is_ahead", [False, True], ids=["behind", "ahead"])
def test_a_server_whose_files_are_of_an_earlier_day(
    place: Cluster, data: Path, tmp_path: Path, *, is_ahead: bool
) -> None:
    """No history tells that; ids do, or sums where the ids have come further than they were."""
    earlier = place.account.make_folder(place.home, "earlier-")
    with ExitStack() as stack:
        with place.server(data) as url:
            nights = stack.enter_context(nights_of(url, tmp_path))
        copied(data, earlier)
        with place.server(data) as url:
            nights.edits.move_to(url)
            a_night(nights)
            nights.edits.run(f"UPDATE {nights.edits.table} SET quantity = '7' WHERE quantity IS NOT NULL")
            nights.edits.touched = None
            run(nights)
        with place.server(earlier) as url:
            nights.edits.move_to(url)
            for _ in range(500 if is_ahead else 0):
                nights.edits.run("SELECT pg_current_xact_id()")
            if is_ahead:
                nights.edits.run("SELECT pg_switch_wal()")
            a_night(nights, "no row is new" if is_ahead else "older point")


def copied(data: Path, folder: Path) -> None:
    """A copy of a stopped server's files."""
    shutil.copytree(data, folder, dirs_exist_ok=True)
    for path in (folder, *folder.rglob("*")):
        shutil.chown(path, data.owner(), data.group())
