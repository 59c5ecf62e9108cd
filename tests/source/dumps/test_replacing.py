"""`restore --clean`: objects of every kind are replaced, and no others are dropped."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from dump_files import written
from shopease_etl.errors import DataRefusedError, ShopeaseError
from shopease_etl.source import embedded
from shopease_etl.stages.restore import restore

KINDS = """
CREATE TYPE "my mood" AS ENUM ('a', 'b');
CREATE TYPE pair AS (a int, b "my mood");
CREATE DOMAIN "My Domain" AS int CHECK (VALUE > 0);
CREATE COLLATION "de x" FROM "C";
CREATE SEQUENCE counter;
CREATE TABLE kinds (id serial PRIMARY KEY, m "my mood", p pair, d "My Domain", t text COLLATE "de x");
CREATE TABLE parts (id int, day date) PARTITION BY RANGE (day);
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
CREATE INDEX ON parts (id);
CREATE TABLE parent (a int);
CREATE TABLE child (b int) INHERITS (parent);
CREATE VIEW "a View" AS SELECT count(*), id, d FROM kinds GROUP BY id;
CREATE MATERIALIZED VIEW stored AS SELECT 1 AS one;
CREATE FUNCTION replaced(a int, b text DEFAULT 'x') RETURNS int LANGUAGE sql AS 'SELECT 1; -- it''s
    SELECT 2';
