"""A dump in the plain format of pg_dump: what psql of PostgreSQL 15 and later restores in one transaction."""

from collections.abc import Iterable
from typing import BinaryIO, Final

import polars as pl

from shopease_etl.contract.tables import BIGINT, MONEY, STRING, TABLES, TIMESTAMP, Table

END_OF_ROWS: Final = b"\\.\n\n\n"
TRAILER: Final = b"--\n-- PostgreSQL database dump complete\n--\n\n"
_TYPES: Final = {
    BIGINT: "integer",
    MONEY: "numeric(10,2)",
    STRING: "text",
    TIMESTAMP: "timestamp without time zone",
}
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
_ESCAPES: Final = (("\\", "\\\\"), ("\t", "\\t"), ("\n", "\\n"), ("\r", "\\r"))


def header(origin: str) -> bytes:
    """The beginning of the dump: a line on where it comes from, the settings, and the empty tables."""
    return (_HEADER.format(origin=origin) + "".join(_create(table) for table in TABLES)).encode()


def start_of_rows(table: Table) -> bytes:
    """What stands before a table's rows."""
    columns = ", ".join(column.name for column in table.columns)
    return f"{_title(table, 'TABLE DATA')}COPY public.{table.source} ({columns}) FROM stdin;\n".encode()


def write_rows(sink: BinaryIO, table: Table, frame: pl.DataFrame) -> None:
    """The frame's rows in COPY's text format, in the table's column order."""
    frame.select(_escaped(column.name, frame.schema[column.name]) for column in table.columns).write_csv(
        sink,
        include_header=False,
        separator="\t",
        quote_style="never",
        null_value="\\N",
        float_precision=2,
        datetime_format="%Y-%m-%d %H:%M:%S%.6f",
    )


def _create(table: Table) -> str:
    columns = ",\n".join(f"    {column.name} {_TYPES[column.type]}" for column in table.columns)
    return f"{_title(table, 'TABLE')}CREATE TABLE public.{table.source} (\n{columns}\n);\n\n\n"


def _title(table: Table, kind: str) -> str:
    place = "Data for Name" if kind == "TABLE DATA" else "Name"
    return f"--\n-- {place}: {table.source}; Type: {kind}; Schema: public; Owner: -\n--\n\n"


def _escaped(name: str, dtype: pl.DataType) -> pl.Expr:
    """A text column with COPY's escapes; other columns as they are."""
    value = pl.col(name)
    escapes: Iterable[tuple[str, str]] = _ESCAPES if dtype == pl.String else ()
    for plain, escaped in escapes:
        value = value.str.replace_all(plain, escaped, literal=True)
    return value
