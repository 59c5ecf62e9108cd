"""Figures of customers: segments, new and returning, cohorts, lifetime value, and by name only if that is asked for."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from shopease_etl.operations.business.arithmetic import percent, quotient
from shopease_etl.operations.business.figures import (
    BuyersMonth,
    Cohort,
    Customers,
    Decile,
    Month,
    Segment,
    TopCustomer,
)
from shopease_etl.operations.business.periods import Period, add_months, month_end, months_between
from shopease_etl.operations.business.sales import ZERO

if TYPE_CHECKING:
    import polars as pl

SCORES: Final = range(1, 6)
SEGMENTS: Final = (
    "champions",
    "loyal_customers",
    "potential_loyalists",
    "new_customers",
    "promising",
    "need_attention",
    "about_to_sleep",
    "at_risk",
    "cant_lose_them",
    "hibernating",
)
MAX_COHORTS: Final = 24
MAX_COHORT_MONTHS: Final = 12
MAX_CUSTOMERS: Final = 20


def customers(rows: "pl.DataFrame") -> Customers:
    """Segments and scores of a frame with `rfm_segment`, `r_score`, `f_score` and `total_spent`."""
    import polars as pl

    spent = pl.col("total_spent").sum().cast(pl.Decimal(38, 2))
    found = {
        name: (number, total)
        for name, number, total in rows.group_by("rfm_segment").agg(pl.len().alias("customers"), spent).iter_rows()
    }
    everyone, total = rows.height, sum((total for _, total in found.values()), ZERO)
    names = (*(name for name in SEGMENTS if name in found), *sorted({*found} - {*SEGMENTS}))
    segments = tuple(
        Segment(name, number, percent(number, everyone), own, percent(own, total), quotient(own, number))
        for name in names
        for number, own in [found[name]]
    )
    scores = {(r, f): number for r, f, number in rows.group_by("r_score", "f_score").len().iter_rows()}
    grid = tuple(tuple(scores.get((r, f), 0) for f in SCORES) for r in reversed(SCORES))
    return Customers(everyone, total, segments, grid)


@dataclass(frozen=True)
class Cell:
    """A row of cohort_retention, with the month in which the customers bought."""

    cohort: date
    months_since: int
    month: date
    size: int
    customers: int
    rate: Decimal
    revenue: Decimal


def cells(rows: "pl.DataFrame") -> list[Cell]:
    """The rows of cohort_retention."""
    columns = ("cohort_month", "months_since", "cohort_size", "customers", "retention_rate", "total_revenue")
    return [
        Cell(cohort, since, add_months(cohort, since), size, number, rate, revenue)
        for cohort, since, size, number, rate, revenue in rows.select(columns).iter_rows()
    ]


def buyers_in(found: Sequence[Cell], period: Period, latest: date) -> int | None:
    """The known customers who bought in a month; None for the first days of a month that has later sales.

    `latest` is the last day with sales.
    """
    if period.last not in {month_end(period.last), latest}:
        return None
    return sum(cell.customers for cell in found if cell.month == period.first)


def buyers(found: Sequence[Cell], months: Sequence[Month]) -> tuple[BuyersMonth, ...]:
    """New and returning customers of each month."""
    by_month: dict[date, list[Cell]] = {}
    for cell in found:
        by_month.setdefault(cell.month, []).append(cell)
    result = []
    for month in months:
        new = [cell for cell in by_month.get(month.month, ()) if cell.months_since == 0]
        old = [cell for cell in by_month.get(month.month, ()) if cell.months_since > 0]
        result.append(
            BuyersMonth(
                month.month,
                sum(cell.customers for cell in new),
                sum(cell.customers for cell in old),
                sum((cell.revenue for cell in new), ZERO),
                sum((cell.revenue for cell in old), ZERO),
                month.is_complete,
            )
        )
    return tuple(result)


def cohorts(found: Sequence[Cell], last: date) -> tuple[Cohort, ...]:
    """The latest 24 cohorts with their first 12 months after the first purchase, up to the month of `last`."""
    rates = {(cell.cohort, cell.months_since): cell.rate for cell in found}
    sizes = {cell.cohort: cell.size for cell in found if cell.cohort <= last}
    result = []
    for month in sorted(sizes)[-MAX_COHORTS:]:
        length = min(len(months_between(month, last)), MAX_COHORT_MONTHS + 1)
        own = (quotient(rates.get((month, since), ZERO) * 100, 1, Decimal("0.1")) for since in range(length))
        result.append(Cohort(month, sizes[month], tuple(rate for rate in own if rate is not None)))
    return tuple(result)


def lifetime_value(rows: "pl.DataFrame") -> tuple[Decile, ...]:
    """Customers and their expected revenue by decile, the best first."""
    import polars as pl

    found = rows.group_by("clv_decile").agg(
        pl.len().alias("customers"),
        pl.col("clv_365d").sum().cast(pl.Decimal(38, 2)),
        pl.col("clv_365d").count().alias("estimated"),
        pl.col("p_alive").sum().cast(pl.Decimal(38, 4)).alias("alive"),
    )
    return tuple(
        Decile(
            decile,
            number,
            value if estimated else None,
            quotient(value, estimated),
            percent(alive, estimated),
        )
        for decile, number, value, estimated, alive in found.sort(
            "clv_decile", descending=True, nulls_last=True
        ).iter_rows()
    )


def top_customers(rows: "pl.DataFrame") -> tuple[TopCustomer, ...]:
    """The 20 customers who have spent most, with their names."""
    best = rows.sort("total_spent", "customer_id", descending=[True, False]).head(MAX_CUSTOMERS)
    columns = ("customer_id", "customer_name", "total_spent", "total_purchases", "last_purchase_date", "rfm_segment")
    return tuple(TopCustomer(*row) for row in best.select(columns).iter_rows())
