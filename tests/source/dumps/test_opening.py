"""Dumps on S3, in archives and folders, damaged ones, and missing ones."""

import subprocess
import zipfile
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from moto.server import ThreadedMotoServer

from dump_files import COUNTS, PACKED, content, objects, write_packed, written
from shopease_etl.errors import ConfigurationError, ShopeaseError, UnreachableError
from shopease_etl.source import embedded
from shopease_etl.source.dumps.opening import open_dump
from shopease_etl.stages.restore import restore


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    yield f"http://127.0.0.1:{server.get_host_and_port()[1]}"
    server.stop()


@pytest.fixture(scope="session")
def packed(dumps: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("packed")
    write_packed(dumps, folder)
    return folder


@pytest.fixture
def bucket(s3_endpoint: str, dumps: Path, packed: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_endpoint)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    client = boto3.client("s3")
    client.create_bucket(Bucket="dumps")
    for folder in (dumps, packed):
        for file in folder.rglob("*"):
            if file.is_file():
                client.upload_file(str(file), "dumps", f"in/{file.relative_to(folder)}")
    return "s3://dumps/in"


@pytest.mark.parametrize(
    "name",
    ["plain.sql", "plain.sql.gz", "plain.sql.zst", "custom.dump", "archive.tar", "plain.sql.xz", "folder.zip"],
)
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
        ("s3://dumps/in/folder/toc.dat", "toc.dat is only the table of contents of a directory dump"),
        ("s3://dumps/in/none.sql", "no object s3://dumps/in/none.sql"),
        ("s3://not-there/x.sql", "no bucket not-there"),
    ],
)
def test_invalid_locations_on_s3(bucket: str, empty_database: str, location: str, message: str) -> None:
    assert bucket
    with pytest.raises(ConfigurationError, match=message):
        restore(location, empty_database)


def test_unreachable_s3(bucket: str, empty_database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with pytest.raises(UnreachableError, match="cannot reach s3://"):
        restore(f"{bucket}/plain.sql", empty_database)


def sql_of(location: Path) -> tuple[str, bytes]:
    """The format of a dump, and its SQL without the lines that differ each time."""
    with open_dump(str(location)) as dump:
        sql = b"".join(dump.chunks())
        if dump.path:
            command: list[str | Path] = [embedded.binaries() / "pg_restore", "--file=-", dump.path]
            sql = subprocess.run(command, check=True, capture_output=True).stdout
        else:
            assert dump.bytes_read == dump.size
    return dump.format, b"\n".join(line for line in sql.splitlines() if b"restrict" not in line)


@pytest.mark.parametrize("name", PACKED)
def test_packed(packed: Path, dumps: Path, name: str) -> None:
    whole = {"directory": "folder", "custom": "custom.dump", "tar": "archive.tar"}.get(PACKED[name], "plain.sql")
    assert sql_of(packed / name) == (PACKED[name], sql_of(dumps / whole)[1])


def test_a_table_of_contents_restores_its_folder(dumps: Path, empty_database: str) -> None:
    result = restore(str(dumps / "folder" / "toc.dat"), empty_database)
    assert (result.format, result.tables) == ("directory", COUNTS)


@pytest.mark.parametrize("name", [name for name in PACKED if name not in {"bare.tar", "padded.sql.gz"}])
@pytest.mark.parametrize("share", [0.5, 0.99])
def test_truncated_package(packed: Path, tmp_path: Path, name: str, share: float) -> None:
    data = (packed / name).read_bytes()
    cut = Path(written(tmp_path, data[: int(len(data) * share)], name))
    with pytest.raises(ShopeaseError, match=f"^{name} is damaged or cut off") as caught:
        sql_of(cut)
    assert caught.value.exit_code == 1


def test_packages_without_a_dump(dumps: Path, tmp_path: Path) -> None:
    def refused(data: bytes, message: str, name: str = "x.zip") -> None:
        with pytest.raises(ConfigurationError, match=message), open_dump(written(tmp_path, data, name)):
            pass

    def zipped(*names: str, data: bytes = b"SELECT 1;") -> bytes:
        with zipfile.ZipFile(tmp_path / "made.zip", "w") as archive:
            for name in names:
                archive.writestr(name, data)
        return (tmp_path / "made.zip").read_bytes()

    refused(zipped("a.sql", "b.sql"), r"x.zip contains 2 files instead of one dump: a.sql, b.sql")
    refused(zipped(), "x.zip contains 0 files instead of one dump")
    refused(zipped("a.txt", data=b"Dear Ann,"), "x.zip is not a dump")
    encrypted = bytearray(zipped("a.sql"))
    encrypted[encrypted.index(b"PK\x01\x02") + 8] |= 1
    refused(bytes(encrypted), "x.zip is encrypted")
    nested = zipped("a.sql")
    for _ in range(6):
        nested = zipped("a.zip", data=nested)
    refused(nested, "x.zip is packed more than 5 times")
    refused((dumps / "folder" / "toc.dat").read_bytes(), "x.toc is only the table of contents", "x.toc")


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
