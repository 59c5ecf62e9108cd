"""One row for each cohort, the customers of one month of first purchase, and month in which some of them bought."""

from typing import TYPE_CHECKING, Final

from shopease_etl.contract.gold.customer_months import COHORTS, CUSTOMER_MONTHS
from shopease_etl.contract.gold.dataset import SALES_MONTH, Frames, GoldDataset, SalesTotals
from shopease_etl.contract.tables import BIGINT, DATE, INT, MONEY, RATE, Column

if TYPE_CHECKING:
    import polars as pl


def _formula(frames: Frames) -> "pl.DataFrame":
    import polars as pl

    from shopease_etl.contract.gold.formulas import divided

    started, month = pl.col("cohort_month").dt, pl.col(SALES_MONTH).dt
    since = 12 * (month.year() - started.year()) + month.month().cast(pl.Int32) - started.month().cast(pl.Int32)
    found = frames[COHORTS].group_by("cohort_month", SALES_MONTH).agg(pl.col("customers", "total_spent").sum())
    # all customers of a cohort bought in its first month
    size = pl.col("customers").max().over("cohort_month").alias("cohort_size")
    rate = divided(pl.col("customers"), pl.col("cohort_size"), 4).alias("retention_rate")
    revenue = pl.col("total_spent").alias("total_revenue")
    return found.with_columns(since.alias("months_since"), size, revenue).with_columns(rate)


COHORT_RETENTION: Final = GoldDataset(
    name="cohort_retention",
    columns=(
        Column("cohort_month", DATE),
        Column("months_since", INT),
        Column("cohort_size", BIGINT),
        Column("customers", BIGINT),
        Column("retention_rate", RATE),
        Column("total_revenue", MONEY),
    ),
    order_by=(("cohort_month", False), ("months_since", False)),
    sums=(CUSTOMER_MONTHS,),
    formula=_formula,
    reconciles=SalesTotals("total_revenue", subject="customer_id"),
)
