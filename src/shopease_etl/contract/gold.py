"""Silver to gold: the business datasets and their reconciliation, as pure functions of frames.

Frames come in with silver's columns, typed by `typed`. Formulas are the contract's ("Gold", "RFM").
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import polars as pl

from shopease_etl.contract import tables, values
from shopease_etl.contract.tables import GoldTable, Table

Frame = pl.DataFrame
Frames = Mapping[str, Frame]

DAY: Final = "transaction_date"
_DECIMAL = pl.Decimal(38, 2)
_TOO_LARGE: Final = 10**16
_SALES, _ITEMS, _REVENUE = range(3)
_ITEMS_PER_SALE: Final = "avg_quantity_per_order"
USED: Final[Mapping[str, Sequence[str]]] = {
    "transactions": ("customer_id", "product_id", "quantity", "total_amount", "transaction_date"),
    "products": ("product_id", "product_name", "category"),
    "customers": ("customer_id", "customer_name", "city", "state"),
}
_TYPES: Final = {tables.DATE: pl.Date, tables.BIGINT: pl.Int64, tables.INT: pl.Int32, tables.STRING: pl.String}


@dataclass(frozen=True)
class Part:
    """Sums of sales by `keys`, which can be made of pieces of the sales and put together; a sale without a key counts
    in none of them.

    A measure is a function of sales, and how values of it are put together.
    """

    name: str
    keys: tuple[str, ...]
    measures: Mapping[str, tuple[pl.Expr, Literal["sum", "min", "max"]]]

    def of(self, sales: Frame) -> Frame:
        """The measures of some sales."""
        return self._by_key(sales, [expression.alias(name) for name, (expression, _) in self.measures.items()])

    def together(self, parts: Frame) -> Frame:
        """The measures of all sales, from those of the pieces one below the other."""
        return self._by_key(parts, [getattr(pl.col(name), how)() for name, (_, how) in self.measures.items()])

    def _by_key(self, frame: Frame, measures: Sequence[pl.Expr]) -> Frame:
        if not self.keys:
            return frame.select(*measures)
        return frame.group_by(*self.keys).agg(*measures).drop_nulls(self.keys)


@dataclass(frozen=True)
class Distinct:
    """How many different values of a column there are among the sales of each day, as `name`; NULL is not one."""

    name: str
    column: str

    def of(self, sales: Frame) -> Frame:
        """The pairs of day and value among some sales."""
        return sales.select(DAY, self.column).drop_nulls(self.column)

    def counted(self, pairs: Frame) -> Frame:
        """The days and their counts, from all pairs of these days."""
        return pairs.group_by(DAY).agg(_integer(pl.col(self.column).n_unique()).alias(self.name))


@dataclass(frozen=True)
class GoldDataset:
    """A dataset of the gold layer and the function that makes it, of silver's typed frames and of parts by name.

    It has a row for each key of its `part`, which begins with what `_sold` gives. Its sales and revenue add up to those
    of silver, less the sales that have no `subject`.
    """

    table: GoldTable
    compose: Callable[[Frames], Frame]
    part: Part
    subject: str | None = None

    @property
    def sales(self) -> str:
        """The column with the number of sales."""
        return list(self.part.measures)[_SALES]

    @property
    def revenue(self) -> str:
        """The column with the revenue."""
        return list(self.part.measures)[_REVENUE]

    def build(self, silver: Frames) -> Frame:
        """The dataset of silver's typed frames, all of the sales at once."""
        return self.compose({**silver, **parts(silver["transactions"])})

    def too_large(self, silver: Frames) -> dict[str, Frame]:
        """By column the keys whose value decimal(18,2) does not hold.

        Items fit bigint where the revenue fits: each brings a cent at least.
        """
        beyond = {self.revenue: pl.col(self.revenue) >= _TOO_LARGE}
        if any(column.name == _ITEMS_PER_SALE for column in self.table.columns):
            least = _decimal(pl.col(self.sales)) * (200 * _TOO_LARGE - 1)  # half a cent less is rounded up
            beyond[_ITEMS_PER_SALE] = pl.col(list(self.part.measures)[_ITEMS]) * 200 >= least
        return {name: silver[self.part.name].filter(holds).select(*self.part.keys) for name, holds in beyond.items()}


