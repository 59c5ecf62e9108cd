"""Signals and closed connections: the right exit code, the former lake and nothing else."""

import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

import boto3
import psycopg
import pytest

from commands import FIRST_DAY, Shop, copy_of, count, end, execute, hashes, leftovers
from conftest import eventually, is_stopped, temporary_home
from shopease_etl.pipeline.commit import NOTHING_KEPT
from shopease_etl.source import embedded

INTERRUPTED: Final = ["shopease: interrupted", f"  hint: {NOTHING_KEPT}"]
BOTH: Final = pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
PATIENCE: Final = 8.0  # seconds within which a signal ends a command
SLOWLY: Final = (
    "ALTER TABLE sale_transactions RENAME TO quick",
    "CREATE VIEW sale_transactions AS SELECT * FROM quick WHERE pg_sleep(0.01) IS NOT NULL",
)
QUICK_VIEW: Final = "CREATE OR REPLACE VIEW sale_transactions AS SELECT * FROM quick"
QUICKLY: Final = ("DROP VIEW sale_transactions", "ALTER TABLE quick RENAME TO sale_transactions")
OURS: Final = "pg_stat_activity WHERE datname = current_database() AND application_name = 'shopease'"
COPYING: Final = f"{OURS} AND state = 'active' AND query LIKE 'COPY%sale_transactions%'"


@pytest.fixture
def whole(shop: Shop) -> Shop:
    """The shop, without what the failure of another test may have left."""
    shutil.rmtree(shop.folder / "lake" / "_staging", ignore_errors=True)
    (shop.folder / "lake" / "_runs" / ".lock").unlink(missing_ok=True)
    return shop


@contextmanager
def slow(url: str) -> Iterator[None]:
    """Sales come in at a hundred rows a second, and last of all tables."""
    execute(url, *SLOWLY)
    try:
        yield
    finally:
        execute(url, f"SELECT pg_terminate_backend(pid) FROM {OURS}", *QUICKLY)


