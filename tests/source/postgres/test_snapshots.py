"""Tables with their types and a sample row, and the names and limits of sessions."""

import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from urllib.parse import quote

import psycopg
import pytest

from commands import count, execute
from conftest import eventually
from shopease_etl.errors import SourceFaultError, UnreachableError
from shopease_etl.source.postgres import CopyOut, Limits, Snapshot, connect, snapshot
from shopease_etl.source.postgres.snapshots import SAMPLE_CHARACTERS


def test_tables_have_the_types_of_their_columns_in_order(bare: str) -> None:
    execute(
        bare,
        "CREATE TYPE mood AS ENUM ('good')",
        "CREATE TABLE things (z numeric(10,2), gone int, a varchar(7)[], m mood, at timestamptz(3))",
        "ALTER TABLE things DROP COLUMN gone, ALTER COLUMN z TYPE bigint",
    )
    with snapshot(bare, "UTC", "public") as moment:
        table = moment.tables(["things"])["things"]
    assert dict(zip(table.columns, table.types, strict=True)) == {
        "z": "bigint",
        "a": "character varying(7)[]",
        "m": "mood",
        "at": "timestamp(3) with time zone",
    }


@pytest.mark.parametrize("path", ["", "public", "shop, public", "shop", '"$user", public'])
def test_the_names_of_types_do_not_depend_on_the_search_path(bare: str, path: str) -> None:
    """Types are named as with PostgreSQL's default path; what COPY runs has the role's path."""
    execute(
        bare,
        "CREATE SCHEMA shop",
        "CREATE TYPE public.mood AS ENUM ('good')",
        "CREATE TYPE shop.mood AS ENUM ('bad')",
        "CREATE TABLE public.things (a public.mood, b shop.mood, c shop.mood[], d int)",
    )
    options = f"{bare}&options={quote(f'-csearch_path={path}'.replace(' ', chr(92) + ' '))}"
    with snapshot(options, "UTC", "public", lock=["things"]) as moment, moment.worker() as worker:
        assert moment.tables(["things"])["things"].types == ("mood", "shop.mood", "shop.mood[]", "integer")
        for connection in (moment._leader, worker):
            assert connection.execute("SELECT current_setting('search_path')").fetchall() == [(path,)]


def test_functions_of_views_have_the_search_path_of_the_role(bare: str) -> None:
    execute(
        bare,
        "CREATE SCHEMA shop",
        "CREATE TABLE shop.sizes (n int)",
        "INSERT INTO shop.sizes VALUES (42)",
        "CREATE FUNCTION size() RETURNS int LANGUAGE plpgsql STABLE AS 'BEGIN RETURN (SELECT n FROM sizes); END'",
        "CREATE VIEW things AS SELECT size()",
    )
    with snapshot(f"{bare}&options=-csearch_path%3Dshop", "UTC", "public", lock=["things"]) as moment:
        things = moment.tables(["things"])["things"]
        assert moment.sample_row(things) == {"size": "42"}
        with moment.worker() as connection:
            assert b"".join(CopyOut(connection, things)) == b"size\n42\n"


def test_only_the_named_tables_are_inspected(bare: str) -> None:
    with psycopg.connect(bare) as holder, snapshot(bare, "UTC", "public", Limits(lock=0.1)) as moment:
        holder.execute("LOCK TABLE products IN ACCESS EXCLUSIVE MODE")
        assert moment.tables(["stores", "nothing"]).keys() == {"stores"}


def test_a_sample_row_is_as_copy_writes_it(bare: str) -> None:
    execute(
        bare,
        "CREATE TABLE things (b bool, t text, nothing text, long text, whole text, at timestamptz, bytes bytea)",
        r"INSERT INTO things VALUES (true, E'a\tb\\\n', NULL, repeat('ä', 61), repeat('x', 60), "
        r"'2024-01-01 00:00+00', '\xff')",
        "INSERT INTO things (t) VALUES ('second')",
    )
    with snapshot(bare, "Europe/Berlin", "public") as moment:
        tables = moment.tables(["things", "stores"])
        assert moment.sample_row(tables["things"]) == {
            "b": "t",
            "t": "a\tb\\\n",
            "nothing": None,
            "long": "ä" * (SAMPLE_CHARACTERS - 1) + "…",
            "whole": "x" * SAMPLE_CHARACTERS,
            "at": "2024-01-01 01:00:00+01",
            "bytes": r"\xff",
        }
        assert moment.sample_row(tables["stores"]) == {}


