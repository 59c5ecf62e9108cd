"""The whole pipeline on a real PostgreSQL: what arrives in a lake, on disk and on S3."""

import hashlib
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import polars as pl
import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from accounts import Account
from commands import Shop, count, execute, hashes, is_manifest
from lakes import KEYS, given_pipeline, read
from shopease_etl import __version__
from shopease_etl.contract.gold import USUAL
from shopease_etl.contract.gold.dataset import SalesTotals
from shopease_etl.contract.tables import CLEANED_TABLES, CUSTOMERS, TABLES, TRANSACTIONS
from shopease_etl.errors import ConfigurationError, ShopeaseError
from shopease_etl.pipeline import plan
from shopease_etl.pipeline import run as pipeline
from shopease_etl.pipeline.preflight import check_plan

PASSWORD: Final = "pa55-w0rd-nobody-may-see"


def with_password(url: str) -> str:
    """The same database, with a password that the server does not ask for."""
    return url.replace("shopease@/", f"shopease:{PASSWORD}@/")


class Bucket:
    """A lake on S3 from outside."""

    def __init__(self, account: Account, name: str, prefix: str) -> None:
        self._client = account.client("s3")
        self._name = name
        self._prefix = prefix

    def objects(self) -> dict[str, bytes]:
        listed = self._client.list_objects_v2(Bucket=self._name)["Contents"]
        listed = [item for item in listed if not item["Key"].startswith("athena-results/")]
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


def test_folder_and_s3_have_the_same_bytes_and_no_secret(sales: str, tmp_path: Path, account: Account) -> None:
    bucket = account.new_bucket()
    account.new_catalog(bucket)
    local, remote = (Shop(tmp_path, with_password(sales), lake) for lake in ("lake", f"s3://{bucket}/some/prefix"))
    runs = [shop.run("run-all", "--json", "--debug").done() for shop in (local, remote)]
    lake = {path.relative_to(tmp_path / "lake").as_posix(): path.read_bytes() for path in _files(tmp_path / "lake")}
    there = Bucket(account, bucket, "some/prefix/")
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
    chosen = given_pipeline(sales, tmp_path)
    whole = pipeline.run(plan.plan_all(), chosen)
    first = hashes(tmp_path / "lake")
    assert set(first) == KEYS
    for stage in ("extract", "clean"):
        pipeline.run(plan.plan_tables(stage, ()), chosen)
    pipeline.run(plan.plan_datasets(()), chosen)
    second = hashes(tmp_path / "lake")
    assert {key for key in KEYS if first[key] != second[key]} == {table.quarantine_key for table in CLEANED_TABLES}
    assert {item.key: item.sha256 for stage in whole.stages for item in stage.datasets} == first


def columns_of(url: str) -> dict[str, list[str]]:
    """The columns of the source's tables in their order, as the information schema has them."""
    with psycopg.connect(url) as connection:
        rows = connection.execute(
            "SELECT table_name, array_agg(column_name::text ORDER BY ordinal_position) FROM information_schema.columns "
            "WHERE table_schema = 'public' GROUP BY 1"
        )
        return dict(rows.fetchall())


def test_the_manifest_follows_the_contract(sales: str, tmp_path: Path) -> None:
    before = datetime.now(UTC).replace(microsecond=0)
    told = Shop(tmp_path, with_password(sales)).run("run-all", "--json").done().document
    manifest = json.loads((tmp_path / "lake" / "_runs" / f"{told['run_id']}.json").read_text())
    assert manifest == told
    assert list(manifest) == [
        *("run_id", "status", "started_at", "finished_at", "shopease_version", "stages", "reconciliation"),
        *("source", "error", "published", "plan", "replaced", "attempt", "schema_version"),
    ]
    assert (manifest["schema_version"], manifest["status"], manifest["error"]) == (1, "succeeded", None)
    assert manifest["shopease_version"] == __version__
    times = [datetime.fromisoformat(manifest[name]) for name in ("started_at", "finished_at")]
    assert before <= times[0] <= times[1] <= datetime.now(UTC)
    assert f"{times[0]:%Y%m%dT%H%M}" in manifest["run_id"]
    source = manifest["source"]
    assert source["tables"] == {table.source: count(sales, table.source) for table in TABLES}
    assert source["database"] == conninfo_to_dict(sales)["dbname"]
    assert source["server_version"][:2].isdigit()
    assert source["snapshot_id"]
    assert {name: list(columns) for name, columns in source["columns"].items()} == columns_of(sales)
    assert source["columns"]["products"]["price"] == "numeric(10,2)"
    assert manifest["plan"]["stages"] == ["extract", "clean", "aggregate", "crawl"]
    assert manifest["replaced"] == {"objects": {}, "new": sorted(KEYS)}


