"""One row a day with sales."""

from typing import TYPE_CHECKING, Final

from shopease_etl.contract.gold.dataset import Frames, GoldDataset, Measure, SalesSums, SalesTotals
from shopease_etl.contract.tables import BIGINT, DATE, MONEY, Column, columns

if TYPE_CHECKING:
    import polars as pl


def _formula(frames: Frames) -> "pl.DataFrame":
    from shopease_etl.contract.gold.formulas import average

    value = average("total_revenue", "total_transactions").alias("avg_transaction_value")
    return frames["days"].rename({"transaction_date": "sales_date"}).with_columns(value)


DAILY_SALES_SUMMARY: Final = GoldDataset(
    name="daily_sales_summary",
    columns=(
        Column("sales_date", DATE),
        *columns(BIGINT, "total_transactions", "total_items_sold"),
        *columns(MONEY, "total_revenue", "avg_transaction_value"),
        *columns(BIGINT, "unique_customers", "unique_products"),
    ),
    order_by=(("sales_date", False),),
    sums=(
        SalesSums(
            "days",
            ("transaction_date",),
            {
                "total_transactions": Measure("count"),
                "total_items_sold": Measure("sum", "quantity"),
                "total_revenue": Measure("sum", "total_amount"),
                "unique_customers": Measure("distinct", "customer_id"),
                "unique_products": Measure("distinct", "product_id"),
            },
        ),
    ),
    formula=_formula,
    reconciles=SalesTotals("total_revenue", "total_transactions"),
)
