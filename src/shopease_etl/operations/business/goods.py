"""Figures of products and stock."""

from datetime import date
from typing import TYPE_CHECKING, Final

from shopease_etl.operations.business.arithmetic import change_percent
from shopease_etl.operations.business.figures import Products, ProductSales, Stock, StockItem, StoreStock
from shopease_etl.operations.business.periods import Period, month_of

if TYPE_CHECKING:
    import polars as pl

MAX_PRODUCTS: Final = 10
MAX_ITEMS: Final = 15
MAX_STORES: Final = 10
STATUSES: Final = ("out_of_stock", "reorder", "low_cover", "no_sales", "ok", "unknown")
URGENT: Final = STATUSES[:3]

STOCK_COLUMNS: Final = (
    "store_id",
    "store_name",
    "product_id",
    "product_name",
    "quantity",
    "reorder_level",
    "units_sold_28d",
    "days_of_cover",
    "stock_status",
)


def products(sold: "pl.DataFrame", period: Period, before: Period | None) -> Products:
    """The best sellers of a period, and those whose revenue fell most since the earlier one, in money.

    `sold` has monthly_product_sales' columns.
    """
    import polars as pl

    now, past = _totals(sold, period), _totals(sold, before)
    names = sold.group_by("product_id").agg(pl.col("product_name", "category").sort_by("sales_month").last())
    rows = now.join(past, on="product_id", how="full", coalesce=True, suffix="_before").join(names, on="product_id")
    zero = pl.lit(0).cast(pl.Decimal(38, 2))
    rows = rows.with_columns(pl.col("revenue").fill_null(zero), pl.col("quantity").fill_null(0))
    if before:
        rows = rows.with_columns(pl.col("revenue_before").fill_null(zero))
    rows = rows.with_columns(change=pl.col("revenue") - pl.col("revenue_before"))
    best = rows.filter(pl.col("revenue") > zero).sort("revenue", "product_id", descending=[True, False])
    falling = rows.filter(pl.col("change") < zero).sort("change", "product_id")
    return Products(period, before, now.height, _products(best), _products(falling))


def _totals(sold: "pl.DataFrame", period: Period | None) -> "pl.DataFrame":
    import polars as pl

    first, last = (month_of(period.first), period.last) if period else (date.max, date.min)
    chosen = sold.filter(pl.col("sales_month").is_between(first, last))
    return chosen.group_by("product_id").agg(
        revenue=pl.col("total_revenue").sum().cast(pl.Decimal(38, 2)), quantity=pl.col("total_quantity_sold").sum()
    )


def _products(rows: "pl.DataFrame") -> tuple[ProductSales, ...]:
    columns = ("product_id", "product_name", "category", "revenue", "quantity", "revenue_before", "change")
    return tuple(
        ProductSales(product, name, category, revenue, quantity, before, change, change_percent(revenue, before))
        for product, name, category, revenue, quantity, before, change in rows.select(columns)
        .head(MAX_PRODUCTS)
        .iter_rows()
    )


def stock(items: "pl.DataFrame") -> Stock:
    """The stock of a frame with `STOCK_COLUMNS`."""
    import polars as pl

    items = items.with_columns(pl.col("stock_status").fill_null("unknown"))
    found = dict(items.group_by("stock_status").len().iter_rows())
    counts = {status: int(found.get(status, 0)) for status in (*STATUSES, *sorted({*found} - {*STATUSES}))}
    urgent = items.filter(pl.col("stock_status").is_in(URGENT)).with_columns(
        urgency=pl.col("stock_status").replace_strict(URGENT, list(range(len(URGENT))), return_dtype=pl.Int8)
    )
    order = ("urgency", "units_sold_28d", "store_id", "product_id")
    worst = urgent.sort(order, descending=[False, True, False, False], nulls_last=True).head(MAX_ITEMS)
    rows = tuple(StockItem(*row) for row in worst.select(STOCK_COLUMNS).iter_rows())
    return Stock(items.height, counts, urgent.height, _stores(items), rows)


def _stores(items: "pl.DataFrame") -> tuple[StoreStock, ...]:
    """The stores with most items that need action, and all others."""
    import polars as pl

    counts = {status: (pl.col("stock_status") == status).sum().cast(pl.Int64) for status in URGENT}
    found = items.group_by("store_id").agg(pl.col("store_name").first(), pl.len().alias("items"), **counts)
    found = found.sort(pl.sum_horizontal(URGENT), "store_id", descending=[True, False], nulls_last=True)
    length = MAX_STORES if found.height > MAX_STORES + 1 else found.height
    shown = [
        StoreStock("unnamed" if store is None else "named", store, name, 1, *numbers)
        for store, name, *numbers in found.head(length).iter_rows()
    ]
    rest = found.slice(length)
    if rest.height:
        shown.append(StoreStock("others", None, None, rest.height, *rest.select("items", *URGENT).sum().row(0)))
    return tuple(shown)
