"""Headers are read however they are quoted, and the views are Athena's SQL."""

import pyarrow as pa
import pytest
import sqlglot

from shopease_etl.catalog.schema import DATASETS, Dataset, csv_table, parquet_table, typed_view
from shopease_etl.errors import DataRefusedError
from shopease_etl.storage.rows import csv_header
from shopease_etl.tables import GOLD_TABLES, TRANSACTIONS

GOLD = Dataset("daily_sales_summary", GOLD_TABLES[0].key)
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


def test_a_file_of_nothing_but_a_header_needs_no_line_end() -> None:
    assert csv_header("x.csv", b"a,b", is_whole_file=True) == ("a", "b")
    assert csv_header("x.csv", b'a,"b', is_whole_file=True) is None


def test_names_and_keys_are_the_contracts() -> None:
    assert {dataset.name: dataset.key for dataset in DATASETS} | {
        "bronze_transactions": "bronze/transactions/sale_transactions.csv",
        "silver_products": "silver/products/products_cleaned.csv",
        "quarantine_customers": "quarantine/customers/customers_rejected.csv",
        "daily_sales_summary": "gold/daily_sales_summary/data.parquet",
    } == {dataset.name: dataset.key for dataset in DATASETS}
    assert len(DATASETS) == 15


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


@pytest.mark.parametrize("header", [(), ("a", "A"), ("a", "")])
def test_columns_that_athena_cannot_tell_apart_are_refused(header: tuple[str, ...]) -> None:
    with pytest.raises(DataRefusedError):
        csv_table(SILVER, header)


def test_a_view_has_the_real_columns_typed_quoted_and_parses_as_athenas_sql() -> None:
    base = csv_table(SILVER, ("transaction_id", "unit_price", "transaction_date", "year", "created_at", 'ex"tra'))
    view = typed_view(TRANSACTIONS, base, "shopease_catalog")
    assert [column.type for column in view.columns] == ["bigint", "decimal(18,2)", "date", "int", "timestamp", "string"]
    parsed = sqlglot.parse_one(view.sql, read="athena")
    assert isinstance(parsed, sqlglot.exp.Select)
    assert parsed.named_selects == list(view.column_names)
    assert all(identifier.quoted for identifier in parsed.find_all(sqlglot.exp.Identifier))
    assert '"shopease_catalog"."silver_transactions"' in view.sql
    assert 'NULLIF("ex""tra", \'\')' in view.sql
