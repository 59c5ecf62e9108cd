"""Terraform's policy is enough for every command, and what it grants is needed: IAM is enforced by the emulator."""

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Final

import pytest
import terraform_runs

from accounts import Account, new_account, running_emulator, set_environment
from commands import Shop
from month_lake import put_month
from shopease_etl.contract.gold import USUAL
from shopease_etl.contract.layout import dataset_of
from shopease_etl.contract.tables import TRANSACTIONS
from shopease_etl.lake.open import open_store
from shopease_etl.lake.store import put_stream

DATABASE: Final = "shopease_catalog"

# The command that cannot do without an action.
COMMANDS: Final = {
    "s3:ListBucket": ("status",),
    "s3:ListBucketMultipartUploads": ("cleanup", "--uploads", "--dry-run"),
    "s3:GetObject": ("clean",),
    "s3:PutObject": ("extract",),
    "s3:GetObjectVersion": ("rollback", "--yes", "--skip-crawl"),
    "s3:AbortMultipartUpload": ("cleanup", "--uploads", "--older-than", "0", "--yes"),
    "s3:DeleteObject": ("cleanup", "--layer", "gold", "--yes"),
    "glue:GetDatabase": ("crawl",),
    "glue:GetTables": ("crawl",),
    "glue:CreateTable": ("crawl",),
    "glue:UpdateTable": ("crawl",),
    "glue:GetCrawler": ("crawl", "--crawlers"),
    "glue:StartCrawler": ("crawl", "--crawlers"),
    "athena:GetWorkGroup": ("query", "SELECT 1 AS n"),
    "athena:StartQueryExecution": ("query", "SELECT 1 AS n"),
    "athena:GetQueryExecution": ("query", "SELECT 1 AS n"),
    "athena:GetQueryResults": ("query", "SELECT 1 AS n"),
}

# What only Athena itself asks for, with the rights of who queries; the emulator's Athena asks nobody.
OF_ATHENA: Final = {
    "WriteQueryResults": {"s3:AbortMultipartUpload", "s3:GetObject", "s3:ListMultipartUploadParts", "s3:PutObject"},
    "LetAthenaFindDefaultDatabase": {"glue:GetDatabase"},
    "ListLake": {"s3:GetBucketLocation"},
    "ReadAndWriteLayers": {"s3:ListMultipartUploadParts"},
    "ReadCatalog": {"glue:BatchGetPartition", "glue:GetDatabases", "glue:GetPartition", "glue:GetTable"},
    # Ctrl-C calls these two; that they are called is tested with the crawlers and with Athena.
    "RunCrawlers": {"glue:StopCrawler"},
    "Query": {"athena:StopQueryExecution"},
    # `check` only warns where it may not ask.
    "CheckBucket": {"s3:GetBucketVersioning", "s3:GetEncryptionConfiguration", "s3:GetLifecycleConfiguration"},
}

# What a crawl calls when the layout becomes one by month, and then for a month that has changed, or is no longer there.
OF_MONTHS: Final = (
    "glue:DeleteTable",
    "glue:BatchCreatePartition",
    "glue:GetPartitions",
    "glue:BatchUpdatePartition",
    "glue:DeletePartition",
)


@dataclass(frozen=True)
class Guarded:
    """An account that Terraform set up, its owner, and a shop that has the keys of the user whom it made."""

    owner: Account
    bucket: str
    policy: dict[str, Any]
    shop: Shop

    def allow(self, document: dict[str, Any]) -> None:
        """Let the user do what the document says, and no more."""
        self.owner.client("iam").put_user_policy(
            UserName="shopease_user", PolicyName="tried", PolicyDocument=json.dumps(document)
        )


