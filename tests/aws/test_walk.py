"""The whole way of a user of AWS: deploy, run, crawl, ask, destroy; and the data is still there."""

import time
from pathlib import Path
from typing import Any, Final

import terraform_runs

from accounts import Account
from commands import Shop
from lakes import KEYS
from shopease_etl.stages.named_queries import shipped_query

QUERIES: Final = ("revenue-days", "best-products", "store-revenue")


def athena_rows(account: Account, workgroup: str, sql: str) -> list[tuple[str, ...]]:
    """What a statement answers through Athena's API, without shopease; the names of the columns are the first row."""
    athena = account.client("athena")
    identity = athena.start_query_execution(QueryString=sql, WorkGroup=workgroup)["QueryExecutionId"]
    while (status := execution_of(athena, identity))["State"] in {"QUEUED", "RUNNING"}:
        time.sleep(0.05)
    assert status["State"] == "SUCCEEDED", status
    rows = athena.get_query_results(QueryExecutionId=identity)["ResultSet"]["Rows"]
    return [tuple(datum.get("VarCharValue", "") for datum in row["Data"]) for row in rows]


def execution_of(athena: Any, identity: str) -> dict[str, Any]:
    status: dict[str, Any] = athena.get_query_execution(QueryExecutionId=identity)["QueryExecution"]["Status"]
    return status


def objects(account: Account, bucket: str) -> dict[str, str]:
    listed = account.client("s3").list_objects_v2(Bucket=bucket, Prefix="prod/")["Contents"]
    return {item["Key"].removeprefix("prod/"): item["ETag"] for item in listed}


def test_deploy_run_crawl_query_destroy(sales: str, shop: Shop, tmp_path: Path, account: Account) -> None:
    bucket = account.new_bucket()
    stack = terraform_runs.emulated_stack(tmp_path / "terraform")
    made = terraform_runs.apply(stack, account, bucket_name=bucket, prefix="prod")
    settings = dict(line.split("=", 1) for line in made["environment"].splitlines())
    remote = Shop(tmp_path, sales, settings["SHOPEASE_LAKE"], settings)

    assert remote.run("run-all", "--json").done().document["reconciliation"]["agrees"] is True
    (crawl,) = remote.run("crawl", "--crawlers", "--json").done().document["stages"]
    assert [run["name"] for run in crawl["crawlers"]] == settings["SHOPEASE_CRAWLERS"].split(",")
    assert len(crawl["tables"]) == 26
    for name in QUERIES:
        header, *rows = athena_rows(account, settings["SHOPEASE_ATHENA_WORKGROUP"], shipped_query(name).sql)
        expected = shop.run("query", "--name", name, "--format", "csv").done().stdout.splitlines()
        assert ",".join(header) == expected[0]
        assert [",".join(row) for row in rows] == expected[1:]

    before = objects(account, bucket)
    assert before.keys() >= KEYS
    ended = terraform_runs.destroy(stack, account, bucket_name=bucket, prefix="prod")
    assert ended.returncode == 0, ended.stderr
    assert account.client("glue").get_databases()["DatabaseList"] == []
    assert objects(account, bucket) == before
    assert remote.run("status", "--json").done().document["datasets"]
    remote.run("query", "--name", QUERIES[0]).failed(4, "workgroup")
