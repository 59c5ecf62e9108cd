"""The whole pipeline on a real PostgreSQL: what arrives in a lake, on disk and on S3, and what is refused."""

import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import boto3
import polars as pl
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg.conninfo import conninfo_to_dict

from commands import Shop, copy_of, count, database, execute, hashes, is_manifest, sample_database
from shopease_etl import __version__, pipeline, plan
from shopease_etl.lake import scan_csv
from shopease_etl.results import RunResult
from shopease_etl.settings import Settings, load
from shopease_etl.storage.local import LocalStore
from shopease_etl.tables import CLEANED_TABLES, CUSTOMERS, GOLD_TABLES, ROW, STORES, TABLES, TRANSACTIONS

PASSWORD: Final = "pa55-w0rd-nobody-may-see"
KEYS: Final = {
    *(table.bronze_key for table in TABLES),
    *(key for table in CLEANED_TABLES for key in (table.silver_key, table.quarantine_key)),
    *(table.key for table in GOLD_TABLES),
}
CONTRACT_TABLES: Final = (
    "CREATE TABLE customers (customer_id int, customer_name text, email text, phone text, address text, city text, "
    "state text, zip_code text, created_at timestamp, updated_at timestamp)",
    "CREATE TABLE products (product_id int, product_name text, category text, price numeric(10,2), description text, "
    "created_at timestamp, updated_at timestamp)",
    "CREATE TABLE stores (store_id int, store_name text, city text, state text, created_at timestamp, "
    "updated_at timestamp)",
    "CREATE TABLE inventory (inventory_id int, store_id int, product_id int, quantity int, reorder_level int, "
    "created_at timestamp, updated_at timestamp)",
    "CREATE TABLE sales_managers (manager_id int, manager_name text, email text, phone text, store_id int, "
    "created_at timestamp, updated_at timestamp)",
    "CREATE TABLE sale_transactions (transaction_id int, store_id int, customer_id int, product_id int, quantity int, "
    "unit_price numeric(10,2), payment_method text, sales_channel text, created_at timestamp, updated_at timestamp)",
)


@pytest.fixture(scope="module")
def sales(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a database with sales, which no test changes."""
    with sample_database(database_url, tmp_path_factory.mktemp("sales")) as url:
        yield url


@pytest.fixture
def own_sales(sales: str) -> Iterator[str]:
    """The URL of a copy for one test."""
    with copy_of(sales) as url:
        yield url


@pytest.fixture
def bare(database_url: str) -> Iterator[str]:
    """The URL of a database with the contract's tables, empty."""
    with database(database_url) as url:
        execute(url, *CONTRACT_TABLES)
        yield url


def given_settings(url: str, folder: Path, **more: str) -> Settings:
    return load(database_url=url, lake=str(folder / "lake"), home=folder / "home", **more)


def extracted(url: str, folder: Path, *names: str, **more: str) -> RunResult:
    """The run that brings the named tables to bronze, in this process."""
    return pipeline.run(plan.plan_tables("extract", names), given_settings(url, folder, **more))


def read(folder: Path, key: str) -> pl.DataFrame:
    """A CSV of the lake as text, as every stage reads it."""
    return scan_csv(LocalStore(folder / "lake"), key, {}).drop(ROW).collect()


def with_password(url: str) -> str:
    """The same database, with a password that the server does not ask for."""
    return url.replace("shopease@/", f"shopease:{PASSWORD}@/")


class Bucket:
    """A lake on S3 from outside."""

    def __init__(self, name: str, prefix: str) -> None:
        self._client = boto3.client("s3")
        self._name = name
        self._prefix = prefix

    def objects(self) -> dict[str, bytes]:
        listed = self._client.list_objects_v2(Bucket=self._name)["Contents"]
        assert all(item["Key"].startswith(self._prefix) for item in listed)
        return {item["Key"].removeprefix(self._prefix): self._read(item["Key"]) for item in listed}

    def uploads(self) -> list[Any]:
        uploads: list[Any] = self._client.list_multipart_uploads(Bucket=self._name).get("Uploads", [])
        return uploads

    def _read(self, key: str) -> bytes:
        content: bytes = self._client.get_object(Bucket=self._name, Key=key)["Body"].read()
        return content


def without_run_id(quarantine: bytes, run_id: str) -> bytes:
    """A quarantine file's bytes as if no run had made it."""
    assert quarantine.count(f",{run_id}\n".encode()) == quarantine.count(run_id.encode())
    return quarantine.replace(f",{run_id}\n".encode(), b"\n")


def test_a_folder_and_s3_hold_the_same_and_no_secret(sales: str, tmp_path: Path, new_bucket: Callable[[], str]) -> None:
    bucket = new_bucket()
    local, remote = (Shop(tmp_path, with_password(sales), lake) for lake in ("lake", f"s3://{bucket}/some/prefix"))
    runs = [shop.run("run-all", "--json", "--debug").done() for shop in (local, remote)]
    lake = {path.relative_to(tmp_path / "lake").as_posix(): path.read_bytes() for path in _files(tmp_path / "lake")}
    there = Bucket(bucket, "some/prefix/")
    objects = there.objects()
    assert there.uploads() == []
    for found in (lake, objects):
        assert {key for key in found if not is_manifest(key)} == KEYS
    for key in KEYS:
        if key.startswith("quarantine/"):
            ids = [run.document["run_id"] for run in runs]
            assert without_run_id(lake[key], ids[0]) == without_run_id(objects[key], ids[1])
        else:
            assert lake[key] == objects[key], key
    for text in (
        *lake.values(),
        *objects.values(),
        *(part.encode() for run in runs for part in (run.stdout, run.stderr)),
    ):
        assert PASSWORD.encode() not in text


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file())


