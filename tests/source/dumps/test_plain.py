"""Plain dumps: their statements are refused, left out or restored, however the data is cut into pieces."""

import gzip
import os
import shlex
import subprocess
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pyarrow as pa
import pytest

from dump_files import SIMPLE, content, objects, written
from shopease_etl.errors import ShopeaseError
from shopease_etl.source.dumps.plain import PlainDump
from shopease_etl.source.dumps.rules import Rules, Server
from shopease_etl.stages.restore import restore

CREATED = b"""SET x = 1;
DROP DATABASE d;
CREATE DATABASE d WITH TEMPLATE = template0;
ALTER DATABASE d OWNER TO postgres;
\\connect d
SELECT pg_catalog.set_config('search_path', '', false);
ALTER DATABASE d SET x.y TO '1';
CREATE TABLE public.x (a int);
"""
PROGRAM = b"""CREATE TABLE x (a int);
DO $$BEGIN EXECUTE 'COPY x FROM PROGRAM ''touch pwned'''; END$$;
"""


@pytest.mark.parametrize("name", ["simple.sql", "windows.sql"])
def test_owners_privileges_and_transactions_are_left_out(dumps: Path, empty_database: str, name: str) -> None:
    assert restore(str(dumps / name), empty_database).tables == (("customers", 2),)
    with psycopg.connect(empty_database) as connection:
        assert connection.execute("SELECT note FROM customers ORDER BY 1 DESC").fetchall() == [("one",), ("\\.",)]


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
        (b"--\n-- PostgreSQL database cluster dump\n--\nSET x = 1;\n", "line 2 contains a whole cluster", 3),
        (
            b"SELECT 1;\n\\connect other\n",
            r"creates or connects to a database of its own \(pg_dump --create\) in line 2",
            3,
        ),
        (b"SELECT 1;\nCREATE DATABASE x WITH TEMPLATE = y;\n", "a database of its own .* in line 2", 3),
        (CREATED, "a database of its own .* in line 2, 3, 4, 5, 7$", 3),
        (b"CREATE TABLE t (a text);\nCOPY/**/t FROM stdin;\n'\n\\.\n\\! touch pwned\n'\n", "COPY that is not FROM", 3),
        (b"INSERT INTO t VALUES (1;\nCOPY t FROM stdin;\n\\! touch pwned\n", r"psql command \\! is refused", 3),
        (b"SELECT 1; -- \r\\! touch pwned\n", r"psql command \\! is refused", 3),
        (b"SELECT $1a$$;\n", "a number that runs into a quote", 3),
        (b"SELECT 1; /* never closed\n", "cut off: a comment does not end", 1),
        (b"CREATE ROLE x;\n", "line 1 contains a role", 3),
        (b"SELECT 1;\n\\! touch pwned\n", r"line 2: the psql command \\! is refused", 3),
        (b"SELECT 1\n\\g |touch pwned\n", r"line 2: the psql command \\g is refused", 3),
        (b"SELECT 1 \\; SELECT 2;\n", r"the psql command \\; is refused", 3),
        (b"SELECT E'\\'' \\! touch pwned\n;", r"the psql command \\! is refused", 3),
        (b"COPY (SELECT 1 FROM stdin) TO STDOUT;\n\\! touch pwned\n\\.\n", "COPY that is not FROM stdin", 3),
        (b"COPY x FROM PROGRAM 'touch pwned';\n", "COPY that is not FROM stdin", 3),
        (b"\\copy x from program 'touch pwned'\n", r"psql command \\copy is refused", 3),
        (b"CREATE TABLE t (a int);\nROLLBACK;\n", "line 2 contains ROLLBACK", 3),
        (b"SET standard_conforming_strings = off;\n", "standard_conforming_strings off", 3),
        (SIMPLE[:-60], "cut off: its last line", 1),
        (SIMPLE[: SIMPLE.index(b"2\t")], "cut off: it ends within the rows of the COPY in line 19", 1),
        (SIMPLE[: SIMPLE.index(b"\\.\nGRANT") + 1], "cut off: it ends within the rows of the COPY", 1),
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
    dumped: str, dumps: Path, monkeypatch: pytest.MonkeyPatch, empty_database: str
) -> None:
    monkeypatch.setattr("shopease_etl.source.dumps.opening.CHUNK", 7)
    for name in ("plain.sql", "rows.sql"):
        restore(str(dumps / name), empty_database, clean=True)
        assert content(empty_database) == content(dumped)


