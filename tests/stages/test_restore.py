"""Real dumps of pg_dump restored into a real server, completely or not at all, and which servers are allowed."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from conftest import eventually
from dump_files import COUNTS, FORMATS, Recorder, content, objects
from shopease_etl.errors import ConfigurationError, ShopeaseError, UnreachableError
from shopease_etl.stages.restore import restore


@pytest.mark.parametrize("name", [*FORMATS, "plain.sql.gz", "plain.sql.zst", "custom.gz"])
def test_every_format_is_restored_completely(dumps: Path, dumped: str, empty_database: str, name: str) -> None:
    result = restore(str(dumps / name), empty_database)
    formats = {".gz": "gzip", ".zst": "zstd", ".sql": "plain", ".dump": "custom", "": "directory", ".tar": "tar"}
    assert result.format == ("custom" if name == "custom.gz" else formats[Path(name).suffix])
    assert result.tables == COUNTS
    assert content(empty_database) == content(dumped)
    assert name == "folder" or result.bytes == (dumps / name).stat().st_size


@pytest.mark.parametrize("name", [*FORMATS, "simple.sql"])
def test_clean_restores_over_existing_objects(dumps: Path, empty_database: str, name: str) -> None:
    first = restore(str(dumps / name), empty_database)
    with psycopg.connect(empty_database) as connection:
        connection.execute("CREATE TABLE mine AS SELECT 1")
    with pytest.raises(ShopeaseError, match="already exists") as caught:
        restore(str(dumps / name), empty_database)
    assert caught.value.exit_code == 1
    assert "--clean" in str(caught.value.hint)
    again = restore(str(dumps / name), empty_database, clean=True)
    assert dict(again.tables) == {**dict(first.tables), "mine": 1}


@pytest.mark.parametrize("name", ["custom.dump", "folder"])
def test_parallel_jobs(dumps: Path, dumped: str, empty_database: str, name: str) -> None:
    assert restore(str(dumps / name), empty_database, jobs=2).tables == COUNTS
    with pytest.raises(ShopeaseError, match="already exists") as caught:
        restore(str(dumps / name), empty_database, jobs=2)
    assert "--clean" in str(caught.value.hint)
    assert restore(str(dumps / name), empty_database, jobs=2, clean=True).tables == COUNTS
    assert content(empty_database) == content(dumped)


@pytest.mark.parametrize("name", ["plain.sql", "plain.sql.gz", "archive.tar"])
def test_jobs_are_refused_if_they_have_no_effect(dumps: Path, empty_database: str, name: str) -> None:
    with pytest.raises(ConfigurationError, match="--jobs has no effect"):
        restore(str(dumps / name), empty_database, jobs=2)


@pytest.mark.parametrize("name", ["plain.sql", "plain.sql.gz"])
def test_progress_reaches_the_size_of_the_file(dumps: Path, empty_database: str, name: str) -> None:
    progress = Recorder()
    restore(str(dumps / name), empty_database, progress=progress)
    assert (progress.size, progress.note) == (progress.total, "3 tables")


@pytest.mark.parametrize(
    ("url", "environment", "named"),
    [
        ("postgresql://u:secret@db.example.com/x", {}, "db.example.com"),
        ("host=10.1.2.3 dbname=x", {}, "10.1.2.3"),
        ("postgresql://localhost,other/x", {}, "other"),
        ("host=localhost hostaddr=192.0.2.1", {}, "192.0.2.1"),
        ("dbname=x", {"PGHOST": "db.example.com"}, "db.example.com"),
        ("dbname=x", {"PGHOSTADDR": "192.0.2.1"}, "192.0.2.1"),
        ("service=prod", {}, "the service prod"),
        ("dbname=x", {"PGSERVICE": "prod"}, "the service prod"),
    ],
)
def test_other_machines_need_force(
    dumps: Path, monkeypatch: pytest.MonkeyPatch, url: str, environment: dict[str, str], named: str
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError, match=f"{named} is not this machine") as caught:
        restore(str(dumps / "plain.sql"), url)
    assert "--force" in str(caught.value.hint)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "/nowhere"])
def test_this_machine_needs_no_force(dumps: Path, host: str) -> None:
    with pytest.raises(UnreachableError, match="cannot connect"):
        restore(str(dumps / "plain.sql"), f"host={host} port=1 dbname=x")


def test_force_tries(dumps: Path) -> None:
    with pytest.raises(UnreachableError, match="cannot connect"):
        restore(str(dumps / "plain.sql"), "host=127.0.0.1,nowhere.invalid port=1 dbname=x", force=True)


def test_invalid_database_url(dumps: Path) -> None:
    with pytest.raises(ConfigurationError, match="database URL"):
        restore(str(dumps / "plain.sql"), "postgresql://[")


SLOW = """
import sys
from shopease_etl import cancel
from shopease_etl.stages.restore import restore
cancel.install()
restore(sys.argv[1], sys.argv[2])
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=lambda number: number.name)
def test_interrupted_restore_changes_nothing(tmp_path: Path, empty_database: str, number: signal.Signals) -> None:
    fifo = tmp_path / "slow.sql"
    os.mkfifo(fifo)
    command = [sys.executable, "-c", SLOW, str(fifo), empty_database]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as process, fifo.open("wb") as pipe:
        pipe.write(b"CREATE TABLE t (a int);\nCOPY t FROM stdin;\n" + b"1\n" * 2_000_000)
        pipe.flush()
        eventually(lambda: activity(empty_database) == 1)
        process.send_signal(number)
        process.wait()
    eventually(lambda: activity(empty_database) == 0)
    assert objects(empty_database) == 0


def activity(url: str) -> int:
    """How many other sessions have an open transaction in this database."""
    query = """SELECT count(*) FROM pg_stat_activity
               WHERE datname = current_database() AND pid <> pg_backend_pid() AND xact_start IS NOT NULL"""
    with psycopg.connect(url) as connection:
        row = connection.execute(query.encode()).fetchone()
        return int(row[0]) if row else -1
