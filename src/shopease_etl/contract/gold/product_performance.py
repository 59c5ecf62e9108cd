"""One row per product sold, best seller first; products that are not in silver have rows too."""

from typing import TYPE_CHECKING, Final

from shopease_etl.contract.gold.dataset import Frames, GoldDataset, SalesTotals
from shopease_etl.contract.gold.monthly_product_sales import PRODUCT_MONTHS
from shopease_etl.contract.tables import BIGINT, MONEY, PRODUCTS, STRING, Column, columns

if TYPE_CHECKING:
    import polars as pl


def _formula(frames: Frames) -> "pl.DataFrame":
    import polars as pl

    from shopease_etl.contract.gold.formulas import average

    figures = pl.col(*PRODUCT_MONTHS.measures).sum()
    sold = (
        frames[PRODUCT_MONTHS.name]
        .group_by("product_id")
        .agg(figures)
        .with_columns(
            average("total_revenue", "total_orders").alias("avg_order_value"),
            average("total_quantity_sold", "total_orders").alias("avg_quantity_per_order"),
        )
    )
    return sold.join(frames["products"], on="product_id", how="left")


PRODUCT_PERFORMANCE: Final = GoldDataset(
    name="product_performance",
    columns=(
        Column("product_id", BIGINT),
        *columns(STRING, "product_name", "category"),
        *columns(BIGINT, "total_orders", "total_quantity_sold"),
        *columns(MONEY, "total_revenue", "avg_order_value", "avg_quantity_per_order"),
    ),
    order_by=(("total_revenue", True), ("product_id", False)),
    inputs={PRODUCTS: ("product_id", "product_name", "category")},
    sums=(PRODUCT_MONTHS,),
    formula=_formula,
    reconciles=SalesTotals("total_revenue", "total_orders", subject="product_id"),
)
