"""The images, built and run as compose.yaml says; `make test-image`, for it takes minutes and the network."""

import itertools
import re
import socket
import subprocess
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import pytest
from containers import ROOT, USER, Engine, Service, found_engine
from ruamel.yaml import YAML

from commands import Ended, end
from conftest import eventually

pytestmark = pytest.mark.timeout(1200)

SHOPEASE: Final = "localhost/shopease-test"
EMULATOR: Final = "localhost/shopease-emulator-test"
HASHES: Final = "find /data/lake -type f -not -path '*/_*' -exec sha256sum {} + | sort -k 2"
_DEFAULT: Final = re.compile(r"\$\{\w+:-([^}]*)\}")
_NUMBERS: Final = itertools.count(1)


@dataclass(frozen=True)
class Images:
    """The built images, and a folder for what they run on."""

    engine: Engine
    folder: Path

    def start(self, service: Service, *arguments: str) -> tuple[str, "subprocess.Popen[str]"]:
        """The name of a container, and the process that waits for it."""
        name = f"shopease-test-{next(_NUMBERS)}"
        command = self.engine.command(service, name, arguments, self.folder)
        return name, subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def run(self, service: Service, *arguments: str) -> Ended:
        """A container from its start to its end."""
        _, process = self.start(service, *arguments)
        with process:
            return end(process, seconds=300)


@pytest.fixture(scope="module")
def images(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Images]:
    if not any(Path(named).resolve().is_relative_to(ROOT / "tests" / "image") for named in request.config.args):
        pytest.skip("`make test-image` builds and runs the images")
    folder = tmp_path_factory.mktemp("image")
    with found_engine() as engine:
        engine.build("shopease", SHOPEASE, folder)
        engine.build("emulator", EMULATOR, folder)
        yield Images(engine, folder)


@pytest.fixture
def volume() -> str:
    """The name of a new volume."""
    return f"shopease-test-volume-{next(_NUMBERS)}"


@pytest.fixture
def emulator(images: Images) -> Iterator[str]:
    """The address of an emulated AWS in a container."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    where = {"GATEWAY_PORT": str(port), "BIND_HOST": "127.0.0.1"}
    name, process = images.start(Service(EMULATOR, environment=where))
    with process:
        try:
            eventually(lambda: process.poll() is not None or _is_healthy(port))
            yield f"127.0.0.1:{port}"
        finally:
            images.engine.send(name, "KILL")
            process.communicate()


def _is_healthy(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/_ministack/health", timeout=5):
            return True
    except OSError:
        return False


def composed(name: str, address: str) -> tuple[Service, list[str]]:
    """A service of compose.yaml and its command, with another address of the emulator."""
    made: dict[str, Any] = YAML(typ="safe").load(ROOT / "compose.yaml")["services"][name]
    text = {key: str(value).replace("10.77.0.10:4566", address) for key, value in made["environment"].items()}
    chosen = {key: _DEFAULT.sub(r"\1", value) for key, value in text.items()}
    return Service(SHOPEASE, made.get("entrypoint", ()), chosen), made.get("command", [])


def fill(images: Images, service: Service, seed: int) -> None:
    """Load a sample into the embedded database on the volume."""
    images.run(service, "sample", "sales.sql", "--scale", "0.01", "--seed", str(seed)).done()
    images.run(service, "restore", "sales.sql", "--clean").done()


def test_it_has_no_rights_and_only_what_it_needs(images: Images, volume: str) -> None:
    shell = Service(SHOPEASE, ["/bin/sh", "-c"], volume=volume)
    assert images.run(shell, "id -u; id -g").done().stdout.split() == [str(USER), str(USER)]
    rights = images.run(shell, "grep -E 'CapEff|CapBnd' /proc/self/status").done().stdout.split()
    assert {int(number, 16) for number in rights[1::2]} == {0}
    assert "Read-only" in images.run(shell, "touch /opt/shopease/it").stderr
    assert images.run(shell, "command -v gcc cc make pip").stdout == ""
    assert images.run(shell, "ls /source /opt/pip /opt/shopease/lib/*/site-packages/pip").stdout == ""


def test_without_a_command_it_helps(images: Images) -> None:
    assert "run-all" in images.run(Service(SHOPEASE)).done().stdout


def test_a_lake_on_a_volume_needs_no_settings(images: Images, volume: str) -> None:
    service = Service(SHOPEASE, volume=volume)
    fill(images, service, seed=1)
    assert images.run(service, "run-all", "--json").done().document["reconciliation"]["agrees"] is True
    assert len(images.run(service, "query", "--name", "revenue-days", "--json").done().document["rows"]) == 10


def test_compose_runs_all_on_the_emulator(images: Images, volume: str, emulator: str) -> None:
    account, command = composed("account", emulator)
    for _ in range(2):
        assert images.run(account, *command).done().stdout == ""
    service, _ = composed("shopease", emulator)
    assert service.environment["SHOPEASE_DATABASE_URL"] == "postgresql://shopease:only-for-trying@postgres/sales_db"
    embedded = {**service.environment, "SHOPEASE_DATABASE_URL": "embedded"}
    shop = replace(service, environment=embedded, volume=volume)
    fill(images, shop, seed=1)
    ran = images.run(shop, "run-all", "--json").done().document
    assert [stage["name"] for stage in ran["stages"]] == ["extract", "clean", "aggregate", "crawl"]
    assert ran["reconciliation"]["agrees"] is True
    count = "SELECT count(*) AS n FROM shopease_catalog.silver_customers"
    assert images.run(shop, "query", count, "--json").done().document["rows"][0]["n"] > 0


def test_a_stopped_container_publishes_nothing(images: Images, volume: str) -> None:
    service = Service(SHOPEASE, volume=volume)
    shell = replace(service, entrypoint=["/bin/sh", "-c"])
    fill(images, service, seed=1)
    images.run(service, "run-all").done()
    before = images.run(shell, HASHES).done().stdout
    assert len(before.splitlines()) >= 15
    fill(images, service, seed=2)
    name, process = images.start(service, "run-all", "--verbose")
    with process:
        assert process.stderr
        assert any("clean: done" in line for line in process.stderr)
        images.engine.send(name, "TERM")
        assert end(process).code == 130
    assert images.run(shell, HASHES).done().stdout == before
    images.run(service, "retry").done()
    assert images.run(shell, HASHES).done().stdout != before
