"""`shopease tables`: the list of what can be queried, and one table or view with its columns and rows."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from commands import Shop, copy_of, execute, on_a_terminal
from shopease_etl.contract import meanings
from shopease_etl.contract.gold import USUAL
from shopease_etl.contract.tables import CLEANED_TABLES, TABLES
from shopease_etl.warehouse.schema import DATASETS


def listed(shop: Shop, *arguments: str) -> dict[str, Any]:
    """The tables of the list by name, in its order."""
    document = shop.run("tables", *arguments, "--json").done().document
    return {table["name"]: table for table in document["tables"]}


def rows_of(shop: Shop, sql: str) -> Any:
    """The rows of a query."""
    return shop.run("query", sql, "--json").done().document["rows"]


def test_gold_and_views_are_listed_and_raw_tables_with_all(shop: Shop) -> None:
    shown, everything = listed(shop), listed(shop, "--all")
    people_query = [*(dataset.name for dataset in USUAL), *(table.name for table in TABLES)]
    raw = [dataset.name for dataset in DATASETS if not dataset.is_parquet]
    assert list(shown) == people_query
    assert list(everything) == [*people_query, *raw]
    assert {name: table["kind"] for name, table in everything.items()} == {
        **{dataset.name: "gold" for dataset in USUAL},
        **{table.name: "view" for table in TABLES},
        **dict.fromkeys(raw, "raw"),
    }
    ended = shop.run("tables").done()
    assert "Not listed: 12 raw tables. To list all: shopease tables --all" in ended.stderr
    assert [name for name in people_query if f"\n{name} " not in ended.stdout] == []
    assert "bronze_" not in ended.stdout


def test_the_documentation_shows_what_is_listed(shop: Shop) -> None:
    document = (Path(__file__).parents[2] / "docs" / "SQL.md").read_text()
    for name, table in listed(shop).items():
        assert re.search(rf"^{name} +{table['kind']} .* {re.escape(table['meaning'])}$", document, re.MULTILINE), name
    for column in shop.run("tables", "cohort_retention", "--json").done().document["columns"]:
        line = rf"^{column['name']} +{re.escape(column['type'])} +{re.escape(column['meaning'])}$"
        assert re.search(line, document, re.MULTILINE), column


def test_rows_are_those_that_queries_count(shop: Shop) -> None:
    tables = listed(shop, "--all")
    counts = ", ".join(f"(SELECT COUNT(*) FROM shopease_catalog.{name}) AS {name}" for name in tables)
    (row,) = rows_of(shop, f"SELECT {counts}")
    assert {name: table["rows"] for name, table in tables.items()} == row


def test_size_key_and_run_are_those_of_status(shop: Shop) -> None:
    status = shop.run("status", "--json").done().document
    datasets = {item["key"]: item for item in status["datasets"]}
    tables = listed(shop, "--all")
    for table in tables.values():
        known = datasets[table["key"]]
        assert [table[what] for what in ("rows", "bytes", "modified", "run_id")] == [
            known[what] for what in ("rows", "bytes", "modified", "run_id")
        ]
    assert {table["key"] for table in tables.values()} == datasets.keys()
    assert tables["transactions"]["key"] == "silver/transactions/transactions_cleaned.csv"


def test_a_table_has_its_columns_with_meanings_and_five_rows(shop: Shop) -> None:
    document = shop.run("tables", "product_performance", "--json").done().document
    (dataset,) = (dataset for dataset in USUAL if dataset.name == "product_performance")
    assert document["columns"] == [
        {"name": column.name, "type": column.type, "meaning": meanings.of_column(dataset.name, column.name)}
        for column in dataset.columns
    ]
    assert document["meaning"] == meanings.of_table(dataset.name)
    best = "SELECT * FROM shopease_catalog.product_performance ORDER BY total_revenue DESC, product_id LIMIT 5"
    assert document["sample"] == rows_of(shop, best)


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_a_view_has_the_types_that_queries_return(shop: Shop, table: Any) -> None:
    document = shop.run("tables", table.name, "--json", "--rows", "1").done().document
    described = rows_of(shop, f"DESCRIBE shopease_catalog.{table.name}")
    assert [(column["name"], column["type"]) for column in document["columns"]] == [
        (column["col_name"], column["data_type"]) for column in described
    ]
    assert all(column["meaning"] for column in document["columns"])
    assert len(document["sample"]) == 1


def test_a_person_sees_all_of_it_at_any_width(shop: Shop) -> None:
    by_width = {
        width: on_a_terminal(replace(shop, more={"TERM": "dumb"}), "tables", "customer_analytics", columns=width).done()
        for width in (60, 120)
    }
    document = shop.run("tables", "customer_analytics", "--json").done().document
    for width, ended in by_width.items():
        shown = ended.stdout
        assert max(map(len, shown.splitlines())) <= width
        words = " ".join(shown.split())
        assert f"{document['rows']:,} rows" in words
        assert f"by run {document['run_id']}" in words
        assert document["key"] in words
        assert f"5 of {document['rows']:,} rows:" in words
        assert [column["name"] for column in document["columns"] if column["name"] not in shown] == []
        assert [row["total_spent"] for row in document["sample"] if str(row["total_spent"]) not in shown] == []
    assert "-- 5 ---" in by_width[120].stdout  # the table would be wider


def test_the_list_fits_narrow_terminals(shop: Shop) -> None:
    for width in (60, 80):
        shown = on_a_terminal(replace(shop, more={"TERM": "dumb"}), "tables", "--all", columns=width).done().stdout
        assert max(map(len, shown.splitlines()[1:])) <= width  # the first has the lake's path
        for name, table in listed(shop, "--all").items():
            assert name in shown
            assert f" {table['rows']:,} " in shown


def test_rows_may_be_left_out(shop: Shop) -> None:
    ended = shop.run("tables", "stores", "--rows", "0").done()
    assert "store_name" in ended.stdout
    assert "rows:" not in ended.stdout
    assert "sample" not in shop.run("tables", "stores", "--rows", "0", "--json").done().document
    assert "\n2 of 5 rows:\n" in shop.run("tables", "stores", "--rows", "2").done().stdout


@pytest.mark.parametrize("name", ["STORES", "shopease_catalog.stores"])
def test_names_are_found_as_queries_find_them(shop: Shop, name: str) -> None:
    assert shop.run("tables", name, "--json").done().document["name"] == "stores"


def test_an_unknown_name_has_similar_names_in_its_hint(shop: Shop) -> None:
    ended = shop.run("tables", "custommers").failed(2, "there is no table or view custommers")
    assert "did you mean customers or " in ended.stderr


@pytest.mark.parametrize("arguments", [("--rows", "3"), ("stores", "--all"), ("stores", "--rows", "-1")])
def test_options_that_do_not_fit_are_refused(shop: Shop, arguments: tuple[str, ...]) -> None:
    assert shop.run("tables", *arguments).code == 2


def test_a_lake_that_was_never_crawled_says_what_to_do(shop: Shop, tmp_path: Path) -> None:
    ended = replace(shop, lake=str(tmp_path / "empty")).run("tables")
    assert "hint: run `shopease crawl`" in ended.failed(1, "nothing is catalogued for this lake yet").stderr


def test_what_changed_since_the_crawl_is_shown(sales: str, tmp_path: Path) -> None:
    with copy_of(sales) as url:
        shop = Shop(tmp_path, url)
        shop.run("extract").done()
        shop.run("clean").done()
        shop.run("crawl").done()
        shop.run("aggregate").done()
        (tmp_path / "lake" / "bronze" / "stores" / "stores.csv").unlink()
        with (tmp_path / "lake" / "silver" / "products" / "products_cleaned.csv").open("a") as file:
            file.write("1,x,y,1.00,,,\n")
        document = shop.run("tables", "--json").done().document
        tables = {table["name"]: table for table in document["tables"]}
        assert (tables["stores"]["key"], tables["stores"]["rows"]) == (None, None)
        assert (tables["products"]["rows"], tables["products"]["run_id"]) == (None, None)
        assert tables["customers"]["rows"] > 0
        assert document["uncatalogued"] == [dataset.name for dataset in USUAL]
        ended = shop.run("tables").done()
        assert f"Not catalogued yet: {', '.join(dataset.name for dataset in USUAL)}" in ended.stderr
        assert {" ".join(line.split()[:3]) for line in ended.stdout.splitlines()} >= {
            "stores view no",
            "products view ?",
        }
        described = shop.run("tables", "stores")
        assert "The lake has no file of it." in described.stdout
        assert "does not exist" in described.failed(1).stderr


def test_a_lake_by_month_has_one_entry_and_rows_of_the_last_month(sales: str, tmp_path: Path) -> None:
    with copy_of(sales) as url:
        shop = Shop(tmp_path, url, more={"SHOPEASE_PARTITIONS": "month"})
        shop.run("run-all").done()
        tables = listed(shop, "--all")
        assert {name for name, table in tables.items() if table["months"]} == {
            *("transactions", "bronze_transactions", "silver_transactions", "quarantine_transactions")
        }
        document = shop.run("tables", "transactions", "--json").done().document
        (found,) = rows_of(shop, "SELECT COUNT(*) AS n, MAX(sale_month) AS last FROM shopease_catalog.transactions")
        assert (document["rows"], document["key"]) == (found["n"], "silver/transactions")
        assert {row["sale_month"] for row in document["sample"]} == {found["last"]}
        assert document["columns"][-1]["meaning"] == meanings.of_column("transactions", "sale_month")
        assert f"in {document['months']} months" in shop.run("tables", "transactions", "--rows", "0").done().stdout


def test_columns_of_the_source_have_no_meaning_of_ours(sales: str, tmp_path: Path) -> None:
    with copy_of(sales) as url:
        execute(url, "ALTER TABLE customers ADD COLUMN total_spent text DEFAULT 'much'")
        shop = Shop(tmp_path, url)
        shop.run("run-all").done()
        columns = shop.run("tables", "customers", "--json").done().document["columns"]
        assert columns[-1] == {"name": "total_spent", "type": "string", "meaning": ""}
        assert all(column["meaning"] for column in columns[:-1])
        quarantine = shop.run("tables", f"quarantine_{CLEANED_TABLES[0].name}", "--json").done().document["columns"]
        assert [column["name"] for column in quarantine if column["meaning"]] == ["rejected_rule", "run_id"]


def test_completion_offers_names_with_their_meanings(shop: Shop) -> None:
    more = {"_SHOPEASE_COMPLETE": "complete_bash", "COMP_WORDS": "shopease tables prod", "COMP_CWORD": "2"}
    offered = replace(shop, more=more, starts_cold=True).run().stdout.split()
    assert {*offered} == {"products", "product_performance"}


def test_json_is_one_line(shop: Shop) -> None:
    for arguments in ((), ("stores",), ("stores", "--rows", "0")):
        (line,) = shop.run("tables", *arguments, "--json").done().stdout.splitlines()
        json.loads(line)
