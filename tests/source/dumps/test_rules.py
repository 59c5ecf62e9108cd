"""Roles, extensions and settings that a dump needs and this server does not have."""

import logging
from pathlib import Path

import psycopg
import pytest

from dump_files import written
from shopease_etl.errors import ShopeaseError
from shopease_etl.stages.restore import restore

POLICIES = b"""CREATE TABLE t (a int);
CREATE POLICY p1 ON public.t AS RESTRICTIVE FOR SELECT TO "no one", shopease USING ((a > 0));
CREATE POLICY "p 2" ON public.t TO nobody_there, "no one" USING (true);
COMMENT ON POLICY "p 2" ON public.t IS 'gone';
CREATE POLICY p3 ON public.t USING (true);
CREATE POLICY p4 ON public.t TO PUBLIC USING ('TO x' <> '');
COMMENT ON POLICY p4 ON public.t IS 'there';
ALTER TABLE public.t ENABLE ROW LEVEL SECURITY;
CREATE USER MAPPING FOR nobody_there SERVER s OPTIONS (
    "user" 'x'
);
"""


def test_policies_and_mappings_of_missing_roles(
    tmp_path: Path, empty_database: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        result = restore(written(tmp_path, POLICIES), empty_database)
    assert result.left_out == (
        "policy p1 on public.t is restored without no one: this server has no such role",
        'policy "p 2" on public.t for no one, nobody_there is left out: this server has no such role',
        "the user mapping of nobody_there is left out: this server has no such role",
    )
    assert [record.getMessage() for record in caplog.records if record.name.endswith("restore")] == [*result.left_out]
    with psycopg.connect(empty_database) as connection:
        rows = connection.execute("SELECT policyname, roles FROM pg_policies ORDER BY 1").fetchall()
    assert rows == [("p1", ["shopease"]), ("p3", ["public"]), ("p4", ["public"])]


def test_missing_extensions(tmp_path: Path, empty_database: str) -> None:
    made = b"""CREATE EXTENSION IF NOT EXISTS plpgsql WITH SCHEMA pg_catalog;
CREATE EXTENSION IF NOT EXISTS "not-there" WITH SCHEMA public;
COMMENT ON EXTENSION "not-there" IS 'x';
CREATE EXTENSION hstore;
CREATE TABLE t (a int);
"""
    result = restore(written(tmp_path, made), empty_database)
    assert [line.split(" is ")[0] for line in result.left_out] == ["extension not-there", "extension hstore"]
    needed = made + b"CREATE TABLE u (a public.hstore);\n"
    with pytest.raises(ShopeaseError, match=r'line 6: type "public.hstore" does not exist') as caught:
        restore(written(tmp_path, needed), empty_database, clean=True)
    assert "install hstore, not-there on the server, or leave out what needs" in str(caught.value.hint)
