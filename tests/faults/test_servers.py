"""Unavailable servers, stores and extras: one clear line without secrets, and the right exit code."""

import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import psycopg
import pytest

from commands import Ended, Shop, count
from conftest import eventually, temporary_home
from shopease_etl.source.embedded.folders import Account, runnable_binaries

PASSWORD: Final = "r1ght-pa55word"
WRONG: Final = "wr0ng-pa55word"


@pytest.fixture(scope="module")
def guarded_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a server that asks for a password, and has none of our tables."""
    with temporary_home() as home:
        home.mkdir()
        account = Account.ours()
        programs = runnable_binaries(home, account)
        folder = account.make_folder(home, "data-")
        secret = tmp_path_factory.mktemp("secret") / "password"
        secret.write_text(PASSWORD)
        command = [
            programs / "initdb",
            "-D",
            folder,
            "-U",
            "owner",
            "--auth=scram-sha-256",
            "--pwfile=/dev/stdin",
            "-N",
        ]
        as_account = {"user": account.user, "group": account.group, "extra_groups": account.groups}
        with secret.open() as password:
            subprocess.run(command, stdin=password, check=True, stdout=subprocess.DEVNULL, cwd="/", **as_account)  # type: ignore[call-overload]
        port = free_port()
        options = {"listen_addresses": "127.0.0.1", "port": port, "unix_socket_directories": "", "fsync": "off"}
        settings = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        server = subprocess.Popen(  # type: ignore[call-overload]
            [programs / "postgres", "-D", folder, *settings], stderr=subprocess.DEVNULL, cwd="/", **as_account
        )
        url = f"postgresql://owner:{PASSWORD}@127.0.0.1:{port}/postgres"
        eventually(lambda: answers(url))
        yield url
        server.send_signal(signal.SIGINT)
        server.wait(20)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def answers(url: str) -> bool:
    try:
        return count(url, "pg_class") > 0
    except psycopg.OperationalError:
        return False


def without_secrets(ended: Ended, *secrets: str) -> Ended:
    """The command has told no password."""
    assert [secret for secret in secrets if secret in ended.stdout + ended.stderr] == [], ended
    return ended


@pytest.mark.parametrize("arguments", ["run-all --json", "restore sales.sql", "run-all --debug"])
def test_a_wrong_password_is_refused_and_not_shown(guarded_server: str, tmp_path: Path, arguments: str) -> None:
    (tmp_path / "sales.sql").write_text("CREATE TABLE x (a int);\n")
    told = Shop(tmp_path, guarded_server.replace(PASSWORD, WRONG)).run(*arguments.split())
    without_secrets(told, WRONG)
    if "--debug" not in arguments:
        told.failed(4, "password authentication failed")


def test_a_correct_password_is_not_shown(guarded_server: str, tmp_path: Path) -> None:
    shop = Shop(tmp_path, guarded_server)
    without_secrets(shop.run("run-all", "--verbose").failed(3, "customers is missing"), PASSWORD)
    assert "customers" in without_secrets(shop.run("check"), PASSWORD).stdout
    texts = [path.read_text() for path in tmp_path.rglob("*") if path.is_file()]
    assert texts
    assert [text for text in texts if PASSWORD in text] == []


@pytest.mark.parametrize(
    ("url", "words"),
    [
        (f"postgresql://u:{WRONG}@no-such-host.invalid/db", "no-such-host.invalid"),
        (f"postgresql://u:{WRONG}@127.0.0.1:1/db", "refused"),
        (f"host=127.0.0.1 port=1 user=u password={WRONG} dbname=db", "refused"),
    ],
    ids=["unknown host", "refused port", "refused port in key words"],
)
def test_an_unreachable_server_is_exit_4(tmp_path: Path, url: str, words: str) -> None:
    shop = Shop(tmp_path, url, more={"SHOPEASE_SOURCE_WAIT": "0"})
    without_secrets(shop.run("extract"), WRONG).failed(4, words)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:s3cr%zzet@localhost/db",
        "postgresql://u:s3cret@[::1/db",
        "mysql://u:s3cret@localhost/db",
        "postgres//u:s3cret@localhost/db",
    ],
)
def test_an_invalid_url_is_refused_and_not_shown(tmp_path: Path, url: str) -> None:
    command = ("restore", "x.sql") if "[" in url else ("extract",)
    without_secrets(Shop(tmp_path, url).run(*command), "s3cr").failed(2)


def test_a_lake_below_a_file_is_exit_4(shop: Shop, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for lake in ("file", "file/lake", "/dev/null"):
        for command in ("run-all", "status", "clean"):
            ended = Shop(tmp_path, shop.database_url, lake).run(command).failed(4, str(tmp_path / lake))
            assert "hint: set SHOPEASE_LAKE to a folder that can be written" in ended.stderr


def test_a_read_only_lake_is_exit_4(tmp_path: Path) -> None:
    lake = tmp_path / "lake"
    lake.mkdir(mode=0o555)
    ordinary = ("setpriv", "--bounding-set=-dac_override,-dac_read_search") if os.geteuid() == 0 else ()
    if ordinary and not shutil.which("setpriv"):
        pytest.skip("setpriv is not there, and for root every folder can be written")
    Shop(tmp_path, wrapper=ordinary).run("clean").failed(4, str(lake), "Permission denied")


def test_a_missing_bucket_is_exit_4(sales: str, tmp_path: Path, new_bucket: Callable[[], str]) -> None:
    remote = Shop(tmp_path, sales, f"s3://{new_bucket()}-of-nobody/x")
    for command in ("run-all", "status"):
        assert "create the bucket" in remote.run(command).failed(4, "-of-nobody").stderr


def test_an_unresponsive_s3_is_exit_4(sales: str, tmp_path: Path, new_bucket: Callable[[], str]) -> None:
    dead = {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{free_port()}", "AWS_MAX_ATTEMPTS": "1"}
    Shop(tmp_path, sales, f"s3://{new_bucket()}", dead).run("clean").failed(4)
