"""AWS accounts on ministack, an emulator in a process and an environment of its own."""

import os
import random
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import boto3
import botocore.session
import pytest

from shopease_etl.aws import models

TOOLS: Final = Path(sys.prefix)
REGION: Final = "us-east-1"
_SERVER: Final = Path(__file__).parent / "aws" / "ministack_server.py"


@dataclass(frozen=True)
class Account:
    """An account: empty at first, and apart from all others."""

    endpoint: str
    access_key: str
    secret_key: str = "secret"

    @property
    def environment(self) -> dict[str, str]:
        """AWS's own variables."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_MAX_ATTEMPTS": "2",
        }

    def client(self, service: str) -> Any:
        """A boto3 client for this account, whatever the environment says."""
        known = botocore.session.Session()
        known.register_component("data_loader", models())
        session = boto3.session.Session(self.access_key, self.secret_key, region_name=REGION, botocore_session=known)
        return session.client(service, endpoint_url=self.endpoint)

    def new_bucket(self) -> str:
        """The name of a new bucket."""
        name = f"lake-{random.SystemRandom().randrange(10**12)}"
        self.client("s3").create_bucket(Bucket=name)
        return name

    def new_catalog(self, bucket: str, database: str = "shopease_catalog") -> None:
        """The Glue database and the Athena workgroup, empty, as Terraform would leave them."""
        self.client("glue").create_database(DatabaseInput={"Name": database})
        results = {"OutputLocation": f"s3://{bucket}/athena-results/"}
        configuration = {"ResultConfiguration": results, "EnforceWorkGroupConfiguration": True}
        self.client("athena").create_work_group(Name="shopease-analytics", Configuration=configuration)


def new_account(endpoint: str) -> Account:
    """An account that nobody has used: ministack takes a key of twelve digits for the account's number."""
    return Account(endpoint, str(random.SystemRandom().randrange(10**11, 10**12)))


@contextmanager
def running_emulator(**more: str) -> Iterator[str]:
    """The address of a ministack of one's own, by its number: names would be taken for buckets."""
    python = TOOLS / "ministack" / "bin" / "python"
    if not python.exists():
        pytest.skip(f"needs ministack in {python.parents[1]}: `make test` makes it")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    own = {"GATEWAY_PORT": str(port), "BIND_HOST": "127.0.0.1", "IOT_MTLS_ENABLED": "0", "SFTP_ENABLED": "0"}
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
    command, nowhere = [str(python), str(_SERVER)], subprocess.DEVNULL
    with subprocess.Popen(command, env={**kept, **own, **more}, stdout=nowhere, stderr=nowhere) as server:
        endpoint = f"http://127.0.0.1:{port}"
        try:
            _wait_until_healthy(endpoint, server)
            yield endpoint
        finally:
            server.kill()


def _wait_until_healthy(endpoint: str, server: "subprocess.Popen[bytes]", seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        assert server.poll() is None, "ministack ended"
        try:
            with urllib.request.urlopen(f"{endpoint}/_ministack/health", timeout=5):
                return
        except OSError:
            time.sleep(0.05)
    raise AssertionError("ministack did not answer")


def set_environment(patch: pytest.MonkeyPatch, variables: Mapping[str, str]) -> None:
    """Point this process, and the commands that it starts, to an account."""
    for name, value in variables.items():
        patch.setenv(name, value)
