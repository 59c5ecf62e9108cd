"""Extracts while others write: bronze is consistent, with faults and without."""

import itertools
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Final

import psycopg
import pytest
from pg_faults import FAULTS, between

from commands import execute
from lakes import given_source, read
from shopease_etl.contract.tables import CUSTOMERS, INVENTORY, PRODUCTS, TABLES, TRANSACTIONS
from shopease_etl.lake.local import LocalStore
from shopease_etl.source import session as source
from shopease_etl.stages.extract import extract

WRITERS: Final = 3
THINGS: Final = 40
TOTAL: Final = THINGS * 1000
RUNS: Final = 6


@pytest.fixture
def traded(bare: str) -> str:
    """A database in which products' prices and inventory's quantities come to a total, with rows that take a while."""
    execute(
        bare,
        f"INSERT INTO products (product_id, price) SELECT n, 500 FROM generate_series(1, {THINGS}) n",
        f"INSERT INTO inventory (inventory_id, quantity) SELECT n, 500 FROM generate_series(1, {THINGS}) n",
        "INSERT INTO stores (store_id, store_name) SELECT n, repeat('x', 1000) FROM generate_series(1, 3000) n",
    )
    return bare


def trade(connection: psycopg.Connection, random: Random, number: int) -> None:
    """Move a quantity within the inventory and to a price; a customer comes, buys, and both rows say so, or none."""
    moved, (one, other) = random.randint(1, 9), sorted(random.sample(range(1, THINGS + 1), 2))
    change = "UPDATE inventory SET quantity = quantity + %s WHERE inventory_id = %s"
    connection.execute(change, [moved, one])
    connection.execute(change, [-3 * moved, other])
    connection.execute("INSERT INTO customers (customer_id) VALUES (%s)", [number])
    sale = "INSERT INTO sale_transactions (transaction_id, customer_id, unit_price) VALUES (%s, %s, 1)"
    connection.execute(sale, [number, number])
    connection.execute("UPDATE customers SET customer_name = 'has bought' WHERE customer_id = %s", [number])
    connection.execute("UPDATE products SET price = price + %s WHERE product_id = %s", [2 * moved, one])
    connection.commit()


@contextmanager
def writing(url: str) -> Iterator[None]:
    """Several writers trade for as long as the block lasts."""
    stopped, numbers = threading.Event(), itertools.count(1)

    def write(seed: int) -> None:
        random = Random(seed)
        with psycopg.connect(url) as connection:
            while not stopped.is_set():
                trade(connection, random, next(numbers))

    with ThreadPoolExecutor(WRITERS) as pool:
        writers = [pool.submit(write, seed) for seed in range(WRITERS)]
        try:
            yield
        finally:
            stopped.set()
        for writer in writers:
            writer.result()


def extracted(url: str, folder: Path) -> int:
    """The sales of an extract whose tables must agree with one another."""
    lake = LocalStore(folder / "lake")
    source.with_retries(
        given_source(url, folder, source_idle_timeout="1"),
        [table.source for table in TABLES],
        lambda moment: extract(moment, lake, TABLES),
    )
    frames = {table.name: read(folder, table.bronze_key) for table in (CUSTOMERS, INVENTORY, PRODUCTS, TRANSACTIONS)}
    amounts = [*frames["products"]["price"], *frames["inventory"]["quantity"]]
    assert sum(map(Decimal, amounts)) == TOTAL
    assert sorted(frames["customers"]["customer_id"]) == sorted(frames["transactions"]["customer_id"])
    assert set(frames["customers"]["customer_name"]) <= {"has bought"}
    return frames["transactions"].height


@pytest.mark.parametrize("fault", [None, *FAULTS])
@pytest.mark.quick(3)
def test_bronze_is_consistent_while_others_write(
    traded: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str | None
) -> None:
    monkeypatch.setattr(source, "FIRST_PAUSE", 0.01)
    sales = []
    with writing(traded):
        for seed in range(RUNS):
            with between(traded, seed) if fault else nullcontext() as proxy:
                if proxy and fault:
                    proxy.fail(FAULTS[fault])
                sales.append(extracted(proxy.url if proxy else traded, tmp_path))
                assert not proxy or proxy.seen["faults"] == 1
    assert sales == sorted(sales)
    assert len(set(sales)) > 1
