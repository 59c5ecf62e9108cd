"""Concurrent commands on the same lake, and writers to the source while a run extracts.

Each trial is made from a seed, as those of `test_trials.py` are.
"""

import csv
import itertools
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Final

import psycopg
import pytest
from pg_faults import between, delay
from trials import (
    FORMER,
    NEW,
    RUN,
    SETTLING,
    SKIPPING,
    Arena,
    Version,
    local_arena,
    require_told,
    s3_arena,
    trials_of,
)

from accounts import new_account
from commands import Ended, Shop, copy_of, count, end
from conftest import eventually
from tally import Tally

QUICK: Final = {
    "test_a_second_command_is_refused": 2,
    "test_a_second_command_waits": 1,
    "test_another_machine_is_refused": 1,
    "test_of_two_concurrent_runs_one_succeeds": 1,
    "test_a_run_reads_one_snapshot_of_a_changing_source": 1,
}
SECONDS: Final = (("rollback", "--yes", "--skip-crawl"), RUN, ("clean",), SETTLING[:3])
WAITING: Final = "pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
PATIENCE: Final = 60
WRITERS: Final = 3
FIRST_ID: Final = 900_000_000
# A sale by a new customer; the goods come from one store and are reordered at another.
SALE: Final = (
    "INSERT INTO sale_transactions SELECT %(id)s, store_id, %(id)s, product_id, 1, 9.99, payment_method, "
    "sales_channel, now(), now() FROM sale_transactions WHERE transaction_id IS NOT NULL LIMIT 1",
    "UPDATE inventory SET quantity = quantity - %(many)s WHERE inventory_id = %(from)s",
    "INSERT INTO customers (customer_id, customer_name, email, created_at, updated_at) "
    "VALUES (%(id)s, 'New', 'new@example.com', now(), now())",
    "UPDATE inventory SET quantity = quantity + %(many)s WHERE inventory_id = %(to)s",
)

READ: Final = (
    ("sales", "transactions/sale_transactions.csv", "transaction_id"),
    ("customers", "customers/customers.csv", "customer_id"),
    ("stock", "inventory/inventory.csv", "quantity"),
)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    trials_of(metafunc, QUICK)


@pytest.fixture(scope="module")
def local(versions: tuple[Version, Version], tmp_path_factory: pytest.TempPathFactory) -> Arena:
    return local_arena(versions, tmp_path_factory.mktemp("local"))


@contextmanager
def held_up(shop: Shop, *command: str) -> Iterator[tuple[psycopg.Connection, "subprocess.Popen[str]"]]:
    """A run in the middle of its extract, and the connection whose rollback lets it go on."""
    with psycopg.connect(shop.database_url) as holder:
        holder.execute("LOCK TABLE stores IN ACCESS EXCLUSIVE MODE")
        with shop.start(*command) as process:
            try:
                eventually(lambda: process.poll() is not None or count(shop.database_url, WAITING))
                assert process.poll() is None, end(process)
                yield holder, process
            finally:
                process.kill()


def refused_beside(arena: Arena, other: Shop, command: tuple[str, ...], second: tuple[str, ...]) -> tuple[Ended, Ended]:
    """How a run ended, and a second command that was refused meanwhile and changed nothing."""
    shop = arena.begin()
    with held_up(shop, *command) as (holder, process):
        others = arena.view.others()
        refused = other.run(*second)
        require_told(refused, {75})
        assert (arena.lake(), arena.view.others()) == (FORMER, others)
        holder.rollback()
        return end(process), refused


def test_a_second_command_is_refused(local: Arena, seed: int, tally: Tally) -> None:
    second = SECONDS[seed % len(SECONDS)]
    ended, refused = refused_beside(local, local.next_shop(), RUN, second)
    lake = local.check(ended, {0})
    tally.count("a run on a local lake", f"`{second[0]}` beside it", lake, f"{refused.code}, the run {ended.code}")


def test_another_machine_is_refused(
    emulator: str, versions: tuple[Version, Version], seed: int, tmp_path: Path, tally: Tally
) -> None:
    second = SECONDS[seed % len(SECONDS)]
    remote = s3_arena(versions, tmp_path / "remote", new_account(emulator))
    other = remote.next_shop(SHOPEASE_HOME=str(tmp_path / "another"))
    ended, refused = refused_beside(remote, other, SKIPPING, second)
    lake = remote.check(ended, {0})
    tally.count("a run on S3", f"`{second[0]}` on another machine", lake, f"{refused.code}, the run {ended.code}")