def parts(sales: Frame) -> dict[str, Frame]:
    """By name what the datasets are made of, besides silver's other tables, for all sales at once."""
    return {part.name: part.of(sales) for part in PARTS} | {
        distinct.name: distinct.counted(distinct.of(sales)) for distinct in DISTINCTS
    }


def typed(silver: Frame, table: Table, *, all_parse: bool = False) -> Frame:
    """The columns of a silver table that gold needs, in their types; a foreign key that is no integer is NULL.

    `all_parse` says that there are none such, which is cheaper; the engine raises where that is not so.
    """
    types = {column.name: column.type for column in (*table.columns, *table.calculated)}
    return silver.select(_typed(name, types[name], all_parse=all_parse).alias(name) for name in USED[table.name])


def daily_sales_summary(frames: Frames) -> Frame:
    """One row a day with sales."""
    days = frames["days"]
    for distinct in DISTINCTS:
        days = days.join(frames[distinct.name], on=DAY, how="left")
    average = _average(pl.col("total_revenue"), pl.col("total_transactions"))
    unique = (pl.col(distinct.name).fill_null(0) for distinct in DISTINCTS)
    return days.with_columns(average.alias("avg_transaction_value"), pl.col(DAY).alias("sales_date"), *unique)


def product_performance(frames: Frames) -> Frame:
    """One row per product sold, best seller first; a product that silver does not know keeps its row."""
    orders = pl.col("total_orders")
    sold = frames["by_product"].with_columns(
        _average(pl.col("total_revenue"), orders).alias("avg_order_value"),
        _average(pl.col("total_quantity_sold"), orders).alias("avg_quantity_per_order"),
    )
    return sold.join(frames["products"], on="product_id", how="left")


def customer_analytics(frames: Frames) -> Frame:
    """One row per known customer_id with a purchase, biggest spender first, with RFM scores and segment."""
    latest = frames["days"][DAY].max()
    known = frames["by_customer"].with_columns(
        (pl.lit(latest, pl.Date) - pl.col("last_purchase_date")).dt.total_days().alias("recency_days"),
        _average(pl.col("total_spent"), pl.col("total_purchases")).alias("avg_order_value"),
    )
    return rfm(known).join(frames["customers"], on="customer_id", how="left")