@pytest.mark.parametrize(
    ("addition", "environment", "name"),
    [("", None, "shopease"), ("", "theirs", "theirs"), ("&application_name=own", "theirs", "own")],
    ids=["default", "environment", "URL"],
)
def test_sessions_have_a_name(
    bare: str, monkeypatch: pytest.MonkeyPatch, addition: str, environment: str | None, name: str
) -> None:
    monkeypatch.delenv("PGAPPNAME", raising=False)
    if environment:
        monkeypatch.setenv("PGAPPNAME", environment)
    with connect(bare + addition) as connection:
        assert connection.info.parameter_status("application_name") == name


def test_a_dead_network_is_noticed_unless_the_url_says_otherwise(bare: str) -> None:
    with connect(f"{bare}&keepalives_idle=7") as connection:
        parameters = connection.info.get_parameters()
    names = ("keepalives_idle", "keepalives_interval", "keepalives_count", "tcp_user_timeout", "connect_timeout")
    assert [parameters.get(name) for name in names] == ["7", "10", "3", "30000", "10"]


def test_a_worker_without_its_snapshot_is_a_temporary_fault(bare: str) -> None:
    with pytest.raises(SourceFaultError), snapshot(bare, "UTC", "public") as moment:
        execute(bare, f"SELECT pg_terminate_backend({moment._leader.info.backend_pid})")
        eventually(lambda: count(bare, f"pg_stat_activity WHERE pid = {moment._leader.info.backend_pid}") == 0)
        with pytest.raises(SourceFaultError, match="the snapshot of the source is gone"), moment.worker():
            pass
        moment.tables(["stores"])


def test_a_snapshot_that_is_kept_alive_outlives_its_limit(bare: str) -> None:
    with snapshot(bare, "UTC", "public", Limits(idle=1)) as moment:
        until = time.monotonic() + 2.5
        while time.monotonic() < until:
            moment.keep_alive()
            time.sleep(0.02)
        assert moment.tables(["stores"])


def waits_for_a_lock(url: str) -> bool:
    return bool(count(url, "pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE 'COPY%'"))


@contextmanager
def copying_a_locked_table(url: str) -> Iterator[tuple[Snapshot, psycopg.Connection, Future[bytes]]]:
    """A snapshot, the connection with the lock that a view waits for, and the COPY of the view in another thread."""
    execute(
        url,
        "ALTER TABLE stores RENAME TO shops",
        "CREATE VIEW stores AS SELECT * FROM shops WHERE (SELECT pg_advisory_xact_lock_shared(42) IS NOT NULL)",
    )
    with ThreadPoolExecutor(1) as pool, psycopg.connect(url) as holder, snapshot(url, "UTC", "public") as moment:
        table = moment.tables(["stores"])["stores"]
        holder.execute("SELECT pg_advisory_xact_lock(42)")

        def copied() -> bytes:
            with moment.worker() as connection:
                return b"".join(CopyOut(connection, table))

        result = pool.submit(copied)
        eventually(lambda: waits_for_a_lock(url))
        yield moment, holder, result


def test_other_threads_continue_while_a_copy_waits(bare: str) -> None:
    with copying_a_locked_table(bare) as (_, holder, result):
        holder.rollback()
        assert result.result(30).startswith(b"store_id,")


def test_a_waiting_copy_is_cancelled_from_another_thread(bare: str) -> None:
    with copying_a_locked_table(bare) as (moment, _, result):
        moment.cancel()
        with pytest.raises(UnreachableError, match="user request") as caught:
            result.result(30)
    assert not isinstance(caught.value, SourceFaultError)


def test_a_waiting_copy_is_broken_off_from_another_thread(bare: str) -> None:
    with copying_a_locked_table(bare) as (moment, _, result):
        moment.disconnect()
        with pytest.raises(SourceFaultError, match=r"COPY of public\.stores"):
            result.result(30)
