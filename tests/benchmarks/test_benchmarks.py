"""The benchmark's own commands: what they measure is what a process takes, and what arrives is what was sent."""

import json
import math
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import PIPE
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from commands import SHOPEASE

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="measuring reads /proc, which only Linux has")
ROOT = Path(__file__).parents[2]
MEGABYTES = 100
HOLDS = f"bytearray(b'x') * {MEGABYTES} * 2**20"


def module(name: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", f"benchmarks.{name}", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def measured(code: str) -> Any:
    done = module("measuring", sys.executable, "-c", code)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_cpu_and_memory_are_those_of_a_command_and_its_children_together() -> None:
    child = f"import time; held = {HOLDS}; end = time.process_time() + 0.3\nwhile time.process_time() < end: pass"
    found = measured(f"import subprocess, sys; held = {HOLDS}; subprocess.run([sys.executable, '-c', {child!r}])")
    assert found["cpu"] >= 0.3
    assert found["seconds"] >= 0.3
    assert 2 * MEGABYTES < found["peak"] / 2**20 < 2.5 * MEGABYTES


def test_memory_that_processes_share_counts_once() -> None:
    code = (
        f"import os, time; held = {HOLDS}; os.fork() or time.sleep(0.5); os.fork() or time.sleep(0.5); time.sleep(0.5)"
    )
    assert MEGABYTES < measured(code)["peak"] / 2**20 < 1.5 * MEGABYTES


def test_a_command_that_fails_is_told_with_its_last_line() -> None:
    done = module("measuring", sys.executable, "-c", "import sys; print('out'); sys.exit('first\\nthe reason\\n')")
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "the reason\n")


Sink = Callable[..., None]


@pytest.fixture
def start_sink(monkeypatch: pytest.MonkeyPatch) -> Iterator[Sink]:
    """Starts the S3 server with options, and points AWS's own variables to it."""
    started: list[subprocess.Popen[str]] = []

    def start(*options: str) -> None:
        command = [sys.executable, "-m", "benchmarks.s3_sink", *options]
        started.append(subprocess.Popen(command, cwd=ROOT, stdin=PIPE, stdout=PIPE, text=True))
        assert started[-1].stdout is not None
        address = started[-1].stdout.readline().strip()
        monkeypatch.setenv("AWS_ENDPOINT_URL", address)
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.setenv(name, "test")
        monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")

    yield start
    for process in started:
        process.communicate(timeout=30)


def test_a_lake_on_the_sink_has_the_bytes_that_were_sent(start_sink: Sink, sales: str, tmp_path: Path) -> None:
    start_sink("--keep")
    local = tmp_path / "lake"
    for lake in (str(local), "s3://bench/some"):
        command = [SHOPEASE, "run-all", "--skip-crawl", "--quiet", "--lake", lake]
        settings = {"SHOPEASE_DATABASE_URL": sales, "SHOPEASE_HOME": str(tmp_path / "home")}
        subprocess.run(command, check=True, env={**os.environ, **settings})
    files = {f"some/{path.relative_to(local)}": path for path in local.glob("[bsg]*/*/*")}
    assert len(files) == 17
    s3 = boto3.client("s3")
    for key, path in files.items():
        assert s3.get_object(Bucket="bench", Key=key)["Body"].read() == path.read_bytes()


def test_a_large_body_is_dropped_and_its_size_is_known(start_sink: Sink) -> None:
    start_sink()
    s3 = boto3.client("s3")
    s3.put_object(Bucket="bench", Key="large", Body=b"x" * 3_000_000)
    assert s3.head_object(Bucket="bench", Key="large")["ContentLength"] == 3_000_000
    with pytest.raises(ClientError, match="keeps small bodies only"):
        s3.get_object(Bucket="bench", Key="large")


def test_conditions_and_ranges_are_kept(start_sink: Sink) -> None:
    start_sink()
    s3 = boto3.client("s3")
    etag = s3.put_object(Bucket="bench", Key="lease", Body=b"0123456789", IfNoneMatch="*")["ETag"]
    for condition in ({"IfNoneMatch": "*"}, {"IfMatch": '"another"'}):
        with pytest.raises(ClientError, match="PreconditionFailed"):
            s3.put_object(Bucket="bench", Key="lease", Body=b"other", **condition)
    for span, expected in (("bytes=2-4", b"234"), ("bytes=7-", b"789"), ("bytes=-2", b"89")):
        assert s3.get_object(Bucket="bench", Key="lease", Range=span)["Body"].read() == expected
    assert s3.put_object(Bucket="bench", Key="lease", Body=b"new", IfMatch=etag)["ETag"] != etag


@pytest.mark.quick(0)
def test_a_benchmark_measures_every_way_and_says_how_it_grows(home: Path, tmp_path: Path) -> None:
    where = ("--folder", home.parent, "--out", tmp_path)
    done = module("bench", "--scale", "0.002", "--rounds", "1", "--peers", "none", *where)
    assert done.returncode == 0, done.stderr
    told = json.loads((tmp_path / "scale-0.002.json").read_text())
    objects = {one["name"]: one["objects"] for one in told["series"]}
    lake, bronze = 16, 7  # with the manifest
    ours = {"extract": bronze, "run-all": lake, "extract-s3": bronze, "run-all-s3": lake}
    assert objects == {"copy": 0, "csv": 0, **ours}
    assert [one for one in told["series"] if one["failure"] or not one["cpu"] or not one["peak"][0]] == []
    assert "÷ COPY" in (tmp_path / "scale-0.002.md").read_text()
    done = module("breakdown", "--scale", "0.002", "--rounds", "1", *where)
    assert done.returncode == 0, done.stderr
    assert "× CSV in = CSV out" in (tmp_path / "breakdown.md").read_text()
    assert module("growth", "0.002", "0.004", "--rounds", "1", *where).returncode == 0
    few, many = json.loads((tmp_path / "growth.json").read_text())["points"]
    power = math.log(many["peak"] / few["peak"]) / math.log(many["rows"] / few["rows"])
    assert f"Memory grows as rows^{power:.2f}" in (tmp_path / "growth.md").read_text()


@pytest.mark.quick(0)
def test_nights_by_month_are_compared_with_complete_runs(home: Path, tmp_path: Path) -> None:
    done = module("months", "--scale", "0.02", "--rounds", "1", "--folder", home.parent, "--out", tmp_path)
    assert done.returncode == 0, done.stderr
    runs = json.loads((tmp_path / "months-scale-0.02.json").read_text())["runs"]
    assert [run["copied"] for run in runs[2:]] == [0, 1, 3]
    assert "÷ full run" in (tmp_path / "months-scale-0.02.md").read_text()
