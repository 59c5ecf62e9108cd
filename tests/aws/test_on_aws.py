"""The whole way on an emulated AWS: S3, Glue and Athena over HTTP, by the command line."""

import io
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from accounts import Account, new_account, set_environment
from commands import Shop, copy_of, execute
from lakes import KEYS
from shopease_etl.contract.gold import USUAL
from shopease_etl.errors import DataRefusedError
from shopease_etl.lake.open import open_store
from shopease_etl.report import CrawlerRun
from shopease_etl.stages.crawl import crawl
from shopease_etl.warehouse.aws import AwsWarehouse

CONTRACT = {
    "revenue-days": ("sales_date", "total_revenue", "total_transactions", "unique_customers"),
    "best-products": ("product_name", "category", "total_revenue", "total_quantity_sold"),
    "store-revenue": ("store_name", "transactions", "revenue"),
}


@pytest.fixture(scope="module")
def patch() -> Iterator[pytest.MonkeyPatch]:
    with pytest.MonkeyPatch.context() as made:
        yield made


@pytest.fixture(scope="module")
def cloud(emulator: str, patch: pytest.MonkeyPatch) -> Account:
    """An account with an empty catalog and three crawlers, to which AWS's own variables point."""
    account = new_account(emulator)
    set_environment(patch, account.environment)
    return account


@pytest.fixture(scope="module")
def bucket(cloud: Account) -> str:
    name = cloud.new_bucket()
    cloud.new_catalog(name)
    for layer in ("bronze", "silver", "gold"):
        targets = {"CatalogTargets": [{"DatabaseName": "shopease_catalog", "Tables": [f"{layer}_x"]}]}
        cloud.client("glue").create_crawler(
            Name=f"shopease-{layer}-crawler", Role="GlueServiceRole", DatabaseName="shopease_catalog", Targets=targets
        )
    return name


@pytest.fixture(scope="module")
def remote(sales: str, bucket: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """A shop whose whole lake is on S3."""
    with copy_of(sales) as url:
        made = Shop(tmp_path_factory.mktemp("remote"), url, f"s3://{bucket}/prod")
        made.run("run-all").done()
        yield made


def objects(cloud: Account, bucket: str) -> dict[str, bytes]:
    """The lake's objects below the prefix."""
    client = cloud.client("s3")
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix="prod/")
    keys = [item["Key"] for page in pages for item in page.get("Contents", ())]
    return {key.removeprefix("prod/"): client.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys}


def test_a_second_crawl_changes_nothing(remote: Shop) -> None:
    (stage,) = remote.run("crawl", "--json").done().document["stages"]
    tables = {entry["name"]: entry for entry in stage["tables"]}
    assert {entry["change"] for entry in tables.values() if entry["kind"] == "table"} == {"unchanged"}
    assert (len(tables), stage["skipped"]) == (26, {})
    assert stage["scan"]["charged"] > 0


def test_crawlers_leave_the_tables_unchanged(remote: Shop, cloud: Account) -> None:
    ended = remote.run("crawl", "--crawlers", "--json").done()
    (stage,) = ended.document["stages"]
    names = [f"shopease-{layer}-crawler" for layer in ("bronze", "silver", "gold")]
    assert [(run["name"], run["attached"]) for run in stage["crawlers"]] == [(name, False) for name in names]
    for name in names:
        assert f"crawler {name}: succeeded" in ended.stderr
        assert cloud.client("glue").get_crawler(Name=name)["Crawler"]["LastCrawl"]["Status"] == "SUCCEEDED"


@pytest.mark.parametrize("name", CONTRACT)
def test_the_contracts_queries_give_the_results_of_a_local_lake(remote: Shop, shop: Shop, name: str) -> None:
    there = remote.run("query", "--name", name, "--json").done().document["rows"]
    assert there == shop.run("query", "--name", name, "--json").done().document["rows"]
    assert tuple(there[0]) == CONTRACT[name]


def test_the_tables_are_those_of_a_local_lake(remote: Shop, shop: Shop, cloud: Account) -> None:
    glue = cloud.client("glue")
    here = shop.run("tables", "--all", "--json").done().document["tables"]
    for view in (table for table in here if table["kind"] == "view"):
        # as Athena does; the emulator's keeps views to itself
        columns = [{"Name": column["name"], "Type": column["type"]} for column in view["columns"]]
        storage = {"Columns": columns, "Location": ""}
        entry = {"Name": view["name"], "TableType": "VIRTUAL_VIEW", "StorageDescriptor": storage}
        glue.create_table(DatabaseName="shopease_catalog", TableInput=entry)
    there = remote.run("tables", "--all", "--json").done().document["tables"]
    for view in (table for table in here if table["kind"] == "view"):
        glue.delete_table(DatabaseName="shopease_catalog", Name=view["name"])
    same = ("name", "kind", "meaning", "columns", "rows", "bytes", "key", "months")
    assert [{name: table[name] for name in same} for table in there] == [
        {name: table[name] for name in same} for table in here
    ]


