"""The report of odd lakes: a day, nothing, no customers, hundreds of stores, datasets that are missing or changed."""

import shutil
from dataclasses import asdict
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from commands import Shop
from gold_files import Sale, many_sales, write_gold
from shopease_etl.errors import DataRefusedError, ShopeaseError
from shopease_etl.lake.open import open_store
from shopease_etl.operations.business import texts
from shopease_etl.operations.business.blocks import Drawing
from shopease_etl.operations.business.charts import svg
from shopease_etl.operations.business.compute import report
from shopease_etl.operations.business.content_quality import head
from shopease_etl.operations.business.figures import Report
from shopease_etl.operations.business.page import html

SALES = many_sales(date(2023, 1, 1), 31 + 28 + 731)


def figures(lake: Path) -> Report:
    return report(open_store(str(lake)))


def test_a_lake_with_one_day_has_nothing_to_compare(tmp_path: Path) -> None:
    found = figures(write_gold(tmp_path / "lake", [Sale(date(2024, 2, 10), Decimal("12.50"))]))
    assert found.key_figures is not None
    assert found.key_figures.is_complete is False
    assert [item.value for item in found.key_figures.figures] == [Decimal("12.50"), 1, Decimal("12.50"), 1, 1]
    changes = {(item.change_percent, item.year_change_percent, item.before) for item in found.key_figures.figures}
    assert changes == {(None, None, None)}
    assert found.so_far is None
    assert [month.is_complete for month in found.months] == [False]


def test_a_lake_without_sales_has_figures_of_zero(tmp_path: Path) -> None:
    found = figures(write_gold(tmp_path / "lake", [], stock=0))
    assert (found.sales, found.key_figures, found.revenue, found.transactions) == (None, None, Decimal("0.00"), 0)
    assert found.stock is not None
    assert (found.stock.items, found.stock.need_action) == (0, 0)


def test_a_lake_without_customers_or_stores(tmp_path: Path) -> None:
    sales = [Sale(date(2024, 1, 1) + timedelta(days=n), Decimal("1.05"), customer=None, store=None) for n in range(60)]
    found = figures(write_gold(tmp_path / "lake", sales))
    assert found.customers is not None
    assert (found.customers.customers, found.cohorts) == (0, ())
    assert found.stores is not None
    assert [(share.kind, share.revenue) for share in found.stores.shares] == [("none", Decimal("63.00"))]


def test_of_hundreds_of_stores_the_largest_are_shown_and_all_count(tmp_path: Path) -> None:
    sales = [
        Sale(date(2024, 1, 1) + timedelta(days=day), Decimal(store), store=store)
        for store in range(300)
        for day in (0, 40)
    ]
    found = figures(write_gold(tmp_path / "lake", sales)).stores
    assert found is not None
    assert [share.name for share in found.shares[:10]] == [f"Store {store}" for store in range(299, 289, -1)]
    assert [(share.kind, share.members) for share in found.shares[10:]] == [("others", 290)]
    assert sum(share.revenue for share in found.shares) == found.revenue


def test_an_older_lake_lacks_parts_of_the_report(tmp_path: Path) -> None:
    new = (
        "monthly_channel_sales",
        "monthly_product_sales",
        "store_performance",
        "inventory_status",
        "cohort_retention",
    )
    found = figures(write_gold(tmp_path / "lake", SALES, without=new))
    assert found.missing == (
        *("monthly_product_sales", "monthly_channel_sales", "store_performance", "inventory_status"),
        *("cohort_retention", "customer_lifetime_value"),
    )
    assert (found.categories, found.stores, found.channels, found.products, found.stock) == (None,) * 5
    assert found.key_figures is not None
    assert found.key_figures.figures[-1].value is None


def test_lifetime_value_by_decile(tmp_path: Path) -> None:
    lake = write_gold(tmp_path / "lake", SALES[:10])
    rows = {
        "clv_decile": [10, 10, 9, None],
        "clv_365d": [Decimal("10.01"), Decimal("5.00"), Decimal("1.00"), None],
        "p_alive": [Decimal("0.5000"), Decimal("0.7501"), Decimal("1.0000"), None],
    }
    path = lake / "gold" / "customer_lifetime_value" / "data.parquet"
    path.parent.mkdir()
    money, rate = pl.Decimal(18, 2), pl.Decimal(9, 4)
    pl.DataFrame(rows, schema={"clv_decile": pl.Int32, "clv_365d": money, "p_alive": rate}).write_parquet(path)
    assert [tuple(asdict(item).values()) for item in figures(lake).lifetime_value] == [
        (10, 2, Decimal("15.01"), Decimal("7.51"), Decimal("62.5")),
        (9, 1, Decimal("1.00"), Decimal("1.00"), Decimal("100.0")),
        (None, 1, None, None, None),
    ]


def test_an_older_lifetime_value_is_said_to_be_old(sales: str, tmp_path: Path) -> None:
    with_clv = Shop(tmp_path, sales, more={"SHOPEASE_CLV": "on"})
    first = with_clv.run("run-all", "--skip-crawl", "--json").done().document["run_id"]
    lake = tmp_path / "lake"
    assert figures(lake).lifetime_value_run is None
    Shop(tmp_path, sales).run("run-all", "--skip-crawl").done()
    found = figures(lake)
    assert found.lifetime_value_run == first
    assert f"By the run {first}: older than the other figures." in html(found)


def test_stock_without_store_or_product_is_named_so() -> None:
    assert texts.named(None, "store", None) == "(without a store)"
    assert texts.named(None, "store", 7) == "store 7"
    assert texts.named("Main", "store", 7) == "Main"


def test_a_lake_without_gold_or_with_changed_gold_is_refused(shop: Shop, tmp_path: Path) -> None:
    with pytest.raises(ShopeaseError, match="has no gold/daily_sales_summary"):
        figures(tmp_path / "none")
    lake = tmp_path / "lake"
    shutil.copytree(shop.folder / "lake", lake)
    path = lake / "gold" / "daily_sales_summary" / "data.parquet"
    path.write_bytes(path.read_bytes().replace(b"PAR1", b"PAR2"))
    with pytest.raises(DataRefusedError, match="is not what the run"):
        figures(lake)
    (lake / "_runs").rename(lake / "elsewhere")
    with pytest.raises(DataRefusedError, match="cannot read gold/daily_sales_summary"):
        figures(lake)


def test_dates_that_cannot_be_right_end_nothing(tmp_path: Path) -> None:
    days = (date.min, date(2024, 5, 5), date.max)
    found = figures(write_gold(tmp_path / "lake", [Sale(day, Decimal("1.00")) for day in days]))
    assert found.revenue == Decimal("3.00")
    assert (found.months[-1].month, len(found.months)) == (date(9999, 12, 1), 120)
    assert ("which is in the future" in dict(head(found))["Sales"]) is True
    assert "1 January 1 to 31 December 9999" in html(found)
    sane = figures(write_gold(tmp_path / "other", [Sale(date(2024, 5, 5), Decimal("1.00"))]))
    assert "future" not in dict(head(sane))["Sales"]


def test_a_chart_that_cannot_be_drawn_is_an_error_of_ours() -> None:
    broken = Drawing("bars", [{"name": "\ud83d", "x": 1.0, "value": "1"}])
    with pytest.raises(ShopeaseError, match="a chart cannot be drawn"):
        svg(broken, 300)
