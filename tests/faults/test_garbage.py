"""A thousand garbage inputs (`--fault-rounds 20`) to each parser: it accepts them or refuses them in one line.

Nothing else is ever raised, nothing hangs, and what is refused has changed nothing.
"""

import csv
import io
import json
import shutil
from pathlib import Path
from random import Random
from typing import Any, Final

import psycopg
import pytest
from garbage import damaged, damaged_json, feed
from rich.console import Console

from commands import hashes
from dump_files import objects
from lakes import given_pipeline
from shopease_etl.cli.status_command import StatusView
from shopease_etl.contract.gold import USUAL
from shopease_etl.contract.layout import JOURNAL
from shopease_etl.contract.tables import CUSTOMERS, PRODUCTS, TRANSACTIONS
from shopease_etl.errors import DataRefusedError, ShopeaseError
from shopease_etl.lake import publish
from shopease_etl.lake.csv_bytes import RowCounter, csv_header
from shopease_etl.lake.generations import runs_to_undo, undo
from shopease_etl.lake.local import LocalStore
from shopease_etl.lake.manifests import manifests
from shopease_etl.operations.status import status
from shopease_etl.pipeline import guards, plan
from shopease_etl.pipeline import run as pipeline
from shopease_etl.pipeline.verify import verify
from shopease_etl.source.dumps.opening import open_dump
from shopease_etl.source.dumps.plain import PlainDump
from shopease_etl.source.dumps.rules import Rules, Server
from shopease_etl.stages.aggregate import aggregate
from shopease_etl.stages.clean import clean
from shopease_etl.stages.restore import restore
from shopease_etl.warehouse import local_catalog
from shopease_etl.warehouse.discovery import discover

DUMPS: Final = ("plain.sql", "inserts.sql", "simple.sql", "plain.sql.gz", "plain.sql.zst", "custom.dump", "archive.tar")
LATEST: Final = "99980101T000000.000000Z-0000"


