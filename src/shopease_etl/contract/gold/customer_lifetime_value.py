"""One row for each known customer_id with a purchase: what to expect of the customer, by two statistical models."""

from datetime import date
from typing import TYPE_CHECKING, Final

from shopease_etl.contract.gold.customer_analytics import CUSTOMER_ANALYTICS
from shopease_etl.contract.gold.dataset import Frames, GoldDataset, Measure, SalesSums, SameRows
from shopease_etl.contract.tables import BIGINT, DATE, INT, MONEY, RATE, Column, columns

if TYPE_CHECKING:
    import polars as pl

# The models are checked with what was known so many days before the last day with sales.
HOLDOUT_DAYS: Final = 182
HISTORIES: Final = "purchase_histories"
VALUES: Final = "lifetime_values"


def holdout_cutoff(latest: date) -> date:
    """The last day that is known to the models when they are checked, HOLDOUT_DAYS before the latest."""
    return date.fromordinal(max(1, latest.toordinal() - HOLDOUT_DAYS))


def purchase_histories(sums: "pl.DataFrame", latest: date | None) -> "pl.DataFrame":
    """Each customer's purchase_days, first_purchase_date, last_purchase_date and revenue, and as they were HOLDOUT_DAYS
    before, days_before and last_before; from revenue by customer_id and transaction_date.
    """
    import polars as pl

    day = pl.col("transaction_date")
    cutoff = holdout_cutoff(latest) if latest else None
    before = day <= pl.lit(cutoff, pl.Date)
    return sums.group_by("customer_id").agg(
        pl.len().cast(pl.Int64).alias("purchase_days"),
        day.min().alias("first_purchase_date"),
        day.max().alias("last_purchase_date"),
        pl.col("revenue").sum(),
        before.sum().cast(pl.Int64).alias("days_before"),
        day.filter(before).max().alias("last_before"),
    )


def _formula(frames: Frames) -> "pl.DataFrame":
    return frames[HISTORIES].join(frames[VALUES], on="customer_id", how="left")


CUSTOMER_LIFETIME_VALUE: Final = GoldDataset(
    name="customer_lifetime_value",
    columns=(
        Column("customer_id", BIGINT),
        Column("purchase_days", INT),
        *columns(DATE, "first_purchase_date", "last_purchase_date"),
        Column("p_alive", RATE),
        *columns(MONEY, "expected_purchases_90d", "expected_purchases_365d", "expected_purchase_value", "clv_365d"),
        Column("clv_decile", INT),
    ),
    order_by=(("customer_id", False),),
    sums=(
        SalesSums(
            "customer_days",
            ("customer_id", "transaction_date"),
            {"revenue": Measure("sum", "total_amount")},
            {HISTORIES: purchase_histories},
        ),
    ),
    formula=_formula,
    reconciles=SameRows(CUSTOMER_ANALYTICS, HISTORIES),
    is_optional=True,
)
