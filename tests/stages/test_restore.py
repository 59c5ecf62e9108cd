"""Restoring real dumps of pg_dump into a real server, and what becomes of dumps that are none."""

import gzip
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pyarrow as pa
import pytest
from moto.server import ThreadedMotoServer

from conftest import eventually
from shopease_etl import embedded
from shopease_etl.errors import ConfigurationError, DataRefusedError, ShopeaseError, UnreachableError
from shopease_etl.stages.restore import restore

NASTY = (
    *(
        "",
        " ",
        "\t",
        "\\",
        "\\.",
        "\n\\.\n",
        "'",
        '"',
        "$$",
        ";",
        "--",
        "/*",
        "a\r\nb",
        "ü€😀",
        "\\N",
        r"\! touch pwned",
    ),
    *(
        "E'\\'",
        "COPY x FROM stdin;",
        "';\nALTER TABLE t OWNER TO x;\n'",
        "\nGRANT ALL;\n",
        "\x7f\x01\u00a0",
        ":x",
        "$1",
    ),
)
SCHEMA = """
CREATE TABLE customers (customer_id integer PRIMARY KEY, note text);
CREATE TABLE "Odd ""name" (id int GENERATED ALWAYS AS IDENTITY, customer_id integer REFERENCES customers, "a(b" text);
CREATE SEQUENCE loose;
CREATE TYPE mood AS ENUM ('a;b', 'c''d');
CREATE DOMAIN positive AS integer CHECK (VALUE > 0);
CREATE VIEW seen AS SELECT customer_id AS "x;y" FROM customers;
CREATE FUNCTION plain(text) RETURNS text LANGUAGE plpgsql AS $f$BEGIN RETURN 'x;'; END;$f$;
CREATE FUNCTION atomic(n integer) RETURNS integer LANGUAGE sql
    BEGIN ATOMIC SELECT CASE WHEN n > 0 THEN 1 ELSE 2 END; SELECT n; END;
CREATE RULE twice AS ON UPDATE TO customers DO ALSO (DELETE FROM "Odd ""name" WHERE false; SELECT 1);
CREATE TABLE empty ();
COMMENT ON TABLE customers IS 'it''s; nasty \\ $$';
GRANT SELECT ON customers TO PUBLIC;
"""
FORMATS = {
    "plain.sql": ["--format=plain"],
    "inserts.sql": ["--inserts"],
    "rows.sql": ["--rows-per-insert=7", "--column-inserts"],
    "custom.dump": ["--format=custom"],
    "folder": ["--format=directory"],
    "archive.tar": ["--format=tar"],
}
COUNTS = (('Odd "name', 1), ("customers", len(NASTY) + 1), ("empty", 0))


@pytest.fixture(scope="session")
def source(database_url: str) -> str:
    """A small database with everything in it that makes a dump hard to read."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("CREATE DATABASE nasty")
    url = database_url.replace("/sales_db?", "/nasty?")
    with psycopg.connect(url) as connection:
        connection.execute(SCHEMA.encode())
        rows = [*enumerate(NASTY), (len(NASTY), None)]
        connection.cursor().executemany("INSERT INTO customers VALUES (%s, %s)", rows)
        connection.execute("""INSERT INTO "Odd ""name" (customer_id, "a(b") VALUES (0, 'x')""")
    return url


@pytest.fixture(scope="session")
def dumps(source: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the dump in every format, with owners and rights in it."""
    folder = tmp_path_factory.mktemp("dumps")
    for name, options in FORMATS.items():
        subprocess.run([embedded.binaries() / "pg_dump", "-d", source, "-f", folder / name, *options], check=True)
    plain = (folder / "plain.sql").read_bytes()
    (folder / "plain.sql.gz").write_bytes(gzip.compress(plain[:2000]) + gzip.compress(plain[2000:]))
    (folder / "plain.sql.zst").write_bytes(pa.Codec("zstd").compress(plain, asbytes=True))
    (folder / "custom.gz").write_bytes(gzip.compress((folder / "custom.dump").read_bytes()))
    (folder / "windows.sql").write_bytes(b"\xef\xbb\xbf" + SIMPLE.replace(b"\n", b"\r\n"))
    (folder / "simple.sql").write_bytes(SIMPLE)
    return folder