def test_the_manifest_counts_bytes_and_rows(sales: str, tmp_path: Path) -> None:
    run = pipeline.run(plan.plan_all(skip_crawl=True), given_pipeline(sales, tmp_path))
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
    run = pipeline.run(plan.plan_all(skip_crawl=True), given_pipeline(sales, tmp_path))
    silver = read(tmp_path, TRANSACTIONS.silver_key)
    revenue = sum(map(Decimal, silver["total_amount"]), Decimal(0))
    sums = run.reconciliation
    assert sums["agrees"] is True
    assert (sums["silver_transactions"], sums["silver_revenue"]) == (silver.height, revenue)
    laws = [(table, table.reconciles) for table in USUAL if isinstance(table.reconciles, SalesTotals)]
    for table, column, subject in ((table, law.revenue, law.subject) for table, law in laws):
        found = Decimal(pl.read_parquet(tmp_path / "lake" / table.key)[column].sum())
        assert found == sums[f"{table.name}_revenue"]
        lacking: list[str] = silver.filter(pl.col(subject).is_null())["total_amount"].to_list() if subject else []
        assert found + sum(map(Decimal, lacking), Decimal(0)) == revenue


def test_extra_columns_are_kept_in_any_order(bare: str, tmp_path: Path) -> None:
    execute(
        bare,
        "DROP TABLE customers",
        'CREATE TABLE customers (updated_at timestamp, "a ""quoted"", name" text, email text, customer_name text, '
        "customer_id bigint, city text, state text, run_id int, created_at timestamp, total_amount text)",
        "INSERT INTO customers VALUES "
        "(now(), E'two\\nlines', 'A@X.ORG', ' ann  lee ', 1, 'c', 's', 7, now(), ' kept ')",
        "INSERT INTO customers (customer_id, run_id) VALUES (2, 8)",
    )
    run = pipeline.run(plan.plan_all(), given_pipeline(bare, tmp_path))
    silver = read(tmp_path, CUSTOMERS.silver_key)
    bronze = read(tmp_path, CUSTOMERS.bronze_key)
    assert silver.columns == bronze.rename({"run_id": "source_run_id"}).columns
    row = silver.row(0, named=True)
    assert (row["customer_name"], row["email"], row["source_run_id"]) == ("ANN LEE", "a@x.org", "7")
    assert (row['a "quoted", name'], row["total_amount"]) == ("two lines", " kept ")
    rejected = read(tmp_path, CUSTOMERS.quarantine_key)
    assert rejected.row(0)[-2:] == ("missing_customer_name", run.run_id)
    assert rejected["source_run_id"].to_list() == ["8"]


def test_an_empty_source_gives_a_complete_empty_lake(bare: str, tmp_path: Path) -> None:
    shop = Shop(tmp_path, bare)
    run = shop.run("run-all", "--json").done().document
    assert run["reconciliation"]["agrees"] is True
    assert set(hashes(tmp_path / "lake")) == KEYS
    for table in USUAL:
        found = pl.read_parquet(tmp_path / "lake" / table.key)
        assert (found.columns, found.height) == ([column.name for column in table.columns], 0)
    answer = shop.run("query", "SELECT count(*) AS n FROM shopease_catalog.transactions", "--json").done().document
    assert answer["rows"] == [{"n": 0}]


def test_the_date_of_a_sale_is_in_the_business_time_zone(bare: str, tmp_path: Path) -> None:
    execute(
        bare,
        "ALTER TABLE sale_transactions ALTER created_at TYPE timestamptz",
        "INSERT INTO sale_transactions VALUES (1, 1, 1, 1, 1, 1, 'x', 'y', '2024-03-01 03:00:00+00', now()), "
        "(2, 1, 1, 1, 1, 1, 'x', 'y', '2024-07-01 03:59:59.5+00', now())",
    )
    pipeline.run(plan.plan_all(), given_pipeline(bare, tmp_path, business_timezone="America/New_York"))
    silver = read(tmp_path, TRANSACTIONS.silver_key)
    assert silver["transaction_date"].to_list() == ["2024-02-29", "2024-06-30"]
    assert silver.select("year", "month", "day").row(0) == ("2024", "2", "29")
    assert read(tmp_path, TRANSACTIONS.bronze_key)["created_at"].to_list() == [
        *("2024-02-29 22:00:00-05", "2024-06-30 23:59:59.5-04"),
    ]


def test_a_dry_run_names_missing_inputs_of_the_first_stage(tmp_path: Path) -> None:
    for stage in ("clean", "aggregate"):
        with pytest.raises(ShopeaseError, match="is not in the lake"):
            check_plan(plan.plan_all(stage), given_pipeline("postgresql://nowhere/x", tmp_path))
    with pytest.raises(ConfigurationError, match="nothing to do"):
        plan.plan_all("crawl", skip_crawl=True)
