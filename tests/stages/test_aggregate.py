"""Aggregating refuses sums that gold's types do not hold, and datasets that do not account for all they are made of."""

import io
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from shopease_etl.contract import meanings
from shopease_etl.contract.gold import DAILY_SALES_SUMMARY, PRODUCT_PERFORMANCE, USUAL, GoldDataset
from shopease_etl.contract.gold.dataset import RowTotals, SalesTotals
from shopease_etl.contract.tables import INVENTORY, PRODUCTS, SALES_MANAGERS, STORES, TRANSACTIONS
from shopease_etl.errors import DataRefusedError
from shopease_etl.lake.open import open_store
from shopease_etl.lake.store import put_stream
from shopease_etl.stages.aggregate import aggregate

LARGEST = "9999999999999999.99"
Sale = tuple[int, int, int, str, str]


def store_with(folder: Path, sales: Sequence[Sale]) -> str:
    """A lake whose silver has these sales: customer_id, product_id, quantity, total_amount, created_at."""
    store = open_store(str(folder))
    lines = [",".join(TRANSACTIONS.silver_order)]
    for number, (customer, product, quantity, total, day) in enumerate(sales):
        lines.append(
            f"{number},{number},{customer},{product},{quantity},0.01,{total},card,web {number},{day},2024,1,1,{day},"
        )
    put_stream(store, TRANSACTIONS.silver_key, ["\n".join([*lines, ""]).encode()])
    put_stream(
        store,
        "silver/products/products_cleaned.csv",
        [b"product_id,product_name,category,price,created_at,updated_at\n"],
    )
    put_stream(
        store,
        "silver/customers/customers_cleaned.csv",
        [b"customer_id,customer_name,email,city,state,created_at,updated_at\n"],
    )
    for table in (STORES, INVENTORY, SALES_MANAGERS):
        put_stream(store, table.bronze_key, [(",".join(table.required_columns) + "\n").encode()])
    return str(folder)


@pytest.mark.parametrize(
    ("sales", "message"),
    [
        (
            [(1, 1, 1, LARGEST, "2024-01-01"), (2, 2, 1, "0.01", "2024-01-01"), (2, 2, 1, "0.01", "2024-01-02")],
            "daily_sales_summary: total_revenue does not fit decimal(18,2) for sales_date 2024-01-01",
        ),
        (
            [(1, 7, 1, LARGEST, "2024-01-01"), (2, 7, 1, LARGEST, "2024-01-02")],
            "product_performance: total_revenue does not fit decimal(18,2) for product_id 7",
        ),
        (
            [(number // 2, number, 1, LARGEST, f"2024-01-{number:02}") for number in range(10, 24)],
            "customer_analytics: total_spent does not fit decimal(18,2) for customer_id 5, 6, 7, 8, 9 and 2 more",
        ),
        (
            [(1, 1, 2 * 10**16 - 1, "1.00", "2024-01-01"), (2, 1, 1, "1.00", "2024-01-02")],
            "product_performance: avg_quantity_per_order does not fit decimal(18,2) for product_id 1",
        ),
    ],
)
def test_a_sum_that_does_not_fit_is_named(tmp_path: Path, sales: Sequence[Sale], message: str) -> None:
    store = open_store(store_with(tmp_path, sales))
    with pytest.raises(DataRefusedError) as caught:
        aggregate(store, USUAL, recorded={})
    assert str(caught.value) == message
    assert not list(store.list("gold/"))


def test_sums_that_just_fit_are_kept(tmp_path: Path) -> None:
    sales = [(1, 1, 10**16 - 1, LARGEST, "2024-01-01"), (2, 2, 10**16 - 1, LARGEST, "2024-02-02")]
    store = open_store(store_with(tmp_path, sales))
    assert aggregate(store, USUAL, recorded={}).reconciliation["agrees"]


def test_files_say_what_their_columns_mean_and_are_the_same_in_every_run(tmp_path: Path) -> None:
    sales = [(1, 1, 1, "1.50", "2024-01-01"), (2, 2, 3, "4.50", "2024-02-02")]
    stores = [open_store(store_with(tmp_path / name, sales)) for name in ("one", "two")]
    for store in stores:
        aggregate(store, USUAL, recorded={})
    for dataset in USUAL:
        one, two = (store.read(dataset.key) for store in stores)
        assert one == two
        metadata = pl.read_parquet_metadata(io.BytesIO(one))
        told = json.loads(metadata["shopease.columns"])
        assert told == {column.name: meanings.of_column(dataset.name, column.name) for column in dataset.columns}


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        (PRODUCT_PERFORMANCE, "product_performance does not reconcile with silver: transactions 1 instead of 2"),
        (
            replace(DAILY_SALES_SUMMARY, reconciles=SalesTotals("total_revenue")),
            "daily_sales_summary does not reconcile with silver: revenue 1.00 instead of 3.00",
        ),
        (
            replace(DAILY_SALES_SUMMARY, reconciles=RowTotals(PRODUCTS), inputs={PRODUCTS: ("product_id",)}),
            "daily_sales_summary does not reconcile with silver: rows 1 instead of 0",
        ),
    ],
    ids=["sales", "revenue", "rows"],
)
def test_a_dataset_that_loses_rows_is_refused(tmp_path: Path, dataset: GoldDataset, message: str) -> None:
    store = open_store(store_with(tmp_path, [(1, 1, 1, "1.00", "2024-01-01"), (2, 2, 1, "2.00", "2024-01-02")]))
    lossy = replace(dataset, formula=lambda frames: dataset.formula(frames).sort("total_revenue").head(1))
    with pytest.raises(DataRefusedError) as caught:
        aggregate(store, [lossy], recorded={})
    assert str(caught.value) == message
    assert not list(store.list("gold/"))
