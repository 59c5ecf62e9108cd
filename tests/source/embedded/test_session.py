"""The embedded server with the real programs: who starts it, who shares it, and what ends it."""

import os
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import psycopg

from conftest import eventually, is_stopped
from server_users import USER, a_user, answer, server_pid
from shopease_etl.source import embedded
from shopease_etl.source.embedded import locks


def test_data_outlives_the_server(home: Path) -> None:
    with embedded.running(home) as url, psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 1")
    eventually(lambda: is_stopped(home))
    with embedded.running(home) as url:
        assert answer(url, "SELECT count(*) FROM kept") == 1


def test_url_serves_psql_and_names_its_database(home: Path) -> None:
    with embedded.running(home, 'other "db"') as url:
        command: list[str | Path] = [
            embedded.binaries() / "psql",
            "-X",
            "-A",
            "-t",
            "-d",
            url,
            "-c",
            "SELECT current_database()",
        ]
        environment = os.environ | {"PGPORT": "1", "PGSSLMODE": "require"}
        shown = subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout
    assert shown.strip() == 'other "db"'


def test_settings_suit_the_contract(home: Path) -> None:
    with embedded.running(home) as url, psycopg.connect(url) as connection:
        names = ("server_encoding", "timezone", "listen_addresses", "wal_level", "is_superuser")
        values = [connection.execute("SELECT current_setting(%s)", [name]).fetchone() for name in names]
    assert values == [("UTF8",), ("UTC",), ("",), ("minimal",), ("off",)]


def test_second_process_attaches_and_last_one_stops(home: Path) -> None:
    with a_user(home) as (first, url):
        pid = server_pid(home)
        with embedded.running(home) as mine:
            assert (mine, server_pid(home)) == (url, pid)
            first.communicate()
            assert answer(mine) == 42
        eventually(lambda: is_stopped(home))


def test_stops_after_its_only_user_is_killed(home: Path) -> None:
    with a_user(home) as (process, url):
        assert answer(url) == 42
        process.kill()
        process.wait()
        eventually(lambda: is_stopped(home))


def test_it_survives_the_process_that_started_it(home: Path) -> None:
    with a_user(home) as (process, _), embedded.running(home) as url:
        pid = server_pid(home)
        process.kill()
        process.wait()
        with embedded.running(home):
            assert answer(url) == 42
        assert server_pid(home) == pid


def test_many_first_users_share_one_server(home: Path) -> None:
    home.mkdir()
    with ExitStack() as stack:
        command = [sys.executable, "-c", USER, str(home)]
        users = [
            stack.enter_context(subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True))
            for _ in range(4)
        ]
        urls = {user.stdout.readline() for user in users if user.stdout}
        assert len(urls) == 1
        assert answer(urls.pop().strip()) == 42
        for user in users:
            user.communicate()


def test_a_user_that_connects_while_it_stops(home: Path) -> None:
    for _ in range(8):
        with embedded.running(home) as url:
            assert answer(url) == 42
        eventually(lambda: locks.is_held(home / "postgres" / "users.lock") or is_stopped(home))
