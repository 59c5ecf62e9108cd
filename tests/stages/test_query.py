"""SQL on the catalogued lake: the contents of views and raw tables, and clear errors for wrong SQL and broken files."""

import os
import re
from collections.abc import Callable
from contextlib import nullcontext
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
    names_of,
    put,
    timestamp,
)
from shopease_etl.contract.column_names import catalog_names
from shopease_etl.contract.gold import GOLD
from shopease_etl.contract.tables import STORES, TRANSACTIONS
from shopease_etl.errors import ShopeaseError
from shopease_etl.stages.query import check_output
from shopease_etl.warehouse.schema import quoted


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return crawled_lake(tmp_path_factory.mktemp("queried"))


Ask = Callable[[str], Answer]
STORE_TYPES = ("bigint", "string", "string", "string", "timestamp", "timestamp")


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
    (name,) = catalog_names([EXTRA_COLUMN])
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
    ("sql", "message", "hint"),
    [
        ("SELECT 1 FROM nope", "there is no table nope at line 1, column 15", "daily_sales_summary"),
        ("SELECT 1 FROM shopease_catalog.product", "there is no table", "did you mean products"),
        ("SELECT\n  sales_date,\n  nope FROM daily_sales_summary", "no column nope at line 3, column 3", "sales_date"),
        ("SELECT stor_name FROM stores", "there is no column stor_name at", "did you mean store_name"),
        ("SELECT s.stor_name FROM stores s", "there is no column stor_name at", "did you mean store_name"),
        ("SELECT x.store_name FROM stores s", "FROM has no table x at line 1, column 8", "name it in FROM"),
        ("SELECT 1 / 0", "Division by zero", ""),
        ("SELECT CAST('x' AS bigint)", "'x'", ""),
        ("SELECT store_name, COUNT(*) FROM stores", "neither in GROUP BY nor in an aggregate", "arbitrary"),
        ("DESCRIBE nope", "there is no table nope", "daily_sales_summary"),
        ("SHOW TABLES IN nope", "there is no database nope", "shopease_catalog"),
        ("SHOW CREATE TABLE stores", "stores is not a table", "SHOW CREATE VIEW stores"),
        ("SHOW CREATE VIEW stroes", "there is no view stroes", "did you mean stores"),
        ("SHOW FUNCTIONS", "this form is not available on a local lake: SHOW FUNCTIONS", "SHOW TABLES"),
    ],
)
def test_wrong_sql_is_one_line_with_its_position_and_the_alternatives(
    ask: Ask, sql: str, message: str, hint: str
) -> None:
    with pytest.raises(ShopeaseError) as raised:
        ask(sql)
    assert message in str(raised.value)
    assert hint in (raised.value.hint or "")
    for text in (str(raised.value), raised.value.hint or ""):
        assert re.search(r"\n|DuckDB|Did you mean|Candidate", text) is None


@pytest.mark.parametrize(
    ("sql", "rows"),
    [
        ("show tables 'product*|*_summary'", [("daily_sales_summary",), ("product_performance",), ("products",)]),
        ("SHOW TABLES IN shopease_catalog LIKE 'STORES'", [("stores",)]),
        ("SHOW VIEWS FROM shopease_catalog 's*'", [("sales_managers",), ("stores",)]),
        ("show schemas", [("shopease_catalog",)]),
        ("SHOW DATABASES LIKE 'x*'", []),
        ("SHOW COLUMNS IN stores -- all", [(name,) for name in names_of(STORES)]),
        ("show columns from `stores` in `shopease_catalog`", [(name,) for name in names_of(STORES)]),
        ("DESC shopease_catalog.stores", list(zip(names_of(STORES), STORE_TYPES, strict=True))),
    ],
)
def test_show_and_describe_work_without_warnings_of_the_parser(
    ask: Ask, caplog: pytest.LogCaptureFixture, sql: str, rows: Answer
) -> None:
    assert ask(sql) == rows
    assert caplog.text == ""


def test_show_create_gives_what_the_catalog_has(ask: Ask) -> None:
    view = "\n".join(line for (line,) in ask("SHOW CREATE VIEW stores"))
    assert view.startswith("CREATE VIEW shopease_catalog.stores AS\nSELECT\n")
    assert ask(view.partition(" AS\n")[2]) == ask("SELECT * FROM stores")
    for name, form in (("daily_sales_summary", "STORED AS PARQUET"), ("bronze_stores", "OpenCSVSerde")):
        table = "\n".join(line for (line,) in ask(f"SHOW CREATE TABLE {name}"))
        assert table.startswith(f"CREATE EXTERNAL TABLE `shopease_catalog.{name}`(\n  `")
        assert form in table
        assert all(f"  `{column}` {kind}" in table for column, kind in ask(f"DESCRIBE {name}"))


def test_a_plan_is_printed_line_by_line(ask: Ask) -> None:
    lines = [line for (line,) in ask("EXPLAIN SELECT COUNT(*) FROM stores")]
    assert "count_star()" in "".join(lines)
    assert len(lines) > 3


def test_a_broken_file_fails_only_the_queries_that_read_it(tmp_path: Path) -> None:
    lake = make_lake(tmp_path / "lake")
    catalogue(lake, tmp_path / "catalog.json")
    daily, products, customers = (lake / dataset.key for dataset in GOLD[:3])
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
    with pytest.raises(ShopeaseError, match=f"may read {size:,} bytes") as caught:
        asked(sql, lake, catalog, max_scan=size - 1)
    assert caught.value.exit_code == 1


def test_a_column_named_like_a_table_is_not_one(lake: Path) -> None:
    catalog = lake.parent / "catalog.json"
    sql = "SELECT COUNT(*) AS transactions FROM shopease_catalog.daily_sales_summary"
    size = sum((lake / gold.key).stat().st_size for gold in GOLD)
    with asked(sql, lake, catalog, max_scan=size) as result:
        assert result.reader.read_all().num_rows == 1


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        ("lake/answer.csv", "is inside the lake"),
        ("lake", "is inside the lake"),
        ("lake/gold/../new/answer.csv", "is inside the lake"),
        ("linked/answer.csv", "is inside the lake"),
        ("answer-in-lake.csv", "is inside the lake"),
        ("home/catalog/answer.csv", "is inside shopease's home folder"),
        ("elsewhere", "is a folder"),
        ("pipe", "is not a regular file"),
        ("nowhere/answer.csv", "there is no folder"),
        ("answer.csv", None),
        ("linked/../answer.csv", "is inside the lake"),
        ("lake/../answer.csv", None),
    ],
)
def test_a_result_is_not_written_over_the_lake_or_other_files(tmp_path: Path, output: str, reason: str | None) -> None:
    for folder in ("lake/gold/new", "home", "elsewhere"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "linked").symlink_to("lake/gold")
    (tmp_path / "answer-in-lake.csv").symlink_to("lake/x.csv")
    os.mkfifo(tmp_path / "pipe")
    with nullcontext() if reason is None else pytest.raises(ShopeaseError, match=reason) as raised:
        check_output(tmp_path / output, tmp_path / "lake", tmp_path / "home")
    assert raised is None or raised.value.exit_code == (4 if output.startswith("nowhere") else 2)
