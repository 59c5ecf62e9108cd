"""The embedded server with the real programs: who starts it, who shares it, and what ends it."""

import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import psycopg
import pytest

from conftest import eventually, is_stopped
from shopease_etl import embedded
from shopease_etl.embedded import folders, locks, programs
from shopease_etl.errors import ConfigurationError, UnreachableError

USER = """
import pathlib, sys
from shopease_etl import embedded
with embedded.running(pathlib.Path(sys.argv[1])) as url:
    print(url, flush=True)
    sys.stdin.read()
"""
ENVIRONMENT = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
LINUX_ONLY = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


@contextmanager
def a_user(
    home: Path, account: int | None = None, python: str = sys.executable
) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Another process that uses the server until its stdin ends."""
    command = [python, "-c", USER, str(home)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, user=account, cwd="/", env=ENVIRONMENT
    ) as process:
        try:
            assert process.stdout
            yield process, process.stdout.readline().strip()
        finally:
            process.kill()


def python_for(account: int) -> str:
    """An interpreter that the account can run; ours may lie in a folder that is root's alone."""
    probe = "import psycopg, shopease_etl.embedded"
    for python in (sys.executable, "/usr/bin/python3"):
        with suppress(OSError):
            command = [python, "-c", probe]
            if (
                subprocess.run(
                    command, user=account, env=ENVIRONMENT, cwd="/", stderr=subprocess.DEVNULL, check=False
                ).returncode
                == 0
            ):
                return python
    pytest.skip(f"user id {account} can run neither {sys.executable} nor /usr/bin/python3 with psycopg")


def server_pid(home: Path) -> int:
    return int((home / "postgres" / "data" / "postmaster.pid").read_text().split()[0])


def supervisor_pids(home: Path) -> list[int]:
    marker = os.fsencode((home / "postgres").resolve())
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            arguments = (folder / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if b"shopease_etl.embedded.supervisor" in arguments and marker in arguments:
            found.append(int(folder.name))
    return found


def answer(url: str, query: str = "SELECT 42") -> object:
    with psycopg.connect(url) as connection:
        row = connection.execute(query.encode()).fetchone()
        return row[0] if row else None


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


def test_killing_the_one_who_started_it_leaves_it_to_the_others(home: Path) -> None:
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


def test_coming_while_it_stops(home: Path) -> None:
    for _ in range(8):
        with embedded.running(home) as url:
            assert answer(url) == 42
        eventually(lambda: locks.is_held(home / "postgres" / "users.lock") or is_stopped(home))


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


def test_folder_that_is_not_whole_is_named(home: Path) -> None:
    (home / "postgres" / "data" / "base").mkdir(parents=True)
    with pytest.raises(UnreachableError, match="not a whole data folder"), embedded.running(home):
        pass


def test_server_that_does_not_start_shows_its_last_words(home: Path) -> None:
    with embedded.running(home):
        pass
    eventually(lambda: is_stopped(home))
    (home / "postgres" / "data" / "global" / "pg_control").write_bytes(b"")
    with pytest.raises(UnreachableError, match="did not start") as caught, embedded.running(home):
        pass
    assert "pg_control" in str(caught.value)
    assert caught.value.hint == f"see {home / 'postgres.log'}"
    assert caught.value.exit_code == 4


@pytest.mark.parametrize("name", ["x" * 120, "mine, 'yours' & \"ours\" ü"])
def test_home_whose_path_no_socket_can_have(home: Path, name: str) -> None:
    with embedded.running(home / name) as url:
        assert answer(url) == 42
        socket = Path(psycopg.conninfo.conninfo_to_dict(url)["host"])  # type: ignore[arg-type]
        assert socket.parent == Path("/tmp")
        assert stat.S_IMODE(socket.stat().st_mode) == 0o700
    eventually(lambda: is_stopped(home / name))
    assert not socket.exists()


@ROOT_ONLY
def test_runs_as_an_ordinary_user(home: Path) -> None:
    daemon = pwd.getpwnam("daemon")
    home.mkdir()
    os.chown(home, daemon.pw_uid, daemon.pw_gid)
    with a_user(home, daemon.pw_uid, python_for(daemon.pw_uid)) as (process, url):
        assert "host=" in url
        assert (home / "postgres" / "data").stat().st_uid == daemon.pw_uid
        assert stat.S_IMODE((home / "postgres").stat().st_mode) == 0o700
        with pytest.raises(ConfigurationError, match="belongs to another user"), embedded.running(home):
            pass
        process.communicate()
        eventually(lambda: is_stopped(home))


@ROOT_ONLY
@pytest.mark.parametrize("stranger", ["daemon", "nobody"])
def test_lets_no_other_user_in(home: Path, stranger: str) -> None:
    with embedded.running(home) as url:
        command: list[str | Path] = [embedded.binaries() / "psql", "-X", "-w", "-d", url, "-c", "SELECT 1"]
        done = subprocess.run(
            command, user=stranger, group=1, extra_groups=[], capture_output=True, text=True, check=False, cwd="/"
        )
    assert done.returncode == 2
    assert "Permission denied" in done.stderr or "Peer authentication failed" in done.stderr


@ROOT_ONLY
def test_root_with_a_home_that_nobody_reaches(home: Path) -> None:
    home.mkdir(mode=0o700)
    with embedded.running(home) as url:
        assert answer(url) == 42
        target = (home / "postgres").readlink()
        assert target.parent == folders.EXTERNAL
        assert target.stat().st_uid == 0
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    eventually(lambda: is_stopped(home))
    shutil.rmtree(home)
    home.mkdir(mode=0o700)
    with embedded.running(home):
        assert not target.exists()  # swept, as its home had gone


@ROOT_ONLY
def test_root_with_programs_that_nobody_reaches(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home.mkdir()
    account = folders.Account.ours()
    with monkeypatch.context() as patched:
        patched.setattr(folders.Account, "run", lambda *_: False)
        copied = folders.runnable_binaries(home, account)
    assert copied.is_relative_to(home)
    assert account.run(copied / "postgres", "--version")


def test_hint_where_the_extra_is_missing(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "package_folder", lambda: None)
    with pytest.raises(ConfigurationError, match="not installed") as caught, embedded.running(home):
        pass
    assert "pip install 'shopease[embedded]'" in str(caught.value.hint)


def test_unusable_home(home: Path) -> None:
    home.write_text("a file")
    with pytest.raises(ConfigurationError, match="cannot use"), embedded.running(home):
        pass
    home.unlink()


@pytest.mark.parametrize(("on_path", "taken"), [("99.1", "PATH"), ("9.6.24", "embedded"), ("18.4", "embedded")])
def test_newest_tool_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, on_path: str, taken: str) -> None:
    tool = tmp_path / "psql"
    tool.write_text(f"#!/bin/sh\necho 'psql (PostgreSQL) {on_path} (Some 1.2)'\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert embedded.find_tool("psql") == (tool if taken == "PATH" else embedded.binaries() / "psql")
    assert embedded.find_tool("psql", tls=True) == tool


def test_tool_that_is_nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(programs, "package_folder", lambda: None)
    with pytest.raises(ConfigurationError, match="pg_restore was not found"):
        embedded.find_tool("pg_restore")
