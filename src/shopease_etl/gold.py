"""Silver to gold: the business datasets and their reconciliation, as pure functions of frames.

Frames come in with silver's columns, typed by `typed`. Formulas are the contract's ("Gold", "RFM").
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import narwhals.stable.v2 as nw

from shopease_etl import grammar, tables
from shopease_etl.tables import GoldTable, Table

Frame = nw.LazyFrame[Any]
Frames = Mapping[str, Frame]

_DECIMAL = nw.Decimal(38, 2)
_USED: Final = {
    "transactions": ("customer_id", "product_id", "quantity", "total_amount", "transaction_date"),
    "products": ("product_id", "product_name", "category"),
    "customers": ("customer_id", "customer_name", "city", "state"),
}
_TYPES: Final = {tables.DATE: nw.Date(), tables.BIGINT: nw.Int64(), tables.INT: nw.Int32(), tables.STRING: nw.String()}


@dataclass(frozen=True)
class GoldDataset:
    """A dataset of the gold layer and the function of silver's typed frames that makes it.

    Its columns `revenue` and `sales` add up to those of silver, less the sales that have no `subject`.
    """

    table: GoldTable
    build: Callable[[Frames], Frame]
    revenue: str
    sales: str
    subject: str | None = None


def typed(silver: Frame, table: Table) -> Frame:
    """The columns of a silver table that gold needs, in their types; a foreign key that is no integer is NULL."""
    types = {column.name: column.type for column in (*table.columns, *table.calculated)}
    return silver.select(_typed(name, types[name]).alias(name) for name in _USED[table.name])


def daily_sales_summary(silver: Frames) -> Frame:
    """One row a day with sales."""
    days = (
        silver["transactions"]
        .group_by("transaction_date")
        .agg(
            nw.len().alias("total_transactions"),
            _decimal(nw.col("quantity")).sum().alias("total_items_sold"),
            nw.col("total_amount").sum().alias("total_revenue"),
            _distinct("customer_id").alias("unique_customers"),
            _distinct("product_id").alias("unique_products"),
        )
    )
    average = _average(nw.col("total_revenue"), nw.col("total_transactions"))
    return days.with_columns(average.alias("avg_transaction_value"), nw.col("transaction_date").alias("sales_date"))


def product_performance(silver: Frames) -> Frame:
    """One row per product sold, best seller first; a product that silver does not know keeps its row."""
    orders = nw.col("total_orders")
    return (
        silver["transactions"]
        .filter(~nw.col("product_id").is_null())
        .group_by("product_id")
        .agg(
            nw.len().alias("total_orders"),
            _decimal(nw.col("quantity")).sum().alias("total_quantity_sold"),
            nw.col("total_amount").sum().alias("total_revenue"),
        )
        .with_columns(
            _average(nw.col("total_revenue"), orders).alias("avg_order_value"),
            _average(nw.col("total_quantity_sold"), orders).alias("avg_quantity_per_order"),
        )
        .join(silver["products"], on="product_id", how="left")
    )


def customer_analytics(silver: Frames) -> Frame:
    """One row per known customer_id with a purchase, biggest spender first, with RFM scores and segment."""
    spent = (
        silver["transactions"]
        .filter(~nw.col("customer_id").is_null())
        .group_by("customer_id")
        .agg(
            nw.len().alias("total_purchases"),
            _decimal(nw.col("quantity")).sum().alias("total_items_bought"),
            nw.col("total_amount").sum().alias("total_spent"),
            nw.col("transaction_date").min().alias("first_purchase_date"),
            nw.col("transaction_date").max().alias("last_purchase_date"),
        )
    )
    latest = silver["transactions"].select(nw.col("transaction_date").max().alias("as_of"))
    recency = _day_number(nw.col("as_of")) - _day_number(nw.col("last_purchase_date"))
    known = spent.join(latest, how="cross").with_columns(
        recency.alias("recency_days"),
        _average(nw.col("total_spent"), nw.col("total_purchases")).alias("avg_order_value"),
    )
    return rfm(known).join(silver["customers"], on="customer_id", how="left")


def rfm(customers: Frame) -> Frame:
    """Adds r_score, f_score, m_score (1 to 5), rfm_score ("555" best) and rfm_segment; equal customers score equally.

    Score = 1 + (5 × number of customers strictly worse) // N; worse is a larger `recency_days`, fewer
    `total_purchases`, a smaller `total_spent` (the contract's "RFM").
    """
    total = customers.select(nw.len().alias("customers"))
    scored = customers.join(total, how="cross").with_columns((-nw.col("recency_days")).alias("freshness"))
    for score, measure in (("r_score", "freshness"), ("f_score", "total_purchases"), ("m_score", "total_spent")):
        scored = scored.with_row_index("place", order_by=[measure, "customer_id"])
        worse = nw.col("place").cast(nw.Int64()).min().over(measure)
        scored = scored.with_columns((1 + (5 * worse) // nw.col("customers")).alias(score)).drop("place")
    digits = [nw.col(score).cast(nw.String()) for score in ("r_score", "f_score", "m_score")]
    return scored.with_columns(nw.concat_str(digits).alias("rfm_score"), _segment().alias("rfm_segment"))


GOLD: Final = (
    GoldDataset(tables.DAILY_SALES_SUMMARY, daily_sales_summary, "total_revenue", "total_transactions"),
    GoldDataset(tables.PRODUCT_PERFORMANCE, product_performance, "total_revenue", "total_orders", "product_id"),
    GoldDataset(tables.CUSTOMER_ANALYTICS, customer_analytics, "total_spent", "total_purchases", "customer_id"),
)

_SEGMENTS: Final = (
    (5, 5, ("new_customers", "potential_loyalists", "potential_loyalists", "champions", "champions")),
    (4, 4, ("promising", "potential_loyalists", "potential_loyalists", "loyal_customers", "loyal_customers")),
    (3, 3, ("about_to_sleep", "about_to_sleep", "need_attention", "loyal_customers", "loyal_customers")),
    (1, 2, ("hibernating", "hibernating", "at_risk", "at_risk", "cant_lose_them")),
)


def finished(frame: Frame, table: GoldTable) -> Frame:
    """The dataset's columns in the contract's order and types, its rows in the contract's order."""
    names = [name for name, _ in table.order_by]
    descending = [falls for _, falls in table.order_by]
    columns = (nw.col(column.name).cast(_type(column.type)) for column in table.columns)
    return frame.sort(names, descending=descending).select(*columns)


def totals(transactions: Frame) -> Frame:
    """One row: rows and revenue of all sales, and of those without a customer or product, for reconciliation."""
    amount = nw.col("total_amount")
    sums = [nw.len().alias("transactions"), amount.sum().alias("revenue")]
    for column in ("customer_id", "product_id"):
        lacks = nw.col(column).is_null()
        without = nw.when(lacks).then(amount).otherwise(nw.lit(0).cast(_DECIMAL))
        sums += [
            lacks.cast(nw.Int64()).sum().alias(f"transactions_without_{column}"),
            without.sum().alias(f"revenue_without_{column}"),
        ]
    return transactions.select(*sums)


def _typed(name: str, column_type: str) -> nw.Expr:
    text = nw.col(name)
    if column_type == tables.MONEY:
        return text.cast(_DECIMAL)
    if column_type == tables.DATE:
        return text.str.to_date(format="%Y-%m-%d")
    if column_type == tables.BIGINT:
        return nw.when(text.str.contains(grammar.INTEGER)).then(text).cast(nw.Int64())
    return text


def _type(column_type: str) -> nw.dtypes.DType:
    return nw.Decimal(18, 2) if column_type == tables.MONEY else _TYPES[column_type]


def _distinct(column: str) -> nw.Expr:
    """How many different values; NULL is not one."""
    return nw.col(column).n_unique().cast(nw.Int64()) - nw.col(column).is_null().any().cast(nw.Int64())


def _average(total: nw.Expr, count: nw.Expr) -> nw.Expr:
    """Decimal total ÷ count to the cent, half up (no total is negative), in integers: decimal division is inexact."""
    whole, number = _integer(total), _integer(count)
    cents = _integer((total - _decimal(whole)) * 100)
    rest = 100 * (whole % number) + cents
    return _decimal(whole // number) + _decimal((2 * rest + number) // (2 * number)) * nw.lit("0.01").cast(_DECIMAL)


def _integer(value: nw.Expr) -> nw.Expr:
    return value.cast(nw.Int64())


def _decimal(value: nw.Expr) -> nw.Expr:
    return value.cast(nw.Decimal(38, 0))


def _day_number(date: nw.Expr) -> nw.Expr:
    """Days since 0001-01-01, from the year and the day of the year."""
    year = date.dt.year().cast(nw.Int64()) - 1
    return 365 * year + year // 4 - year // 100 + year // 400 + date.dt.ordinal_day().cast(nw.Int64())


def _segment() -> nw.Expr:
    segment: nw.Expr = nw.lit(None, dtype=nw.String())
    for lowest, highest, names in _SEGMENTS:
        for frequency, name in enumerate(names, start=1):
            holds = (nw.col("r_score") >= lowest) & (nw.col("r_score") <= highest) & (nw.col("f_score") == frequency)
            segment = nw.when(holds).then(nw.lit(name)).otherwise(segment)
    return segment
