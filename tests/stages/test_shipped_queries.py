"""The contract's queries and those that ship give what Polars and plain Python compute."""

from collections.abc import Callable
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path

import polars as pl
import pytest
import sqlglot
from hand_made_lake import (
    CUSTOMERS_FRAME,
    STORE_ROWS,
    TRANSACTION_ROWS,
    TRANSACTIONS_FRAME,
    Answer,
    answer,
    asked,
    catalogue,
    crawled_lake,
    gold,
)

from shopease_etl.errors import ConfigurationError
from shopease_etl.stages.query import shipped_queries, shipped_query

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
    return crawled_lake(tmp_path_factory.mktemp("queried"))


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
def test_shipped_queries_answer_as_polars_does(lake: Path, name: str) -> None:
    assert answer(lake, shipped_query(name).sql) == EXPECTED[name]()


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
    catalogue(lake, tmp_path / "catalog.json", "other-name")
    for entry in shipped_queries("other-name"):
        with asked(entry.sql, lake, tmp_path / "catalog.json", database="other-name") as result:
            assert result.reader.read_all().num_rows > 0


def test_an_unknown_shipped_query_lists_those_there_are() -> None:
    with pytest.raises(ConfigurationError) as raised:
        shipped_query("revenue")
    assert raised.value.hint is not None
    assert "revenue-days" in raised.value.hint
