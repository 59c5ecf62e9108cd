"""Writes a dump in the plain format of pg_dump, which psql of PostgreSQL 15 and later restores in one transaction."""

from collections.abc import Iterable
from typing import BinaryIO, Final

import polars as pl

from shopease_etl.contract.tables import BIGINT, MONEY, STRING, TABLES, TIMESTAMP, Table
from shopease_etl.progress import Progress
from shopease_etl.wording import counted

_HEADER: Final = """--
-- PostgreSQL database dump
--

-- {origin}
-- The rows are dirty on purpose, ids among them are NULL or occur twice: therefore no table bears a primary key
-- or a foreign key.

SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;

SET default_tablespace = '';

SET default_table_access_method = heap;

"""


class DumpWriter:
    """Writes a dump; `origin` is a line in it that says where it comes from."""

    def __init__(self, sink: BinaryIO, origin: str) -> None:
        self._sink = sink
        sink.write(_HEADER.format(origin=origin).encode())
        types = {BIGINT: "integer", MONEY: "numeric(10,2)", STRING: "text", TIMESTAMP: "timestamp without time zone"}
        for table in TABLES:
            columns = ",\n".join(f"    {column.name} {types[column.type]}" for column in table.columns)
            self._write_title(f"Name: {table.source}; Type: TABLE")
            sink.write(f"CREATE TABLE public.{table.source} (\n{columns}\n);\n\n\n".encode())

    def write_table(self, table: Table, batches: Iterable[pl.DataFrame], progress: Progress) -> int:
        """Write the rows of one table, and count them."""
        progress.start(table.source)
        columns = ", ".join(column.name for column in table.columns)
        self._write_title(f"Data for Name: {table.source}; Type: TABLE DATA")
        self._sink.write(f"COPY public.{table.source} ({columns}) FROM stdin;\n".encode())
        rows = 0
        for batch in batches:
            before = self._sink.tell()
            self._write_rows(table, batch)
            rows += len(batch)
            progress.advance(table.source, size=self._sink.tell() - before, rows=len(batch))
        self._sink.write(b"\\.\n\n\n")
        progress.finish(table.source, counted(rows, "row"))
        return rows

    def finish(self) -> None:
        """Write the end of the dump."""
        self._sink.write(b"--\n-- PostgreSQL database dump complete\n--\n\n")

    def _write_title(self, title: str) -> None:
        self._sink.write(f"--\n-- {title}; Schema: public; Owner: -\n--\n\n".encode())

    def _write_rows(self, table: Table, frame: pl.DataFrame) -> None:
        """Write rows in COPY's text format, in the table's column order."""
        frame.select(_escaped(column.name, frame.schema[column.name]) for column in table.columns).write_csv(
            self._sink,
            include_header=False,
            separator="\t",
            quote_style="never",
            null_value="\\N",
            float_precision=2,
            datetime_format="%Y-%m-%d %H:%M:%S%.6f",
        )


def _escaped(name: str, dtype: pl.DataType) -> pl.Expr:
    """A text column with COPY's escapes; other columns as they are."""
    value = pl.col(name)
    if dtype == pl.String:
        for plain, escaped in (("\\", "\\\\"), ("\t", "\\t"), ("\n", "\\n"), ("\r", "\\r")):
            value = value.str.replace_all(plain, escaped, literal=True)
    return value
