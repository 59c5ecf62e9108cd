"""SQL on the catalogued lake: what views and raw tables hold; wrong SQL and broken files are told clearly."""

from collections.abc import Callable
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from hand_made_lake import (
    EXTRA_COLUMN,
    STORE_ROWS,
    Answer,
    answer,
    asked,
    catalogue,
    crawled_lake,
    make_lake,
    put,
    timestamp,
)

from shopease_etl.catalog.schema import quoted
from shopease_etl.column_names import catalogued
from shopease_etl.errors import DataRefusedError, ShopeaseError
from shopease_etl.tables import GOLD_TABLES, STORES, TRANSACTIONS


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return crawled_lake(tmp_path_factory.mktemp("queried"))


Ask = Callable[[str], Answer]


@pytest.fixture
def ask(lake: Path) -> Ask:
    return lambda sql: answer(lake, sql)


def test_raw_tables_read_null_as_empty_text_and_views_as_null(ask: Ask) -> None:
    assert ask("SELECT state FROM bronze_stores ORDER BY store_id") == [("",), ("",), ("GE",)]
    assert ask("SELECT state FROM stores ORDER BY store_id") == [(None,), (None,), ("GE",)]
    assert ask("SELECT store_name FROM stores ORDER BY store_id") == [(row[1],) for row in STORE_ROWS]


def test_views_are_typed_and_timestamps_are_local_time_without_the_offset(ask: Ask) -> None:
    assert ask("SELECT created_at, updated_at FROM stores ORDER BY store_id") == [
        (timestamp("2020-01-01 00:00:00"), timestamp("2020-01-01 00:00:00")),
        (timestamp("2020-01-01 00:00:00.500000"), timestamp("2020-01-01 00:00:00")),
        (timestamp("2020-01-01 10:11:12.123"), None),
    ]
    ((id_, amount, day, year),) = ask(
        "SELECT transaction_id, total_amount, transaction_date, year FROM transactions WHERE transaction_id = 1"
    )
    assert (id_, amount, day, year) == (1, Decimal("2.74"), date(2023, 2, 2), 2023)


def test_extra_columns_show_up_as_strings(ask: Ask) -> None:
    (name,) = catalogued([EXTRA_COLUMN])
    rows = ask(f"SELECT {quoted(name)} FROM transactions ORDER BY transaction_id LIMIT 2")
    assert rows == [("extra\\ 1",), (None,)]


def test_values_that_do_not_parse_are_null_in_views(tmp_path: Path) -> None:
    values = [("7", 7), (" +7 ", 7), ("7.0", None), ("1e3", None), ("1_000", None), ("x", None), ("9" * 30, None)]
    lines = "".join(f'"{text}",n,"2024-02-31 00:00:00"\n' for text, _ in values)
    put(tmp_path / "lake", STORES.bronze_key, f"store_id,store_name,created_at\n{lines}")
    catalogue(tmp_path / "lake", tmp_path / "catalog.json")
    found = answer(tmp_path / "lake", "SELECT store_id, created_at FROM stores")
    assert found == [(number, None) for _, number in values]


def test_line_breaks_that_look_like_rows_stay_in_their_field(tmp_path: Path) -> None:
    trap = "\n".join(f'{n},""fake"",x' for n in range(3000))
    body = "".join(f'{n},"{trap}",c\n' for n in range(1200))
    put(tmp_path / "lake", STORES.bronze_key, f"store_id,store_name,city\n{body}")
    catalogue(tmp_path / "lake", tmp_path / "catalog.json")
    found = answer(tmp_path / "lake", "SELECT COUNT(*), SUM(store_id), MIN(length(store_name)) FROM stores")
    assert found == [(1200, 1199 * 600, len(trap) - 2 * 3000)]


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("SELECT 1 FROM nope", "there is no table nope at line 1, column 15"),
        ("SELECT\n  sales_date,\n  nope FROM daily_sales_summary", "line 3, column 3: nope FROM"),
        ("SELECT nofunction(1)", "nofunction"),
        ("SELECT 1 / 0", "Division by zero"),
        ("SELECT CAST('x' AS bigint)", "'x'"),
        ("SELECT store_name, COUNT(*) FROM stores", "GROUP BY"),
    ],
)
def test_wrong_sql_is_told_in_one_line_with_its_place(ask: Ask, sql: str, message: str) -> None:
    with pytest.raises(ShopeaseError) as raised:
        ask(sql)
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


def test_an_unknown_table_lists_those_there_are(ask: Ask) -> None:
    with pytest.raises(ShopeaseError) as raised:
        ask("SELECT 1 FROM shopease_catalog.sales")
    assert raised.value.hint is not None
    assert "daily_sales_summary" in raised.value.hint


def test_a_broken_file_fails_only_the_queries_that_ask_for_it(tmp_path: Path) -> None:
    lake = make_lake(tmp_path / "lake")
    catalogue(lake, tmp_path / "catalog.json")
    daily, products, customers = (lake / dataset.key for dataset in GOLD_TABLES)
    daily.write_bytes(daily.read_bytes()[:-20])
    products.unlink()
    with (lake / TRANSACTIONS.bronze_key).open("a") as stream:
        stream.write('101,"cut in the mid')
    for sql, file, command in (
        ("SELECT * FROM daily_sales_summary", daily, "shopease aggregate"),
        ("SELECT * FROM product_performance", products, "shopease aggregate"),
        ("SELECT COUNT(*) FROM bronze_transactions", lake / TRANSACTIONS.bronze_key, "shopease extract"),
    ):
        with pytest.raises(ShopeaseError) as raised:
            answer(lake, sql)
        assert str(file) in str(raised.value)
        assert command in str(raised.value.hint)
    assert len(answer(lake, "SELECT * FROM customer_analytics")) == 10
    assert customers.exists()


def test_columns_that_changed_since_the_crawl_are_not_read_under_wrong_names(tmp_path: Path) -> None:
    put(tmp_path / "lake", STORES.bronze_key, "store_id,store_name\n1,a\n")
    catalogue(tmp_path / "lake", tmp_path / "catalog.json")
    put(tmp_path / "lake", STORES.bronze_key, "store_name,store_id\na,1\n")
    with pytest.raises(ShopeaseError, match="other columns") as raised:
        answer(tmp_path / "lake", "SELECT store_id FROM stores")
    assert raised.value.hint == "run `shopease crawl`"


def test_a_statement_that_names_larger_files_than_allowed_is_refused(lake: Path) -> None:
    catalog = lake.parent / "catalog.json"
    size = (lake / TRANSACTIONS.silver_key).stat().st_size
    sql = "SELECT COUNT(*) FROM shopease_catalog.transactions"
    with asked(sql, lake, catalog, max_scan=size) as result:
        assert result.reader.read_all().num_rows == 1
    with pytest.raises(DataRefusedError, match=f"may read {size:,} bytes") as caught:
        asked(sql, lake, catalog, max_scan=size - 1)
    assert caught.value.exit_code == 3


def test_a_column_named_like_a_table_is_not_one(lake: Path) -> None:
    catalog = lake.parent / "catalog.json"
    sql = "SELECT COUNT(*) AS transactions FROM shopease_catalog.daily_sales_summary"
    size = sum((lake / gold.key).stat().st_size for gold in GOLD_TABLES)
    with asked(sql, lake, catalog, max_scan=size) as result:
        assert result.reader.read_all().num_rows == 1
