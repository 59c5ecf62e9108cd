"""One row for each store and month with sales, with the store's managers."""

from typing import TYPE_CHECKING, Final

from shopease_etl.contract.gold.customer_months import CUSTOMER_MONTHS, STORE_CUSTOMERS
from shopease_etl.contract.gold.dataset import SALES_MONTH, Frames, GoldDataset, Measure, SalesSums, SalesTotals
from shopease_etl.contract.tables import BIGINT, DATE, MONEY, SALES_MANAGERS, STORES, STRING, Column, columns

if TYPE_CHECKING:
    import polars as pl


def _formula(frames: Frames) -> "pl.DataFrame":
    import polars as pl

    from shopease_etl.contract.gold.formulas import average

    keys, customers = ("store_id", SALES_MONTH), pl.col("unique_customers")
    value = average("total_revenue", "total_transactions").alias("avg_transaction_value")
    counts = frames[STORE_CUSTOMERS].group_by(*keys).agg(customers.sum())
    months = frames["store_months"].join(counts, on=keys, how="left").with_columns(value, customers.fill_null(0))
    for of_store in (stores_by_id(frames["stores"]), _names(frames["sales_managers"])):
        months = months.join(of_store, on="store_id", how="left")
    return months


def stores_by_id(stores: "pl.DataFrame") -> "pl.DataFrame":
    """One row for each store_id: of several the greatest by the other columns, as nothing cleans stores."""
    ordered = stores.drop_nulls("store_id").sort(stores.columns, nulls_last=False)
    return ordered.unique("store_id", keep="last")


def _names(managers: "pl.DataFrame") -> "pl.DataFrame":
    """The names of each store's managers in one text, by manager_id."""
    import polars as pl

    known = managers.drop_nulls(["store_id", "manager_name"]).sort("manager_id", "manager_name", nulls_last=True)
    names = pl.col("manager_name").str.join("; ").alias("manager_names")
    return known.group_by("store_id", maintain_order=True).agg(names)


STORE_PERFORMANCE: Final = GoldDataset(
    name="store_performance",
    columns=(
        Column("store_id", BIGINT),
        *columns(STRING, "store_name", "city", "state", "manager_names"),
        Column(SALES_MONTH, DATE),
        *columns(BIGINT, "total_transactions", "total_items_sold"),
        *columns(MONEY, "total_revenue", "avg_transaction_value"),
        Column("unique_customers", BIGINT),
    ),
    order_by=(("store_id", False), (SALES_MONTH, False)),
    inputs={
        STORES: ("store_id", "store_name", "city", "state"),
        SALES_MANAGERS: ("manager_id", "manager_name", "store_id"),
    },
    sums=(
        SalesSums(
            "store_months",
            ("store_id", SALES_MONTH),
            {
                "total_transactions": Measure("count"),
                "total_items_sold": Measure("sum", "quantity"),
                "total_revenue": Measure("sum", "total_amount"),
            },
        ),
        CUSTOMER_MONTHS,
    ),
    formula=_formula,
    reconciles=SalesTotals("total_revenue", "total_transactions", subject="store_id"),
)
