"""Gold's formulas against plain Python, and the laws of its scores."""

from collections import defaultdict
from datetime import date
from decimal import ROUND_HALF_UP, Decimal

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from shopease_etl.contract import tables
from shopease_etl.contract.gold import USUAL
from shopease_etl.contract.gold.customer_analytics import rfm
from shopease_etl.contract.gold.dataset import TOTALS, Frames, needed
from shopease_etl.contract.gold.formulas import conform
from shopease_etl.transform.memory import Memory
from shopease_etl.transform.partials import PartialSums, add_up

CENT = Decimal("0.01")
Sale = tuple[str | None, str | None, int, Decimal, date]

sales = st.lists(
    st.tuples(
        st.none() | st.sampled_from(["1", "2", "3", "4", "x"]),
        st.none() | st.sampled_from(["1", "2", "3"]),
        st.integers(1, 9),
        st.decimals(min_value="0.01", max_value="999.99", places=2),
        st.dates(date(2023, 12, 1), date(2024, 3, 10)),
    ),
    max_size=30,
)


def silver(rows: list[Sale]) -> Frames:
    columns = ("customer_id", "product_id", "quantity", "total_amount", "transaction_date")
    none = {name: pl.lit(None, pl.String) for name in ("store_id", "sales_channel")}
    transactions = pl.DataFrame(
        [tuple(None if value is None else str(value) for value in row) for row in rows],
        schema=dict.fromkeys(columns, pl.String),
        orient="row",
    ).with_columns(**none)
    products = pl.DataFrame({"product_id": ["1"], "product_name": ["Tea"], "category": ["FOOD"]})
    customers = pl.DataFrame({"customer_id": ["1"], "customer_name": ["ANN"], "city": ["Oslo"], "state": [None]})
    with PartialSums(Memory()) as parts:
        for table, frame in zip(tables.CLEANED_TABLES, (customers, products, transactions), strict=True):
            parts.add(table, add_up(frame, table))
        return parts.frames()


def built(name: str, rows: list[Sale]) -> list[dict[str, object]]:
    dataset = next(dataset for dataset in USUAL if dataset.name == name)
    frame = conform(dataset.build(silver(rows)), dataset)
    assert frame.columns == [column.name for column in dataset.columns]
    return frame.to_dicts()


def average(total: Decimal, count: int) -> Decimal:
    return (total / count).quantize(CENT, ROUND_HALF_UP)


@given(sales)
def test_daily_sales_summary(rows: list[Sale]) -> None:
    days: dict[date, list[Sale]] = defaultdict(list)
    for row in rows:
        days[row[4]].append(row)
    expected = [
        {
            "sales_date": day,
            "total_transactions": len(of_day),
            "total_items_sold": sum(row[2] for row in of_day),
            "total_revenue": sum(row[3] for row in of_day),
            "avg_transaction_value": average(sum((row[3] for row in of_day), Decimal(0)), len(of_day)),
            "unique_customers": len({row[0] for row in of_day} - {None, "x"}),
            "unique_products": len({row[1] for row in of_day} - {None}),
        }
        for day, of_day in sorted(days.items())
    ]
    assert built("daily_sales_summary", rows) == expected


@given(sales)
def test_product_performance(rows: list[Sale]) -> None:
    products: dict[int, list[Sale]] = defaultdict(list)
    for row in rows:
        if row[1] is not None:
            products[int(row[1])].append(row)
    expected = []
    for product, of_product in products.items():
        revenue = sum((row[3] for row in of_product), Decimal(0))
        items = sum(row[2] for row in of_product)
        expected.append(
            {
                "product_id": product,
                "product_name": "Tea" if product == 1 else None,
                "category": "FOOD" if product == 1 else None,
                "total_orders": len(of_product),
                "total_quantity_sold": items,
                "total_revenue": revenue,
                "avg_order_value": average(revenue, len(of_product)),
                "avg_quantity_per_order": average(Decimal(items), len(of_product)),
            }
        )
    expected.sort(key=lambda row: (-row["total_revenue"], row["product_id"]))  # type: ignore[operator]
    assert built("product_performance", rows) == expected


@given(sales)
def test_customer_analytics_scores_count_worse_customers(rows: list[Sale]) -> None:
    result = built("customer_analytics", rows)
    known = {int(row[0]) for row in rows if row[0] not in (None, "x")}
    assert {row["customer_id"] for row in result} == known
    latest = max((row[4] for row in rows), default=None)
    for row in result:
        assert row["recency_days"] == (latest - row["last_purchase_date"]).days  # type: ignore[operator]
        for score, measure, sign in (("r", "recency_days", -1), ("f", "total_purchases", 1), ("m", "total_spent", 1)):
            worse = sum(sign * other[measure] < sign * row[measure] for other in result)  # type: ignore[operator]
            assert row[f"{score}_score"] == 1 + 5 * worse // len(result)
        assert row["rfm_score"] == f"{row['r_score']}{row['f_score']}{row['m_score']}"


@given(sales, st.randoms(use_true_random=False))
def test_scores_do_not_depend_on_the_order_of_rows(rows: list[Sale], random: object) -> None:
    shuffled = list(rows)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert built("customer_analytics", shuffled) == built("customer_analytics", rows)


def test_segments_are_those_of_the_contract() -> None:
    table = {
        5: ["new_customers", "potential_loyalists", "potential_loyalists", "champions", "champions"],
        4: ["promising", "potential_loyalists", "potential_loyalists", "loyal_customers", "loyal_customers"],
        3: ["about_to_sleep", "about_to_sleep", "need_attention", "loyal_customers", "loyal_customers"],
        2: ["hibernating", "hibernating", "at_risk", "at_risk", "cant_lose_them"],
        1: ["hibernating", "hibernating", "at_risk", "at_risk", "cant_lose_them"],
    }
    customers = [
        {"customer_id": 10 * i + j, "recency_days": i, "total_purchases": j, "total_spent": Decimal(1)}
        for i in range(5)
        for j in range(5)
    ]
    scored = rfm(pl.DataFrame(customers))
    for row in scored.iter_rows(named=True):
        assert row["rfm_segment"] == table[row["r_score"]][row["f_score"] - 1]
    assert set(scored["r_score"]) == set(scored["f_score"]) == {1, 2, 3, 4, 5}


def test_totals_count_sales_without_customer_or_product() -> None:
    day = date(2024, 1, 1)
    rows: list[Sale] = [("1", "1", 1, Decimal("1.10"), day), ("x", None, 1, Decimal("2.20"), day)]
    totals = silver(rows)[TOTALS]
    assert totals.row(0, named=True) == {
        "transactions": 2,
        "revenue": Decimal("3.30"),
        "transactions_without_customer_id": 1,
        "revenue_without_customer_id": Decimal("2.20"),
        "transactions_without_product_id": 1,
        "revenue_without_product_id": Decimal("2.20"),
        "transactions_without_store_id": 2,
        "revenue_without_store_id": Decimal("3.30"),
        "transactions_without_sales_channel": 2,
        "revenue_without_sales_channel": Decimal("3.30"),
        "latest": day,
    }


def test_columns_that_gold_needs_are_required() -> None:
    """So a source without it is refused before anything is written."""
    for table, names in needed(USUAL).items():
        made = {column.name for column in table.calculated}
        assert table.required
        assert {*names} - made <= {*table.required_columns}
