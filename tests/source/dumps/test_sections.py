"""Dumps restored over several connections, also into older servers, and the error when one connection fails."""

import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from conftest import eventually
from dump_files import COUNTS, content, objects, written
from shopease_etl.errors import ShopeaseError
from shopease_etl.source import embedded
from shopease_etl.stages.restore import restore

DEPENDENT = """
CREATE FUNCTION is_at_home(a int) RETURNS int IMMUTABLE LANGUAGE sql
    AS $$SELECT CASE WHEN current_database() = '{database}' THEN a ELSE 1 END$$;
CREATE TABLE good AS SELECT generate_series(1, 10) AS a;
CREATE TABLE bad AS SELECT generate_series(1, 10) AS a;
{broken};
CREATE TABLE last AS SELECT generate_series(1, 10) AS a;
"""


@pytest.fixture(scope="module")
def older_server() -> Iterator[str]:
    """The URL of a database on a PostgreSQL older than 17, which does not know the settings of newer dumps."""
    package = embedded.binaries().parent.parent / "pginstall" / "bin"
    programs = next((folder for folder in sorted(Path("/usr/lib/postgresql").glob("1[56]/bin"))), package)
    account = {"user": "nobody", "group": "nogroup", "extra_groups": []} if os.getuid() == 0 else {}
    with tempfile.TemporaryDirectory() as folder:
        if account:
            Path(folder).chmod(0o711)
        base = Path(folder) / "server"
        base.mkdir()
        base.chmod(0o777)
        made = [programs / "initdb", "-D", base / "data", "-U", "postgres", "-A", "trust", "--no-sync"]
        try:
            subprocess.run(made, check=True, capture_output=True, cwd="/", **account)  # type: ignore[call-overload]
        except (OSError, subprocess.CalledProcessError):
            pytest.skip("no PostgreSQL before 17 runs here")
        started = [programs / "postgres", "-D", base / "data", "-k", base, "-c", "listen_addresses=", "-F"]
        with subprocess.Popen(started, stderr=subprocess.DEVNULL, cwd="/", **account) as server:  # type: ignore[call-overload]
            eventually(
                lambda: (base / ".s.PGSQL.5432").exists() and answers(f"postgresql://postgres@/postgres?host={base}")
            )
            yield f"postgresql://postgres@/postgres?host={base}"
            server.terminate()


def answers(url: str) -> bool:
    try:
        psycopg.connect(url).close()
    except psycopg.OperationalError:
        return False
    return True


def test_older_servers(dumps: Path, dumped: str, older_server: str) -> None:
    for name, clean in [("custom.dump", False), ("folder", True), ("custom.dump", True)]:
        assert restore(str(dumps / name), older_server, jobs=3, clean=clean).tables == COUNTS
        assert content(older_server) == content(dumped)
    assert keys(older_server) == keys(dumped) > 0
    assert restore(str(dumps / "plain.sql"), older_server, clean=True).tables == COUNTS


def keys(url: str) -> int:
    """How many constraints there are in a database."""
    with psycopg.connect(url) as connection:
        row = connection.execute(
            "SELECT count(*) FROM pg_constraint WHERE conrelid >= 16384 AND contype <> 'n'"
        ).fetchone()
        return int(row[0]) if row else -1


def test_each_warning_comes_once(older_server: str, tmp_path: Path) -> None:
    made = "CREATE ROLE leaver; CREATE TABLE guarded (a int); CREATE POLICY p ON guarded TO leaver USING (true)"
    with psycopg.connect(older_server) as connection:
        connection.execute(made.encode())
    dump = tmp_path / "guarded.dump"
    options: list[str | Path] = ["-d", older_server, "-Fc", "-t", "guarded", "-f", dump]
    subprocess.run([embedded.binaries() / "pg_dump", *options], check=True)
    with psycopg.connect(older_server) as connection:
        connection.execute("DROP POLICY p ON guarded; DROP ROLE leaver")
    result = restore(str(dump), older_server, jobs=2, clean=True)
    assert result.left_out == ("policy p on public.guarded for leaver is left out: this server has no such role",)


def test_unsuitable_dumps_change_nothing(dumps: Path, tmp_path: Path, empty_database: str) -> None:
    with psycopg.connect(empty_database) as connection:
        connection.execute("CREATE TABLE customers (mine int)")
        connection.execute("CREATE VIEW ours AS SELECT mine FROM customers")
    before = objects(empty_database)
    with pytest.raises(ShopeaseError, match='"customers" already exists'):
        restore(str(dumps / "folder"), empty_database, jobs=2)
    with pytest.raises(ShopeaseError, match=r"would also drop .*: view public\.ours$"):
        restore(str(dumps / "folder"), empty_database, jobs=2, clean=True)
    whole = (dumps / "custom.dump").read_bytes()
    cut = written(tmp_path, whole[: int(len(whole) * 0.9)], "cut.dump")
    with pytest.raises(ShopeaseError, match=r"^cut\.dump is damaged or cut off") as caught:
        restore(cut, empty_database, jobs=2, clean=True)
    assert caught.value.hint == "the database is as it was"
    assert objects(empty_database) == before


@pytest.mark.parametrize(
    ("broken", "message", "lacks", "rows"),
    [
        (
            "ALTER TABLE bad ADD CHECK (is_at_home(a) = a)",
            "^bad.dump: .*violates check constraint",
            r"the rows of .*public\.bad.*, and all keys, indexes, triggers and policies",
            0,
        ),
        (
            "CREATE UNIQUE INDEX twice ON bad (is_at_home(a))",
            "^bad.dump: could not create unique index",
            "all keys, indexes, triggers and policies",
            10,
        ),
    ],
)
def test_rows_that_fail_are_named(
    database_url: str, empty_database: str, tmp_path: Path, broken: str, message: str, lacks: str, rows: int
) -> None:
    source = f"source_{rows}"
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {source}".encode())
    source_url = database_url.replace("/sales_db?", f"/{source}?")
    with psycopg.connect(source_url) as connection:
        connection.execute(DEPENDENT.format(database=source, broken=broken).encode())
    dump = tmp_path / "bad.dump"
    subprocess.run([embedded.binaries() / "pg_dump", "-d", source_url, "-Fc", "-f", dump], check=True)
    with pytest.raises(ShopeaseError, match=f"{message}.*; the database now lacks {lacks}$") as caught:
        restore(str(dump), empty_database, jobs=2)
    assert (caught.value.exit_code, "--clean" in str(caught.value.hint)) == (1, True)
    with psycopg.connect(empty_database) as connection:
        assert connection.execute("SELECT count(*) FROM bad").fetchone() == (rows,)
    with pytest.raises(ShopeaseError, match=message):
        restore(str(dump), empty_database, clean=True)
    with psycopg.connect(empty_database) as connection:
        assert connection.execute("SELECT count(*) FROM bad").fetchone() == (rows,)