def rfm(customers: Frame) -> Frame:
    """Adds r_score, f_score, m_score (1 to 5), rfm_score ("555" best) and rfm_segment; equal customers score equally.

    Score = 1 + (5 × number of customers strictly worse) // N; worse is a larger `recency_days`, fewer
    `total_purchases`, a smaller `total_spent` (the contract's "RFM").
    """
    measures = {
        "r_score": -pl.col("recency_days"),
        "f_score": pl.col("total_purchases"),
        "m_score": pl.col("total_spent"),
    }
    scored = customers.with_columns(
        (1 + 5 * (_integer(measure.rank("min")) - 1) // customers.height).alias(score)
        for score, measure in measures.items()
    )
    return scored.with_columns(pl.concat_str(*measures).alias("rfm_score"), _segment().alias("rfm_segment"))


_SEGMENTS: Final = {
    5: ("new_customers", "potential_loyalists", "potential_loyalists", "champions", "champions"),
    4: ("promising", "potential_loyalists", "potential_loyalists", "loyal_customers", "loyal_customers"),
    3: ("about_to_sleep", "about_to_sleep", "need_attention", "loyal_customers", "loyal_customers"),
    2: ("hibernating", "hibernating", "at_risk", "at_risk", "cant_lose_them"),
    1: ("hibernating", "hibernating", "at_risk", "at_risk", "cant_lose_them"),
}


def finished(frame: Frame, table: GoldTable) -> Frame:
    """The dataset's columns in the contract's order and types, its rows in the contract's order."""
    names = [name for name, _ in table.order_by]
    descending = [falls for _, falls in table.order_by]
    columns = (pl.col(column.name).cast(_type(column.type)) for column in table.columns)
    return frame.sort(names, descending=descending).select(*columns)


def totals(transactions: Frame) -> Frame:
    """One row: rows and revenue of all sales, and of those without a customer or product, for reconciliation."""
    return TOTALS.of(transactions)


def _typed(name: str, column_type: str, *, all_parse: bool) -> pl.Expr:
    text = pl.col(name)
    if column_type == tables.MONEY:
        return text.cast(_DECIMAL)
    if column_type == tables.DATE:
        return text.str.to_date(format="%Y-%m-%d")
    if column_type == tables.BIGINT:
        return (text if all_parse else pl.when(text.str.contains(values.INTEGER)).then(text)).cast(pl.Int64)
    return text


def _type(column_type: str) -> pl.DataType | type[pl.DataType]:
    return pl.Decimal(18, 2) if column_type == tables.MONEY else _TYPES[column_type]


def _average(total: pl.Expr, count: pl.Expr) -> pl.Expr:
    """Decimal total ÷ count to the cent, half up (no total is negative), in integers: decimal division is inexact."""
    whole, number = _integer(total), _integer(count)
    cents = _integer((total - _decimal(whole)) * 100)
    rest = 100 * (whole % number) + cents
    return _decimal(whole // number) + _decimal((2 * rest + number) // (2 * number)) * pl.lit("0.01").cast(_DECIMAL)


def _integer(value: pl.Expr) -> pl.Expr:
    return value.cast(pl.Int64)


def _decimal(value: pl.Expr) -> pl.Expr:
    return value.cast(pl.Decimal(38, 0))


def _segment() -> pl.Expr:
    segments = {10 * r + f: name for r, names in _SEGMENTS.items() for f, name in enumerate(names, start=1)}
    return (10 * pl.col("r_score") + pl.col("f_score")).replace_strict(segments, return_dtype=pl.String)


def _without(column: str) -> dict[str, tuple[pl.Expr, Literal["sum"]]]:
    lacks = pl.col(column).is_null()
    revenue = pl.when(lacks).then(pl.col("total_amount")).otherwise(pl.lit(0).cast(_DECIMAL)).sum()
    return {
        f"transactions_without_{column}": (lacks.cast(pl.Int64).sum(), "sum"),
        f"revenue_without_{column}": (revenue, "sum"),
    }


def _sold(sales: str, items: str, revenue: str) -> dict[str, tuple[pl.Expr, Literal["sum"]]]:
    return {
        sales: (_integer(pl.len()), "sum"),
        items: (_decimal(pl.col("quantity")).sum(), "sum"),
        revenue: (pl.col("total_amount").sum(), "sum"),
    }


TOTALS: Final = Part(
    "totals",
    (),
    {
        "transactions": (_integer(pl.len()), "sum"),
        "revenue": (pl.col("total_amount").sum(), "sum"),
        **_without("customer_id"),
        **_without("product_id"),
    },
)
DAYS: Final = Part("days", (DAY,), _sold("total_transactions", "total_items_sold", "total_revenue"))
BY_PRODUCT: Final = Part("by_product", ("product_id",), _sold("total_orders", "total_quantity_sold", "total_revenue"))
BY_CUSTOMER: Final = Part(
    "by_customer",
    ("customer_id",),
    {
        **_sold("total_purchases", "total_items_bought", "total_spent"),
        "first_purchase_date": (pl.col(DAY).min(), "min"),
        "last_purchase_date": (pl.col(DAY).max(), "max"),
    },
)
PARTS: Final = (TOTALS, DAYS, BY_PRODUCT, BY_CUSTOMER)
DISTINCTS: Final = (Distinct("unique_customers", "customer_id"), Distinct("unique_products", "product_id"))
GOLD: Final = (
    GoldDataset(tables.DAILY_SALES_SUMMARY, daily_sales_summary, DAYS),
    GoldDataset(tables.PRODUCT_PERFORMANCE, product_performance, BY_PRODUCT, subject="product_id"),
    GoldDataset(tables.CUSTOMER_ANALYTICS, customer_analytics, BY_CUSTOMER, subject="customer_id"),
)
