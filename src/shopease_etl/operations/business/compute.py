"""Computes all figures of the report from gold and the manifests."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from shopease_etl import __version__
from shopease_etl.lake.store import Store
from shopease_etl.operations.business import customers, goods, quality, sales
from shopease_etl.operations.business.figures import Report
from shopease_etl.operations.business.lake_data import DATASETS, LakeData, read_lake
from shopease_etl.operations.business.periods import Calendar, Period
from shopease_etl.operations.business.sales import Days, Sold
from shopease_etl.report import ObjectRecord

if TYPE_CHECKING:
    import polars as pl

TREND_MONTHS: Final = 24

_COLUMNS: Final[Mapping[str, tuple[str, ...]]] = {
    "daily_sales_summary": ("sales_date", "total_revenue", "total_transactions", "total_items_sold"),
    "monthly_product_sales": (
        "product_id",
        "product_name",
        "category",
        "sales_month",
        "total_orders",
        "total_quantity_sold",
        "total_revenue",
    ),
    "monthly_channel_sales": ("sales_channel", "sales_month", "total_revenue", "total_transactions"),
    "store_performance": ("store_id", "store_name", "sales_month", "total_revenue", "total_transactions"),
    "inventory_status": goods.STOCK_COLUMNS,
    "customer_analytics": ("rfm_segment", "r_score", "f_score", "total_spent"),
    "cohort_retention": (
        "cohort_month",
        "months_since",
        "cohort_size",
        "customers",
        "retention_rate",
        "total_revenue",
    ),
    "customer_lifetime_value": ("clv_decile", "clv_365d", "p_alive"),
}
_OF_CUSTOMERS: Final = ("customer_id", "customer_name", "total_purchases", "last_purchase_date")

Frames = Mapping[str, "pl.DataFrame"]


def report(
    store: Store, *, is_running: bool = False, with_customers: bool = False, now: datetime | None = None
) -> Report:
    """All figures of the lake in the store; `is_running` says that its lock is held.

    All are of one state of the lake (`lake_data.read_lake`). Customers' names are read only `with_customers`.

    Raises:
        ShopeaseError: the lake has no gold yet.
        DataRefusedError: a gold file is not what its run wrote, or not of this version.
    """
    data = read_lake(store)
    frames = _frames(data, with_customers=with_customers)
    days = Days.of(frames["daily_sales_summary"])
    calendar = days.calendar
    record = data.record("daily_sales_summary")
    run_id = record.run_id if record else None
    revenue, transactions, _ = days.total()
    newest = quality.data_run(data, run_id)
    parts = {**_without_sales(), **(_of_sales(days, calendar, frames) if calendar else {})}
    return Report(
        made_at=(now or datetime.now(UTC)).isoformat(timespec="seconds"),
        shopease_version=__version__,
        lake=data.location,
        run_id=run_id,
        data_at=str(newest.document["finished_at"]) if newest else quality.ended_at(data.manifests, run_id),
        trouble=quality.trouble(data.manifests, run_id, is_running=is_running),
        reconciliation=quality.reconciliation(data, run_id, revenue, transactions),
        sales=Period(calendar.first, calendar.last) if calendar else None,
        revenue=revenue,
        transactions=transactions,
        missing=tuple(name for name in DATASETS if name not in frames),
        stock=goods.stock(frames["inventory_status"]) if "inventory_status" in frames else None,
        customers=customers.customers(frames["customer_analytics"]) if "customer_analytics" in frames else None,
        lifetime_value=_optional(customers.lifetime_value, frames.get("customer_lifetime_value")),
        lifetime_value_run=_older(data.record("customer_lifetime_value"), run_id),
        top_customers=_optional(customers.top_customers, frames.get("customer_analytics") if with_customers else None),
        quality=quality.quality(data, {name: frame.height for name, frame in frames.items()}, is_running=is_running),
        **parts,
    )


def _frames(data: LakeData, *, with_customers: bool) -> Frames:
    frames = {}
    for name, columns in _COLUMNS.items():
        more = _OF_CUSTOMERS if with_customers and name == "customer_analytics" else ()
        if (frame := data.frame(name, *columns, *more)) is not None:
            frames[name] = frame
    return frames


def _older(record: ObjectRecord | None, run_id: str | None) -> str | None:
    """The run that wrote a dataset, if it was before the run of the sales."""
    return record.run_id if record and run_id and record.run_id < run_id else None


def _optional(compute: Any, frame: "pl.DataFrame | None") -> Any:
    return () if frame is None else compute(frame)


def _without_sales() -> dict[str, Any]:
    nothing = ("key_figures", "so_far", "weekday_period", "categories", "stores", "channels", "products")
    empty = ("months", "weekdays", "channel_months", "buyers", "cohorts")
    return {**dict.fromkeys(nothing), **dict.fromkeys(empty, ())}


def _of_sales(days: Days, calendar: Calendar, frames: Frames) -> dict[str, Any]:
    """The parts of the report that need a calendar, by name."""
    cells = customers.cells(frames["cohort_retention"]) if "cohort_retention" in frames else None
    months = sales.months(days, calendar)
    channels, products = _channels(frames), frames.get("monthly_product_sales")
    shares = partial(_breakdown, days=days, calendar=calendar)
    by_channel = shares(channels)

    def count(period: Period) -> int | None:
        return None if cells is None else customers.buyers_in(cells, period, calendar.last)

    figures = partial(sales.key_figures, days, earlier=calendar.before, customers=count)
    trend = months[-TREND_MONTHS:]
    return {
        "key_figures": figures(calendar.month),
        "so_far": figures(calendar.so_far) if calendar.so_far else None,
        "months": months,
        "weekdays": sales.weekdays(days, calendar.year),
        "weekday_period": calendar.year,
        "categories": shares(_categories(frames)),
        "stores": shares(_stores(frames)),
        "channels": by_channel,
        "channel_months": sales.channel_months(channels, by_channel, trend) if channels and by_channel else (),
        "products": None
        if products is None
        else goods.products(products, calendar.quarter, calendar.earlier_quarter()),
        "buyers": customers.buyers(cells, trend) if cells is not None else (),
        "cohorts": customers.cohorts(cells, calendar.month.first) if cells is not None else (),
    }


def _breakdown(sold: Sequence[Sold] | None, *, days: Days, calendar: Calendar) -> Any:
    if sold is None:
        return None
    return sales.breakdown(sold, days, calendar.year, calendar.earlier_year())


def _categories(frames: Frames) -> list[Sold] | None:
    import polars as pl

    if "monthly_product_sales" not in frames:
        return None
    grouped = (
        frames["monthly_product_sales"]
        .group_by("category", "sales_month")
        .agg(pl.col("total_revenue").sum().cast(pl.Decimal(38, 2)), pl.col("total_orders").sum())
    )
    return [Sold(name, name, month, revenue, orders) for name, month, revenue, orders in grouped.iter_rows()]


def _channels(frames: Frames) -> list[Sold] | None:
    if "monthly_channel_sales" not in frames:
        return None
    rows = frames["monthly_channel_sales"].select(*_COLUMNS["monthly_channel_sales"])
    return [Sold(name, name, month, revenue, number) for name, month, revenue, number in rows.iter_rows()]


def _stores(frames: Frames) -> list[Sold] | None:
    if "store_performance" not in frames:
        return None
    rows = frames["store_performance"].select(*_COLUMNS["store_performance"])
    return [
        Sold(store, name or f"store {store}", month, revenue, number)
        for store, name, month, revenue, number in rows.iter_rows()
    ]
