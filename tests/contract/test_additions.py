"""What is added to the contract in one place works from the source to the queries, with nothing else changed."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

import customers_by_state
import pytest

import shopease_etl
from commands import Shop, copy_of, count, execute
from lakes import KEYS
from shopease_etl.contract.layout import RUNS

GOLD: Final = "gold/customers_by_state/data.parquet"
CARDS: Final = (
    "bronze/cards/loyalty_cards.csv",
    "silver/cards/cards_cleaned.csv",
    "quarantine/cards/cards_rejected.csv",
)
RETURNS: Final = "bronze/returns/returns.csv"

# Each addition: the file, the line that it changes, and what stands there then.
RULE: Final = (
    "contract/tables.py",
    'Column("category", STRING, case="upper"),',
    'Column("category", STRING, rules=(Rule("unwanted", lambda text, _: text != "TOYS"),), case="upper"),',
)
CLEANED: Final = (
    "contract/tables.py",
    "TABLES: Final = (",
    """TABLES: Final = (
    Table("cards", "loyalty_cards", (Column("card_id", BIGINT, rules=(MISSING, INVALID)), Column("level", STRING)),
          key="card_id"),
    """,
)
OPTIONAL: Final = (
    "contract/tables.py",
    "TABLES: Final = (",
    """TABLES: Final = (
    Table("returns", "returns", (Column("return_id", BIGINT),), key="return_id", required=False),
    """,
)
DATASET: Final = (
    "contract/gold/__init__.py",
    "GOLD: Final[tuple[GoldDataset, ...]] = (",
    "from shopease_etl.contract.gold.customers_by_state import CUSTOMERS_BY_STATE\n"
    "GOLD: Final[tuple[GoldDataset, ...]] = (CUSTOMERS_BY_STATE, ",
)


@pytest.fixture(scope="module")
def added(sales: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """A shop whose shopease has the additions, and whose lake was made without the optional table."""
    folder = tmp_path_factory.mktemp("added")
    package = folder / "code" / "shopease_etl"
    shutil.copytree(Path(shopease_etl.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(customers_by_state.__file__, package / "contract" / "gold")
    for name, line, text in (RULE, CLEANED, OPTIONAL, DATASET):
        before = (package / name).read_text()
        assert before.count(line) == 1
        (package / name).write_text(before.replace(line, text))
    with copy_of(sales) as url:
        execute(
            url,
            "CREATE TABLE loyalty_cards (card_id int, level text)",
            "INSERT INTO loyalty_cards VALUES (1, 'gold'), (1, 'blue'), (2, ' gold  card '), (NULL, 'x')",
            "UPDATE products SET category = CASE WHEN product_id % 7 = 0 THEN ' toys ' ELSE 'tea' END",
        )
        made = Shop(folder, url, more={"PYTHONPATH": str(folder / "code")})
        made.run("run-all").done()
        yield made


def test_the_lists_are_as_they_were_here() -> None:
    assert not KEYS & {GOLD, RETURNS, *CARDS}


def test_a_run_makes_and_reconciles_them(added: Shop) -> None:
    (manifest,) = (added.folder / added.lake / RUNS).glob("*.json")
    run = json.loads(manifest.read_text())
    by_key = {item["key"]: item for stage in run["stages"] for item in stage["datasets"]}
    assert by_key.keys() == {*KEYS, GOLD, *CARDS}
    assert by_key[CARDS[1]]["rejected"] == {"duplicate_card_id": 1, "missing_card_id": 1}
    unwanted = by_key["silver/products/products_cleaned.csv"]["rejected"]["unwanted_category"]
    assert 0 < unwanted <= count(added.database_url, "products WHERE product_id % 7 = 0")
    sums, customers = run["reconciliation"], by_key["silver/customers/customers_cleaned.csv"]["rows_out"]
    assert (sums["agrees"], sums["customers_by_state_rows"]) == (True, customers)
    assert sums["reread"]["customers_by_state_rows"] == customers
    assert sums["rows"]["cards"] == {"source": 4, "bronze": 4, "silver": 2, "quarantine": 2}
    assert by_key[GOLD]["rows_in"] == customers
    assert "loyalty_cards" in run["source"]["tables"]
    assert "returns" not in run["source"]["tables"]
    crawl = run["stages"][-1]
    assert {"cards", "bronze_cards", "silver_cards", "quarantine_cards", "customers_by_state"} <= {
        entry["name"] for entry in crawl["tables"]
    }
    assert crawl["skipped"].keys() == {"bronze_returns", "silver_returns", "quarantine_returns", "returns"}


def test_they_can_be_queried(added: Shop) -> None:
    sql = """
    SELECT (SELECT MAX(level) FROM shopease_catalog.cards WHERE card_id = 2) AS level,
           (SELECT COUNT(*) FROM shopease_catalog.quarantine_products
            WHERE rejected_rule = 'unwanted_category') AS toys,
           (SELECT COUNT(DISTINCT COALESCE(state, '')) FROM shopease_catalog.customers) AS states,
           (SELECT COUNT(*) FROM shopease_catalog.stores) AS stores,
           COUNT(*) AS rows_of_gold, SUM(all_stores) / COUNT(*) AS stores_of_gold
    FROM shopease_catalog.customers_by_state"""
    (row,) = added.run("query", sql, "--json").done().document["rows"]
    assert row["level"] == "gold card"
    assert row["toys"] > 0
    assert (row["rows_of_gold"], row["stores_of_gold"]) == (row["states"], row["stores"])


def test_status_check_and_cleanup_know_them(added: Shop) -> None:
    status = added.run("status", "--json").done().document
    assert {item["key"] for item in status["datasets"]} == {*KEYS, GOLD, *CARDS}
    assert {item["run_id"] for item in status["datasets"]} == {status["runs"][0]["run_id"]}
    checked = {line["name"]: line for line in added.run("check", "--json").document}
    assert checked["table returns"]["detail"] == "missing; optional"
    told = added.run("cleanup", "--all", "--dry-run").done()
    assert all(key in told.stdout for key in (*KEYS, GOLD, *CARDS))
    assert "not of the lake's layout" not in told.stderr


def test_terraform_declares_them(added: Shop) -> None:
    command = [sys.executable, "-m", "shopease_etl.warehouse.formats"]
    told = subprocess.run(command, env=added.environment, capture_output=True, check=True, cwd=added.folder)
    declared = json.loads(told.stdout)["tables"]
    assert declared["customers_by_state"]["columns"][1] == {"name": "customers", "type": "bigint"}
    assert {"bronze_cards", "silver_cards", "quarantine_cards", "bronze_returns"} <= declared.keys()


def test_an_optional_table_comes_and_goes(added: Shop) -> None:
    shop = replace(added, lake="optional")
    execute(added.database_url, "CREATE TABLE returns AS SELECT 1 AS return_id")
    shop.run("extract", "--table", "returns").done()
    execute(added.database_url, "DROP TABLE returns")
    told = shop.run("extract", "--table", "returns").done().stderr
    assert f"returns, which is optional, is missing in the source; {RETURNS} stays as it was" in told
    cleaned = shop.run("clean", "--table", "returns", "--json").done().document["stages"][0]["datasets"]
    assert [item["rows_out"] for item in cleaned] == [1, 0]


def test_a_dataset_that_is_not_made_of_sales_needs_none(added: Shop) -> None:
    shop = replace(added, lake="without-sales")
    shop.run("extract", "--table", "customers", "--table", "stores").done()
    shop.run("clean", "--table", "customers").done()
    made = shop.run("aggregate", "--dataset", "customers_by_state", "--json").done().document
    assert made["reconciliation"].keys() == {"rows", "customers_by_state_rows", "reread", "agrees"}
