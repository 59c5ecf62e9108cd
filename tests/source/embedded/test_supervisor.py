"""The embedded server's watcher: killed processes, stale files and broken folders are repaired or named."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from conftest import eventually, is_stopped
from server_users import USER, a_user, answer, server_pid
from shopease_etl.errors import UnreachableError
from shopease_etl.source import embedded

LINUX_ONLY = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def supervisor_pids(home: Path) -> list[int]:
    marker = os.fsencode((home / "postgres").resolve())
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            arguments = (folder / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if b"shopease_etl.source.embedded.supervisor" in arguments and marker in arguments:
            found.append(int(folder.name))
    return found


@LINUX_ONLY
def test_server_dies_with_its_supervisor(home: Path) -> None:
    with a_user(home):
        for pid in supervisor_pids(home):
            os.kill(pid, signal.SIGKILL)
        eventually(lambda: is_stopped(home))
    with embedded.running(home) as url:
        assert answer(url) == 42


def test_orphaned_server_is_replaced(home: Path) -> None:
    with embedded.running(home):
        pass
    eventually(lambda: is_stopped(home))
    base = home / "postgres"
    orphan = subprocess.Popen(["sleep", "60"], pass_fds=(lock := os.open(base / "server.lock", os.O_RDWR),))
    import fcntl

    fcntl.flock(lock, fcntl.LOCK_EX)
    os.close(lock)
    (base / "data" / "postmaster.pid").write_text(f"{orphan.pid}\n")
    with orphan, embedded.running(home) as url:
        assert answer(url) == 42
        assert orphan.wait() == -signal.SIGINT


def test_killed_server_comes_back_with_its_data(home: Path) -> None:
    with embedded.running(home) as url:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("CREATE TABLE kept AS SELECT generate_series(1, 1000)")
        os.kill(server_pid(home), signal.SIGKILL)
        with embedded.running(home) as again:
            assert answer(again, "SELECT count(*) FROM kept") == 1000


def test_stale_pid_file_of_a_living_process(home: Path) -> None:
    with embedded.running(home):
        content = (home / "postgres" / "data" / "postmaster.pid").read_text()
    eventually(lambda: is_stopped(home))
    stale = content.replace(content.split()[0], str(os.getpid()), 1)
    (home / "postgres" / "data" / "postmaster.pid").write_text(stale)
    with embedded.running(home) as url:
        assert answer(url) == 42


@LINUX_ONLY
def test_killed_while_it_initialises(home: Path) -> None:
    command = [sys.executable, "-c", USER, str(home)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        eventually(lambda: list((home / "postgres").glob("data.new-*/PG_VERSION")))
        process.kill()
        for pid in supervisor_pids(home):
            os.kill(pid, signal.SIGKILL)
    with embedded.running(home) as url:
        assert answer(url) == 42
    assert not list((home / "postgres").glob("data.new-*"))


def test_incomplete_folder_is_named(home: Path) -> None:
    (home / "postgres" / "data" / "base").mkdir(parents=True)
    with pytest.raises(UnreachableError, match="not a complete data folder"), embedded.running(home):
        pass


def test_failed_start_shows_the_end_of_the_log(home: Path) -> None:
    with embedded.running(home):
        pass
    eventually(lambda: is_stopped(home))
    (home / "postgres" / "data" / "global" / "pg_control").write_bytes(b"")
    with pytest.raises(UnreachableError, match="did not start") as caught, embedded.running(home):
        pass
    assert "pg_control" in str(caught.value)
    assert caught.value.hint == f"see {home / 'postgres.log'}"
    assert caught.value.exit_code == 4
