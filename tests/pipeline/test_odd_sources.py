"""Unusual values and column names go through all stages and can be queried."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from commands import Shop, copy_of, execute

MEGABYTES: Final = 20
_LONG: Final = f"repeat('1 Long, Road' || repeat(' ', 3) || '2', {MEGABYTES} * 65536)"
_QUOTED: Final = f"repeat(E'\"1\" Long,\nRoad 3', {MEGABYTES} * 65536)"


@pytest.fixture(scope="module")
def shop(sales: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    with copy_of(sales) as url:
        execute(
            url,
            "TRUNCATE products",
            f"INSERT INTO products VALUES (1, 'Tea', 'x', 1, {_LONG}), (2, 'Pot', 'x', 0, {_QUOTED})",
            """ALTER TABLE customers ADD "^phone$" text DEFAULT 'pattern', ADD "*" text DEFAULT 'star',
                ADD "x, y" text DEFAULT 'comma', ADD "Phone" text DEFAULT 'other', ADD "CUSTOMER_ID" int DEFAULT 5,
                ADD run_id text DEFAULT 'mine'""",
            """ALTER TABLE stores ADD "Store_Name" text DEFAULT 'other', ADD "*" int DEFAULT 7""",
            """ALTER TABLE sale_transactions ADD "YEAR" int DEFAULT 1, ADD "^quantity$" text DEFAULT E'two\\nlines'""",
        )
        shop = Shop(tmp_path_factory.mktemp("odd"), url)
        shop.run("run-all").done()
        yield shop


def answer(shop: Shop, sql: str) -> str:
    """The last line of the answer as CSV."""
    return shop.run("query", sql, "--format", "csv").done().stdout.splitlines()[-1]


@pytest.mark.quick(1)
def test_a_value_of_20_mb_is_kept(shop: Shop) -> None:
    found = {
        name: int(answer(shop, f"SELECT max(length(description)) FROM shopease_catalog.{name}"))
        for name in ("products", "silver_products", "bronze_products", "quarantine_products")
    }
    characters = 16 * MEGABYTES << 16
    standardised = 14 * MEGABYTES << 16  # three blanks are one
    assert found == {
        "products": standardised,
        "silver_products": standardised,
        "bronze_products": characters,
        "quarantine_products": characters,
    }


@pytest.mark.parametrize(
    ("columns", "table", "values"),
    [
        ('"^phone$", "*", "x_ y", "source_Phone"', "customers", "pattern,star,comma,other"),
        ('"source_CUSTOMER_ID", source_run_id', "customers", "5,mine"),
        ('"^phone$", "*", "x_ y", "source_Phone", "run_id"', "bronze_customers", "pattern,star,comma,other,mine"),
        ('"^phone$", "*", "source_run_id"', "quarantine_customers", "pattern,star,mine"),
        ('"source_Store_Name", "*"', "stores", "other,7"),
        ('"source_YEAR", "^quantity$"', "transactions", "1,two lines"),
    ],
)
def test_column_names_are_data(shop: Shop, columns: str, table: str, values: str) -> None:
    assert answer(shop, f"SELECT DISTINCT {columns} FROM shopease_catalog.{table}") == values


def test_columns_named_like_patterns_keep_their_own_values(shop: Shop) -> None:
    counts = "SELECT count(DISTINCT phone), count(DISTINCT customer_id) FROM shopease_catalog.customers"
    phones, customers = answer(shop, counts).split(",")
    assert int(phones) > int(customers) // 2


def test_a_name_with_a_line_break_is_refused_before_extract(sales: str, tmp_path: Path) -> None:
    with copy_of(sales) as url:
        execute(url, 'ALTER TABLE stores ADD "two\nlines" int')
        shop = Shop(tmp_path, url)
        shop.run("run-all").failed(3, "a column name with a line break", "stores.'two\\nlines'")
        assert not (tmp_path / "lake" / "bronze").exists()
