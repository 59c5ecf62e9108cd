"""`terraform/spark`, created and destroyed on an emulated AWS."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from botocore.exceptions import ClientError
from terraform_runs import CONFIGURATIONS, SPARK, Root, apply, destroy, initialised

from accounts import Account
from conftest import running_moto
from shopease_etl import __version__

pytestmark = pytest.mark.timeout(600)

SECRET: Final = "arn:aws:secretsmanager:us-east-1:123456789012:secret:shop-AbCd12"


@pytest.fixture(scope="module")
def moto() -> Iterator[Account]:
    with running_moto(str(Path(__file__).with_name("moto_server.py"))) as endpoint:
        yield Account(endpoint, "AKIAEXAMPLE")


def emulated(folder: Path) -> Root:
    """The configuration with a release that moto knows: of those with Spark 4 it knows none."""
    root = initialised(SPARK, folder)
    release = 'resource "aws_emrserverless_application" "spark" {\n  release_label = "emr-7.8.0"\n}\n'
    (root.folder / "emulator_override.tf").write_text(release)
    return root


@pytest.mark.quick(0)
def test_it_is_created_and_destroyed(moto: Account, tmp_path: Path) -> None:
    subnets, group = _network(moto)
    allowed = json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Action": "*", "Resource": "*"}]})
    policy = moto.client("iam").create_policy(PolicyName="shopease-cli", PolicyDocument=allowed)["Policy"]["Arn"]
    variables = {
        "prefix": "eu",
        "subnet_ids": json.dumps(subnets),
        "database_security_group_id": group,
        "database_secret_arn": SECRET,
    }
    root = emulated(tmp_path / "spark")

    outputs = apply(root, moto, **variables)
    _assert_it_is_the_application(moto, outputs, subnets)
    _assert_the_database_lets_jobs_in(moto, outputs["security_group_id"], group)
    _assert_jobs_have_rights(moto, outputs["role_arn"], outputs["application_id"], policy)
    assert dict(line.split("=", 1) for line in outputs["environment"].splitlines()) == {
        "SHOPEASE_EMR_APPLICATION": outputs["application_id"],
        "SHOPEASE_EMR_ROLE": outputs["role_arn"],
        "SHOPEASE_SPARK_ARCHIVE": f"s3://shopease-stg/eu/_spark/shopease-spark-{__version__}.tar.gz",
        "SHOPEASE_DATABASE_SECRET": SECRET,
    }

    ended = destroy(root, moto, **variables)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert root.done("state", "list") == ""
    assert moto.client("iam").get_policy(PolicyArn=policy)["Policy"]["AttachmentCount"] == 0
    assert _let_in(moto, group) == []
    with pytest.raises(ClientError, match="NoSuchEntity"):
        moto.client("iam").get_policy(PolicyArn=outputs["submit_policy_arn"])


def test_the_archive_is_that_of_this_version() -> None:
    text = (CONFIGURATIONS / SPARK / "variables.tf").read_text()
    assert text.count(f'"shopease-spark-{__version__}.tar.gz"') == 1


def _network(account: Account) -> tuple[list[str], str]:
    """Two subnets of the account's default VPC, and a security group in it for a database."""
    ec2 = account.client("ec2")
    subnets = ec2.describe_subnets()["Subnets"][:2]
    group = ec2.create_security_group(GroupName="database", Description="db", VpcId=subnets[0]["VpcId"])
    return [subnet["SubnetId"] for subnet in subnets], group["GroupId"]


def _assert_it_is_the_application(account: Account, outputs: dict[str, Any], subnets: list[str]) -> None:
    found = account.client("emr-serverless").get_application(applicationId=outputs["application_id"])["application"]
    assert (found["name"], found["type"], found["state"]) == ("shopease-spark", "Spark", "CREATED")
    assert "initialCapacity" not in found
    assert found["maximumCapacity"] == {"cpu": "16 vCPU", "memory": "64 GB", "disk": "200 GB"}
    assert found["autoStopConfiguration"] == {"enabled": True, "idleTimeoutMinutes": 15}
    network = found["networkConfiguration"]
    assert (sorted(network["subnetIds"]), network["securityGroupIds"]) == (
        sorted(subnets),
        [outputs["security_group_id"]],
    )


def _let_in(account: Account, group: str) -> list[tuple[int, int, list[str]]]:
    """The ports that a security group opens, and the groups for which it does."""
    [found] = account.client("ec2").describe_security_groups(GroupIds=[group])["SecurityGroups"]
    return [
        (rule["FromPort"], rule["ToPort"], [pair["GroupId"] for pair in rule["UserIdGroupPairs"]])
        for rule in found["IpPermissions"]
    ]


def _assert_the_database_lets_jobs_in(account: Account, jobs: str, database: str) -> None:
    assert _let_in(account, database) == [(5432, 5432, [jobs])]
    assert _let_in(account, jobs) == []
    [found] = account.client("ec2").describe_security_groups(GroupIds=[jobs])["SecurityGroups"]
    assert sorted(rule["FromPort"] for rule in found["IpPermissionsEgress"]) == [443, 5432]


def _assert_jobs_have_rights(account: Account, role: str, application: str, policy: str) -> None:
    iam, name = account.client("iam"), role.rpartition("/")[2]
    attached = iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"]
    assert [found["PolicyArn"] for found in attached] == [policy]
    [inline] = iam.list_role_policies(RoleName=name)["PolicyNames"]
    document = json.dumps(iam.get_role_policy(RoleName=name, PolicyName=inline)["PolicyDocument"])
    assert "arn:aws:s3:::shopease-stg/eu/_spark/logs/*" in document
    assert SECRET in document
    trusted = iam.get_role(RoleName=name)["Role"]["AssumeRolePolicyDocument"]["Statement"][0]["Condition"]["ArnLike"]
    assert trusted["aws:SourceArn"][0].endswith(f":/applications/{application}")
