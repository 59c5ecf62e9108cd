"""A gold dataset that exists only in tests: it is made of customers and stores, and needs no sales."""

from typing import TYPE_CHECKING, Final

from shopease_etl.contract.gold.dataset import Frames, GoldDataset, RowTotals
from shopease_etl.contract.tables import BIGINT, CUSTOMERS, STORES, STRING, Column

if TYPE_CHECKING:
    import polars as pl


def _formula(frames: Frames) -> "pl.DataFrame":
    import polars as pl

    customers = frames["customers"].group_by("state").agg(pl.len().alias("customers"))
    return customers.with_columns(pl.lit(frames["stores"].height).alias("all_stores"))


CUSTOMERS_BY_STATE: Final = GoldDataset(
    name="customers_by_state",
    columns=(Column("state", STRING), Column("customers", BIGINT), Column("all_stores", BIGINT)),
    order_by=(("customers", True), ("state", False)),
    inputs={CUSTOMERS: ("state",), STORES: ("store_id",)},
    formula=_formula,
    reconciles=RowTotals(CUSTOMERS, "customers"),
)
