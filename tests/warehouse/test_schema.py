"""Headers are read however they are quoted, and the views are Athena's SQL."""

import csv
from pathlib import Path

import pyarrow as pa
import pytest
import sqlglot

from shopease_etl.contract import gold, tables
from shopease_etl.contract.gold import DAILY_SALES_SUMMARY
from shopease_etl.contract.tables import TRANSACTIONS
from shopease_etl.errors import DataRefusedError
from shopease_etl.lake.csv_bytes import csv_header
from shopease_etl.warehouse.duckdb import Engine
from shopease_etl.warehouse.schema import DATASETS, Dataset, csv_table, parquet_table, quoted, typed_view

GOLD = Dataset("daily_sales_summary", DAILY_SALES_SUMMARY.key)
CUSTOMERS = Dataset("silver_customers", tables.CUSTOMERS.silver_key)
SILVER = Dataset("silver_transactions", TRANSACTIONS.silver_key)


@pytest.mark.parametrize(
    ("head", "names"),
    [
        (b"a,b\n1,2\n", ("a", "b")),
        (b'"a, ""q""\nx",b\n1,2\n', ('a, "q"\nx', "b")),
        ("größe,\u2028\n".encode(), ("größe", "\u2028")),
        (b"a,b", None),
        (b'"a\n', None),
        (b"", None),
    ],
)
def test_the_header_is_the_first_record(head: bytes, names: tuple[str, ...] | None) -> None:
    assert csv_header("x.csv", head) == names


def test_a_file_with_only_a_header_needs_no_line_end() -> None:
    assert csv_header("x.csv", b"a,b", is_whole_file=True) == ("a", "b")
    assert csv_header("x.csv", b'a,"b', is_whole_file=True) is None


def test_names_and_keys_are_the_contracts() -> None:
    assert {dataset.name: dataset.key for dataset in DATASETS} | {
        "bronze_transactions": "bronze/transactions/sale_transactions.csv",
        "silver_products": "silver/products/products_cleaned.csv",
        "quarantine_customers": "quarantine/customers/customers_rejected.csv",
        "daily_sales_summary": "gold/daily_sales_summary/data.parquet",
    } == {dataset.name: dataset.key for dataset in DATASETS}
    assert len(DATASETS) == 12 + len(gold.GOLD)


def test_gold_has_its_parquet_types() -> None:
    schema = pa.schema(
        [
            ("d", pa.date32()),
            ("n", pa.int64()),
            ("i", pa.int32()),
            ("m", pa.decimal128(18, 2)),
            ("s", pa.large_string()),
        ]
    )
    assert [column.type for column in parquet_table(GOLD, schema).columns] == [
        "date",
        "bigint",
        "int",
        "decimal(18,2)",
        "string",
    ]
    with pytest.raises(DataRefusedError, match="column n of Parquet type uint32"):
        parquet_table(GOLD, pa.schema([("n", pa.uint32())]))


def test_a_file_without_columns_is_refused() -> None:
    with pytest.raises(DataRefusedError):
        csv_table(SILVER, ())


ODD_NAMES = (
    *("^phone$", "*", "^.*$", "a.b c", "it's", 'say "x"', "x,y", "UPPER", "upper", "Größe", "İ", "select", "c0", "{a}"),
    *("$1", "%s", "?", "\\n", "--", "/*x*/", ";", " ", "col\t1", "filename", "rowid", "[a]", "`b`", "@", ":p", "null"),
)


def test_a_view_works_with_every_column_name(tmp_path: Path) -> None:
    header = ("customer_id", *ODD_NAMES)
    table, path = csv_table(CUSTOMERS, header), tmp_path / "x.csv"
    with path.open("w", newline="") as stream:
        csv.writer(stream, lineterminator="\n").writerows([header, ["1", *(f"of {name}" for name in ODD_NAMES)]])
    view = typed_view(tables.CUSTOMERS, table, "shopease_catalog")
    assert isinstance(sqlglot.parse_one(f"CREATE OR REPLACE VIEW x AS {view.sql}", read="athena"), sqlglot.exp.Create)
    with Engine(tmp_path, "shopease_catalog") as engine:
        engine.add_csv(table.name, [path], table.column_names, made_by="", has_line_breaks=False)
        engine.add_view(view.name, view.sql)
        everything = engine.execute("SELECT * FROM customers").read_all()
        assert everything.schema.names == list(table.column_names)
        assert list(everything.to_pylist()[0].values()) == [1, *(f"of {name}" for name in ODD_NAMES)]
        for name, source in zip(table.column_names[1:], ODD_NAMES, strict=True):
            (row,) = engine.execute(f"SELECT {quoted(name)} FROM customers").read_all().to_pylist()
            assert row == {name: f"of {source}"}


def test_a_view_has_the_real_columns_typed_and_quoted_in_athenas_sql() -> None:
    base = csv_table(SILVER, ("transaction_id", "unit_price", "transaction_date", "year", "created_at", 'ex"tra'))
    view = typed_view(TRANSACTIONS, base, "shopease_catalog")
    assert [column.type for column in view.columns] == ["bigint", "decimal(18,2)", "date", "int", "timestamp", "string"]
    parsed = sqlglot.parse_one(view.sql, read="athena")
    assert isinstance(parsed, sqlglot.exp.Select)
    assert parsed.named_selects == list(view.column_names)
    assert all(identifier.quoted for identifier in parsed.find_all(sqlglot.exp.Identifier))
    assert '"shopease_catalog"."silver_transactions"' in view.sql
    assert 'NULLIF("ex""tra", \'\')' in view.sql
