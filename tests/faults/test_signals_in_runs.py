"""SIGINT and SIGTERM at many points of a run: the former lake or the new one, a true manifest, nothing left behind."""

import hashlib
import itertools
import json
import signal
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote

import boto3
import pytest

from commands import Ended, Shop, copy_of, count, end, execute, hashes
from conftest import eventually
from lakes import KEYS
from shopease_etl.contract.layout import RUNS

PATIENCE: Final = 20.0  # seconds within which a signal ends a command
MOMENTS: Final = 15
FIRST_LINE: Final = 2  # before it the run has not begun, and leaves no manifest
OURS: Final = "pg_stat_activity WHERE datname = current_database() AND application_name = 'shopease'"
# the last: when all was done and only told
ENDS: Final = ((130, "interrupted"), (0, "succeeded"), (130, "succeeded"))
NUMBERS: Final = itertools.cycle((signal.SIGINT, signal.SIGTERM))


@dataclass(frozen=True)
class LocalLake:
    """A folder whose source goes on changing."""

    shop: Shop
    arguments: tuple[str, ...] = ("run-all", "--verbose", "--allow-shrink")

    @property
    def folder(self) -> Path:
        return self.shop.folder / "lake"

    def hashes(self) -> Mapping[str, str]:
        """Each dataset's bytes."""
        return {key: found for key, found in hashes(self.folder).items() if key in KEYS}

    def manifests(self) -> list[dict[str, Any]]:
        """The manifests of the runs, the last one last."""
        return [json.loads(path.read_bytes()) for path in sorted((self.folder / RUNS).glob("*.json"))]

    def left_behind(self) -> set[str]:
        """Keys of what is half written or waits for a retry, and whatever else is not the lake's."""
        staged = self.folder / "_staging"
        waiting = {unquote(path.name).rpartition(".")[0] for path in staged.iterdir()} if staged.exists() else set()
        return waiting | {path.name for path in (self.folder / RUNS).iterdir() if path.suffix != ".json"}


@dataclass(frozen=True)
class S3Lake:
    """A bucket whose source goes on changing."""

    shop: Shop
    bucket: str
    arguments: tuple[str, ...] = ("run-all", "--skip-crawl", "--verbose", "--allow-shrink")

    def hashes(self) -> Mapping[str, str]:
        """Each dataset's bytes."""
        return {key: hashlib.sha256(self._read(key)).hexdigest() for key in self._keys() if key in KEYS}

    def manifests(self) -> list[dict[str, Any]]:
        """The manifests of the runs, the last one last."""
        return [json.loads(self._read(key)) for key in self._keys() if key.startswith(RUNS) and key.endswith(".json")]

    def left_behind(self) -> set[str]:
        """Keys of unfinished uploads and of what waits for a retry, and whatever else is not the lake's."""
        uploads = boto3.client("s3").list_multipart_uploads(Bucket=self.bucket).get("Uploads", ())
        spooled = (path.name for path in (self.shop.folder / "home" / "spool").rglob("*") if path.is_file())
        locks = {path.name for path in (self.shop.folder / "home" / "locks").iterdir()}
        others = {key for key in self._keys() if key not in KEYS and not key.endswith(".json")}
        return {f"upload of {item['Key']}" for item in uploads} | {unquote(name) for name in spooled} | locks | others

    def _keys(self) -> list[str]:
        return sorted(item["Key"] for item in boto3.client("s3").list_objects_v2(Bucket=self.bucket)["Contents"])

    def _read(self, key: str) -> bytes:
        body: bytes = boto3.client("s3").get_object(Bucket=self.bucket, Key=key)["Body"].read()
        return body


Lake = LocalLake | S3Lake


@pytest.fixture(scope="module", params=["local", "s3"])
def lake(
    request: pytest.FixtureRequest, sales: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Lake, int]]:
    """A whole lake, and how many lines a run writes to stderr."""
    folder = tmp_path_factory.mktemp("interrupted")
    with copy_of(sales) as url, pytest.MonkeyPatch.context() as patch:
        made: Lake
        if request.param == "local":
            made = LocalLake(Shop(folder, url))
        else:
            patch.setenv("AWS_ENDPOINT_URL", request.getfixturevalue("s3_endpoint"))
            patch.setenv("AWS_ACCESS_KEY_ID", "test")
            patch.setenv("AWS_SECRET_ACCESS_KEY", "test")
            patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
            boto3.client("s3").create_bucket(Bucket="interrupted")
            made = S3Lake(Shop(folder, url, "s3://interrupted"), "interrupted")
        lines = made.shop.run(*made.arguments).done().stderr.splitlines()
        assert len(lines) > MOMENTS
        yield made, len(lines)


def change(url: str) -> None:
    """Give datasets of every layer other bytes."""
    execute(
        url,
        "UPDATE customers SET city = city || '!'",
        "UPDATE products SET product_name = product_name || '!' WHERE trim(product_name) <> ''",
        "UPDATE sale_transactions SET unit_price = unit_price + 1 WHERE unit_price > 0",
    )


def interrupted_at(lake: Lake, line: int, number: signal.Signals) -> Ended:
    """A run that gets the signal when so many lines have come."""
    with lake.shop.start(*lake.arguments) as process:
        assert process.stderr
        seen = [process.stderr.readline() for _ in range(line)]
        process.send_signal(number)
        ended = end(process, seconds=PATIENCE)
    return Ended(ended.code, ended.stdout, "".join(seen) + ended.stderr)


@pytest.mark.parametrize("moment", range(MOMENTS))
@pytest.mark.quick(8)
def test_a_signal_leaves_the_former_lake_or_the_new_one(lake: tuple[Lake, int], moment: int) -> None:
    target, lines = lake
    before, runs = target.hashes(), len(target.manifests())
    change(target.shop.database_url)
    ended = interrupted_at(target, FIRST_LINE + moment * (lines - FIRST_LINE) // (MOMENTS - 1), next(NUMBERS))
    assert len(target.manifests()) == runs + 1, ended.stderr
    run = target.manifests()[-1]
    written = {item["key"]: item["sha256"] for stage in run["stages"] for item in stage["datasets"]}
    assert (ended.code, run["status"]) in ENDS, ended.stderr
    assert ("shopease: interrupted" in ended.stderr.splitlines()[-2:]) == (ended.code == 130)
    assert "Traceback" not in ended.stderr
    if run["published"] and written:
        assert target.hashes() == written
        assert target.left_behind() == set()
    else:
        assert target.hashes() == before
        assert target.left_behind() <= written.keys()  # which wait for `retry`
    eventually(lambda: count(target.shop.database_url, OURS) == 0, 5)


def test_a_run_after_all_signals_succeeds(lake: tuple[Lake, int]) -> None:
    target, _ = lake
    target.shop.run(*target.arguments).done()
    run = target.manifests()[-1]
    written = {item["key"]: item["sha256"] for stage in run["stages"] for item in stage["datasets"]}
    assert (target.hashes(), target.left_behind()) == (written, set())
