"""One command at a time has a lake, on this machine and among all: processes that wait, stop, die and come back."""

import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

import pytest

from accounts import Account
from leases import lease_in
from shopease_etl.contract.layout import LEASE
from shopease_etl.errors import LakeLockedError
from shopease_etl.lake.publish import unfinished_publications
from shopease_etl.lake.s3 import S3Store
from shopease_etl.operations.status import status
from shopease_etl.pipeline.cleanup import find_garbage
from shopease_etl.pipeline.recovery import recover
from shopease_etl.pipeline.wiring import Pipeline, lake_store
from shopease_etl.settings import load

BRONZE: Final = "bronze/customers/customers.csv"
HOLDER: Final = """
import sys
from pathlib import Path

import polars  # its handler of SIGINT restarts what Ctrl-C should end

from shopease_etl.errors import ShopeaseError
from shopease_etl.pipeline.wiring import Pipeline
from shopease_etl.settings import load

lake, home, who, seconds, wait = sys.argv[1:]
shop = Pipeline.from_settings(load(lake=lake, home=Path(home), lease_seconds=float(seconds)))
try:
    with shop.lock(who, wait=float(wait)) as hold:
        print("held", flush=True)
        sys.stdin.readline()
        hold.require()
        print("still held", flush=True)
except ShopeaseError as error:
    print(error, flush=True)
    sys.exit(error.exit_code)
"""
PUBLISHER: Final = """
import os, signal, sys
from pathlib import Path
from shopease_etl.lake.publish import publish_run
from shopease_etl.lake.staging import Transaction
from shopease_etl.lake.store import put_stream
from shopease_etl.pipeline.wiring import Pipeline
from shopease_etl.settings import load

lake, home = sys.argv[1:]
shop = Pipeline.from_settings(load(lake=lake, home=Path(home)))
pending = Transaction(shop.lake, shop.spool)
put_stream(pending, "bronze/customers/customers.csv", [b"new"])
begun = pending.writer("bronze/stores/stores.csv")
begun.write(b"half")
pending.publish = lambda: os.kill(os.getpid(), signal.SIGKILL)
publish_run(shop.lake, pending, {"run_id": "r", "status": "running", "published": True})
"""
CROWD: Final = """
import sys, time
from pathlib import Path
from shopease_etl.pipeline.wiring import Pipeline
from shopease_etl.settings import load

lake, home, who, diary = sys.argv[1:]
shop = Pipeline.from_settings(load(lake=lake, home=Path(home)))
with shop.lock(who, wait=120):
    for word in ("in", "out"):
        with open(diary, "a") as file:
            file.write(f"{who} {word}\\n")
        time.sleep(0.05)
"""


@pytest.fixture
def bucket(account: Account) -> str:
    """A lake on ministack."""
    return f"s3://{account.new_bucket()}/lake"


def shop_of(lake: str, home: Path, seconds: float = 60) -> Pipeline:
    return Pipeline.from_settings(load(lake=lake, home=home, lease_seconds=seconds))


def opened(lake: str) -> S3Store:
    store = lake_store(load(lake=lake))
    assert isinstance(store, S3Store)
    return store