@pytest.fixture(scope="module")
def made(sales: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a small, whole lake and a home with its catalog."""
    folder = tmp_path_factory.mktemp("made")
    pipeline.run(plan.plan_all(), given_pipeline(sales, folder))
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    """A copy of it that a test may spoil."""
    return Path(shutil.copytree(made, tmp_path / "copy"))


@pytest.fixture
def store(folder: Path) -> LocalStore:
    return LocalStore(folder / "lake")


def manifest_of(store: LocalStore) -> Any:
    return next(manifests(store)).document


def fresh_copy(folder: Path, target: Path) -> Path:
    """A copy of a folder in place of a former one."""
    shutil.rmtree(target, ignore_errors=True)
    return Path(shutil.copytree(folder, target))


def lines(store: LocalStore, key: str, count: int) -> bytes:
    """The first lines of a file."""
    return b"".join(store.read(key).splitlines(keepends=True)[:count])


@pytest.mark.parametrize("name", DUMPS)
def test_dumps_are_read_to_their_end_or_refused(rounds: int, dumps: Path, tmp_path: Path, name: str) -> None:
    whole = (dumps / name).read_bytes()
    server = Server(frozenset({"statement_timeout"}), frozenset(), frozenset())

    def read(data: bytes) -> None:
        (tmp_path / name).write_bytes(data)
        with open_dump(str(tmp_path / name)) as dump:
            for _ in PlainDump(dump.name, dump.chunks(), Rules(server)).filtered():
                pass

    assert all(feed(f"dump {name}", rounds, lambda random: damaged(random, whole), read))


def test_dumps_are_restored_completely_or_not_at_all(
    rounds: int, dumps: Path, tmp_path: Path, empty_database: str
) -> None:
    whole = {name: (dumps / name).read_bytes() for name in DUMPS}

    def make(random: Random) -> tuple[str, bytes]:
        name = random.choice(DUMPS)
        return name, damaged(random, whole[name])

    def fill(given: tuple[str, bytes]) -> None:
        (tmp_path / given[0]).write_bytes(given[1])
        try:
            restore(str(tmp_path / given[0]), empty_database)
        except ShopeaseError:
            assert objects(empty_database) == 0
            raise
        with psycopg.connect(empty_database) as connection:
            connection.execute("DROP SCHEMA public CASCADE")
            connection.execute("CREATE SCHEMA public")

    assert all(feed("restore", rounds, make, fill))


def test_manifests_are_understood_or_ignored(rounds: int, store: LocalStore) -> None:
    whole = {**manifest_of(store), "run_id": LATEST}
    known = len(list(manifests(store)))
    path = store.root / "_runs" / f"{LATEST}.json"

    def look(data: bytes) -> None:
        path.write_bytes(data)
        Console(file=io.StringIO()).print(StatusView(status(store)))
        assert len(list(manifests(store))) - known in {0, 1}
        guards.require_no_shrink(guards.read_baseline(store), pipeline_stage, 0.2)
        for manifest in manifests(store):
            plan.plan_in(manifest.document)

    pipeline_stage = aggregate(store, USUAL, recorded={})
    assert feed("manifest", rounds, lambda random: damaged_json(random, whole), look)[0]


def test_a_garbage_manifest_is_rolled_back_completely_or_not_at_all(rounds: int, made: Path, tmp_path: Path) -> None:
    store = LocalStore(tmp_path / "lake")
    whole = {**manifest_of(LocalStore(made / "lake")), "run_id": LATEST}

    def go_back(data: bytes) -> None:
        fresh_copy(made / "lake", store.root)
        before = hashes(store.root)
        (store.root / "_runs" / f"{LATEST}.json").write_bytes(data)
        try:
            undo(store, tmp_path / "aside", [runs_to_undo(store)[0].document], lambda: None)
        except ShopeaseError:
            assert hashes(store.root) == before
            raise
        assert {path.name for path in tmp_path.iterdir()} <= {"lake", "aside"}

    assert all(feed("rollback", rounds, lambda random: damaged_json(random, whole), go_back))


def test_a_garbage_journal_is_finished_or_refused_and_nothing_published(rounds: int, store: LocalStore) -> None:
    writers = [store.raw_writer(table.key) for table in USUAL]
    for writer in writers:
        writer.write(b"new")
        writer.complete()
    whole = {
        "version": publish.VERSION,
        "manifest": {**manifest_of(store), "run_id": LATEST},
        "objects": [writer.pending_write() for writer in writers],
        "deletes": [CUSTOMERS.bronze_key],
        "is_final": False,
    }
    former = fresh_copy(store.root, store.root.parent / "former")
    before = hashes(former)
    journal = store.root / f"{JOURNAL}{LATEST}"
    seal, _, _ = publish.sealed(whole).partition(b"\n")

    def make(random: Random) -> bytes:
        if random.random() < 0.5:
            return damaged(random, publish.sealed(whole))
        return seal + b"\n" + damaged_json(random, whole)

    def finish(data: bytes) -> None:
        fresh_copy(former, store.root)
        journal.write_bytes(data)
        try:
            publish.recover(store)
        except ShopeaseError:
            journal.unlink()  # it stays
            assert hashes(store.root) == before
            raise
        assert not journal.exists()

    assert all(feed("journal", rounds, make, finish))


def test_local_catalogs(rounds: int, folder: Path) -> None:
    path = next((folder / "home" / "catalog").glob("*.json"))
    whole = json.loads(path.read_bytes())

    def read(data: bytes) -> None:
        path.write_bytes(data)
        for table in local_catalog.load(path).tables:
            assert table.columns is not None

    assert all(feed("catalog", rounds, lambda random: damaged_json(random, whole), read))


@pytest.mark.parametrize("key", [CUSTOMERS.bronze_key, PRODUCTS.silver_key, USUAL[0].key])
def test_discovery(rounds: int, store: LocalStore, key: str) -> None:
    whole = store.read(key)

    def look(data: bytes) -> None:
        (store.root / key).write_bytes(data)
        assert [table.name for table in discover(store, "db").tables]

    assert feed(f"discovery {key}", rounds, lambda random: damaged(random, whole), look)[1]


def test_records_are_counted_as_python_counts_them(rounds: int) -> None:
    def make(random: Random) -> list[list[str]]:
        fields = ['"', "\n", "a", ",", '""', "\r", "é", ""]
        return [["".join(random.choices(fields, k=random.randint(0, 9))) for _ in range(3)] for _ in range(9)]

    def count(rows: list[list[str]]) -> None:
        text = io.StringIO()
        csv.writer(text, lineterminator="\n", quoting=csv.QUOTE_ALL).writerows(rows)
        counter, data = RowCounter(), text.getvalue().encode()
        for byte in data:
            counter.update(bytes([byte]))
        assert counter.records == len(rows) == len(list(csv.reader(io.StringIO(text.getvalue(), newline=""))))
        assert csv_header("x", data) == tuple(rows[0])

    assert feed("records", rounds, make, count) == (rounds * 50, 0)


def test_headers(rounds: int) -> None:
    def read(data: bytes) -> None:
        names = csv_header("x.csv", data, is_whole_file=bool(len(data) % 2))
        assert names is None or all(isinstance(name, str) for name in names)
        RowCounter().update(data)

    whole = b'customer_id,"na""me","a\nb",\xc3\xa9\n1,2,3,4\n'
    assert all(feed("header", rounds, lambda random: damaged(random, whole), read))


@pytest.mark.parametrize("table", [CUSTOMERS, PRODUCTS, TRANSACTIONS], ids=lambda table: table.name)
def test_garbage_in_bronze_is_cleaned_completely_or_refused(rounds: int, store: LocalStore, table: Any) -> None:
    whole = lines(store, table.bronze_key, 30)
    before = store.read(table.silver_key)

    def take(data: bytes) -> None:
        (store.root / table.bronze_key).write_bytes(data)
        (store.root / table.silver_key).write_bytes(before)
        try:
            result = clean(store, [table], "run", recorded={})
        except ShopeaseError as error:
            assert isinstance(error, DataRefusedError), error
            assert store.read(table.silver_key) == before
            raise
        silver, quarantine = result.datasets
        assert silver.rows_in == silver.rows_out + quarantine.rows_out == silver.rows_out + silver.rows_rejected
        verify(store, [result])

    assert all(feed(f"bronze {table.name}", rounds, lambda random: damaged(random, whole), take))


def test_garbage_in_silver_is_aggregated_or_refused(rounds: int, store: LocalStore) -> None:
    whole = lines(store, TRANSACTIONS.silver_key, 30)
    before = store.read(USUAL[0].key)

    def take(data: bytes) -> None:
        (store.root / TRANSACTIONS.silver_key).write_bytes(data)
        (store.root / USUAL[0].key).write_bytes(before)
        try:
            verify(store, [aggregate(store, USUAL, recorded={})])
        except ShopeaseError as error:
            assert isinstance(error, DataRefusedError), error
            assert store.read(USUAL[0].key) == before
            raise

    assert all(feed("silver", rounds, lambda random: damaged(random, whole), take))
