"""One row for each sales channel and month with sales."""

from typing import TYPE_CHECKING, Final

from shopease_etl.contract.gold.dataset import SALES_MONTH, Frames, GoldDataset, Measure, SalesSums, SalesTotals
from shopease_etl.contract.tables import BIGINT, DATE, MONEY, STRING, Column, columns

if TYPE_CHECKING:
    import polars as pl


def _formula(frames: Frames) -> "pl.DataFrame":
    from shopease_etl.contract.gold.formulas import average

    value = average("total_revenue", "total_transactions").alias("avg_transaction_value")
    return frames["channel_months"].with_columns(value)


MONTHLY_CHANNEL_SALES: Final = GoldDataset(
    name="monthly_channel_sales",
    columns=(
        Column("sales_channel", STRING),
        Column(SALES_MONTH, DATE),
        *columns(BIGINT, "total_transactions", "total_items_sold"),
        *columns(MONEY, "total_revenue", "avg_transaction_value"),
    ),
    order_by=(("sales_channel", False), (SALES_MONTH, False)),
    sums=(
        SalesSums(
            "channel_months",
            ("sales_channel", SALES_MONTH),
            {
                "total_transactions": Measure("count"),
                "total_items_sold": Measure("sum", "quantity"),
                "total_revenue": Measure("sum", "total_amount"),
            },
        ),
    ),
    formula=_formula,
    reconciles=SalesTotals("total_revenue", "total_transactions", subject="sales_channel"),
)