def test_rows_of_a_table_are_shown_with_what_they_cost(remote: Shop, shop: Shop) -> None:
    arguments = ("tables", "daily_sales_summary", "--json")
    there = remote.run(*arguments).done()
    assert there.document["sample"] == shop.run(*arguments).done().document["sample"]
    assert "charged 10.5 MB: $0.000052 at $5 a TB" in there.stderr
    assert "charged" not in remote.run(*arguments, "--rows", "0").done().stderr


def test_tables_of_others_are_listed_too(remote: Shop, cloud: Account) -> None:
    glue = cloud.client("glue")
    storage = {"Columns": [{"Name": "day", "Type": "date"}], "Location": "s3://elsewhere/days/"}
    table = {"Name": "their_days", "TableType": "EXTERNAL_TABLE", "StorageDescriptor": storage}
    glue.create_table(DatabaseName="shopease_catalog", TableInput=table)
    (found,) = (
        table for table in remote.run("tables", "--json").done().document["tables"] if table["name"] == "their_days"
    )
    assert (found["kind"], found["meaning"], found["rows"], found["key"]) == ("other", "", None, None)
    assert found["columns"] == [{"name": "day", "type": "date", "meaning": ""}]
    assert "their_days" in remote.run("tables").done().stdout
    glue.delete_table(DatabaseName="shopease_catalog", Name="their_days")


def test_revenue_is_exact_in_every_output(remote: Shop, cloud: Account, bucket: str) -> None:
    gold = objects(cloud, bucket)[USUAL[0].key]
    expected = pl.read_parquet(io.BytesIO(gold))["total_revenue"].sum()
    sums = "SELECT SUM({}) AS total FROM shopease_catalog.{}"
    for column, table in (("total_revenue", "daily_sales_summary"), ("total_amount", "transactions")):
        answer = remote.run("query", sums.format(column, table), "--format", "csv").done().stdout
        assert Decimal(answer.splitlines()[1]) == expected


def test_stderr_has_the_bytes_scanned_and_their_cost(remote: Shop) -> None:
    ended = remote.run("query", "SELECT COUNT(*) AS n FROM shopease_catalog.silver_transactions").done()
    assert "charged 10.5 MB: $0.000052 at $5 a TB" in ended.stderr
    assert "charged" not in ended.stdout
    assert "charged" not in remote.run("query", "SELECT 1 AS n", "--quiet").done().stderr


def test_max_scan_is_an_estimate_from_the_files_behind_tables_and_views(
    remote: Shop, cloud: Account, bucket: str
) -> None:
    size = len(objects(cloud, bucket)["silver/transactions/transactions_cleaned.csv"])
    statement = ("query", "SELECT COUNT(*) AS n FROM shopease_catalog.transactions", "--max-scan")
    remote.run(*statement, str(size)).done()
    remote.run(*statement, str(size - 1)).failed(1, f"{size:,} bytes")


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT COUNT(*) AS n FROM shopease_catalog.products a JOIN shopease_catalog.silver_products b ON true",
        "WITH p AS (SELECT * FROM products) SELECT COUNT(*) AS n FROM p CROSS JOIN (SELECT 1 FROM products LIMIT 1)",
    ],
)
def test_a_table_that_is_read_twice_counts_twice(remote: Shop, cloud: Account, bucket: str, sql: str) -> None:
    size = 2 * len(objects(cloud, bucket)["silver/products/products_cleaned.csv"])
    remote.run("query", sql, "--max-scan", str(size)).done()
    remote.run("query", sql, "--max-scan", str(size - 1)).failed(1, f"{size:,} bytes")


@pytest.mark.parametrize("name", ["elsewhere.stores", "made_by_hand"])
def test_statements_without_an_estimate_are_refused(remote: Shop, name: str) -> None:
    refused = remote.run("query", f"SELECT 1 AS n FROM {name}", "--max-scan", "1TB")
    assert "cutoff" in refused.failed(1, f"{name} is not of this lake").stderr


def test_the_workgroups_cutoff_replaces_the_estimate(remote: Shop, cloud: Account) -> None:
    athena = cloud.client("athena")
    statement = ("query", "SELECT COUNT(*) AS n FROM shopease_catalog.transactions", "--max-scan")
    remote.run(*statement, "100kB").failed(1, "may read")
    update = {"WorkGroup": "shopease-analytics"}
    athena.update_work_group(**update, ConfigurationUpdates={"BytesScannedCutoffPerQuery": 10_000_000})
    remote.run(*statement, "10MB").done()
    athena.update_work_group(**update, ConfigurationUpdates={"RemoveBytesScannedCutoffPerQuery": True})