@contextmanager
def process(
    lake: str, home: Path, who: str, *, seconds: float = 60, wait: float = 0
) -> Iterator["subprocess.Popen[str]"]:
    """A process that wants the lake, and keeps it until it gets a line; it does not outlive the block."""
    command = [sys.executable, "-c", HOLDER, lake, str(home), who, str(seconds), str(wait)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as made:
        try:
            yield made
        finally:
            made.kill()


def line(made: "subprocess.Popen[str]") -> str:
    assert made.stdout
    return made.stdout.readline().rstrip("\n")


def go_on(made: "subprocess.Popen[str]") -> str:
    """Let the process end; its last line."""
    assert made.stdin
    made.stdin.write("\n")
    made.stdin.flush()
    return line(made)


@pytest.mark.parametrize("homes", [("a", "a"), ("a", "b")], ids=["one machine", "two machines"])
def test_of_two_processes_one_gets_the_lock(bucket: str, tmp_path: Path, homes: tuple[str, str]) -> None:
    with process(bucket, tmp_path / homes[0], "first") as first:
        assert line(first) == "held"
        with process(bucket, tmp_path / homes[1], "second") as second:
            refusal = line(second)
            told = f"another run holds the lake: first on {socket.gethostname()}, process {first.pid}, since"
            assert refusal.startswith(told)
            assert ("its lock expires in" in refusal) == (homes[0] != homes[1])
            assert second.wait(30) == 75
        assert go_on(first) == "still held"
        assert first.wait(30) == 0
    assert lease_in(opened(bucket)) is None
    with process(bucket, tmp_path / homes[1], "second") as second:
        assert line(second) == "held"


@pytest.mark.parametrize("machines", [1, 2])
def test_of_many_processes_never_two_have_the_lock(bucket: str, tmp_path: Path, machines: int) -> None:
    diary = tmp_path / "diary"
    names = [f"run{number}" for number in range(4)]
    with ExitStack() as stack:
        crowd = []
        for number, name in enumerate(names):
            command = [sys.executable, "-c", CROWD, bucket, str(tmp_path / str(number % machines)), name, str(diary)]
            crowd.append(stack.enter_context(subprocess.Popen(command)))
        assert [one.wait(150) for one in crowd] == [0] * len(crowd)
    words = [tuple(entry.split()) for entry in diary.read_text().splitlines()]
    order = [who for who, word in words if word == "in"]
    assert sorted(order) == names
    assert words == [(who, word) for who in order for word in ("in", "out")]


def test_a_suspended_holder_loses_the_lock_for_good(bucket: str, tmp_path: Path) -> None:
    with process(bucket, tmp_path / "a", "first", seconds=3) as first:
        assert line(first) == "held"
        first.send_signal(signal.SIGSTOP)
        with process(bucket, tmp_path / "b", "second", seconds=60, wait=60) as second:
            assert line(second) == "held"
            before = lease_in(opened(bucket))["token"]
            first.send_signal(signal.SIGCONT)
            told = f"another run holds the lake: second on {socket.gethostname()}, process {second.pid}, since"
            assert told in (lost := go_on(first))
            assert lost.startswith("this run has lost the lock")
            assert first.wait(30) == 75
            assert lease_in(opened(bucket))["token"] == before
            assert go_on(second) == "still held"
            assert second.wait(30) == 0


def test_a_killed_holder_is_recognised_only_on_its_machine(bucket: str, tmp_path: Path) -> None:
    with process(bucket, tmp_path / "a", "first", seconds=3) as first:
        assert line(first) == "held"
        first.kill()
    shop = shop_of(bucket, tmp_path / "b")
    with pytest.raises(LakeLockedError, match="first on"), shop.lock("too early"):
        pytest.fail("two hold the lake")
    with process(bucket, tmp_path / "b", "elsewhere", seconds=600, wait=60) as second:
        assert line(second) == "held"
        second.kill()
    with process(bucket, tmp_path / "b", "here") as third:
        assert line(third) == "held"
        assert go_on(third) == "still held"


def test_a_lock_file_in_a_shared_home_proves_no_death(bucket: str, tmp_path: Path) -> None:
    shop = shop_of(bucket, tmp_path, 600)
    with process(bucket, tmp_path, "first", seconds=600) as first:
        assert line(first) == "held"
        first.kill()
    path = opened(bucket).lock(shop.home).path
    path.write_text(json.dumps({**json.loads(path.read_text()), "host": "elsewhere"}))
    with pytest.raises(LakeLockedError, match="first on"), shop.lock("second"):
        pytest.fail("two hold the lake")


@pytest.mark.parametrize("kind", ["local", "s3"])
def test_a_waiting_process_names_the_holder_once_and_gets_the_lock(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    lake = request.getfixturevalue("bucket") if kind == "s3" else str(tmp_path / "lake")
    with process(lake, tmp_path / "a", "first") as first:
        assert line(first) == "held"
        with process(lake, tmp_path / "b", "second", wait=60) as second:
            assert second.stderr
            told = second.stderr.readline()
            assert told.startswith("waiting up to 60 s: another run holds the lake: first on ")
            assert go_on(first) == "still held"
            assert line(second) == "held"
            assert go_on(second) == "still held"
            assert second.wait(30) == 0
            assert second.stderr.read() == ""


def test_the_wait_is_limited(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    shop = shop_of(str(tmp_path / "lake"), tmp_path)
    begun = time.monotonic()
    with (
        shop.lock("first"),
        pytest.raises(LakeLockedError, match="first on"),
        shop.lock("second", wait=0.7),
    ):
        pytest.fail("two hold the lake")
    assert time.monotonic() - begun >= 0.7
    assert len(caplog.records) == 1


def test_ctrl_c_ends_the_wait(tmp_path: Path) -> None:
    lake = str(tmp_path / "lake")
    with process(lake, tmp_path, "first") as first:
        assert line(first) == "held"
        with process(lake, tmp_path, "second", wait=600) as second:
            assert second.stderr
            assert second.stderr.readline().startswith("waiting up to 600 s")
            second.send_signal(signal.SIGINT)
            assert second.wait(30) == -signal.SIGINT
            assert "KeyboardInterrupt" in second.stderr.read()
        assert go_on(first) == "still held"


def test_reading_a_lake_ignores_its_lock(bucket: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = opened(bucket)
    with shop_of(bucket, tmp_path).lock("run"):
        assert store.find(LEASE)
        found = status(store)
    assert (found.datasets, found.runs, caplog.text) == ((), (), "")


def test_only_the_lakes_own_uploads_are_aborted(bucket: str, tmp_path: Path) -> None:
    store, shop = opened(bucket), shop_of(bucket, tmp_path)
    with shop.lock("run"):
        suspended = store.writer(BRONZE)
        suspended.write(b"half")
        suspended.complete()
        store.writer("mine/x").write(b"half")
        store.writer(LEASE).write(b"half")
        recover(shop, keep_outputs=True)
        assert sorted(upload.key for upload in store.unfinished_uploads()) == [LEASE, "mine/x"]
        with pytest.raises(Exception, match="NoSuchUpload"):
            suspended.publish()
    assert store.find(BRONZE) is None


@pytest.mark.parametrize("kind", ["local", "s3"])
def test_cleanup_deletes_a_publication_that_it_finishes(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    location = str(tmp_path / "lake") if kind == "local" else request.getfixturevalue("bucket")
    shop = shop_of(location, tmp_path / "home")
    command = [sys.executable, "-c", PUBLISHER, location, str(tmp_path / "home")]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    find_garbage(shop, uploads=True, older_than=3600, layers=(), everything=False, dry_run=False)
    store = shop.lake
    assert (store.read(BRONZE), unfinished_publications(store)) == (b"new", ())
    assert not list((tmp_path / "home").glob("spool/*"))
    assert not (tmp_path / "lake" / "_staging").exists()


def test_only_retry_keeps_outputs_of_stages(tmp_path: Path) -> None:
    shop = shop_of(str(tmp_path / "lake"), tmp_path / "home")
    store = shop.lake
    store.writer(BRONZE).complete()
    copy = shop.spool / "copy"
    copy.parent.mkdir(parents=True)
    copy.touch()
    for keep, left in ((True, 1), (False, 0)):
        with shop.lock("run") as hold:
            recover(shop, keep_outputs=keep)
            hold.require()
        assert len(list(store.unfinished_uploads())) == left
        assert copy.exists() == keep
