"""The contract's queries and those that ship give what Polars and plain Python compute, and lose no revenue."""

from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta
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
    Rows,
    answer,
    asked,
    catalogue,
    crawled_lake,
    csv_text,
    gold,
    names_of,
    put,
    warehouse,
)
from month_lake import split_by_month
from shopease_etl.contract.gold import USUAL
from shopease_etl.contract.tables import (
    CLEANED_TABLES,
    CUSTOMERS,
    INVENTORY,
    PRODUCTS,
    SALES_MANAGERS,
    STORES,
    TRANSACTIONS,
)
from shopease_etl.errors import ConfigurationError
from shopease_etl.lake.local import LocalStore
from shopease_etl.stages.aggregate import aggregate
from shopease_etl.stages.clean import clean
from shopease_etl.stages.named_queries import shipped_queries, shipped_query
from shopease_etl.warehouse import SqlEngine

CONTRACT = {
    "revenue-days": """SELECT sales_date, total_revenue, total_transactions, unique_customers
FROM shopease_catalog.daily_sales_summary ORDER BY total_revenue DESC LIMIT 10;""",
    "best-products": """SELECT product_name, category, total_revenue, total_quantity_sold
FROM shopease_catalog.product_performance ORDER BY total_revenue DESC LIMIT 10;""",
    "store-revenue": """SELECT s.store_name, COUNT(*) AS transactions, SUM(t.quantity * t.unit_price) AS revenue
FROM shopease_catalog.transactions t JOIN shopease_catalog.stores s ON t.store_id = s.store_id
GROUP BY s.store_name ORDER BY revenue DESC;""",
}