SIMPLE = b"""--
-- PostgreSQL database dump
--

\\restrict abc
SET statement_timeout = 0;
SET setting_of_the_future = 0;
SET default_tablespace = fast;
SET SESSION AUTHORIZATION 'postgres';
CREATE SCHEMA public;
BEGIN;
CREATE TABLE public.customers (
    customer_id integer, -- it's;
    note text DEFAULT ';' /* ' */
);
ALTER TABLE public.customers OWNER TO postgres;
ALTER TABLE ONLY public.customers
    OWNER TO "some one";
COPY public.customers (customer_id, note) FROM stdin;
1\tone
2\t\\\\.
\\.
GRANT SELECT ON TABLE public.customers TO nobody_there;
REVOKE ALL ON SCHEMA public FROM postgres;
ALTER DEFAULT PRIVILEGES FOR ROLE postgres GRANT SELECT ON TABLES TO nobody_there;
COMMENT ON EXTENSION plpgsql IS 'PL/pgSQL procedural language';
COMMIT;
\\unrestrict abc
--
-- PostgreSQL database dump complete
--

"""


PROGRAM = b"""CREATE TABLE x (a int);
DO $$BEGIN EXECUTE 'COPY x FROM PROGRAM ''touch pwned'''; END$$;
"""


def content(url: str) -> list[object]:
    with psycopg.connect(url) as connection:
        rows: list[object] = [*connection.execute("SELECT customer_id, note FROM customers ORDER BY 1")]
        rows += connection.execute("""SELECT * FROM "Odd ""name" ORDER BY 1""")
        rows += connection.execute("SELECT atomic(1), plain(''), obj_description('customers'::regclass)")
        return rows


def objects(url: str) -> int:
    """How many tables, views and sequences there are."""
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace").fetchone()
        return int(row[0]) if row else -1


def written(folder: Path, data: bytes, name: str = "bad.sql") -> str:
    (folder / name).write_bytes(data)
    return str(folder / name)


@pytest.mark.parametrize("name", [*FORMATS, "plain.sql.gz", "plain.sql.zst", "custom.gz"])
def test_every_format_comes_back_whole(dumps: Path, source: str, empty_database: str, name: str) -> None:
    result = restore(str(dumps / name), empty_database)
    formats = {".gz": "gzip", ".zst": "zstd", ".sql": "plain", ".dump": "custom", "": "directory", ".tar": "tar"}
    assert result.format == ("custom" if name == "custom.gz" else formats[Path(name).suffix])
    assert result.tables == COUNTS
    assert content(empty_database) == content(source)
    assert name == "folder" or result.bytes == (dumps / name).stat().st_size


@pytest.mark.parametrize("name", [*FORMATS, "simple.sql"])
def test_clean_restores_over_what_is_there(dumps: Path, empty_database: str, name: str) -> None:
    first = restore(str(dumps / name), empty_database)
    with psycopg.connect(empty_database) as connection:
        connection.execute("CREATE VIEW of_ours AS SELECT note FROM customers")
        connection.execute("CREATE TABLE mine AS SELECT 1")
    with pytest.raises(ShopeaseError, match="already exists") as caught:
        restore(str(dumps / name), empty_database)
    assert caught.value.exit_code == 1
    assert "--clean" in str(caught.value.hint)
    again = restore(str(dumps / name), empty_database, clean=True)
    assert dict(again.tables) == {**dict(first.tables), "mine": 1}


@pytest.mark.parametrize("name", ["custom.dump", "folder"])
def test_parallel_jobs(dumps: Path, source: str, empty_database: str, name: str) -> None:
    assert restore(str(dumps / name), empty_database, jobs=2).tables == COUNTS
    with pytest.raises(ShopeaseError, match="already exists") as caught:
        restore(str(dumps / name), empty_database, jobs=2)
    assert "--clean" in str(caught.value.hint)
    assert restore(str(dumps / name), empty_database, jobs=2, clean=True).tables == COUNTS
    assert content(empty_database) == content(source)


@pytest.mark.parametrize("name", ["plain.sql", "plain.sql.gz", "archive.tar"])
def test_jobs_are_refused_where_they_do_nothing(dumps: Path, empty_database: str, name: str) -> None:
    with pytest.raises(ConfigurationError, match="--jobs has no effect"):
        restore(str(dumps / name), empty_database, jobs=2)


@pytest.mark.parametrize("name", ["simple.sql", "windows.sql"])
def test_owners_rights_and_transactions_are_left_out(dumps: Path, empty_database: str, name: str) -> None:
    assert restore(str(dumps / name), empty_database).tables == (("customers", 2),)
    with psycopg.connect(empty_database) as connection:
        assert connection.execute("SELECT note FROM customers ORDER BY 1 DESC").fetchall() == [("one",), ("\\.",)]


