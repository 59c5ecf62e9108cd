"""The figures of the report of a real run: equal to what DuckDB makes of its gold, and to the manifest."""

import json
from datetime import date
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import duckdb

from commands import Shop


def test_the_report_of_a_run_equals_duckdb_on_its_gold(shop: Shop) -> None:
    lake = shop.folder / "lake"
    found = shop.run("report", "--json").done().document
    days = f"'{lake}/gold/daily_sales_summary/data.parquet'"
    last = date.fromisoformat(found["key_figures"]["period"]["last"])
    with duckdb.connect() as database:
        sums = database.sql(f"SELECT sum(total_revenue), sum(total_transactions) FROM {days}").fetchall()[0]
        assert (found["revenue"], found["transactions"]) == (str(sums[0]), int(sums[1]))
        month = database.sql(
            f"SELECT sum(total_revenue), sum(total_transactions), sum(total_items_sold) FROM {days} "
            f"WHERE sales_date BETWEEN DATE '{last.replace(day=1)}' AND DATE '{last}'"
        ).fetchall()[0]
        values = {item["name"]: item["value"] for item in found["key_figures"]["figures"]}
        assert (values["revenue"], values["transactions"], values["items"]) == (str(month[0]), *map(int, month[1:]))
        average = (month[0] / int(month[1])).quantize(Decimal("0.01"), ROUND_HALF_UP)
        assert values["average_transaction_value"] == str(average)
    manifest = json.loads(max((lake / "_runs").glob("*.json")).read_text())
    assert (found["run_id"], found["data_at"]) == (manifest["run_id"], manifest["finished_at"])
    assert found["reconciliation"]["agrees"] is True
    assert found["reconciliation"]["sums"]["silver_revenue"] == found["revenue"]
    rejected = {
        item["name"]: item["rejected"]
        for stage in manifest["stages"]
        for item in stage["datasets"]
        if item["layer"] == "silver"
    }
    assert {table["table"]: table["rejected"] for table in found["quality"]["tables"]} == rejected
    assert all(table["rows_in"] == table["rows_out"] + table["rows_rejected"] for table in found["quality"]["tables"])
    assert found["quality"]["runs"][0]["bytes"] == sum(
        item["bytes"] for stage in manifest["stages"] for item in stage["datasets"]
    )


def test_the_parts_of_the_report_of_a_run_equal_duckdb_on_its_gold(shop: Shop) -> None:
    found = shop.run("report", "--json").done().document
    assert found["missing"] == ["customer_lifetime_value"]
    with duckdb.connect() as database:
        for path in (shop.folder / "lake" / "gold").glob("*/data.parquet"):
            database.execute(f"CREATE VIEW {path.parent.name} AS FROM '{path}'")

        def ask(sql: str) -> dict[Any, Any]:
            """The first column of the rows as text, and the others, sums as text."""
            rows = database.sql(sql).fetchall()
            return {str(key): tuple(str(value) for value in values) for key, *values in rows}

        year, quarter = (found[name]["period"] for name in ("stores", "products"))
        months = "sales_month BETWEEN DATE '{first}' AND DATE '{last}'"
        sums = "sum(total_revenue), sum({})"
        for name, view, key, count in (
            ("stores", "store_performance", "coalesce(store_name, 'store ' || store_id)", "total_transactions"),
            ("channels", "monthly_channel_sales", "sales_channel", "total_transactions"),
            ("categories", "monthly_product_sales", "category", "total_orders"),
        ):
            own = ask(f"SELECT {key}, {sums.format(count)} FROM {view} WHERE {months.format(**year)} GROUP BY ALL")
            named = [share for share in found[name]["shares"] if share["kind"] == "named"]
            assert named
            assert {
                share["name"]: (share["revenue"], str(share["transactions"])) for share in named
            }.items() <= own.items()
            assert sum(Decimal(share["revenue"]) for share in found[name]["shares"]) == Decimal(found[name]["revenue"])
        best = ask(
            f"SELECT product_id, sum(total_revenue), sum(total_quantity_sold) FROM monthly_product_sales "
            f"WHERE {months.format(**quarter)} GROUP BY ALL ORDER BY 2 DESC, 1 LIMIT 10"
        )
        assert {
            str(item["product_id"]): (item["revenue"], str(item["quantity"])) for item in found["products"]["best"]
        } == best
        stock = ask("SELECT coalesce(stock_status, 'unknown'), count(*) FROM inventory_status GROUP BY ALL")
        assert {name: (str(count),) for name, count in found["stock"]["statuses"].items() if count} == stock
        segments = ask("SELECT rfm_segment, count(*), sum(total_spent) FROM customer_analytics GROUP BY ALL")
        assert {
            item["name"]: (str(item["customers"]), item["spent"]) for item in found["customers"]["segments"]
        } == segments
        bought = "CAST(cohort_month + to_months(months_since) AS date)"
        buyers = ask(
            f"SELECT {bought}, coalesce(sum(customers) FILTER (months_since = 0), 0), "
            "coalesce(sum(customers) FILTER (months_since > 0), 0), sum(total_revenue) "
            "FROM cohort_retention GROUP BY ALL"
        )
        assert len(found["buyers"]) == 24
        for month in found["buyers"]:
            revenue = Decimal(month["new_revenue"]) + Decimal(month["returning_revenue"])
            assert (str(month["new"]), str(month["returning"]), str(revenue)) == buyers[month["month"]]
        rates = ask("SELECT cohort_month || '+' || months_since, retention_rate FROM cohort_retention")
        for cohort in found["cohorts"]:
            for since, rate in enumerate(cohort["rates"]):
                (exact,) = rates.get(f"{cohort['month']}+{since}", ("0",))
                assert Decimal(rate) == (Decimal(exact) * 100).quantize(Decimal("0.1"), ROUND_HALF_UP)
