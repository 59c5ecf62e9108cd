"""The contract's queries and those that ship give what Polars and plain Python compute; wrong SQL is told clearly."""

from collections.abc import Callable
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path

import polars as pl
import pytest
import sqlglot
from hand_made_lake import (
    CUSTOMERS_FRAME,
    EXTRA_COLUMN,
    STORE_ROWS,
    TRANSACTION_ROWS,
    TRANSACTIONS_FRAME,
    Answer,
    gold,
    make_lake,
    put,
    timestamp,
)

from shopease_etl.errors import ConfigurationError, DataRefusedError, ShopeaseError
from shopease_etl.stages.crawl import crawl
from shopease_etl.stages.query import query, shipped_queries, shipped_query
from shopease_etl.tables import GOLD_TABLES, STORES, TRANSACTIONS

DATABASE = "shopease_catalog"
Ask = Callable[[str], Answer]

CONTRACT = {
    "revenue-days": """SELECT sales_date, total_revenue, total_transactions, unique_customers
FROM shopease_catalog.daily_sales_summary ORDER BY total_revenue DESC LIMIT 10;""",
    "best-products": """SELECT product_name, category, total_revenue, total_quantity_sold
FROM shopease_catalog.product_performance ORDER BY total_revenue DESC LIMIT 10;""",
    "store-revenue": """SELECT s.store_name, COUNT(*) AS transactions, SUM(t.quantity * t.unit_price) AS revenue
FROM shopease_catalog.transactions t JOIN shopease_catalog.stores s ON t.store_id = s.store_id
GROUP BY s.store_name ORDER BY revenue DESC;""",
}


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    lake = make_lake(tmp_path_factory.mktemp("queried") / "it's [a] lake=1")
    crawl(lake, lake.parent / "catalog.json", DATABASE)
    return lake


def answer(lake: Path, sql: str) -> Answer:
    with query(sql, lake=lake, catalog_file=lake.parent / "catalog.json") as result:
        table = result.reader.read_all()
    return list(zip(*(column.to_pylist() for column in table.columns), strict=True))


@pytest.fixture
def ask(lake: Path) -> Ask:
    return lambda sql: answer(lake, sql)


def cents(value: Decimal) -> Decimal:
    return value.quantize(Decimal("0.01"), ROUND_HALF_UP)


def share(part: Decimal | int, whole: Decimal | int) -> Decimal:
    return cents(Decimal(100 * part) / Decimal(whole))


def top_days() -> Answer:
    days = gold().days.sort("total_revenue", descending=True).head(10)
    return days.select("sales_date", "total_revenue", "total_transactions", "unique_customers").rows()


def best_products() -> Answer:
    products = gold().products.sort("total_revenue", descending=True).head(10)
    return products.select("product_name", "category", "total_revenue", "total_quantity_sold").rows()


def store_revenue() -> Answer:
    sums = [
        (name, len(own := [row for row in TRANSACTION_ROWS if row[1] == store]), sum(row[4] * row[5] for row in own))  # type: ignore[operator]
        for store, name, *_ in STORE_ROWS
    ]
    return sorted(sums, key=lambda row: -row[2])


def monthly_trend() -> Answer:
    months = (
        gold()
        .days.group_by(pl.col("sales_date").dt.truncate("1mo"))
        .agg(pl.col("total_transactions").sum(), pl.col("total_items_sold").sum(), pl.col("total_revenue").sum())
    )
    rows: Answer = []
    for month, transactions, items, revenue in months.sort("sales_date").rows():
        change = share(revenue - rows[-1][3], rows[-1][3]) if rows else None
        rows.append((month, transactions, items, revenue, cents(revenue / transactions), change))
    return rows


def category_performance() -> Answer:
    sums = (
        gold()
        .products.group_by(pl.col("category").fill_null("(unknown)"))
        .agg(pl.len(), pl.col("total_orders").sum(), pl.col("total_quantity_sold").sum(), pl.col("total_revenue").sum())
    )
    whole = sum(row[4] for row in sums.rows())
    rows = [(*row, cents(row[4] / row[2]), share(row[4], whole)) for row in sums.rows()]
    return sorted(rows, key=lambda row: (-row[4], row[0]))


