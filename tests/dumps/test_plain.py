"""Plain dumps: what they hold is refused, left out or restored, wherever they are cut."""

import gzip
import os
from pathlib import Path

import psycopg
import pyarrow as pa
import pytest

from dump_files import SIMPLE, content, objects, written
from shopease_etl.errors import ShopeaseError
from shopease_etl.stages.restore import restore

PROGRAM = b"""CREATE TABLE x (a int);
DO $$BEGIN EXECUTE 'COPY x FROM PROGRAM ''touch pwned'''; END$$;
"""


@pytest.mark.parametrize("name", ["simple.sql", "windows.sql"])
def test_owners_rights_and_transactions_are_left_out(dumps: Path, empty_database: str, name: str) -> None:
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
        (b"--\n-- PostgreSQL database cluster dump\n--\nSET x = 1;\n", "line 2 holds a whole cluster", 3),
        (b"SELECT 1;\n\\connect other\n", r"creates or connects to a database of its own \(pg_dump --create\) in line 2", 3),
        (b"SELECT 1;\nCREATE DATABASE x WITH TEMPLATE = y;\n", "a database of its own .* in line 2", 3),
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
    dumped: str, dumps: Path, monkeypatch: pytest.MonkeyPatch, empty_database: str
) -> None:
    monkeypatch.setattr("shopease_etl.dumps.source.CHUNK", 7)
    for name in ("plain.sql", "rows.sql"):
        restore(str(dumps / name), empty_database, clean=True)
        assert content(empty_database) == content(dumped)
