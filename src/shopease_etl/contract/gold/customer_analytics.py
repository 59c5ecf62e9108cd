"""One row per known customer_id with a purchase, biggest spender first, with RFM scores and segment."""

from typing import TYPE_CHECKING, Final

from shopease_etl.contract.gold.customer_months import BY_CUSTOMER, CUSTOMER_MONTHS
from shopease_etl.contract.gold.dataset import TOTALS, Frames, GoldDataset, SalesTotals
from shopease_etl.contract.tables import BIGINT, CUSTOMERS, DATE, INT, MONEY, STRING, Column, columns

if TYPE_CHECKING:
    import polars as pl

# For each score of recency, the segments by the score of frequency, 1 to 5.
_SEGMENTS: Final = {
    5: ("new_customers", "potential_loyalists", "potential_loyalists", "champions", "champions"),
    4: ("promising", "potential_loyalists", "potential_loyalists", "loyal_customers", "loyal_customers"),
    3: ("about_to_sleep", "about_to_sleep", "need_attention", "loyal_customers", "loyal_customers"),
    2: ("hibernating", "hibernating", "at_risk", "at_risk", "cant_lose_them"),
    1: ("hibernating", "hibernating", "at_risk", "at_risk", "cant_lose_them"),
}


def _formula(frames: Frames) -> "pl.DataFrame":
    import polars as pl

    from shopease_etl.contract.gold.formulas import average

    latest = pl.lit(frames[TOTALS]["latest"].item(), pl.Date)
    known = frames[BY_CUSTOMER].with_columns(
        (latest - pl.col("last_purchase_date")).dt.total_days().alias("recency_days"),
        average("total_spent", "total_purchases").alias("avg_order_value"),
    )
    return rfm(known).join(frames["customers"], on="customer_id", how="left")


def rfm(customers: "pl.DataFrame") -> "pl.DataFrame":
    """Adds r_score, f_score, m_score (1 to 5), rfm_score ("555" best) and rfm_segment; equal customers score equally.

    Score = 1 + (5 × number of customers strictly worse) // N; worse is a larger `recency_days`, fewer
    `total_purchases`, a smaller `total_spent` (the contract's "RFM").
    """
    import polars as pl

    measures = {
        "r_score": -pl.col("recency_days"),
        "f_score": pl.col("total_purchases"),
        "m_score": pl.col("total_spent"),
    }
    scored = customers.with_columns(
        (1 + 5 * (measure.rank("min").cast(pl.Int64) - 1) // customers.height).alias(score)
        for score, measure in measures.items()
    )
    segments = {10 * r + f: name for r, names in _SEGMENTS.items() for f, name in enumerate(names, start=1)}
    segment = (10 * pl.col("r_score") + pl.col("f_score")).replace_strict(segments, return_dtype=pl.String)
    return scored.with_columns(pl.concat_str(*measures).alias("rfm_score"), segment.alias("rfm_segment"))


CUSTOMER_ANALYTICS: Final = GoldDataset(
    name="customer_analytics",
    columns=(
        Column("customer_id", BIGINT),
        *columns(STRING, "customer_name", "city", "state"),
        *columns(BIGINT, "total_purchases", "total_items_bought"),
        *columns(MONEY, "total_spent", "avg_order_value"),
        *columns(DATE, "first_purchase_date", "last_purchase_date"),
        *columns(INT, "recency_days", "r_score", "f_score", "m_score"),
        *columns(STRING, "rfm_score", "rfm_segment"),
    ),
    order_by=(("total_spent", True), ("customer_id", False)),
    inputs={CUSTOMERS: ("customer_id", "customer_name", "city", "state")},
    sums=(CUSTOMER_MONTHS,),
    formula=_formula,
    reconciles=SalesTotals("total_spent", "total_purchases", subject="customer_id"),
)