@pytest.fixture(scope="module", params=["none", "month"])
def lake(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = crawled_lake(tmp_path_factory.mktemp("queried"))
    if request.param == "month":
        split_by_month(LocalStore(made))
        catalogue(made, made.parent / "catalog.json")
    return made


DirtyLake = tuple[SqlEngine, Decimal]
SALE_COLUMNS = tuple(column.name for column in TRANSACTIONS.columns)


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
        follows = bool(rows) and rows[-1][0] == (month - timedelta(days=1)).replace(day=1)
        change = share(revenue - rows[-1][3], rows[-1][3]) if follows else None
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
    sums = TRANSACTIONS_FRAME.group_by(pl.col(column).str.to_uppercase().fill_null("(unknown)")).agg(
        pl.len(), pl.col("total_amount").sum()
    )
    count, whole = len(TRANSACTION_ROWS), sum(row[2] for row in sums.rows())
    rows = [(*row, cents(row[2] / row[1]), share(row[1], count), share(row[2], whole)) for row in sums.rows()]
    return sorted(rows, key=lambda row: (-row[2], row[0]))


def store_mix() -> Answer:
    count, whole = len(TRANSACTION_ROWS), sum(row[2] for row in store_revenue())
    keys = {name: key for key, name, *_ in STORE_ROWS}
    return [
        (keys[name], name, n, revenue, cents(revenue / n), share(n, count), share(revenue, whole))
        for name, n, revenue in store_revenue()
    ]


def unknown_sales() -> pl.DataFrame:
    return TRANSACTIONS_FRAME.filter(pl.col("customer_id").is_null())


def total(sales: pl.DataFrame) -> Decimal:
    return sum(sales["total_amount"].to_list(), Decimal())


def customers_by_state() -> Answer:
    spent = dict(gold().customers.select("customer_id", "total_spent").rows())
    rows = []
    for state in ("(unknown)", "CA", "TX", "NY"):
        ids = CUSTOMERS_FRAME.filter(pl.col("state").fill_null("(unknown)") == state)["customer_id"].to_list()
        buyers = [spent[key] for key in ids if key in spent]
        revenue = sum(buyers, Decimal("0.00"))
        more = total(unknown_sales()) if state == "(unknown)" else 0
        spread = share(len(buyers), len(ids))
        rows.append((state, len(ids), len(buyers), spread, revenue + more, cents(revenue / len(ids))))
    return sorted(rows, key=lambda row: (-row[4], row[0]))


def rfm_segments() -> Answer:
    customers = gold().customers
    unknown, whole = total(unknown_sales()), total(TRANSACTIONS_FRAME)
    rows: Answer = [("(unknown)", 0, Decimal("0.00"), unknown, share(unknown, whole), None, None, None)]
    for (segment,), part in customers.group_by("rfm_segment"):
        n, revenue = part.height, sum(part["total_spent"].to_list())
        means = [cents(Decimal(sum(part[name].to_list())) / n) for name in ("total_purchases", "recency_days")]
        rows.append(
            (segment, n, share(n, customers.height), revenue, share(revenue, whole), cents(revenue / n), *means)
        )
    return sorted(rows, key=lambda row: (-row[3], row[0]))


def top_customers() -> Answer:
    ranked = gold().customers.sort("total_spent", "customer_id", descending=[True, False])
    names = ("customer_id", "customer_name", "city", "state", "total_purchases", "total_spent")
    rows = ranked.select(*names, "last_purchase_date", "rfm_segment").rows()
    unknown = unknown_sales()
    rows.append((None, "(unknown)", None, None, unknown.height, total(unknown), None, None))
    return [(*row[:6], cents(row[5] / row[4]), *row[6:]) for row in rows]


EXPECTED: dict[str, Callable[[], Answer]] = {
    "revenue-days": top_days,
    "best-products": best_products,
    "store-revenue": store_revenue,
    "monthly-trend": monthly_trend,
    "category-performance": category_performance,
    "store-mix": store_mix,
    "payment-mix": lambda: mix("payment_method"),
    "channel-mix": lambda: mix("sales_channel"),
    "customers-by-state": customers_by_state,
    "rfm-segments": rfm_segments,
    "top-customers": top_customers,
}


@pytest.mark.parametrize("name", EXPECTED)
def test_shipped_queries_give_the_same_as_polars(lake: Path, name: str) -> None:
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


def test_an_unknown_shipped_query_lists_the_existing_ones() -> None:
    with pytest.raises(ConfigurationError) as raised:
        shipped_query("revenue")
    assert raised.value.hint is not None
    assert "revenue-days" in raised.value.hint


DIRTY: dict[str, tuple[list[int | None], list[int | None], list[int | None]]] = {
    "dirty": ([1, 2, 99, None], [*range(1, 40), None], [1, 2, 3, 99, None]),
    "nothing known": ([None], [None], [None]),
    "no sales": ([], [], []),
}


@pytest.fixture(scope="module", params=DIRTY)
def dirty_lake(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DirtyLake]:
    """A lake made by the stages, with sales of unknown stores, customers and products, and its reconciled revenue."""
    root = tmp_path_factory.mktemp("dirty") / "lake"
    now = "2024-01-01 00:00:00"
    stores: Rows = [
        (1, "One", None, None, now, now),
        (2, "Two", None, None, now, now),
        (2, "Twice", None, None, now, now),
    ]
    customers: Rows = [
        (n, f"C{n}" if n % 5 else None, f"{n}@x.org", *[None] * 3, ["ca", "CA", None][n % 3], None, now, now)
        for n in range(1, 35)
    ]
    products: Rows = [
        (1, "P", "toys", 1, None, now, now),
        (2, "P", None, 1, None, now, now),
        (3, None, "x", 1, None, now, now),
    ]
    for table, rows in ((STORES, stores), (INVENTORY, []), (SALES_MANAGERS, []), (CUSTOMERS, customers)):
        put(root, table.bronze_key, csv_text(names_of(table), rows))
    put(root, PRODUCTS.bronze_key, csv_text(names_of(PRODUCTS), products))
    put(root, TRANSACTIONS.bronze_key, csv_text(SALE_COLUMNS, list(dirty_sales(*DIRTY[request.param]))))
    store = LocalStore(root)
    clean(store, CLEANED_TABLES, "run", recorded={})
    made = aggregate(store, USUAL, recorded={})
    catalogue(root, root.parent / "catalog.json")
    with closing(warehouse(root, root.parent / "catalog.json").engine()) as engine:
        yield engine, Decimal(str(made.reconciliation["silver_revenue"]))


def dirty_sales(*keys: list[int | None]) -> Iterator[tuple[object, ...]]:
    for n in range(100 if keys[0] else 0):
        store, customer, product = (choices[n % len(choices)] for choices in keys)
        method, channel = ["Cash", "CASH", " cash", "Card", None, ""][n % 6], [None, "Web", "WEB"][n % 3]
        sold = f"2024-{[1, 2, 5][n % 3]:02}-01 00:00:00"
        yield n, store, customer, product, 1 + n % 3, f"{n}.37", method, channel, sold, sold


@pytest.mark.parametrize("name", [query.name for query in shipped_queries() if query.name not in CONTRACT])
def test_shipped_queries_add_up_to_the_reconciled_revenue(dirty_lake: DirtyLake, name: str) -> None:
    engine, revenue = dirty_lake
    rows = engine.execute(shipped_query(name).sql).read_all()
    (column,) = {"revenue", "total_spent"} & set(rows.column_names)
    assert sum(rows[column].to_pylist()) == revenue
    for shares in {"revenue_percent", "transactions_percent"} & set(rows.column_names) if rows.num_rows else ():
        assert abs(sum(rows[shares].to_pylist()) - 100) <= Decimal("0.005") * rows.num_rows


@pytest.mark.parametrize(
    ("name", "column", "values"),
    [
        ("payment-mix", "payment_method", {"CASH", "CARD", "(unknown)"}),
        ("channel-mix", "sales_channel", {"WEB", "(unknown)"}),
        ("customers-by-state", "state", {"CA", "(unknown)"}),
        ("category-performance", "category", {"TOYS", "(unknown)"}),
        ("store-mix", "store_name", {"One", "Two", "(unknown)"}),
    ],
)
@pytest.mark.parametrize("dirty_lake", ["dirty"], indirect=True)
def test_one_row_for_a_name_in_any_case_and_one_for_all_that_is_unknown(
    dirty_lake: DirtyLake, name: str, column: str, values: set[str]
) -> None:
    engine, _ = dirty_lake
    assert sorted(engine.execute(shipped_query(name).sql).read_all()[column].to_pylist()) == sorted(values)


@pytest.mark.parametrize("name", CONTRACT)
def test_lists_of_the_best_refer_to_the_complete_query(name: str) -> None:
    (named,) = [other.name for other in shipped_queries() if other.name in shipped_query(name).description]
    assert named not in CONTRACT
