"""One row for each product and month with sales: how a product develops."""

from typing import TYPE_CHECKING, Final

from shopease_etl.contract.gold.dataset import SALES_MONTH, Frames, GoldDataset, Measure, SalesSums, SalesTotals
from shopease_etl.contract.tables import BIGINT, DATE, MONEY, PRODUCTS, STRING, Column, columns

if TYPE_CHECKING:
    import polars as pl

PRODUCT_MONTHS: Final = SalesSums(
    "product_months",
    ("product_id", SALES_MONTH),
    {
        "total_orders": Measure("count"),
        "total_quantity_sold": Measure("sum", "quantity"),
        "total_revenue": Measure("sum", "total_amount"),
    },
)


def _formula(frames: Frames) -> "pl.DataFrame":
    return frames[PRODUCT_MONTHS.name].join(frames["products"], on="product_id", how="left")


MONTHLY_PRODUCT_SALES: Final = GoldDataset(
    name="monthly_product_sales",
    columns=(
        Column("product_id", BIGINT),
        *columns(STRING, "product_name", "category"),
        Column(SALES_MONTH, DATE),
        *columns(BIGINT, "total_orders", "total_quantity_sold"),
        Column("total_revenue", MONEY),
    ),
    order_by=(("product_id", False), (SALES_MONTH, False)),
    inputs={PRODUCTS: ("product_id", "product_name", "category")},
    sums=(PRODUCT_MONTHS,),
    formula=_formula,
    reconciles=SalesTotals("total_revenue", "total_orders", subject="product_id"),
)
