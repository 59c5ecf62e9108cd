"""Every typed view is Athena's SQL, and answers as Polars reads the same file."""

from pathlib import Path
from typing import Any

import polars as pl
import pytest
import sqlglot
from sqlglot import exp

from hand_made_lake import DATABASE, answer, crawled_lake
from shopease_etl.contract.column_names import catalog_names
from shopease_etl.contract.tables import TABLES, Table
from shopease_etl.lake.local import LocalStore
from shopease_etl.warehouse.discovery import discover
from shopease_etl.warehouse.schema import quoted

TYPES: dict[str, Any] = {"bigint": pl.Int64, "int": pl.Int32, "decimal(18,2)": pl.Decimal(18, 2), "string": pl.String}


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return crawled_lake(tmp_path_factory.mktemp("views"))


def as_polars_reads(lake: Path, table: Table) -> pl.DataFrame:
    """The file under a view with the contract's types; timestamps are local, to the millisecond."""
    types = {column.name: column.type for column in (*table.columns, *table.calculated)}
    path = lake / (table.silver_key if table.key else table.bronze_key)
    frame = pl.read_csv(path.read_bytes(), infer_schema=False)
    # Polars leaves doubled quotes in a name as they stand
    frame = frame.rename(lambda name: name.replace('""', '"'))
    frame = frame.with_columns(pl.when(pl.all() != "").then(pl.all()))
    return frame.select(_typed(pl.col(name), types.get(name, "string")) for name in frame.columns)


def _typed(column: pl.Expr, kind: str) -> pl.Expr:
    if kind == "timestamp":
        local = column.str.slice(0, 26).str.replace("T", " ").str.replace(r"(:\d\d(\.\d+)?)[+-]\d\d(:\d\d)?$", "$1")
        day = pl.when(local.str.len_chars() == 10).then(local + " 00:00:00").otherwise(local)
        return day.str.strptime(pl.Datetime("us"), "%Y-%m-%d %H:%M:%S%.f", strict=True).dt.truncate("1ms")
    return column.str.to_date("%Y-%m-%d") if kind == "date" else column.cast(TYPES[kind])


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_a_view_has_the_values_that_polars_reads(lake: Path, table: Table) -> None:
    expected = as_polars_reads(lake, table)
    names = ", ".join(quoted(name) for name in catalog_names(expected.columns))
    rows = answer(lake, f"SELECT {names} FROM {DATABASE}.{table.name}")
    assert sorted(rows, key=repr) == sorted(expected.rows(), key=repr)


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_a_view_is_athenas_sql_with_functions_of_trino(lake: Path, table: Table) -> None:
    (view,) = (view for view in discover(LocalStore(lake), DATABASE).views if view.name == table.name)
    parsed = sqlglot.parse_one(f"CREATE OR REPLACE VIEW x AS {view.sql}", read="athena")
    assert isinstance(parsed, exp.Create)
    assert not list(parsed.find_all(exp.Command))
    functions = {function.sql_name().lower() for function in parsed.find_all(exp.Func)}
    assert functions <= {"nullif", "regexp_replace", "regexp_extract", "replace", "try_cast", "cast"}