def test_silver_and_gold_do_not_depend_on_the_run(sales: str, tmp_path: Path) -> None:
    chosen = given_settings(sales, tmp_path)
    whole = pipeline.run(plan.plan_all(), chosen)
    first = hashes(tmp_path / "lake")
    assert set(first) == KEYS
    for stage in ("extract", "clean"):
        pipeline.run(plan.plan_tables(stage, ()), chosen)
    pipeline.run(plan.plan_datasets(()), chosen)
    second = hashes(tmp_path / "lake")
    assert {key for key in KEYS if first[key] != second[key]} == {table.quarantine_key for table in CLEANED_TABLES}
    assert {item.key: item.sha256 for stage in whole.stages for item in stage.datasets} == first


def test_the_manifest_is_the_contracts(sales: str, tmp_path: Path) -> None:
    before = datetime.now(UTC).replace(microsecond=0)
    told = Shop(tmp_path, with_password(sales)).run("run-all", "--json").done().document
    manifest = json.loads((tmp_path / "lake" / "_runs" / f"{told['run_id']}.json").read_text())
    assert manifest == told
    assert list(manifest) == [
        *("run_id", "status", "started_at", "finished_at", "shopease_version", "stages", "reconciliation"),
        *("source", "error", "schema_version"),
    ]
    assert (manifest["schema_version"], manifest["status"], manifest["error"]) == (1, "succeeded", None)
    assert manifest["shopease_version"] == __version__
    times = [datetime.fromisoformat(manifest[name]) for name in ("started_at", "finished_at")]
    assert before <= times[0] <= times[1] <= datetime.now(UTC)
    assert f"{times[0]:%Y%m%dT%H%M}" in manifest["run_id"]
    source = manifest["source"]
    assert source["tables"] == {table.name: count(sales, table.source) for table in TABLES}
    assert source["database"] == conninfo_to_dict(sales)["dbname"]
    assert source["server_version"][:2].isdigit()
    assert source["snapshot_id"]