def test_writing_statements_are_refused_before_athena_sees_them(remote: Shop) -> None:
    remote.run("query", "DROP TABLE shopease_catalog.daily_sales_summary").failed(2, "only read-only statements")


def test_a_wrong_statement_has_athenas_message(remote: Shop) -> None:
    assert "no_such" in remote.run("query", "SELECT no_such FROM shopease_catalog.stores").stderr


@pytest.mark.parametrize("command", [("cost",), ("status",), ("check",), ("run-all", "--dry-run")])
def test_other_commands_work_on_s3(remote: Shop, command: tuple[str, ...]) -> None:
    remote.run(*command).done()


def test_the_monthly_cost_is_by_the_real_sizes(remote: Shop, cloud: Account, bucket: str) -> None:
    lines = {line["name"]: line for line in remote.run("cost", "--crawls", "30", "--json").done().document["lines"]}
    silver = sum(len(data) for key, data in objects(cloud, bucket).items() if key.startswith("silver/"))
    assert lines["storage silver"]["dollars"] == pytest.approx(silver / 1e9 * 0.023)
    assert lines["crawlers"]["dollars"] == pytest.approx(30 * 3 * 2 * 0.44 / 6)


def fresh(sales: str, folder: Path, account: Account) -> tuple[Shop, str]:
    """A shop with an empty lake on S3, and its bucket."""
    name = account.new_bucket()
    account.new_catalog(name)
    return Shop(folder, sales, f"s3://{name}"), name


def test_a_catalog_without_tables_says_what_to_do(bare: str, tmp_path: Path, account: Account) -> None:
    shop, _ = fresh(bare, tmp_path, account)
    ended = shop.run("tables").failed(1, "is catalogued in shopease_catalog in the Glue catalog yet")
    assert "hint: run `shopease crawl`" in ended.stderr


def test_empty_tables_can_be_queried(bare: str, tmp_path: Path, account: Account) -> None:
    shop, _ = fresh(bare, tmp_path, account)
    entries = crawled(shop.run("run-all", "--json").done().document)
    assert {entry["rows"] for entry in entries} == {0}
    assert len(entries) == 26
    for name in CONTRACT:
        assert shop.run("query", "--name", name, "--json").done().document["rows"] == []


def test_an_extra_source_column_is_added_automatically(sales: str, tmp_path: Path, account: Account) -> None:
    with copy_of(sales) as url:
        shop, _ = fresh(url, tmp_path, account)
        shop.run("run-all").done()
        execute(url, "ALTER TABLE products ADD COLUMN \"Gift, wrap\" text DEFAULT 'red'")
        changes = {
            entry["name"]: entry["change"]
            for entry in crawled(shop.run("run-all", "--accept-drift", "--json").done().document)
        }
        assert {name for name, change in changes.items() if change == "updated"} == {
            "bronze_products",
            "silver_products",
            "quarantine_products",
        }
        sql = 'SELECT COUNT("Gift_ wrap") AS wrapped, COUNT(*) AS n FROM shopease_catalog.products'
        (row,) = shop.run("query", sql, "--json").done().document["rows"]
        assert row["wrapped"] == row["n"] > 0


def crawled(document: Any) -> list[dict[str, Any]]:
    return [entry for stage in document["stages"] for entry in stage["tables"]]


def test_a_table_that_does_not_read_its_file_is_an_error(sales: str, tmp_path: Path, account: Account) -> None:
    shop, name = fresh(sales, tmp_path, account)
    shop.run("run-all").done()
    client, key = account.client("s3"), "bronze/stores/stores.csv"
    size = client.head_object(Bucket=name, Key=key)["ContentLength"]
    client.put_object(Bucket=name, Key=key, Body=b"s" * (size - 1) + b"\n")
    shop.run("crawl").failed(1, "has no rows, but its file has 5")


def test_without_the_query_extra_only_query_fails(sales: str, tmp_path: Path, account: Account) -> None:
    shop, _ = fresh(sales, tmp_path, account)
    for package in ("sqlglot", "duckdb"):
        (tmp_path / "blocked" / package).mkdir(parents=True)
        (tmp_path / "blocked" / package / "__init__.py").write_text("raise ModuleNotFoundError(__name__)")
    bare = Shop(tmp_path, sales, shop.lake, {"PYTHONPATH": str(tmp_path / "blocked")})
    assert len(crawled(bare.run("run-all", "--json").done().document)) == 26
    bare.run("query", "SELECT 1 AS n").failed(2, "sqlglot")


