"""Where dumps lie: on S3, in archives and folders that are damaged or cut off, and nowhere."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from moto.server import ThreadedMotoServer

from dump_files import COUNTS, content, objects, written
from shopease_etl import embedded
from shopease_etl.errors import ConfigurationError, ShopeaseError, UnreachableError
from shopease_etl.stages.restore import restore


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    yield f"http://127.0.0.1:{server.get_host_and_port()[1]}"
    server.stop()


@pytest.fixture
def bucket(s3_endpoint: str, dumps: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_endpoint)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    client = boto3.client("s3")
    client.create_bucket(Bucket="dumps")
    for file in dumps.rglob("*"):
        if file.is_file():
            client.upload_file(str(file), "dumps", f"in/{file.relative_to(dumps)}")
    return "s3://dumps/in"


@pytest.mark.parametrize("name", ["plain.sql", "plain.sql.gz", "plain.sql.zst", "custom.dump", "archive.tar"])
def test_from_s3(bucket: str, dumped: str, empty_database: str, name: str) -> None:
    assert restore(f"{bucket}/{name}", empty_database).tables == COUNTS
    assert content(empty_database) == content(dumped)


def test_from_s3_in_parallel(bucket: str, empty_database: str) -> None:
    assert restore(f"{bucket}/custom.dump", empty_database, jobs=2).tables == COUNTS


@pytest.mark.parametrize(
    ("location", "message"),
    [
        ("s3://dumps/in/folder", "directory dump cannot be restored from S3"),
        ("s3://dumps/in/folder/", "directory dump cannot be restored from S3"),
        ("s3://dumps/in/none.sql", "no object s3://dumps/in/none.sql"),
        ("s3://not-there/x.sql", "no bucket not-there"),
    ],
)
def test_what_is_not_on_s3(bucket: str, empty_database: str, location: str, message: str) -> None:
    assert bucket
    with pytest.raises(ConfigurationError, match=message):
        restore(location, empty_database)


def test_s3_that_cannot_be_reached(bucket: str, empty_database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with pytest.raises(UnreachableError, match="cannot reach s3://"):
        restore(f"{bucket}/plain.sql", empty_database)


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9, 0.99])
@pytest.mark.parametrize("name", ["custom.dump", "archive.tar"])
def test_truncated_archive(dumps: Path, tmp_path: Path, empty_database: str, name: str, share: float) -> None:
    data = (dumps / name).read_bytes()
    with pytest.raises(ShopeaseError, match="is damaged or cut off") as caught:
        restore(written(tmp_path, data[: int(len(data) * share)], name), empty_database)
    assert caught.value.exit_code == 1
    assert objects(empty_database) == 0


@pytest.mark.parametrize("compression", ["gzip", "none"])
@pytest.mark.parametrize("kept", [0, 15, -9])
def test_damaged_directory(dumped: str, tmp_path: Path, empty_database: str, kept: int, compression: str) -> None:
    bad = tmp_path / "folder"
    options: list[str | Path] = ["-Fd", f"--compress={compression}", "-f", bad]
    subprocess.run([embedded.binaries() / "pg_dump", "-d", dumped, *options], check=True)
    rows = max(bad.glob("[0-9]*.dat*"), key=lambda file: file.stat().st_size)
    rows.write_bytes(rows.read_bytes()[:kept])
    with pytest.raises(ShopeaseError, match="is damaged or cut off"):
        restore(str(bad), empty_database)
    rows.unlink()
    with pytest.raises(ShopeaseError, match="is damaged or cut off"):
        restore(str(bad), empty_database)
    assert objects(empty_database) == 0


def test_missing_files(tmp_path: Path, empty_database: str) -> None:
    with pytest.raises(ConfigurationError, match="No such file"):
        restore(str(tmp_path / "none.sql"), empty_database)
    with pytest.raises(ConfigurationError, match="without toc"):
        restore(str(tmp_path), empty_database)