@pytest.fixture(scope="module")
def guarded(sales: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    """An account with IAM enforced; the policy that Terraform made is taken from the user's group."""
    with running_emulator(AUTH="true") as endpoint, pytest.MonkeyPatch.context() as patch:
        owner = new_account(endpoint)
        set_environment(patch, owner.environment)
        bucket = owner.new_bucket()
        owner.client("s3").put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
        stack = terraform_runs.emulated_stack(tmp_path_factory.mktemp("guarded") / "terraform")
        outputs = terraform_runs.apply(stack, owner, bucket_name=bucket, prefix="prod")
        iam = owner.client("iam")
        arn = outputs["policy_arn"]
        version = iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"]
        policy = iam.get_policy_version(PolicyArn=arn, VersionId=version)["PolicyVersion"]["Document"]
        key = iam.create_access_key(UserName="shopease_user")["AccessKey"]
        user = replace(owner, access_key=key["AccessKeyId"], secret_key=key["SecretAccessKey"])
        shop = Shop(tmp_path_factory.mktemp("user"), sales, f"s3://{bucket}/prod", user.environment)
        yield Guarded(owner, bucket, policy, shop)


def without(policy: dict[str, Any], action: str = "", sid: str = "") -> dict[str, Any]:
    """The policy less one action of ours, or less one statement."""
    statements = []
    for statement in policy["Statement"]:
        actions = [statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"]
        kept = [name for name in actions if name != action or statement["Sid"] == "WriteQueryResults"]
        if kept and statement["Sid"] != sid:
            statements.append({**statement, "Action": kept})
    return {**policy, "Statement": statements}


def test_the_policy_suffices_for_every_command(guarded: Guarded) -> None:
    guarded.allow(guarded.policy)
    gold = f"SELECT COUNT(*) AS n FROM {DATABASE}.{USUAL[0].name}"
    for command in (
        ("check",),
        ("run-all",),
        ("crawl", "--crawlers"),
        ("query", gold, "--max-scan", "1GB"),
        ("query", "--name", "store-revenue"),
        ("tables",),
        ("tables", USUAL[0].name),
        ("report",),
        ("extract",),
        ("rollback", "--yes"),
        ("status",),
        ("cost",),
        ("cleanup", "--uploads", "--older-than", "0", "--yes"),
        ("cleanup", "--all", "--yes"),
        ("run-all",),
    ):
        guarded.shop.run(*command).done()


@pytest.fixture(scope="module")
def stripped(guarded: Guarded) -> Guarded:
    """The account with a whole lake and a former one, and no policy but the one that is tried."""
    for _ in range(2):
        guarded.shop.run("run-all").done()
    iam = guarded.owner.client("iam")
    for policy in iam.list_attached_group_policies(GroupName="shopease-cli")["AttachedPolicies"]:
        iam.detach_group_policy(GroupName="shopease-cli", PolicyArn=policy["PolicyArn"])
    return guarded


@pytest.fixture
def unruly(stripped: Guarded) -> Guarded:
    """The account with something to do for every command: a table is gone, one is wrong, an upload was left behind."""
    guarded = stripped
    glue, s3 = guarded.owner.client("glue"), guarded.owner.client("s3")
    with suppress(glue.exceptions.EntityNotFoundException):
        glue.delete_table(DatabaseName=DATABASE, Name="bronze_stores")
    days = glue.get_table(DatabaseName=DATABASE, Name="daily_sales_summary")["Table"]
    columns = days["StorageDescriptor"]["Columns"][1:]
    changed = {"Name": days["Name"], "StorageDescriptor": {**days["StorageDescriptor"], "Columns": columns}}
    glue.update_table(DatabaseName=DATABASE, TableInput=changed)
    s3.create_multipart_upload(Bucket=guarded.bucket, Key="prod/bronze/stores/stores.csv")
    return guarded


@pytest.mark.parametrize("action", COMMANDS)
@pytest.mark.quick(8)
def test_a_command_names_the_action_that_it_lacks(unruly: Guarded, action: str) -> None:
    unruly.allow(without(unruly.policy, action=action))
    ended = unruly.shop.run(*COMMANDS[action])
    assert action in ended.failed(4).stderr


@pytest.mark.parametrize(
    ("sid", "action"),
    [
        ("ListLake", "s3:ListBucket"),
        ("ReadAndWriteLayers", "s3:PutObject"),
        ("RunCrawlers", "glue:GetCrawler"),
        ("ReadCatalog", "glue:GetDatabase"),
        ("RegisterTablesAndViews", "glue:UpdateTable"),
        ("Query", "athena:GetWorkGroup"),
    ],
)
def test_without_a_statement_a_command_names_the_action(unruly: Guarded, sid: str, action: str) -> None:
    unruly.allow(without(unruly.policy, sid=sid))
    ended = unruly.shop.run(*COMMANDS[action])
    assert action in ended.failed(4).stderr


@pytest.mark.quick(0)
def test_a_crawl_of_months_names_the_action_that_it_lacks(stripped: Guarded) -> None:
    store, glue = open_store(f"s3://{stripped.bucket}/prod"), stripped.owner.client("glue")
    former = {key: store.read(key) for key in TRANSACTIONS.keys}
    for key, text in former.items():
        for month in ("2024-11", "none"):
            put_month(store, key, month, b"".join(text.splitlines(keepends=True)[:2]).decode())
    store.delete([*former])
    for action in OF_MONTHS:
        stripped.allow(without(stripped.policy, action=action))
        assert action in stripped.shop.run("crawl").failed(4).stderr
        stripped.allow(stripped.policy)
        stripped.shop.run("crawl").done()
        names = {"DatabaseName": DATABASE, "TableName": "bronze_transactions"}
        if action == "glue:DeleteTable":  # so that there is a partition to create
            glue.delete_partition(**names, PartitionValues=["none"])
        changed = {"Values": ["none"], "StorageDescriptor": {"Location": "s3://elsewhere/"}}
        if action == "glue:GetPartitions":
            entries = [{"PartitionValueList": ["none"], "PartitionInput": changed}]
            glue.batch_update_partition(**names, Entries=entries)
        if action == "glue:BatchUpdatePartition":
            glue.batch_create_partition(**names, PartitionInputList=[{**changed, "Values": ["2025-01"]}])
    for key, text in former.items():
        store.delete([item.key for item in store.list(f"{dataset_of(key)}/")])
        put_stream(store, key, [text])
    stripped.shop.run("crawl").done()


def test_check_names_missing_permissions(unruly: Guarded) -> None:
    unruly.allow(without(unruly.policy, sid="CheckBucket"))
    told = {line["name"]: line for line in unruly.shop.run("check", "--json").document}
    assert all(told[name]["warning"] for name in ("lake versions", "lake lifecycle", "lake encryption"))
    rights = ("s3:GetBucketVersioning", "s3:GetLifecycleConfiguration", "s3:GetEncryptionConfiguration")
    assert [right in json.dumps(told) for right in rights] == [True] * 3
    unruly.allow(without(unruly.policy, action="glue:UpdateTable"))
    line = next(line for line in unruly.shop.run("check", "--json").document if line["name"] == "catalog")
    assert (line["exit_code"], "glue:UpdateTable" in line["detail"] + str(line["fix"])) == (4, True)


def test_every_granted_action_is_needed(guarded: Guarded) -> None:
    for statement in guarded.policy["Statement"]:
        actions = {statement["Action"]} if isinstance(statement["Action"], str) else set(statement["Action"])
        assert actions <= COMMANDS.keys() | {*OF_MONTHS} | OF_ATHENA.get(statement["Sid"], set()), statement["Sid"]
