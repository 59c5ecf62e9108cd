"""What customers bought, by month and store: the sums of which several datasets are made."""

from datetime import date
from typing import TYPE_CHECKING, Final

from shopease_etl.contract.gold.dataset import SALES_MONTH, Measure, SalesSums

if TYPE_CHECKING:
    import polars as pl

BY_CUSTOMER: Final = "by_customer"
COHORTS: Final = "cohorts"
STORE_CUSTOMERS: Final = "store_customers"


def by_customer(sums: "pl.DataFrame", _: date | None) -> "pl.DataFrame":
    """The measures of each customer_id."""
    import polars as pl

    return sums.group_by("customer_id").agg(
        pl.col("total_purchases", "total_items_bought", "total_spent").sum(),
        pl.col("first_purchase_date").min(),
        pl.col("last_purchase_date").max(),
    )


def cohorts(sums: "pl.DataFrame", _: date | None) -> "pl.DataFrame":
    """The customers and their total_spent by cohort_month, the month of their first purchase, and sales_month."""
    import polars as pl

    months = sums.group_by("customer_id", SALES_MONTH).agg(pl.col("total_spent").sum())
    first = pl.col(SALES_MONTH).min().over("customer_id").alias("cohort_month")
    by_month = months.with_columns(first).group_by("cohort_month", SALES_MONTH)
    return by_month.agg(pl.len().cast(pl.Int64).alias("customers"), pl.col("total_spent").sum())


def store_customers(sums: "pl.DataFrame", _: date | None) -> "pl.DataFrame":
    """The number of customers by store_id and sales_month."""
    import polars as pl

    number = pl.len().cast(pl.Int64).alias("unique_customers")
    return sums.drop_nulls("store_id").group_by("store_id", SALES_MONTH).agg(number)


CUSTOMER_MONTHS: Final = SalesSums(
    "customer_months",
    ("customer_id", SALES_MONTH, "store_id"),
    {
        "total_purchases": Measure("count"),
        "total_items_bought": Measure("sum", "quantity"),
        "total_spent": Measure("sum", "total_amount"),
        "first_purchase_date": Measure("min", "transaction_date"),
        "last_purchase_date": Measure("max", "transaction_date"),
    },
    summaries={BY_CUSTOMER: by_customer, COHORTS: cohorts, STORE_CUSTOMERS: store_customers},
    may_lack=("store_id",),
)
