"""Customer lifetime value in runs: of the customers of silver, in both layouts, and only where it is asked for."""

import json
from collections import defaultdict
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from commands import Shop, copy_of, execute
from lakes import KEYS
from shopease_etl.contract.gold import CUSTOMER_ANALYTICS, USUAL
from shopease_etl.contract.gold.customer_lifetime_value import CUSTOMER_LIFETIME_VALUE, purchase_histories
from shopease_etl.contract.layout import RUNS
from shopease_etl.contract.tables import TRANSACTIONS

ON = {"SHOPEASE_CLV": "on"}
TYPES = {"customer_id": pl.Int64(), "transaction_date": pl.Date(), "revenue": pl.Decimal(38, 2)}


def manifest(shop: Shop) -> dict[str, Any]:
    """The last run's."""
    found: dict[str, Any] = json.loads(max((shop.folder / shop.lake / RUNS).glob("*.json")).read_text())
    return found


def models(shop: Shop) -> dict[str, Any]:
    """What the last run's manifest has of the models."""
    found: dict[str, Any] = next(
        stage["lifetime_value"] for stage in manifest(shop)["stages"] if stage["name"] == "aggregate"
    )
    return found


def values(shop: Shop) -> pl.DataFrame:
    return pl.read_parquet(shop.folder / shop.lake / CUSTOMER_LIFETIME_VALUE.key)


def customers(url: str, count: int) -> None:
    """Give the sales to so many customers, each on days of their own."""
    execute(
        url,
        f"UPDATE sale_transactions SET customer_id = 1 + (transaction_id * 7) % {count}, "
        "created_at = timestamp '2024-01-01' + (transaction_id * 13 % 360) * interval '1 day', "
        "quantity = 1 + transaction_id % 3, unit_price = 5 + transaction_id % 50",
    )


def test_each_customer_with_a_purchase_has_a_row(sales: str, tmp_path: Path) -> None:
    with copy_of(sales) as url:
        customers(url, 150)
        shop = Shop(tmp_path, url, more=ON)
        shop.run("run-all").done()
        monthly = replace(shop, lake="monthly", more={**ON, "SHOPEASE_PARTITIONS": "month"})
        monthly.run("run-all").done()
        monthly.run("run-all").done()
    made = values(shop)
    bought = pl.read_parquet(tmp_path / "lake" / CUSTOMER_ANALYTICS.key).sort("customer_id")
    for column in ("customer_id", "first_purchase_date", "last_purchase_date"):
        assert made[column].to_list() == bought[column].to_list()
    silver = pl.read_csv(tmp_path / "lake" / TRANSACTIONS.silver_key, infer_schema=False)
    days = defaultdict(set)
    for customer, day in silver.select("customer_id", "transaction_date").drop_nulls().rows():
        days[int(customer)].add(day)
    assert dict(made.select("customer_id", "purchase_days").rows()) == {key: len(found) for key, found in days.items()}
    assert not made.null_count().row(0).count(None)
    assert made["clv_365d"].min() > 0  # type: ignore[operator]
    assert set(made["clv_decile"]) == set(range(1, 11))
    told = manifest(shop)["reconciliation"]
    assert told["customer_lifetime_value_rows"] == told["reread"]["rows"][CUSTOMER_LIFETIME_VALUE.key] == made.height
    assert models(shop)["customers"] == made.height
    assert models(shop)["log_likelihood"] < 0
    assert models(shop) == models(monthly)
    assert values(monthly).equals(made)
    listed = shop.run("query", "SELECT MAX(clv_decile) AS best FROM customer_lifetime_value", "--json").done()
    assert listed.document["rows"] == [{"best": 10}]


def test_few_customers_have_no_figures_and_the_run_says_so(sales: str, tmp_path: Path) -> None:
    with copy_of(sales) as url:
        customers(url, 20)
        shop = Shop(tmp_path, url, more=ON)
        told = shop.run("run-all", "--skip-crawl").done()
    reason = "it needs 100 customers with a purchase, there are 20"
    assert reason in told.stderr
    assert reason in models(shop)["warnings"][0]
    assert values(shop).height == 20
    assert values(shop)["clv_365d"].null_count() == 20


def test_a_lake_without_sales_has_an_empty_dataset(bare: str, tmp_path: Path) -> None:
    shop = Shop(tmp_path, bare, more=ON)
    shop.run("run-all", "--skip-crawl").done()
    assert values(shop).height == 0


def test_without_the_setting_it_is_neither_built_nor_missed(sales: str, tmp_path: Path) -> None:
    shop = Shop(tmp_path, sales)
    told = shop.run("run-all", "--json").done()
    assert "lifetime" not in json.dumps({**told.document, "stages": []})
    assert {item["key"] for stage in told.document["stages"] for item in stage["datasets"]} == KEYS
    assert CUSTOMER_LIFETIME_VALUE not in USUAL
    assert all(stage["lifetime_value"] is None for stage in told.document["stages"])
    assert CUSTOMER_LIFETIME_VALUE.name not in told.document["stages"][-1]["skipped"]
    shop.run("aggregate", "--dataset", CUSTOMER_LIFETIME_VALUE.name).failed(2, "is off")
    replace(shop, more=ON).run("aggregate", "--dataset", CUSTOMER_LIFETIME_VALUE.name).done()
    assert values(shop).height == manifest(shop)["reconciliation"]["customer_lifetime_value_rows"]


@pytest.mark.parametrize("latest", [date(2024, 12, 31), date(2024, 7, 2), None])
def test_histories_are_those_of_the_days(latest: date | None) -> None:
    days = [date(2024, 1, 1), date(2024, 2, 1), date(2024, 7, 3), date(2024, 12, 31)]
    rows = [(1 + number % 2, day, Decimal(number)) for number, day in enumerate(days)] if latest else []
    columns = ("customer_id", "transaction_date", "revenue")
    sums = pl.DataFrame(rows, schema=columns, orient="row", schema_overrides=TYPES if not rows else None)
    found = purchase_histories(sums, latest).sort("customer_id")
    cutoff = latest and latest - timedelta(days=182)
    expected = []
    for customer in (1, 2) if latest else ():
        own = [row for row in rows if row[0] == customer]
        before = [day for _, day, _ in own if cutoff and day <= cutoff]
        revenue = sum((amount for *_, amount in own), Decimal(0))
        first, last = min(row[1] for row in own), max(row[1] for row in own)
        expected.append((customer, len(own), first, last, revenue, len(before), max(before, default=None)))
    assert found.rows() == expected