CREATE FUNCTION replaced(a text) RETURNS int LANGUAGE sql AS 'SELECT 3';
CREATE FUNCTION postponed() RETURNS bigint BEGIN ATOMIC SELECT count(*) FROM kinds GROUP BY id; END;
CREATE PROCEDURE done(a int) LANGUAGE sql AS 'SELECT 1';
CREATE AGGREGATE total(int) (sfunc = int4pl, stype = int);
CREATE OPERATOR === (leftarg = int, rightarg = int, function = int4eq);
CREATE TEXT SEARCH CONFIGURATION words (copy = simple);
CREATE STATISTICS related ON id, m FROM kinds;
CREATE TRIGGER unchanged BEFORE UPDATE ON kinds FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger();
CREATE POLICY seen ON kinds USING (id > 0);
SELECT lo_from_bytea(4711, 'abc');
INSERT INTO kinds (m, d) VALUES ('a', 1);
"""
INVENTORY = """
SELECT i.type, i.identity FROM pg_depend d, pg_identify_object(d.classid, d.objid, d.objsubid) i
WHERE d.objid >= 16384 AND i.identity !~ 'pg_toast|pg_temp|RI_Constraint' GROUP BY 1, 2 ORDER BY 1, 2
"""


@pytest.fixture(scope="module")
def kinds(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with dumps of a database that has objects of many kinds."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("CREATE DATABASE kinds")
    url = database_url.replace("/sales_db?", "/kinds?")
    with psycopg.connect(url) as connection:
        connection.execute(KINDS.encode())
    folder = tmp_path_factory.mktemp("kinds")
    pg_dump = embedded.binaries() / "pg_dump"
    for name, options in [("plain.sql", []), ("custom.dump", ["-Fc"]), ("drops.sql", ["--clean"])]:
        subprocess.run([pg_dump, "-d", url, "-f", folder / name, *options], check=True)
    yield folder


def inventory(url: str) -> list[tuple[object, ...]]:
    """Every object of a database."""
    with psycopg.connect(url) as connection:
        return connection.execute(INVENTORY).fetchall()


def run(url: str, statements: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute(statements.encode())


def test_repeated_restores(kinds: Path, empty_database: str) -> None:
    restore(str(kinds / "drops.sql"), empty_database)  # there is nothing to drop yet
    first = inventory(empty_database)
    assert first == inventory(empty_database.replace(empty_database.split("/")[3].split("?")[0], "kinds"))
    for name, jobs in [("plain.sql", 1), ("custom.dump", 1), ("custom.dump", 2), ("drops.sql", 1)]:
        tables = dict(restore(str(kinds / name), empty_database, clean=True, jobs=jobs).tables)
        assert (tables["kinds"], inventory(empty_database)) == (1, first), (name, jobs)
    restore(str(kinds / "drops.sql"), empty_database)
    assert inventory(empty_database) == first


@pytest.mark.parametrize(
    "changed",
    [
        'DROP VIEW "a View"; CREATE TABLE "a View" (a int)',
        "DROP TABLE parent CASCADE; CREATE VIEW parent AS SELECT 1 AS a; CREATE MATERIALIZED VIEW child AS SELECT 1",
        "DROP SEQUENCE counter; CREATE TABLE counter (a int)",
        'DROP TYPE "my mood" CASCADE; CREATE TABLE "my mood" (a int)',
        'DROP TYPE pair CASCADE; CREATE DOMAIN pair AS text; DROP DOMAIN "My Domain" CASCADE; '
        'CREATE TYPE "My Domain" AS ENUM (); DROP MATERIALIZED VIEW stored; CREATE TYPE stored AS (a int)',
        "DROP FUNCTION replaced(int, text); "
        "CREATE FUNCTION replaced(b int, text) RETURNS text LANGUAGE sql AS 'SELECT $2'",
        "DROP FUNCTION replaced(text); CREATE PROCEDURE replaced(a text) LANGUAGE sql AS 'SELECT 1'",
        "DROP PROCEDURE done; CREATE FUNCTION done(a int) RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE TABLE parts_2 PARTITION OF parts FOR VALUES FROM ('2025-01-01') TO ('2026-01-01')",
        "DROP TABLE parts; CREATE TABLE parts_1 (a int PRIMARY KEY); CREATE TABLE parts (a int REFERENCES parts_1)",
    ],
)
def test_an_object_of_another_kind_is_replaced(kinds: Path, empty_database: str, changed: str) -> None:
    restore(str(kinds / "plain.sql"), empty_database)
    first = inventory(empty_database)
    run(empty_database, changed)
    assert restore(str(kinds / "custom.dump"), empty_database, clean=True)
    assert inventory(empty_database) == first


@pytest.mark.parametrize(
    ("theirs", "named", "hint"),
    [
        ("CREATE VIEW ours AS SELECT id FROM kinds", "view public.ours", "DROP VIEW public.ours"),
        (
            "CREATE VIEW a AS SELECT id FROM kinds; CREATE VIEW b AS SELECT id FROM a",
            "view public.a, view public.b",
            "DROP VIEW public.b; DROP VIEW public.a",
        ),
        (
            'CREATE MATERIALIZED VIEW "a;b" AS SELECT id FROM kinds',
            'materialized view public."a;b"',
            'DROP MATERIALIZED VIEW public."a;b"',
        ),
        (
            "CREATE TABLE mine (id int REFERENCES kinds)",
            "table constraint mine_id_fkey on public.mine",
            "ALTER TABLE public.mine DROP CONSTRAINT mine_id_fkey",
        ),
        (
            'CREATE TABLE mine (id int CONSTRAINT "a on b" REFERENCES kinds); CREATE VIEW ours AS SELECT id FROM kinds',
            'table constraint "a on b" on public.mine, view public.ours',
            'DROP VIEW public.ours; ALTER TABLE public.mine DROP CONSTRAINT "a on b"',
        ),
        ('CREATE TABLE mine (id int, m "my mood")', "table column public.mine.m", ""),
        ("CREATE TABLE mine (id int DEFAULT nextval('counter'))", "default value for public.mine.id", ""),
        ("CREATE TABLE mine () INHERITS (parent)", "table public.mine", ""),
        (
            "CREATE FUNCTION mine(kinds) RETURNS int LANGUAGE sql AS 'SELECT 1'",
            "function public.mine(public.kinds)",
            "DROP FUNCTION public.mine(public.kinds)",
        ),
    ],
)
@pytest.mark.parametrize("name", ["plain.sql", "drops.sql"])
def test_objects_that_the_dump_lacks_are_kept(
    kinds: Path, empty_database: str, theirs: str, named: str, hint: str, name: str
) -> None:
    restore(str(kinds / "plain.sql"), empty_database)
    run(empty_database, theirs)
    before = inventory(empty_database)
    with pytest.raises(DataRefusedError, match=f"--clean would also drop .*: {re.escape(named)}$") as caught:
        restore(str(kinds / name), empty_database, clean=True)
    way = f"drop them before, and create them again afterwards: {hint}" if hint else f"save and drop {named} before"
    assert caught.value.hint == f"nothing was changed; {way}"
    assert inventory(empty_database) == before
    if hint:
        run(empty_database, hint)
        restore(str(kinds / name), empty_database, clean=True)


def test_users_of_a_replaced_function_are_kept(kinds: Path, empty_database: str) -> None:
    restore(str(kinds / "plain.sql"), empty_database)
    run(empty_database, "CREATE VIEW ours AS SELECT replaced(1)")
    before = inventory(empty_database)
    restore(str(kinds / "custom.dump"), empty_database, clean=True)
    assert inventory(empty_database) == before


def test_invalid_function(tmp_path: Path, empty_database: str) -> None:
    dump = written(tmp_path, b"CREATE FUNCTION\n f()\nRETURNS nothing\nLANGUAGE sql AS 'SELECT 1';\n")
    with pytest.raises(ShopeaseError, match=r'bad\.sql, line 4: type "nothing" does not exist'):
        restore(dump, empty_database, clean=True)
