"""The configurations in `terraform/`: well written, tested by their own tests, safe, and true on an emulated AWS."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from terraform_runs import (
    BUCKET,
    CONFIGURATIONS,
    SPARK,
    STACK,
    Root,
    apply,
    destroy,
    emulated_stack,
    initialised,
    planned,
)

from accounts import TOOLS, Account
from shopease_etl import settings
from shopease_etl.contract import meanings
from shopease_etl.settings import Settings
from shopease_etl.warehouse.formats import declared_tables
from shopease_etl.warehouse.glue import GlueCatalog

# Several of these wait for processes, one of them for a minute.
pytestmark = pytest.mark.timeout(600)

CRAWLERS = {"shopease-bronze-crawler", "shopease-silver-crawler", "shopease-gold-crawler"}


@pytest.fixture(scope="module", params=[STACK, BUCKET, SPARK], ids=["stack", "bucket", "spark"])
def root(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Root:
    return initialised(request.param, tmp_path_factory.mktemp("terraform") / "copy")


def test_it_is_formatted_and_valid(root: Root) -> None:
    root.done("fmt", "-check", "-recursive", "-diff")
    root.done("validate", "-no-color")


def test_its_own_tests_pass(root: Root) -> None:
    told = root.done("test", "-no-color")
    assert " 0 failed" in told
    assert "Success! 0 passed" not in told


def test_checkov_finds_nothing() -> None:
    checkov = TOOLS / "checkov" / "bin" / "checkov"
    if not checkov.exists():
        pytest.skip(f"needs checkov in {checkov.parents[1]}: `make test` makes it")
    options = ("--framework", "terraform", "--compact", "--quiet", "--skip-download", "--output", "json")
    command = [str(checkov), "--directory", str(CONFIGURATIONS), *options]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    found = json.loads(ended.stdout)
    assert found["results"]["failed_checks"] == []
    assert found["summary"]["parsing_errors"] == 0
    assert found["summary"]["resource_count"] > 20
    assert ended.returncode == 0, ended.stderr


def test_the_stack_is_created_and_destroyed_and_data_stays(account: Account, tmp_path: Path) -> None:
    bucket = account.new_bucket()
    account.client("s3").put_object(Bucket=bucket, Key="eu/bronze/customers/customers.csv", Body=b"customer_id\n1\n")
    stack = emulated_stack(tmp_path / "stack")
    variables = {"bucket_name": bucket, "prefix": "eu"}

    outputs = apply(stack, account, **variables)
    _assert_tables_are_declared(account, f"s3://{bucket}/eu")
    _assert_a_crawl_changes_nothing(f"s3://{bucket}/eu")
    _assert_crawlers_read_the_tables(account)
    _assert_queries_are_limited(account, f"s3://{bucket}/eu/athena-results/")
    _assert_the_user_has_the_policy(account, outputs["policy_arn"], bucket)
    _assert_alerts_are_sent(account, outputs["alerts_topic_arn"])
    _assert_settings_are_shopeases(outputs["environment"], f"s3://{bucket}/eu")

    ended = destroy(stack, account, **variables)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert stack.done("state", "list") == ""
    _assert_nothing_is_left(account, outputs["policy_arn"])
    found = account.client("s3").get_object(Bucket=bucket, Key="eu/bronze/customers/customers.csv")
    assert found["Body"].read() == b"customer_id\n1\n"


@pytest.mark.quick(0)
def test_an_apply_keeps_the_tables_of_a_crawl(account: Account, tmp_path: Path) -> None:
    stack = emulated_stack(tmp_path / "stack")
    bucket = account.new_bucket()
    apply(stack, account, bucket_name=bucket)
    columns = _crawl(account, "bronze_customers")
    _crawl_by_month(account, "silver_transactions")

    changed = planned(stack, account, bucket_name=bucket)
    assert [address for address in changed if "aws_glue_catalog_table" in address] == []
    assert {action for actions in changed.values() for action in actions} <= {"update"}, changed

    apply(stack, account, bucket_name=bucket, prefix="eu")
    table = _table(account, "bronze_customers")
    assert table["StorageDescriptor"]["Location"] == f"s3://{bucket}/eu/bronze/customers/"
    assert [column["Name"] for column in table["StorageDescriptor"]["Columns"]] == columns
    assert table["Parameters"]["found_by"] == "a crawl"
    assert [key["Name"] for key in _table(account, "silver_transactions")["PartitionKeys"]] == ["sale_month"]


@pytest.mark.quick(0)
def test_the_bucket_is_created_and_cannot_be_destroyed(account: Account, tmp_path: Path) -> None:
    made = initialised(BUCKET, tmp_path / "bucket")
    name = f"lake-{account.access_key}"
    assert apply(made, account, bucket_name=name) == {"bucket": name}

    s3 = account.client("s3")
    assert s3.get_bucket_versioning(Bucket=name)["Status"] == "Enabled"
    rules = s3.get_bucket_lifecycle_configuration(Bucket=name)["Rules"]
    assert {rule["ID"] for rule in rules} == {"abort-incomplete-uploads", "expire-old-versions", "expire-query-results"}
    assert all(s3.get_public_access_block(Bucket=name)["PublicAccessBlockConfiguration"].values())
    [statement] = json.loads(s3.get_bucket_policy(Bucket=name)["Policy"])["Statement"]
    assert (statement["Effect"], statement["Condition"]) == ("Deny", {"Bool": {"aws:SecureTransport": "false"}})

    s3.put_object(Bucket=name, Key="bronze/customers/customers.csv", Body=b"customer_id\n")
    ended = destroy(made, account, bucket_name=name)
    assert ended.returncode != 0
    assert "prevent_destroy" in ended.stderr
    assert s3.head_object(Bucket=name, Key="bronze/customers/customers.csv")["ContentLength"] == 12


def _table(account: Account, name: str) -> dict[str, Any]:
    found: dict[str, Any] = account.client("glue").get_table(DatabaseName="shopease_catalog", Name=name)["Table"]
    return found


def _crawl(account: Account, name: str) -> list[str]:
    """Set the columns as `shopease crawl` does for a source with one more, in another order; returns their names."""
    table = _table(account, name)
    storage = table["StorageDescriptor"]
    names = ["extra", *(column["Name"] for column in reversed(storage["Columns"]))]
    kept = {part: storage[part] for part in ("Location", "InputFormat", "OutputFormat", "SerdeInfo")}
    wanted = {
        "Name": name,
        "Description": table["Description"],
        "TableType": table["TableType"],
        "Parameters": {**table["Parameters"], "found_by": "a crawl"},
        "StorageDescriptor": {**kept, "Columns": [{"Name": column, "Type": "string"} for column in names]},
    }
    account.client("glue").update_table(DatabaseName="shopease_catalog", TableInput=wanted)
    return names


def _crawl_by_month(account: Account, name: str) -> None:
    """Replace a table by one with partitions, as `shopease crawl` does."""
    glue, table = account.client("glue"), _table(account, name)
    kept = {part: table[part] for part in ("Name", "Description", "TableType", "Parameters", "StorageDescriptor")}
    keys = [{"Name": "sale_month", "Type": "string"}]
    glue.delete_table(DatabaseName="shopease_catalog", Name=name)
    glue.create_table(DatabaseName="shopease_catalog", TableInput={**kept, "PartitionKeys": keys})


def _assert_tables_are_declared(account: Account, lake: str) -> None:
    tables = account.client("glue").get_tables(DatabaseName="shopease_catalog")["TableList"]
    found = {
        table["Name"]: (
            table["StorageDescriptor"]["Location"],
            [(column["Name"], column["Type"]) for column in table["StorageDescriptor"]["Columns"]],
        )
        for table in tables
    }
    assert found == {
        table.name: (f"{lake}/{table.folder}", [(column.name, column.type) for column in table.columns])
        for table in declared_tables()
    }


def _assert_a_crawl_changes_nothing(lake: str) -> None:
    """Descriptions and comments included, so that a crawl and an apply do not undo each other."""
    catalog = GlueCatalog("shopease_catalog", lake)
    former = catalog.tables()
    assert {catalog.put(table, former[table.name]) for table in declared_tables()} == {"unchanged"}
    described = former["daily_sales_summary"]
    assert described["Description"] == meanings.of_table("daily_sales_summary")
    comments = [column["Comment"] for column in described["StorageDescriptor"]["Columns"]]
    assert comments[0] == meanings.of_column("daily_sales_summary", "sales_date")


def _assert_crawlers_read_the_tables(account: Account) -> None:
    crawlers = {crawler["Name"]: crawler for crawler in account.client("glue").get_crawlers()["Crawlers"]}
    assert crawlers.keys() == CRAWLERS
    targets = [target for crawler in crawlers.values() for target in crawler["Targets"]["CatalogTargets"]]
    assert sorted(name for target in targets for name in target["Tables"]) == sorted(
        table.name for table in declared_tables()
    )
    assert {crawler["Role"].rpartition("/")[2] for crawler in crawlers.values()} == {"GlueServiceRole"}


def _assert_queries_are_limited(account: Account, results: str) -> None:
    found = account.client("athena").get_work_group(WorkGroup="shopease-analytics")["WorkGroup"]["Configuration"]
    assert found["EnforceWorkGroupConfiguration"]
    assert found["BytesScannedCutoffPerQuery"] == 10 * 2**30
    assert found["ResultConfiguration"]["OutputLocation"] == results
    assert found["ResultConfiguration"]["EncryptionConfiguration"] == {"EncryptionOption": "SSE_S3"}


def _assert_the_user_has_the_policy(account: Account, policy: str, bucket: str) -> None:
    iam = account.client("iam")
    [group] = iam.list_groups_for_user(UserName="shopease_user")["Groups"]
    attached = iam.list_attached_group_policies(GroupName=group["GroupName"])["AttachedPolicies"]
    assert [found["PolicyArn"] for found in attached] == [policy]
    assert iam.list_user_policies(UserName="shopease_user")["PolicyNames"] == []
    assert iam.list_attached_user_policies(UserName="shopease_user")["AttachedPolicies"] == []
    assert iam.list_access_keys(UserName="shopease_user")["AccessKeyMetadata"] == []
    version = iam.get_policy(PolicyArn=policy)["Policy"]["DefaultVersionId"]
    document = iam.get_policy_version(PolicyArn=policy, VersionId=version)["PolicyVersion"]["Document"]
    assert f"arn:aws:s3:::{bucket}/eu/silver/*" in json.dumps(document)


def _assert_alerts_are_sent(account: Account, topic: str) -> None:
    targets = account.client("events").list_targets_by_rule(Rule="shopease-crawler-failed")["Targets"]
    assert [target["Arn"] for target in targets] == [topic]
    assert account.client("sns").get_topic_attributes(TopicArn=topic)["Attributes"]["Policy"]


def _assert_settings_are_shopeases(environment: str, lake: str) -> None:
    lines = dict(line.split("=", 1) for line in environment.splitlines())
    told = {name.removeprefix(settings.PREFIX).lower(): value for name, value in lines.items()}
    assert told.keys() <= Settings.model_fields.keys()
    assert told == {
        "lake": lake,
        "glue_database": "shopease_catalog",
        "athena_workgroup": "shopease-analytics",
        "crawlers": "shopease-bronze-crawler,shopease-silver-crawler,shopease-gold-crawler",
    }


def _assert_nothing_is_left(account: Account, policy: str) -> None:
    glue, iam = account.client("glue"), account.client("iam")
    assert glue.get_databases()["DatabaseList"] == []
    assert glue.get_crawlers()["Crawlers"] == []
    assert iam.list_users()["Users"] == []
    assert iam.list_groups()["Groups"] == []
    with pytest.raises(ClientError, match="NoSuchEntity"):
        iam.get_policy(PolicyArn=policy)
    with pytest.raises(ClientError, match="not found"):
        account.client("athena").get_work_group(WorkGroup="shopease-analytics")
