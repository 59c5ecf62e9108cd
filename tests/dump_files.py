"""A small database that is hard to dump, its dumps in every format, and what is restored of them."""

import bz2
import gzip
import lzma
import subprocess
import tarfile
import zipfile
from pathlib import Path

import psycopg
import pyarrow as pa

from shopease_etl.source import embedded

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


def fill(url: str) -> None:
    """Puts everything into a database that makes a dump hard to read."""
    with psycopg.connect(url) as connection:
        connection.execute(SCHEMA.encode())
        rows = [*enumerate(NASTY), (len(NASTY), None)]
        connection.cursor().executemany("INSERT INTO customers VALUES (%s, %s)", rows)
        connection.execute("""INSERT INTO "Odd ""name" (customer_id, "a(b") VALUES (0, 'x')""")


def write_dumps(url: str, folder: Path) -> None:
    """Writes the database's dump in every format, and some that pg_dump would not write."""
    for name, options in FORMATS.items():
        subprocess.run([embedded.binaries() / "pg_dump", "-d", url, "-f", folder / name, *options], check=True)
    plain = (folder / "plain.sql").read_bytes()
    (folder / "plain.sql.gz").write_bytes(gzip.compress(plain[:2000]) + gzip.compress(plain[2000:]))
    (folder / "plain.sql.zst").write_bytes(pa.Codec("zstd").compress(plain, asbytes=True))
    (folder / "custom.gz").write_bytes(gzip.compress((folder / "custom.dump").read_bytes()))
    (folder / "windows.sql").write_bytes(b"\xef\xbb\xbf" + SIMPLE.replace(b"\n", b"\r\n"))
    (folder / "simple.sql").write_bytes(SIMPLE)


def write_packed(dumps: Path, folder: Path) -> None:
    """Writes dumps as people send them: compressed, archived, both."""
    plain = (dumps / "plain.sql").read_bytes()
    (folder / "plain.sql.xz").write_bytes(lzma.compress(plain[:2000]) + lzma.compress(plain[2000:]))
    (folder / "plain.sql.bz2").write_bytes(bz2.compress(plain[:2000]) + bz2.compress(plain[2000:]))
    with pa.OSFile(str(folder / "plain.sql.lz4"), "wb") as file, pa.CompressedOutputStream(file, "lz4") as stream:
        stream.write(plain)
    (folder / "padded.sql.gz").write_bytes(gzip.compress(plain) + bytes(5000))
    with tarfile.open(folder / "plain.tar.gz", "w:gz") as tar:
        tar.add(dumps / "plain.sql", "some/where/plain.sql")
    with tarfile.open(folder / "folder.tar.xz", "w:xz") as tar:
        tar.add(dumps / "folder", "some/folder")
    with tarfile.open(folder / "bare.tar", "w") as tar:
        tar.add(dumps / "folder", ".")
    with tarfile.open(folder / "custom.tar.bz2", "w:bz2") as tar:
        tar.add(dumps / "custom.dump", "custom.dump")
    (folder / "archive.tar.gz").write_bytes(gzip.compress((dumps / "archive.tar").read_bytes()))
    with zipfile.ZipFile(folder / "plain.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(dumps / "plain.sql", "plain.sql")
        archive.writestr("__MACOSX/._plain.sql", b"x")
    with zipfile.ZipFile(folder / "folder.zip", "w", zipfile.ZIP_LZMA) as archive:
        for file in (dumps / "folder").iterdir():
            archive.write(file, f"folder/{file.name}")


PACKED = {
    "plain.sql.xz": "xz",
    "plain.sql.bz2": "bzip2",
    "plain.sql.lz4": "lz4",
    "padded.sql.gz": "gzip",
    "plain.tar.gz": "gzip",
    "folder.tar.xz": "directory",
    "bare.tar": "directory",
    "custom.tar.bz2": "custom",
    "archive.tar.gz": "tar",
    "plain.zip": "zip",
    "folder.zip": "directory",
}


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