def test_the_manifest_tells_the_bytes_and_every_row(sales: str, tmp_path: Path) -> None:
    run = pipeline.run(plan.plan_all(skip_crawl=True), given_settings(sales, tmp_path))
    lake = tmp_path / "lake"
    by_key = {item.key: item for stage in run.stages for item in stage.datasets}
    assert set(by_key) == KEYS
    for key, item in by_key.items():
        content = (lake / key).read_bytes()
        assert (item.bytes, item.sha256) == (len(content), hashlib.sha256(content).hexdigest())
        found = read(tmp_path, key) if key.endswith(".csv") else pl.read_parquet(lake / key)
        assert item.rows_out == found.height
    for table in CLEANED_TABLES:
        silver, quarantine = by_key[table.silver_key], by_key[table.quarantine_key]
        assert silver.rows_in == by_key[table.bronze_key].rows_out == silver.rows_out + quarantine.rows_out
        rules = read(tmp_path, table.quarantine_key)["rejected_rule"].value_counts().rows()
        assert silver.rejected == dict(rules)


def test_the_sums_agree_to_the_cent(sales: str, tmp_path: Path) -> None:
    run = pipeline.run(plan.plan_all(skip_crawl=True), given_settings(sales, tmp_path))
    silver = read(tmp_path, TRANSACTIONS.silver_key)
    revenue = sum(map(Decimal, silver["total_amount"]), Decimal(0))
    sums = run.reconciliation
    assert sums["agrees"] is True
    assert (sums["silver_transactions"], sums["silver_revenue"]) == (silver.height, revenue)
    for table, column, subject in zip(
        GOLD_TABLES, ("total_revenue", "total_revenue", "total_spent"), (None, "product_id", "customer_id"), strict=True
    ):
        found = Decimal(pl.read_parquet(tmp_path / "lake" / table.key)[column].sum())
        assert found == sums[f"{table.name}_revenue"]
        lacking: list[str] = silver.filter(pl.col(subject).is_null())["total_amount"].to_list() if subject else []
        assert found + sum(map(Decimal, lacking), Decimal(0)) == revenue


def test_one_table_alone_leaves_the_others(own_sales: str, tmp_path: Path) -> None:
    extracted(own_sales, tmp_path)
    before = hashes(tmp_path / "lake")
    execute(own_sales, *(f"DELETE FROM {table.source}" for table in TABLES))
    told = Shop(tmp_path, own_sales).run("extract", "--table", "customers", "--table", "sale_transactions", "--json")
    assert [item["name"] for item in told.done().document["stages"][0]["datasets"]] == ["customers", "transactions"]
    after = hashes(tmp_path / "lake")
    assert {key for key in before if before[key] != after[key]} == {CUSTOMERS.bronze_key, TRANSACTIONS.bronze_key}


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        ("DROP TABLE stores; DROP TABLE inventory", 3, ("stores", "inventory", "missing")),
        ("ALTER TABLE products DROP COLUMN price, DROP category", 3, ("products lacks the column price", "category")),
        ("REVOKE SELECT ON customers FROM shopease", 4, ("customers",)),
        (
            "ALTER TABLE customers ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;"
            "CREATE POLICY positive ON customers USING (customer_id > 0)",
            4,
            ("customers", "row-level security"),
        ),
    ],
    ids=["missing table", "missing column", "unreadable", "row-level security"],
)
def test_a_source_that_does_not_fit_is_refused_before_anything_is_written(
    bare: str, tmp_path: Path, change: str, code: int, words: tuple[str, ...]
) -> None:
    execute(bare, change)
    Shop(tmp_path, bare).run("run-all").failed(code, *words)
    assert hashes(tmp_path / "lake") == {}


