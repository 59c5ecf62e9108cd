"""What tests share: an embedded server for the session and databases on it, an S3 server, a shop, dumps."""

import itertools
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
import psycopg
import pytest
from hypothesis import settings

from accounts import Account, new_account, running_emulator, set_environment
from commands import CONTRACT_TABLES, Shop, copy_of, database, drop, execute, sample_database
from dump_files import fill, write_dumps
from memory_store import MemoryStore
from shopease_etl.lake.open import open_store
from shopease_etl.lake.store import LakeStore
from shopease_etl.source import embedded
from shopease_etl.source.embedded import locks
from tally import REPORT, Tally

if TYPE_CHECKING:
    from trials import Version

_NUMBERS = itertools.count(1)


def pytest_addoption(parser: pytest.Parser) -> None:
    """How much of what is made from seeds is tried: 20 rounds are a thousand garbage inputs to each parser."""
    parser.addoption("--fault-report", type=Path, metavar="FOLDER", help="count what fault tests tried in this folder")
    parser.addoption("--every-case", action="store_true", help="run all cases of tests that are marked quick(N)")
    parser.addoption("--fault-rounds", type=int, default=1, metavar="N", help="rounds of seeded faults (default: 1)")


def pytest_configure(config: pytest.Config) -> None:
    """Say where fault tests count what they tried, and how many examples property tests draw."""
    config.addinivalue_line("markers", "quick(cases): without --every-case run only so many of the test's cases")
    is_full = config.getoption("--every-case")
    settings.register_profile("shopease", deadline=None, max_examples=400 if is_full else 25)
    settings.load_profile("shopease")
    if folder := config.getoption("--fault-report"):
        os.environ[REPORT] = str(folder)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Of tests that walk every step, leave the cases that `make test` runs, evenly spread."""
    if config.getoption("--every-case"):
        return
    cases: dict[tuple[Path, str], list[pytest.Item]] = {}
    for item in items:
        if item.get_closest_marker("quick"):
            cases.setdefault((item.path, getattr(item, "originalname", item.name)), []).append(item)
    dropped: set[pytest.Item] = set()
    for found in cases.values():
        marker = found[0].get_closest_marker("quick")
        wanted = min(marker.args[0], len(found)) if marker else 0
        dropped |= set(found) - {found[number * len(found) // wanted] for number in range(wanted)}
    config.hook.pytest_deselected(items=[item for item in items if item in dropped])
    items[:] = [item for item in items if item not in dropped]


@pytest.fixture(scope="session")
def rounds(request: pytest.FixtureRequest) -> int:
    """How many rounds of seeded faults were asked for."""
    return int(request.config.getoption("--fault-rounds"))


@pytest.fixture
def tally() -> Tally:
    """Counts what fault tests tried."""
    return Tally.asked_for()


def eventually(claim: Callable[[], object], seconds: float = 30) -> None:
    """Waits until the claim holds; fails where it does not within the time."""
    deadline = time.monotonic() + seconds
    while not claim():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.02)


def is_stopped(home: Path) -> bool:
    """Whether neither server nor supervisor of a home is alive."""
    base = home / "postgres"
    names = ("server.lock", "supervisor.lock")
    return not base.exists() or not any(locks.is_held(base / name) for name in names if (base / name).exists())


@contextmanager
def temporary_home() -> Iterator[Path]:
    """A home that user nobody can reach, unlike pytest's folders; it is removed once its server has stopped."""
    folder = Path(tempfile.mkdtemp(prefix="shopease-test-", dir="/tmp"))
    folder.chmod(0o755)
    home = folder / "home"
    try:
        yield home
        eventually(lambda: is_stopped(home))
    finally:
        if (home / "postgres").is_symlink():
            shutil.rmtree((home / "postgres").resolve())
        shutil.rmtree(folder)


@pytest.fixture
def home() -> Iterator[Path]:
    with temporary_home() as folder:
        yield folder


@pytest.fixture(scope="session")
def database_url() -> Iterator[str]:
    """The URL of a database on the session's embedded server."""
    with temporary_home() as folder, embedded.running(folder) as url:
        yield url


@pytest.fixture
def empty_database(database_url: str) -> Iterator[str]:
    """The URL of a database of this test's own."""
    name = f"test_{os.getpid()}_{next(_NUMBERS)}"
    execute(database_url, f"CREATE DATABASE {name}")
    yield database_url.replace("/sales_db?", f"/{name}?")
    drop(database_url, name)


@pytest.fixture(scope="session")
def sales(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a database with sales, which no test changes; a template for others."""
    with sample_database(database_url, tmp_path_factory.mktemp("sales")) as url:
        yield url


@pytest.fixture(scope="session")
def versions(sales: str, tmp_path_factory: pytest.TempPathFactory) -> "Iterator[tuple[Version, Version]]":
    """Two sources with the lakes that are made of them, which no test changes."""
    from trials import two_versions

    with two_versions(sales, tmp_path_factory.mktemp("versions")) as made:
        yield made


@pytest.fixture
def bare(database_url: str) -> Iterator[str]:
    """The URL of a database with the contract's tables, empty."""
    with database(database_url) as url:
        execute(url, *CONTRACT_TABLES)
        yield url


@pytest.fixture(scope="module")
def shop(sales: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """A shop with a whole lake, which every test of a module must leave whole."""
    with copy_of(sales) as url:
        made = Shop(tmp_path_factory.mktemp("shop"), url)
        made.run("run-all").done()
        yield made


@pytest.fixture(scope="session")
def dumped(database_url: str) -> str:
    """The URL of the database that the dumps are of, which no test changes."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("CREATE DATABASE nasty")
    url = database_url.replace("/sales_db?", "/nasty?")
    fill(url)
    return url


@pytest.fixture(scope="session")
def dumps(dumped: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the dump in every format, with owners and rights in it."""
    folder = tmp_path_factory.mktemp("dumps")
    write_dumps(dumped, folder)
    return folder


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    """The address of a real S3 server in a process of its own."""
    with running_moto("-m", "moto.server") as endpoint:
        yield endpoint


@contextmanager
def running_moto(*program: str) -> Iterator[str]:
    """The address of a moto of one's own, which Python starts by these arguments."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, *program, "-H", "127.0.0.1", "-p", str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        eventually(lambda: _listens(port))
        yield f"http://127.0.0.1:{port}"
        server.terminate()


@pytest.fixture(scope="session")
def emulator() -> Iterator[str]:
    """The address of ministack, which emulates S3, Glue, Athena and IAM in a process of its own."""
    with running_emulator() as endpoint:
        yield endpoint


@pytest.fixture
def account(emulator: str, monkeypatch: pytest.MonkeyPatch) -> Account:
    """An AWS account of this test's own, to which AWS's own variables point."""
    made = new_account(emulator)
    set_environment(monkeypatch, made.environment)
    return made


@pytest.fixture
def new_bucket(s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Callable[[], str]:
    """Makes buckets on the S3 server, to which AWS's own variables point."""
    environment = {
        "AWS_ENDPOINT_URL": s3_endpoint,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    def make() -> str:
        name = f"bucket-{os.getpid()}-{next(_NUMBERS)}"
        boto3.client("s3").create_bucket(Bucket=name)
        return name

    return make


@pytest.fixture(params=["local", "memory", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> LakeStore:
    """An empty store of each kind."""
    if request.param == "memory":
        return MemoryStore()
    if request.param == "local":
        return open_store(str(tmp_path / "lake"))
    made: Callable[[], str] = request.getfixturevalue("new_bucket")
    return open_store(f"s3://{made()}/some/prefix")


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