def test_a_second_command_waits(local: Arena, seed: int, tally: Tally) -> None:
    second = SECONDS[seed % len(SECONDS)]
    shop = local.begin()
    with held_up(shop, *RUN) as (holder, process), shop.start(*second, "--wait", str(PATIENCE)) as waiter:
        assert waiter.stderr
        assert f"waiting up to {PATIENCE} s" in waiter.stderr.readline()
        assert (waiter.poll(), local.lake()) == (None, FORMER)
        holder.rollback()
        ended, waited = end(process), end(waiter)
    require_told(ended, {0})
    require_told(waited, {0})
    # a rollback undoes what it has waited for
    lake = local.lake()
    assert lake == (FORMER if second[0] == "rollback" else NEW)
    assert local.view.others() == set()
    local.go_on()
    tally.count(
        "a run on a local lake", f"`{second[0]} --wait` beside it", lake, f"{waited.code}, the run {ended.code}"
    )


def test_of_two_concurrent_runs_one_succeeds(local: Arena, seed: int, tally: Tally) -> None:
    """The other is refused, or made afterwards if it began so late."""
    shop = local.begin()
    with shop.start(*RUN) as first:
        time.sleep(Random(seed).uniform(0, local.seconds))
        with shop.start(*RUN) as second:
            ended = end(first), end(second)
    codes = sorted(item.code for item in ended)
    assert codes in ([0, 0], [0, 75]), ended
    for item in ended:
        require_told(item, {0, 75})
    assert (local.lake(), local.view.others()) == (NEW, set())
    local.go_on()
    tally.count("a run on a local lake", "another at any moment", NEW, " and ".join(map(str, codes)))


def test_a_run_reads_one_snapshot_of_a_changing_source(sales: str, seed: int, tmp_path: Path, tally: Tally) -> None:
    with copy_of(sales) as url, between(url, seed) as proxy:
        shop = Shop(tmp_path, url)
        places, stock = one_by_one(url)
        # the connections that copy, which come after the one that holds the snapshot, are slow
        proxy.fail(delay, after_bytes=0, connections=range(2, 20), times=20)
        with sales_going_on(url, places, seed) as sold:
            ended = replace(shop, database_url=proxy.url).run(*RUN, "--json").done()
        assert one_by_one(url) == (places, stock)
    tables = {name: column(tmp_path / "lake" / "bronze" / path, key) for name, path, key in READ}
    new = {int(number) for number in tables["customers"] if number and int(number) >= FIRST_ID}
    assert {int(number) for number in tables["sales"] if number and int(number) >= FIRST_ID} == new
    assert sum(int(quantity or 0) for quantity in tables["stock"]) == stock
    assert 0 < len(new) < len(sold), "there were no sales before or after its moment"
    assert ended.document["reconciliation"]["agrees"] is True
    tally.count("a source that changes", f"sales by {WRITERS} writers during the extract", "of one moment", ended.code)


def column(path: Path, name: str) -> list[str]:
    """The values of a column of a CSV file."""
    with path.open(newline="") as file:
        return [row[name] for row in csv.DictReader(file)]


def one_by_one(url: str) -> tuple[list[int], int]:
    """The ids of places in stock that are there once, and what is in stock altogether."""
    with psycopg.connect(url) as connection:
        found = connection.execute(
            "SELECT inventory_id FROM inventory GROUP BY 1 HAVING count(*) = 1 AND count(quantity) = 1 ORDER BY 1"
        )
        ids = [row[0] for row in found if row[0] is not None]
        (stock,) = connection.execute("SELECT sum(quantity) FROM inventory").fetchone() or (0,)
    return ids, int(stock)


@contextmanager
def sales_going_on(url: str, places: list[int], seed: int) -> Iterator[list[int]]:
    """Several writers make sales for as long as the block lasts; the numbers of those that are made."""
    numbers, made, ended = itertools.count(FIRST_ID), list[int](), threading.Event()

    def write(random: Random) -> None:
        with psycopg.connect(url) as connection:
            while not ended.is_set():
                values = {"id": next(numbers), "many": random.randint(1, 9)}
                # in the order of their ids, so that two writers do not wait for each other
                values |= dict(zip(("from", "to"), sorted(random.sample(places, 2)), strict=True))
                for statement in SALE:
                    connection.execute(statement.encode(), values)
                connection.commit()
                made.append(values["id"])

    writers = [threading.Thread(target=write, args=(Random(f"{seed}/{number}"),)) for number in range(WRITERS)]
    for writer in writers:
        writer.start()
    try:
        eventually(lambda: len(made) > WRITERS)
        yield made
    finally:
        ended.set()
        for writer in writers:
            writer.join()