def test_every_kind_of_table_arrives_with_all_rows_and_columns(bare: str, tmp_path: Path) -> None:
    execute(
        bare,
        "DROP TABLE stores, inventory, products, sales_managers",
        "CREATE TABLE stores (store_id int, price int, store_name text GENERATED ALWAYS AS ('no ' || store_id) STORED, "
        "doubled int GENERATED ALWAYS AS (price * 2) VIRTUAL)",
        "INSERT INTO stores SELECT n, n FROM generate_series(1, 7) n",
        "CREATE TABLE inventory (inventory_id int, store_id int, quantity int) PARTITION BY RANGE (inventory_id)",
        "CREATE TABLE inventory_1 PARTITION OF inventory FOR VALUES FROM (1) TO (5)",
        "CREATE TABLE inventory_2 PARTITION OF inventory DEFAULT",
        "INSERT INTO inventory SELECT n, n, n FROM generate_series(1, 9) n",
        "CREATE TABLE sales_managers (manager_id int, manager_name text)",
        "CREATE TABLE regional_managers (region text) INHERITS (sales_managers)",
        "INSERT INTO sales_managers VALUES (1, 'Ann'); INSERT INTO regional_managers VALUES (2, 'Bo', 'west')",
        "CREATE MATERIALIZED VIEW products AS SELECT n AS product_id, 'p' AS product_name, 'c' AS category, "
        "1.005 AS price, now() AS created_at, now() AS updated_at FROM generate_series(1, 3) n",
    )
    extracted(bare, tmp_path)
    tables = {table.source: read(tmp_path, table.bronze_key) for table in TABLES}
    assert {name: frame.height for name, frame in tables.items() if frame.height} == {
        "stores": 7,
        "inventory": 9,
        "sales_managers": 2,
        "products": 3,
    }
    assert tables["stores"].rows()[2] == ("3", "3", "no 3", "6")
    assert sorted(tables["inventory"]["quantity"]) == [str(n) for n in range(1, 10)]
    assert tables["sales_managers"].columns == ["manager_id", "manager_name"]


def test_extra_columns_travel_and_order_does_not_matter(bare: str, tmp_path: Path) -> None:
    execute(
        bare,
        "DROP TABLE customers",
        'CREATE TABLE customers (updated_at timestamp, "a ""quoted"", name" text, email text, customer_name text, '
        "customer_id bigint, city text, state text, run_id int, created_at timestamp, total_amount text)",
        "INSERT INTO customers VALUES "
        "(now(), E'two\\nlines', 'A@X.ORG', ' ann  lee ', 1, 'c', 's', 7, now(), ' kept ')",
        "INSERT INTO customers (customer_id, run_id) VALUES (2, 8)",
    )
    run = pipeline.run(plan.plan_all(), given_settings(bare, tmp_path))
    silver = read(tmp_path, CUSTOMERS.silver_key)
    assert silver.columns == read(tmp_path, CUSTOMERS.bronze_key).columns
    row = silver.row(0, named=True)
    assert (row["customer_name"], row["email"], row["run_id"]) == ("ANN LEE", "a@x.org", "7")
    assert (row['a "quoted", name'], row["total_amount"]) == ("two lines", " kept ")
    rejected = read(tmp_path, CUSTOMERS.quarantine_key)
    assert rejected.row(0)[-2:] == ("missing_customer_name", run.run_id)
    assert rejected["source_run_id"].to_list() == ["8"]


def test_an_empty_source_gives_a_whole_empty_lake(bare: str, tmp_path: Path) -> None:
    shop = Shop(tmp_path, bare)
    run = shop.run("run-all", "--json").done().document
    assert run["reconciliation"]["agrees"] is True
    assert set(hashes(tmp_path / "lake")) == KEYS
    for table in GOLD_TABLES:
        found = pl.read_parquet(tmp_path / "lake" / table.key)
        assert (found.columns, found.height) == ([column.name for column in table.columns], 0)
    answer = shop.run("query", "SELECT count(*) AS n FROM shopease_catalog.transactions", "--json").done().document
    assert answer["rows"] == [{"n": 0}]