def test_old_psql(dumps: Path, source: str, empty_database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    old = Path("/usr/bin/psql")
    if not old.exists():
        pytest.skip("no /usr/bin/psql")
    monkeypatch.setattr("shopease_etl.stages.restore.find_tool", lambda *_, **__: old)
    monkeypatch.setattr("shopease_etl.stages.restore.version", lambda _: (15, 0))
    restore(str(dumps / "plain.sql"), empty_database)
    assert content(empty_database) == content(source)


class Recorder:
    """Progress that remembers."""

    def __init__(self) -> None:
        self.total: int | None = 0
        self.size = 0
        self.note = ""

    def stage(self, name: str) -> None:
        """Not a matter of restore."""

    def start(self, task: str, total_bytes: int | None = None) -> None:  # noqa: ARG002 (the protocol's)
        self.total = total_bytes

    def advance(self, task: str, *, size: int = 0, rows: int = 0) -> None:  # noqa: ARG002 (the protocol's)
        self.size += size

    def finish(self, task: str, note: str = "") -> None:  # noqa: ARG002 (the protocol's)
        self.note = note


@pytest.mark.parametrize("name", ["plain.sql", "plain.sql.gz"])
def test_progress_reaches_the_size_of_the_file(dumps: Path, empty_database: str, name: str) -> None:
    progress = Recorder()
    restore(str(dumps / name), empty_database, progress=progress)
    assert (progress.size, progress.note) == (progress.total, "3 tables")


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    yield f"http://127.0.0.1:{server.get_host_and_port()[1]}"
    server.stop()


@pytest.fixture
def bucket(s3_endpoint: str, dumps: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    import boto3

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
def test_from_s3(bucket: str, source: str, empty_database: str, name: str) -> None:
    assert restore(f"{bucket}/{name}", empty_database).tables == COUNTS
    assert content(empty_database) == content(source)


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


@pytest.mark.parametrize(
    ("data", "message", "code"),
    [
        (b"", "bad.sql is empty", 2),
        (os.urandom(3000) + b"\0", "neither an archive of pg_dump nor SQL", 2),
        (b"customer_id,customer_name\n1,Ann\n", "neither an archive of pg_dump nor SQL", 2),
        (b"update,delete\n1,Ann\n", "neither an archive of pg_dump nor SQL", 2),
        (b"-- MySQL dump 10.13\nCREATE TABLE `x` (a int);\n", "a dump of MySQL", 2),
        (b"PRAGMA foreign_keys=OFF;\n", "a dump of SQLite", 2),
        ("SELECT 1;".encode("utf-16"), "in UTF-16", 2),
        (b"--\n-- PostgreSQL database cluster dump\n--\nSET x = 1;\n", "line 1 holds a whole cluster", 3),
        (b"SELECT 1;\n\\connect other\n", r"line 2 holds \\connect", 3),
        (b"SELECT 1;\nCREATE DATABASE x WITH TEMPLATE = y;\n", "line 2 holds CREATE DATABASE", 3),
        (b"CREATE ROLE x;\n", "line 1 holds a role", 3),
        (b"SELECT 1;\n\\! touch pwned\n", r"line 2: the psql command \\! is refused", 3),
        (b"SELECT 1\n\\g |touch pwned\n", r"line 2: the psql command \\g is refused", 3),
        (b"SELECT 1 \\; SELECT 2;\n", r"the psql command \\; is refused", 3),
        (b"SELECT E'\\'' \\! touch pwned\n;", r"the psql command \\! is refused", 3),
        (b"COPY (SELECT 1 FROM stdin) TO STDOUT;\n\\! touch pwned\n\\.\n", "COPY that is not FROM stdin", 3),
        (b"COPY x FROM PROGRAM 'touch pwned';\n", "COPY that is not FROM stdin", 3),
        (b"\\copy x from program 'touch pwned'\n", r"psql command \\copy is refused", 3),
        (b"CREATE TABLE t (a int);\nROLLBACK;\n", "line 2 holds ROLLBACK", 3),
        (b"SET standard_conforming_strings = off;\n", "standard_conforming_strings off", 3),
        (SIMPLE[:-60], "cut off: its last line", 1),
        (SIMPLE[: SIMPLE.index(b"2\t")], "cut off: it ends among the rows of the COPY in line 19", 1),
        (SIMPLE[: SIMPLE.index(b"\\.\nGRANT") + 1], "cut off: it ends among the rows of the COPY", 1),
        (SIMPLE[: SIMPLE.index(b"    note")], "cut off: the statement that begins in line 12", 1),
        (b"CREATE TABLE a (b text DEFAULT 'x;\n", "cut off: the statement that begins in line 1 does not end", 1),
        (gzip.compress(SIMPLE)[:-20], "bad.sql is damaged or cut off", 1),
        (pa.Codec("zstd").compress(SIMPLE, asbytes=True)[:-9], "bad.sql is damaged or cut off", 1),
        (
            b"CREATE TABLE a (b int);\nINSERT INTO a\nVALUES ('x');\n",
            "line 3: invalid input syntax.*INSERT INTO a VALUES",
            1,
        ),
        (
            b"CREATE TABLE a (b int);\nCOPY a FROM stdin;\n1\nx\n\\.\n",
            'invalid input.*COPY a, line 2, column b: "x"',
            1,
        ),
        (PROGRAM, "permission denied to COPY", 1),
        (b"SELECT 1 FROM nowhere;\n", 'relation "nowhere" does not exist', 1),
    ],
)
def test_bad_dump_changes_nothing(tmp_path: Path, empty_database: str, data: bytes, message: str, code: int) -> None:
    with pytest.raises(ShopeaseError, match=message) as caught:
        restore(written(tmp_path, data), empty_database)
    assert caught.value.exit_code == code
    assert "\n" not in str(caught.value)
    assert objects(empty_database) == 0
    assert not Path("pwned").exists()


def test_statement_in_small_pieces(
    source: str, dumps: Path, monkeypatch: pytest.MonkeyPatch, empty_database: str
) -> None:
    monkeypatch.setattr("shopease_etl.dumps.source.CHUNK", 7)
    for name in ("plain.sql", "rows.sql"):
        restore(str(dumps / name), empty_database, clean=True)
        assert content(empty_database) == content(source)


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9, 0.99])
@pytest.mark.parametrize("name", ["custom.dump", "archive.tar"])
def test_truncated_archive(dumps: Path, tmp_path: Path, empty_database: str, name: str, share: float) -> None:
    data = (dumps / name).read_bytes()
    with pytest.raises(ShopeaseError, match=r"was not restored|is damaged or cut off") as caught:
        restore(written(tmp_path, data[: int(len(data) * share)], name), empty_database)
    assert caught.value.exit_code == 1
    assert objects(empty_database) == 0