def test_an_unexpected_file_in_a_tables_folder_is_a_warning(sales: str, tmp_path: Path, account: Account) -> None:
    shop, name = fresh(sales, tmp_path, account)
    shop.run("run-all").done()
    account.client("s3").put_object(Bucket=name, Key="bronze/stores/old/copy.csv", Body=b"x\n")
    account.client("s3").put_object(Bucket=name, Key="bronze/stores/_note", Body=b"x\n")
    account.client("s3").put_object(Bucket=name, Key="bronze/customers/", Body=b"")
    told = shop.run("crawl").stderr
    assert f"s3://{name}/bronze/stores/old/copy.csv is not of the lake's layout" in told
    assert told.count("is not of the lake's layout") == 1


def test_changes_of_a_table_by_a_crawler_are_refused_and_repaired(sales: str, tmp_path: Path, account: Account) -> None:
    shop, _ = fresh(sales, tmp_path, account)
    shop.run("run-all").done()
    glue = account.client("glue")
    store = open_store(shop.lake)
    warehouse = AwsWarehouse(store, "shopease_catalog", "shopease-analytics", 60)

    def retype() -> tuple[CrawlerRun, ...]:
        table = glue.get_table(DatabaseName="shopease_catalog", Name="bronze_stores")["Table"]
        table["StorageDescriptor"]["Columns"][0]["Type"] = "bigint"
        kept = {name: table[name] for name in ("Name", "TableType", "Parameters", "StorageDescriptor")}
        glue.update_table(DatabaseName="shopease_catalog", TableInput=kept)
        return (CrawlerRun("bronze", 1.0, attached=False),)

    with pytest.raises(DataRefusedError, match="bronze_stores has another set of columns") as raised:
        crawl(store, warehouse, run_crawlers=retype)
    assert "SchemaChangePolicy" in str(raised.value.hint)
    # the former definition has come back
    changes = {entry["name"]: entry["change"] for entry in crawled(shop.run("crawl", "--json").done().document)}
    assert changes["bronze_stores"] == "unchanged"
    retype()
    changes = {entry["name"]: entry["change"] for entry in crawled(shop.run("crawl", "--json").done().document)}
    assert changes["bronze_stores"] == "updated"


@pytest.mark.parametrize("command", [("run-all",), ("crawl",), ("run-all", "--dry-run")])
def test_without_a_catalog_nothing_is_written(
    sales: str, tmp_path: Path, account: Account, command: tuple[str, ...]
) -> None:
    name = account.new_bucket()
    ended = Shop(tmp_path, sales, f"s3://{name}").run(*command)
    assert "make deploy" in ended.failed(4, "no database shopease_catalog in the Glue catalog").stderr
    assert account.client("s3").list_objects_v2(Bucket=name)["KeyCount"] == 0


@pytest.mark.parametrize("command", [("run-all",), ("crawl",), ("run-all", "--dry-run")])
def test_a_foreign_table_is_named_before_anything_is_written(
    sales: str, tmp_path: Path, account: Account, command: tuple[str, ...]
) -> None:
    shop, name = fresh(sales, tmp_path, account)
    table = {"Name": "customers", "TableType": "EXTERNAL_TABLE", "StorageDescriptor": {"Location": f"s3://{name}/old/"}}
    account.client("glue").create_table(DatabaseName="shopease_catalog", TableInput=table)
    ended = shop.run(*command)
    assert "delete-table --database-name shopease_catalog --name customers" in ended.failed(3, "customers").stderr
    assert account.client("s3").list_objects_v2(Bucket=name)["KeyCount"] == 0


def test_without_a_workgroup_nothing_is_written(sales: str, tmp_path: Path, account: Account) -> None:
    shop, name = fresh(sales, tmp_path, account)
    more = {"SHOPEASE_ATHENA_WORKGROUP": "elsewhere"}
    Shop(tmp_path, sales, shop.lake, more).run("run-all").failed(4, "elsewhere")
    assert account.client("s3").list_objects_v2(Bucket=name)["KeyCount"] == 0


def test_skip_crawl_needs_neither(sales: str, tmp_path: Path, account: Account) -> None:
    name = account.new_bucket()
    Shop(tmp_path, sales, f"s3://{name}").run("run-all", "--skip-crawl").done()
    keys = {item["Key"] for item in account.client("s3").list_objects_v2(Bucket=name)["Contents"]}
    assert {key for key in keys if not key.startswith("_runs/")} == KEYS


def test_crawlers_are_not_for_local_lakes(shop: Shop) -> None:
    shop.run("crawl", "--crawlers").failed(2, "lakes on S3")
