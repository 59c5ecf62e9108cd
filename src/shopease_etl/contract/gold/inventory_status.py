"""One row for each row of inventory: how long the stock lasts, and what to do about it."""

from typing import TYPE_CHECKING, Final

from shopease_etl.contract.gold.dataset import Frames, GoldDataset, Measure, RowTotals, SalesSums
from shopease_etl.contract.gold.store_performance import stores_by_id
from shopease_etl.contract.tables import BIGINT, INVENTORY, MONEY, PRODUCTS, STORES, STRING, Column, columns

if TYPE_CHECKING:
    import polars as pl

_DAYS: Final = 28
_LOW_COVER_DAYS: Final = 7
_LARGEST: Final = 10**16


def _formula(frames: Frames) -> "pl.DataFrame":
    import polars as pl

    from shopease_etl.contract.gold.formulas import divided

    sold = frames["recent_sales"].group_by("store_id", "product_id").agg(pl.col("units_sold_28d").sum())
    units = pl.col("units_sold_28d").fill_null(0)
    cover = divided(_DAYS * pl.col("quantity").cast(pl.Int128), units, 2)
    return (
        frames["inventory"]
        .join(sold, on=["store_id", "product_id"], how="left")
        .with_columns(units, pl.when(cover.abs() < _LARGEST).then(cover).alias("days_of_cover"))
        .with_columns(_status())
        .join(stores_by_id(frames["stores"]), on="store_id", how="left")
        .join(frames["products"], on="product_id", how="left")
    )


def _status() -> "pl.Expr":
    """The first that holds (the contract's `inventory_status`); NULL where there is no quantity."""
    import polars as pl

    quantity = pl.col("quantity")
    return (
        pl.when(quantity.is_null())
        .then(None)
        .when(quantity <= 0)
        .then(pl.lit("out_of_stock"))
        .when(quantity <= pl.col("reorder_level"))
        .then(pl.lit("reorder"))
        .when(pl.col("units_sold_28d") == 0)
        .then(pl.lit("no_sales"))
        .when(pl.col("days_of_cover") < _LOW_COVER_DAYS)
        .then(pl.lit("low_cover"))
        .otherwise(pl.lit("ok"))
        .alias("stock_status")
    )


INVENTORY_STATUS: Final = GoldDataset(
    name="inventory_status",
    columns=(
        *columns(BIGINT, "inventory_id", "store_id"),
        Column("store_name", STRING),
        Column("product_id", BIGINT),
        *columns(STRING, "product_name", "category"),
        *columns(BIGINT, "quantity", "reorder_level", "units_sold_28d"),
        Column("days_of_cover", MONEY),
        Column("stock_status", STRING),
    ),
    # the last two so that the order of rows in the source never matters
    order_by=tuple((name, False) for name in ("store_id", "product_id", "inventory_id", "quantity", "reorder_level")),
    inputs={
        INVENTORY: ("inventory_id", "store_id", "product_id", "quantity", "reorder_level"),
        STORES: ("store_id", "store_name"),
        PRODUCTS: ("product_id", "product_name", "category"),
    },
    sums=(
        SalesSums(
            "recent_sales",
            ("transaction_date", "store_id", "product_id"),
            {"units_sold_28d": Measure("sum", "quantity")},
            last_days=_DAYS,
        ),
    ),
    formula=_formula,
    reconciles=RowTotals(INVENTORY),
)