@pytest.mark.parametrize("compression", ["gzip", "none"])
@pytest.mark.parametrize("kept", [0, 15, -9])
def test_damaged_directory(source: str, tmp_path: Path, empty_database: str, kept: int, compression: str) -> None:
    bad = tmp_path / "folder"
    options: list[str | Path] = ["-Fd", f"--compress={compression}", "-f", bad]
    subprocess.run([embedded.binaries() / "pg_dump", "-d", source, *options], check=True)
    rows = max(bad.glob("[0-9]*.dat*"), key=lambda file: file.stat().st_size)
    rows.write_bytes(rows.read_bytes()[:kept])
    with pytest.raises(ShopeaseError, match=r"was not restored|is damaged or cut off"):
        restore(str(bad), empty_database)
    rows.unlink()
    with pytest.raises(ShopeaseError, match="was not restored"):
        restore(str(bad), empty_database)
    assert objects(empty_database) == 0


def test_archive_of_a_newer_version(dumps: Path, tmp_path: Path, empty_database: str) -> None:
    data = bytearray((dumps / "custom.dump").read_bytes())
    data[6] = 99
    with pytest.raises(DataRefusedError, match="made by a newer PostgreSQL") as caught:
        restore(written(tmp_path, bytes(data), "new.dump"), empty_database)
    assert "pg_dump --no-owner --format=plain" in str(caught.value.hint)


def test_missing_files(tmp_path: Path, empty_database: str) -> None:
    with pytest.raises(ConfigurationError, match="No such file"):
        restore(str(tmp_path / "none.sql"), empty_database)
    with pytest.raises(ConfigurationError, match="without toc"):
        restore(str(tmp_path), empty_database)


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
def test_this_machine_needs_none(dumps: Path, host: str) -> None:
    with pytest.raises(UnreachableError, match="cannot connect"):
        restore(str(dumps / "plain.sql"), f"host={host} port=1 dbname=x")


def test_force_tries(dumps: Path) -> None:
    with pytest.raises(UnreachableError, match="cannot connect"):
        restore(str(dumps / "plain.sql"), "host=127.0.0.1,nowhere.invalid port=1 dbname=x", force=True)


def test_database_url_that_is_none(dumps: Path) -> None:
    with pytest.raises(ConfigurationError, match="database URL"):
        restore(str(dumps / "plain.sql"), "postgresql://[")


def test_password_is_not_on_the_command_line() -> None:
    from shopease_etl.dumps.load import Target

    target = Target.of("postgresql://u:p%20w@localhost/x")
    assert "p w" not in target.conninfo
    assert target.environment["PGPASSWORD"] == "p w"


SLOW = """
import sys
from shopease_etl.stages.restore import restore
restore(sys.argv[1], sys.argv[2])
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
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
    """How many others are in the middle of a transaction in this database."""
    query = """SELECT count(*) FROM pg_stat_activity
               WHERE datname = current_database() AND pid <> pg_backend_pid() AND xact_start IS NOT NULL"""
    with psycopg.connect(url) as connection:
        row = connection.execute(query.encode()).fetchone()
        return int(row[0]) if row else -1