def test_a_sales_date_is_that_of_the_business_time_zone(bare: str, tmp_path: Path) -> None:
    execute(
        bare,
        "ALTER TABLE sale_transactions ALTER created_at TYPE timestamptz",
        "INSERT INTO sale_transactions VALUES (1, 1, 1, 1, 1, 1, 'x', 'y', '2024-03-01 03:00:00+00', now()), "
        "(2, 1, 1, 1, 1, 1, 'x', 'y', '2024-07-01 03:59:59.5+00', now())",
    )
    pipeline.run(plan.plan_all(), given_settings(bare, tmp_path, business_timezone="America/New_York"))
    silver = read(tmp_path, TRANSACTIONS.silver_key)
    assert silver["transaction_date"].to_list() == ["2024-02-29", "2024-06-30"]
    assert silver.select("year", "month", "day").row(0) == ("2024", "2", "29")
    assert read(tmp_path, TRANSACTIONS.bronze_key)["created_at"].to_list() == [
        *("2024-02-29 22:00:00-05", "2024-06-30 23:59:59.5-04"),
    ]


def test_all_tables_are_of_one_moment(bare: str, tmp_path: Path) -> None:
    stopped = threading.Event()

    def sell() -> None:
        with psycopg.connect(bare) as connection:
            while not stopped.is_set():
                connection.execute("INSERT INTO stores SELECT n FROM generate_series(1, 50) n")
                connection.execute("INSERT INTO inventory SELECT n FROM generate_series(1, 50) n")
                connection.commit()

    writer = threading.Thread(target=sell)
    writer.start()
    try:
        seen = [_rows_of(extracted(bare, tmp_path, "stores", "inventory")) for _ in range(8)]
    finally:
        stopped.set()
        writer.join()
    assert [rows for rows in seen if rows["stores"] != rows["inventory"]] == []
    assert len({rows["stores"] for rows in seen}) > 1


def _rows_of(run: RunResult) -> dict[str, int]:
    return {item.name: item.rows_out for item in run.stages[0].datasets}


TRICKY: Final = (
    *("", " ", "  a ", "\\.", "\\N", "\\", "NULL", '"', '""', ",", "a,b", "\n", "\r", "\r\n", "a\rb", "\\n", "\t"),
    *("\u2028", "\u0085", "\ufeff", "\x0b", "\x1a", "\x1e", "🛒", "e\u0301", "\U0010ffff", "'", "#", "-", '"\n', ',"'),
)
ANY_TEXT: Final = (
    st.none()
    | st.sampled_from(TRICKY)
    | st.lists(st.sampled_from(TRICKY), max_size=4).map("".join)
    | st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)
)
ROWS: Final = st.lists(st.tuples(ANY_TEXT, ANY_TEXT, ANY_TEXT), min_size=1, max_size=60)


@pytest.fixture(scope="module")
def text_table(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """A database whose stores hold nothing but text, and a folder for its lake."""
    with database(database_url) as url:
        execute(url, "CREATE TABLE stores (store_name text, store_id text, last text)")
        yield url, tmp_path_factory.mktemp("text")


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(rows=ROWS)
def test_any_text_survives_from_copy_to_frame(
    text_table: tuple[str, Path], rows: list[tuple[str | None, str | None, str | None]]
) -> None:
    url, folder = text_table
    with psycopg.connect(url) as connection:
        connection.execute("TRUNCATE stores")
        connection.cursor().executemany("INSERT INTO stores VALUES (%s, %s, %s)", rows)
    run = extracted(url, folder, "stores")
    assert run.stages[0].datasets[0].rows_out == len(rows)
    assert read(folder, STORES.bronze_key).rows() == rows


def test_every_tricky_text_survives_in_every_column(text_table: tuple[str, Path]) -> None:
    rows = [(a, b, c) for a in (None, *TRICKY) for b, c in ((a, a), (None, "x"), ("x", None), ("", ""))]
    url, folder = text_table
    with psycopg.connect(url) as connection:
        connection.execute("TRUNCATE stores")
        connection.cursor().executemany("INSERT INTO stores VALUES (%s, %s, %s)", rows)
    extracted(url, folder, "stores")
    assert read(folder, STORES.bronze_key).rows() == rows