def mix(column: str) -> Answer:
    sums = TRANSACTIONS_FRAME.group_by(pl.col(column).fill_null("(unknown)")).agg(
        pl.len(), pl.col("total_amount").sum()
    )
    count, whole = len(TRANSACTION_ROWS), sum(row[2] for row in sums.rows())
    rows = [(*row, cents(row[2] / row[1]), share(row[1], count), share(row[2], whole)) for row in sums.rows()]
    return sorted(rows, key=lambda row: (-row[2], row[0]))


def customers_by_state() -> Answer:
    spent = dict(gold().customers.select("customer_id", "total_spent").rows())
    rows = []
    for state in ("(unknown)", "CA", "TX", "NY"):
        ids = CUSTOMERS_FRAME.filter(pl.col("state").fill_null("(unknown)") == state)["customer_id"].to_list()
        buyers = [spent[key] for key in ids if key in spent]
        revenue = sum(buyers, Decimal("0.00"))
        rows.append((state, len(ids), len(buyers), share(len(buyers), len(ids)), revenue, cents(revenue / len(ids))))
    return sorted(rows, key=lambda row: (-row[4], row[0]))


def rfm_segments() -> Answer:
    customers = gold().customers
    whole, rows = sum(customers["total_spent"].to_list()), []
    for (segment,), part in customers.group_by("rfm_segment"):
        n, revenue = part.height, sum(part["total_spent"].to_list())
        means = [cents(Decimal(sum(part[name].to_list())) / n) for name in ("total_purchases", "recency_days")]
        rows.append(
            (segment, n, share(n, customers.height), revenue, share(revenue, whole), cents(revenue / n), *means)
        )
    return sorted(rows, key=lambda row: (-row[3], row[0]))


def top_customers() -> Answer:
    ranked = gold().customers.sort("total_spent", "customer_id", descending=[True, False]).head(20)
    names = ("customer_id", "customer_name", "city", "state", "total_purchases", "total_spent", "avg_order_value")
    return ranked.select(*names, "last_purchase_date", "rfm_segment").rows()


EXPECTED: dict[str, Callable[[], Answer]] = {
    "revenue-days": top_days,
    "best-products": best_products,
    "store-revenue": store_revenue,
    "monthly-trend": monthly_trend,
    "category-performance": category_performance,
    "payment-mix": lambda: mix("payment_method"),
    "channel-mix": lambda: mix("sales_channel"),
    "customers-by-state": customers_by_state,
    "rfm-segments": rfm_segments,
    "top-customers": top_customers,
}


@pytest.mark.parametrize("name", EXPECTED)
def test_shipped_queries_answer_as_polars_does(ask: Ask, name: str) -> None:
    assert ask(shipped_query(name).sql) == EXPECTED[name]()


def test_all_shipped_queries_are_checked_above_and_are_athenas_sql() -> None:
    shipped = shipped_queries()
    assert {entry.name for entry in shipped} == set(EXPECTED)
    for entry in shipped:
        assert entry.description
        assert isinstance(sqlglot.parse_one(entry.sql, read="athena"), sqlglot.exp.Select)


@pytest.mark.parametrize("name", CONTRACT)
def test_the_contracts_queries_ship_word_for_word(name: str) -> None:
    assert shipped_query(name).sql == CONTRACT[name]


def test_shipped_queries_follow_another_database_name(lake: Path, tmp_path: Path) -> None:
    crawl(lake, tmp_path / "catalog.json", "other-name")
    for entry in shipped_queries("other-name"):
        with query(entry.sql, lake=lake, catalog_file=tmp_path / "catalog.json") as result:
            assert result.reader.read_all().num_rows > 0