@contextmanager
def extracting(shop: Shop, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A run in the middle of `extract`: most tables are there, the largest is on its way."""
    with slow(shop.database_url), shop.start(*(arguments or ("extract",))) as process:
        try:
            eventually(lambda: process.poll() is not None or count(shop.database_url, COPYING))
            assert process.poll() is None, end(process)
            yield process
        finally:
            process.kill()


@BOTH
def test_an_interrupted_extract_leaves_the_former_lake_and_nothing_else(whole: Shop, number: signal.Signals) -> None:
    lake = whole.folder / "lake"
    before = hashes(lake)
    with extracting(whole, "extract", "--json") as process:
        assert leftovers(lake) == ["_staging", ".lock"]
        process.send_signal(number)
        ended = end(process, seconds=PATIENCE)
    assert (ended.code, ended.document["exit_code"], ended.document["status"]) == (130, 130, "interrupted")
    assert ended.stderr.splitlines()[-2:] == INTERRUPTED
    assert [word for word in ("Traceback", "WARNING") if word in ended.stderr] == [], ended.stderr
    assert hashes(lake) == before
    assert leftovers(lake) == []
    eventually(lambda: count(whole.database_url, OURS) == 0, 5)
    assert whole.run(*FIRST_DAY).done().document["row_count"] == 1
    status = whole.run("status", "--json")
    assert (status.code, status.document["runs"][0]["status"]) == (1, "interrupted")


def test_the_next_run_sweeps_up_after_a_killed_extract(whole: Shop) -> None:
    lake = whole.folder / "lake"
    before = hashes(lake)
    with extracting(whole) as process:
        process.kill()
        process.wait(10)
        assert leftovers(lake) == ["_staging", ".lock"]
        left = {key: value for key, value in hashes(lake).items() if not key.startswith(("_staging/", "_runs/"))}
        assert left == before
        assert whole.run(*FIRST_DAY).done().document["row_count"] == 1
    whole.run("extract").done()
    assert (hashes(lake), leftovers(lake)) == (before, [])


def test_a_second_run_fails_at_once_and_names_the_first(whole: Shop) -> None:
    with extracting(whole) as process:
        told = whole.run("clean").failed(75, f"process {process.pid}", socket.gethostname())
        assert "wait until" in told.stderr.splitlines()[-1]
        assert whole.run(*FIRST_DAY).done()
        assert leftovers(whole.folder / "lake") == ["_staging", ".lock"]
        process.send_signal(signal.SIGINT)
        assert end(process, seconds=PATIENCE).code == 130
    assert leftovers(whole.folder / "lake") == []


def test_a_closed_connection_fails_a_run_with_one_attempt(whole: Shop) -> None:
    before = hashes(whole.folder / "lake")
    with extracting(replace(whole, more={"SHOPEASE_SOURCE_ATTEMPTS": "1"})) as process:
        execute(whole.database_url, f"SELECT pg_terminate_backend(pid) FROM {COPYING}")
        end(process).failed(4, "sale_transactions")
    assert (hashes(whole.folder / "lake"), leftovers(whole.folder / "lake")) == (before, [])


def test_a_closed_connection_is_retried(whole: Shop) -> None:
    before = hashes(whole.folder / "lake")
    with extracting(whole) as process:
        execute(whole.database_url, f"SELECT pg_terminate_backend(pid) FROM {COPYING}", QUICK_VIEW)
        assert "trying again from a new snapshot" in end(process).done().stderr
    assert (hashes(whole.folder / "lake"), leftovers(whole.folder / "lake")) == (before, [])


@BOTH
def test_an_interrupt_ends_the_wait_for_another_run(whole: Shop, number: signal.Signals) -> None:
    with extracting(whole) as first, whole.start("clean", "--wait", "600") as second:
        assert second.stderr
        while "waiting up to 600 s" not in (line := second.stderr.readline()):
            assert line
        second.send_signal(number)
        assert (end(second, seconds=PATIENCE).code, first.poll()) == (130, None)


@BOTH
def test_an_interrupt_ends_a_local_query(whole: Shop, number: signal.Signals) -> None:
    many = "UNNEST(sequence(1, 1000000)) {0}(x{0})"
    with whole.start("query", f"SELECT count(*) FROM {many.format('a')}, {many.format('b')}") as process:
        eventually(lambda: processor_seconds(process.pid) > 2)
        process.send_signal(number)
        ended = end(process, seconds=PATIENCE)
    assert (ended.code, ended.stdout, ended.stderr) == (130, "", "shopease: interrupted\n")


def processor_seconds(process: int) -> float:
    """The time that a process has been at work."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_an_interrupt_ends_a_copy_that_waits_for_a_lock(whole: Shop) -> None:
    with psycopg.connect(whole.database_url) as holder:
        holder.execute("LOCK TABLE stores IN ACCESS EXCLUSIVE MODE")
        with whole.start("extract") as process:
            eventually(lambda: count(whole.database_url, f"{OURS} AND wait_event_type = 'Lock'"))
            process.send_signal(signal.SIGINT)
            assert end(process, seconds=PATIENCE).code == 130
    assert leftovers(whole.folder / "lake") == []


def test_an_interrupted_run_leaves_s3_as_it_was(sales: str, tmp_path: Path, new_bucket: Callable[[], str]) -> None:
    bucket, client = new_bucket(), boto3.client("s3")

    def objects() -> dict[str, str]:
        listed = client.list_objects_v2(Bucket=bucket)["Contents"]
        return {item["Key"]: item["ETag"] for item in listed if not item["Key"].startswith("_runs/")}

    with copy_of(sales) as url:
        remote = Shop(tmp_path, url, f"s3://{bucket}")
        remote.run("run-all", "--skip-crawl").done()
        before = objects()
        with extracting(remote) as process:
            assert client.list_multipart_uploads(Bucket=bucket)["Uploads"]
            remote.run("clean").failed(75, f"process {process.pid}")
            process.send_signal(signal.SIGINT)
            ended = end(process, seconds=PATIENCE)
    assert (ended.code, ended.stderr.splitlines()[-2:]) == (130, INTERRUPTED)
    assert client.list_multipart_uploads(Bucket=bucket).get("Uploads", []) == []
    assert objects() == before
    assert list((tmp_path / "home" / "locks").iterdir()) == []


def test_an_interrupted_run_stops_the_embedded_server() -> None:
    with temporary_home() as home:
        embedded_shop = Shop(home.parent)
        embedded_shop.run("sample", "sales.sql", "--scale", "0.002").done()
        embedded_shop.run("restore", "sales.sql").done()
        with embedded.running(home) as url:
            execute(url, *SLOWLY)
            process = embedded_shop.start("extract")
            eventually(lambda: count(url, COPYING))
        process.send_signal(signal.SIGINT)
        assert end(process, seconds=PATIENCE).code == 130
        eventually(lambda: is_stopped(home), 10)
