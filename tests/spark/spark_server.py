"""A real Spark with two executors in processes of their own, an S3 server that they reach, and PostgreSQL."""

import importlib.util
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
import pytest

if TYPE_CHECKING:
    from shopease_etl.transform.spark import SparkExecutor

MASTER = "local-cluster[2,1,2048]"
SUBMIT = f"--master {MASTER} --conf spark.ui.enabled=false --conf spark.log.level=ERROR pyspark-shell"


_MISSING = [name for name in ("pyspark", "pandas") if importlib.util.find_spec(name) is None]
_MISSING += [] if shutil.which("java") or "JAVA_HOME" in os.environ else ["Java"]
ON_SPARK = [
    pytest.mark.skipif(bool(_MISSING), reason=f"needs {' and '.join(_MISSING)}: make test-spark"),
    pytest.mark.timeout(600),
    # Spark's own sockets
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(scope="session")
def aws(s3_endpoint: str) -> Iterator[dict[str, str]]:
    """AWS's variables, of this process and those that Spark starts."""
    variables = {
        "AWS_ENDPOINT_URL": s3_endpoint,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        yield variables


@pytest.fixture
def bucket(aws: dict[str, str], request: pytest.FixtureRequest) -> str:
    """The name of a new bucket."""
    name = f"spark-{abs(hash(request.node.nodeid))}"
    boto3.client("s3", endpoint_url=aws["AWS_ENDPOINT_URL"]).create_bucket(Bucket=name)
    return name


@pytest.fixture(scope="session")
def spark(aws: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator["SparkExecutor"]:
    """Spark with two executors, which get AWS's variables and see the tests' own modules."""
    from shopease_etl.transform.spark import SparkExecutor, spark_session

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYSPARK_SUBMIT_ARGS", SUBMIT)
        patch.setenv("PYSPARK_PYTHON", sys.executable)
        folders = [Path(__file__).parent, Path(__file__).parents[1]]
        patch.setenv("PYTHONPATH", os.pathsep.join(map(str, folders)))
        patch.setenv("SPARK_LOCAL_IP", "127.0.0.1")
        assert {*aws} <= {*os.environ}
        executor = SparkExecutor(spark_session("tests", tmp_path_factory.mktemp("spark") / "spark.log"))
        yield executor
        executor.close()
