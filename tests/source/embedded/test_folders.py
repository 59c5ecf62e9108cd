"""The account and the folders of the embedded server, and which users it refuses."""

import os
import pwd
import shutil
import stat
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest

from conftest import eventually, is_stopped
from server_users import ENVIRONMENT, a_user, answer
from shopease_etl.errors import ConfigurationError
from shopease_etl.source import embedded
from shopease_etl.source.embedded import folders

ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


def python_for(account: int) -> str:
    """An interpreter that the account can run; ours may lie in a folder that is root's alone."""
    probe = "import psycopg, shopease_etl.source.embedded"
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


@pytest.mark.parametrize("name", ["x" * 120, "mine, 'yours' & \"ours\" ü"])
def test_home_with_a_path_too_long_for_sockets(home: Path, name: str) -> None:
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
def test_other_users_are_refused(home: Path, stranger: str) -> None:
    with embedded.running(home) as url:
        command: list[str | Path] = [embedded.binaries() / "psql", "-X", "-w", "-d", url, "-c", "SELECT 1"]
        done = subprocess.run(
            command, user=stranger, group=1, extra_groups=[], capture_output=True, text=True, check=False, cwd="/"
        )
    assert done.returncode == 2
    assert "Permission denied" in done.stderr or "Peer authentication failed" in done.stderr


@ROOT_ONLY
def test_root_prefers_the_system_user_shopease(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folders, "SYSTEM_USER", "daemon")
    daemon, nobody = pwd.getpwnam("daemon"), pwd.getpwnam("nobody")
    assert folders.Account.ours().user == daemon.pw_uid
    assert folders.Account.ours(tmp_path / "no data yet").user == daemon.pw_uid
    os.chown(tmp_path, nobody.pw_uid, nobody.pw_gid)
    assert folders.Account.ours(tmp_path).user == nobody.pw_uid  # made before there was the user
    monkeypatch.setattr(folders, "SYSTEM_USER", "no such user")
    assert folders.Account.ours().user == nobody.pw_uid


@ROOT_ONLY
def test_only_its_account_may_read_the_data(home: Path) -> None:
    with embedded.running(home):
        data = home / "postgres" / "data"
        assert (stat.S_IMODE(data.stat().st_mode), data.stat().st_uid) == (0o700, folders.Account.ours().user)


@ROOT_ONLY
def test_root_with_an_unreachable_home(home: Path) -> None:
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
def test_root_with_unreachable_programs(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home.mkdir()
    account = folders.Account.ours()
    with monkeypatch.context() as patched:
        patched.setattr(folders.Account, "run", lambda *_: False)
        copied = folders.runnable_binaries(home, account)
    assert copied.is_relative_to(home)
    assert account.run(copied / "postgres", "--version")


def test_unusable_home(home: Path) -> None:
    home.write_text("a file")
    with pytest.raises(ConfigurationError, match="cannot use"), embedded.running(home):
        pass
    home.unlink()
