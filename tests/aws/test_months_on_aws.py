"""A lake by month on an emulated AWS: its partitions, what a crawl of them changes, and queries on both layouts."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from accounts import Account, new_account, set_environment
from hand_made_lake import DATABASE, make_lake
from month_lake import put_month, split_by_month
from shopease_etl.contract.layout import NO_MONTH
from shopease_etl.contract.tables import TRANSACTIONS
from shopease_etl.errors import DataRefusedError
from shopease_etl.lake.open import open_store
from shopease_etl.lake.store import LakeStore, put_stream
from shopease_etl.report import CrawlerRun
from shopease_etl.stages.crawl import crawl
from shopease_etl.stages.named_queries import shipped_query
from shopease_etl.stages.query import query
from shopease_etl.warehouse.aws import AwsWarehouse

MONTHS = {f"2023-{month:02}" for month in range(1, 13)}
CONTRACT = ("revenue-days", "best-products", "store-revenue")
TABLES = ("bronze_transactions", "silver_transactions")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_lake(tmp_path_factory.mktemp("whole") / "lake")


@pytest.fixture(scope="module")
def cloud(emulator: str) -> Iterator[Account]:
    account = new_account(emulator)
    with pytest.MonkeyPatch.context() as patch:
        set_environment(patch, account.environment)
        yield account


@pytest.fixture
def store(cloud: Account, whole: Path) -> Iterator[LakeStore]:
    """A lake on S3 with transactions, not by month, whose catalog is empty."""
    bucket = cloud.new_bucket()
    cloud.new_catalog(bucket)
    made = open_store(f"s3://{bucket}/prod")
    upload(whole, made, "*/transactions/*")
    yield made
    cloud.client("glue").delete_database(Name=DATABASE)
    cloud.client("athena").delete_work_group(WorkGroup="shopease-analytics", RecursiveDeleteOption=True)


def upload(lake: Path, store: LakeStore, pattern: str) -> None:
    for path in lake.glob(pattern):
        put_stream(store, path.relative_to(lake).as_posix(), [path.read_bytes()])


def warehouse(store: LakeStore) -> AwsWarehouse:
    return AwsWarehouse(store, DATABASE, "shopease-analytics", 60)


def changes(store: LakeStore) -> dict[str, str | None]:
    """What a crawl did to each table, other than leaving it."""
    entries = crawl(store, warehouse(store)).catalogued
    return {entry.name: entry.change for entry in entries if entry.kind == "table" and entry.change != "unchanged"}


def answer(store: LakeStore, sql: str) -> list[dict[str, Any]]:
    with query(sql, warehouse(store)) as result:
        rows: list[dict[str, Any]] = result.reader.read_all().to_pylist()
        return rows


def partitions(cloud: Account, table: str) -> set[str]:
    found = cloud.client("glue").get_partitions(DatabaseName=DATABASE, TableName=table)["Partitions"]
    return {partition["Values"][0] for partition in found}


def test_both_layouts_have_the_same_rows_and_a_change_replaces_only_the_tables_by_month(
    cloud: Account, store: LakeStore, whole: Path
) -> None:
    for pattern in ("gold/*/*", "bronze/stores/*"):
        upload(whole, store, pattern)
    count = "SELECT COUNT(*) AS n, SUM(total_amount) AS amount FROM shopease_catalog.transactions"
    statements = [*(shipped_query(name).sql for name in CONTRACT), count]
    crawl(store, warehouse(store))
    former = [answer(store, sql) for sql in statements]
    texts = {key: store.read(key) for key in TRANSACTIONS.keys if store.find(key)}
    split_by_month(store)
    assert changes(store) == dict.fromkeys(TABLES, "replaced")
    assert [answer(store, sql) for sql in statements] == former
    assert {table: partitions(cloud, table) for table in TABLES} == dict.fromkeys(TABLES, MONTHS)
    assert changes(store) == {}
    assert [*answer(store, "SELECT * FROM shopease_catalog.transactions LIMIT 1")[0]][-1] == "sale_month"
    for key, text in texts.items():
        store.delete([item.key for item in store.list(f"{key.rpartition('/')[0]}/")])
        put_stream(store, key, [text])
    assert changes(store) == dict.fromkeys(TABLES, "replaced")
    assert [answer(store, sql) for sql in statements] == former
    assert partitions(cloud, TABLES[0]) == set()


def test_a_month_more_or_less_changes_only_its_partition(cloud: Account, store: LakeStore) -> None:
    split_by_month(store)
    crawl(store, warehouse(store))
    text = store.read(TRANSACTIONS.in_month("2023-11").silver_key).decode()
    put_month(store, TRANSACTIONS.silver_key, NO_MONTH, text)
    assert [row["n"] for row in answer(store, "SELECT COUNT(*) AS n FROM transactions")] == [100]
    assert changes(store) == {"silver_transactions": "updated"}
    assert partitions(cloud, "silver_transactions") == {*MONTHS, NO_MONTH}
    by_month = "SELECT sale_month, COUNT(*) AS n FROM transactions WHERE sale_month >= '2023-12' GROUP BY 1 ORDER BY 1"
    assert [(row["sale_month"], row["n"]) for row in answer(store, by_month)] == [("2023-12", 8), ("none", 8)]
    store.delete([TRANSACTIONS.in_month(month).silver_key for month in ("2023-12", NO_MONTH)])
    assert answer(store, by_month) == []
    assert changes(store) == {"silver_transactions": "updated"}
    assert partitions(cloud, "silver_transactions") == MONTHS - {"2023-12"}


def test_an_estimate_is_of_the_months_that_are_read(store: LakeStore) -> None:
    split_by_month(store)
    with warehouse(store).engine() as engine:
        sizes = {item.key: item.bytes for item in store.list("silver/transactions/")}
        assert engine.estimated_bytes("SELECT 1 FROM transactions") == sum(sizes.values())
        month = engine.estimated_bytes("SELECT 1 FROM transactions WHERE sale_month = '2023-11'")
        assert month == sizes[TRANSACTIONS.in_month("2023-11").silver_key]


def test_partitions_that_a_crawler_changed_are_refused_and_come_back(cloud: Account, store: LakeStore) -> None:
    split_by_month(store)
    crawl(store, warehouse(store))
    glue, names = cloud.client("glue"), {"DatabaseName": DATABASE, "TableName": "silver_transactions"}

    def interfere() -> tuple[CrawlerRun, ...]:
        new = {"Values": ["2024-01"], "StorageDescriptor": {"Location": "s3://other/"}}
        glue.batch_create_partition(**names, PartitionInputList=[new])
        glue.delete_partition(**names, PartitionValues=["2023-01"])
        return (CrawlerRun("silver", 1.0, attached=False),)

    message = "; ".join(f"silver_transactions has another partition {month}" for month in ("2023-01", "2024-01"))
    with pytest.raises(DataRefusedError, match=message):
        crawl(store, warehouse(store), run_crawlers=interfere)
    assert partitions(cloud, "silver_transactions") == MONTHS
    assert changes(store) == {}


def test_a_failed_crawl_brings_the_former_layout_back(cloud: Account, store: LakeStore) -> None:
    crawl(store, warehouse(store))

    def fail() -> tuple[CrawlerRun, ...]:
        assert partitions(cloud, "silver_transactions") == MONTHS
        raise DataRefusedError("no")

    split_by_month(store)
    with pytest.raises(DataRefusedError, match="no"):
        crawl(store, warehouse(store), run_crawlers=fail)
    table = cloud.client("glue").get_table(DatabaseName=DATABASE, Name="silver_transactions")["Table"]
    assert (table["PartitionKeys"], partitions(cloud, "silver_transactions")) == ([], set())