def test_an_unknown_shipped_query_lists_those_there_are() -> None:
    with pytest.raises(ConfigurationError) as raised:
        shipped_query("revenue")
    assert raised.value.hint is not None
    assert "revenue-days" in raised.value.hint


def test_raw_tables_read_null_as_empty_text_and_views_as_null(ask: Ask) -> None:
    assert ask("SELECT state FROM bronze_stores ORDER BY store_id") == [("",), ("",), ("GE",)]
    assert ask("SELECT state FROM stores ORDER BY store_id") == [(None,), (None,), ("GE",)]
    assert ask("SELECT store_name FROM stores ORDER BY store_id") == [(row[1],) for row in STORE_ROWS]


def test_views_are_typed_and_timestamps_are_local_time_without_the_offset(ask: Ask) -> None:
    assert ask("SELECT created_at, updated_at FROM stores ORDER BY store_id") == [
        (timestamp("2020-01-01 00:00:00"), timestamp("2020-01-01 00:00:00")),
        (timestamp("2020-01-01 00:00:00.500000"), timestamp("2020-01-01 00:00:00")),
        (timestamp("2020-01-01 10:11:12.123456"), None),
    ]
    ((id_, amount, day, year),) = ask(
        "SELECT transaction_id, total_amount, transaction_date, year FROM transactions WHERE transaction_id = 1"
    )
    assert (id_, amount, day, year) == (1, Decimal("2.74"), date(2023, 2, 2), 2023)


def test_extra_columns_show_up_as_strings(ask: Ask) -> None:
    rows = ask(
        f'SELECT "{EXTRA_COLUMN.replace(chr(34), chr(34) * 2)}" FROM transactions ORDER BY transaction_id LIMIT 2'
    )
    assert rows == [("extra\\ 1",), (None,)]


def test_values_that_do_not_parse_are_null_in_views(tmp_path: Path) -> None:
    values = [("7", 7), (" +7 ", 7), ("7.0", None), ("1e3", None), ("1_000", None), ("x", None), ("9" * 30, None)]
    lines = "".join(f'"{text}",n,"2024-02-31 00:00:00"\n' for text, _ in values)
    put(tmp_path / "lake", STORES.bronze_key, f"store_id,store_name,created_at\n{lines}")
    crawl(tmp_path / "lake", tmp_path / "catalog.json", DATABASE)
    found = answer(tmp_path / "lake", "SELECT store_id, created_at FROM stores")
    assert found == [(number, None) for _, number in values]


def test_line_breaks_that_look_like_rows_stay_in_their_field(tmp_path: Path) -> None:
    trap = "\n".join(f'{n},""fake"",x' for n in range(3000))
    body = "".join(f'{n},"{trap}",c\n' for n in range(1200))
    put(tmp_path / "lake", STORES.bronze_key, f"store_id,store_name,city\n{body}")
    crawl(tmp_path / "lake", tmp_path / "catalog.json", DATABASE)
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
    crawl(lake, tmp_path / "catalog.json", DATABASE)
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
    crawl(tmp_path / "lake", tmp_path / "catalog.json", DATABASE)
    put(tmp_path / "lake", STORES.bronze_key, "store_name,store_id\na,1\n")
    with pytest.raises(ShopeaseError, match="other columns") as raised:
        answer(tmp_path / "lake", "SELECT store_id FROM stores")
    assert raised.value.hint == "run `shopease crawl`"


def test_a_statement_that_names_larger_files_than_allowed_is_refused(lake: Path) -> None:
    catalog = lake.parent / "catalog.json"
    size = (lake / TRANSACTIONS.silver_key).stat().st_size
    sql = "SELECT COUNT(*) FROM shopease_catalog.transactions"
    with query(sql, lake=lake, catalog_file=catalog, max_scan=size) as result:
        assert result.reader.read_all().num_rows == 1
    with pytest.raises(DataRefusedError, match=f"may read {size:,} bytes") as caught:
        query(sql, lake=lake, catalog_file=catalog, max_scan=size - 1)
    assert caught.value.exit_code == 3
