"""One row per product sold, best seller first; a product that silver does not know keeps its row."""

from typing import TYPE_CHECKING, Final

from shopease_etl.contract.gold.dataset import Frames, GoldDataset, Measure, SalesSums, SalesTotals
from shopease_etl.contract.tables import BIGINT, MONEY, PRODUCTS, STRING, Column, columns

if TYPE_CHECKING:
    import polars as pl


def _formula(frames: Frames) -> "pl.DataFrame":
    from shopease_etl.contract.gold.formulas import average

    sold = frames["by_product"].with_columns(
        average("total_revenue", "total_orders").alias("avg_order_value"),
        average("total_quantity_sold", "total_orders").alias("avg_quantity_per_order"),
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
    sums=(
        SalesSums(
            "by_product",
            ("product_id",),
            {
                "total_orders": Measure("count"),
                "total_quantity_sold": Measure("sum", "quantity"),
                "total_revenue": Measure("sum", "total_amount"),
            },
        ),
    ),
    formula=_formula,
    reconciles=SalesTotals("total_revenue", "total_orders", subject="product_id"),
)