@pytest.mark.parametrize("name", ["my dump.sql", "my.dump"])
def test_lines_to_remove_are_in_the_hint(tmp_path: Path, empty_database: str, name: str) -> None:
    with pytest.raises(ShopeaseError) as caught:
        restore(written(tmp_path, CREATED, name), empty_database)
    script = f"sed '2d;3d;4d;5d;7d' {shlex.quote(name)}"
    assert f"{script} > sales_db.sql" in str(caught.value.hint)
    rest = subprocess.run(script, shell=True, cwd=tmp_path, check=True, capture_output=True).stdout
    assert restore(written(tmp_path, rest), empty_database).tables == (("x", 0),)


def test_a_packed_dump_has_no_lines_to_remove(tmp_path: Path, empty_database: str) -> None:
    with pytest.raises(ShopeaseError) as caught:
        restore(written(tmp_path, gzip.compress(CREATED), "packed.sql"), empty_database)
    assert "sed '2d;3d;4d;5d;7d' UNPACKED.sql > sales_db.sql" in str(caught.value.hint)


def endless(head: bytes, unit: bytes, size: int, tail: bytes) -> Iterator[bytes]:
    """A dump of about `size` bytes that is never in memory as a whole."""
    yield head
    piece = unit * ((1 << 16) // len(unit))
    for _ in range(size >> 16):
        yield piece
    yield tail


@pytest.mark.parametrize(
    ("head", "unit", "tail"),
    [
        (b"/*", b"x", b"*/"),
        (b"--", b"x", b"\n"),
        (b"SELECT '", b"x", b"';"),
        (b"SELECT E'", b"xxxxxxx\\n", b"';"),
        (b"SELECT $a$", b"x", b"$a$;"),
        (b"COMMENT ON TABLE x IS '", b"x", b"';"),
        (b"INSERT INTO x VALUES (0)", b",\n(1, 'it''s')", b";"),
        (b"", b"\n", b""),
    ],
)
def test_memory_does_not_grow_with_the_dump(
    head: bytes, unit: bytes, tail: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shopease_etl.source.dumps.plain.LIMIT", 1 << 18)
    size = 8 << 20
    rules = Rules(Server(frozenset(), frozenset(), frozenset()))
    tracemalloc.start()
    try:
        passed = sum(map(len, PlainDump("long.sql", endless(head, unit, size, tail), rules).filtered()))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 6 << 20
    assert passed > size * 0.9 or head in (b"/*", b"--")


def test_long_statements_are_restored(tmp_path: Path, empty_database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shopease_etl.source.dumps.plain.LIMIT", 1000)
    monkeypatch.setattr("shopease_etl.source.dumps.opening.CHUNK", 100)
    rows = b",\n".join(b"(%d, 'it''s; row')" % number for number in range(1000))
    long = b"x" * 5000
    statements = (
        b"/* %s */ -- %s\nCREATE TABLE t (a int, b text DEFAULT 'x'/* %s */);\n" % (long, long, long),
        b"INSERT INTO t VALUES %s;\n" % rows,
        b"GRANT SELECT ON t TO a%s;\n" % (b", a" * 5000),
        b"CREATE FUNCTION f() RETURNS text LANGUAGE sql AS $$SELECT '%s'$$;\n" % long,
        b"SELECT nothing();\n",
    )
    dump = written(tmp_path, b"".join(statements))
    with pytest.raises(ShopeaseError, match="line 1005: function nothing"):
        restore(dump, empty_database)
    dump = written(tmp_path, b"".join(statements[:-1]))
    for clean in (False, True):
        assert restore(dump, empty_database, clean=clean).tables == (("t", 1000),)


def test_an_endless_word(tmp_path: Path, empty_database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shopease_etl.source.dumps.plain.LIMIT", 1000)
    monkeypatch.setattr("shopease_etl.source.dumps.opening.CHUNK", 100)
    with pytest.raises(ShopeaseError, match="line 1 contains a word or line of more than 1,000 bytes"):
        restore(written(tmp_path, b"SELECT " + b"x" * 5000 + b";"), empty_database)
