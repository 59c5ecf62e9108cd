"""Where the work runs changes nothing: threads of this process, or others that get everything by pickle."""

import multiprocessing
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, wait
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path

import polars as pl
import pytest

from bronze_months import HEADER, MonthlyLake
from hand_made_lake import CUSTOMER_ROWS, EXTRA_COLUMN, PRODUCT_ROWS, TRANSACTION_ROWS, csv_text, empty_csv, names_of
from memory_store import MemoryStore
from shopease_etl.contract.gold import USUAL
from shopease_etl.contract.tables import CUSTOMERS, INVENTORY, PRODUCTS, SALES_MANAGERS, STORES, TRANSACTIONS, Rule
from shopease_etl.errors import DataRefusedError
from shopease_etl.lake.store import put_stream
from shopease_etl.report import DatasetResult
from shopease_etl.stages.aggregate import aggregate
from shopease_etl.stages.clean import clean
from shopease_etl.transform import memory
from shopease_etl.transform.executor import Executor, Item, LocalExecutor, Result
from shopease_etl.transform.memory import Memory
from shopease_etl.transform.partials import PartialSums

WORKERS = 2
MOST_AHEAD = 8


@dataclass(frozen=True)
class ProcessExecutor:
    """Processes that share nothing with this one."""

    pool: ProcessPoolExecutor

    def map(self, work: Callable[[Item], Result], items: Iterable[Item]) -> Generator[Result]:
        under_way: deque[Future[Result]] = deque()
        try:
            for item in items:
                under_way.append(self.pool.submit(work, item))
                if len(under_way) > WORKERS:
                    yield under_way.popleft().result()
            while under_way:
                yield under_way.popleft().result()
        finally:
            wait([future for future in under_way if not future.cancel()])


@pytest.fixture(scope="module")
def processes() -> Iterator[ProcessExecutor]:
    with ProcessPoolExecutor(WORKERS, multiprocessing.get_context("spawn")) as pool:
        yield ProcessExecutor(pool)


@pytest.fixture(params=["threads", "processes"])
def executor(request: pytest.FixtureRequest) -> Executor:
    if request.param == "threads":
        return LocalExecutor(WORKERS)
    found: ProcessExecutor = request.getfixturevalue("processes")
    return found


def end_in_pairs(item: tuple[Path, int]) -> int:
    """An even item ends after the next one."""
    folder, number = item
    while number % 2 == 0 and not (folder / str(number + 1)).exists():
        time.sleep(0.001)
    (folder / str(number)).touch()
    return number


def refuse_the_fourth(item: tuple[Path, int]) -> int:
    folder, number = item
    (folder / str(number)).touch()
    if number == 3:
        raise DataRefusedError("the fourth", hint="take another")
    return number


def test_results_come_in_the_order_of_the_items(executor: Executor, tmp_path: Path) -> None:
    assert list(executor.map(end_in_pairs, ((tmp_path, number) for number in range(10)))) == list(range(10))
    assert list(executor.map(end_in_pairs, [])) == []


def test_few_items_are_taken_ahead_of_their_results(executor: Executor) -> None:
    taken: list[int] = []

    def numbers() -> Iterator[int]:
        for number in count():
            taken.append(number)
            yield -number

    results = executor.map(abs, numbers())
    for number in range(20):
        assert next(results) == number
        assert len(taken) - number <= MOST_AHEAD
    results.close()


@pytest.mark.parametrize("is_item", [False, True], ids=["work", "items"])
def test_after_an_error_no_work_begins(executor: Executor, tmp_path: Path, is_item: bool) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    one.mkdir()
    other.mkdir()

    def items() -> Iterator[tuple[Path, int]]:
        for number in count():
            if is_item and number == 3 + MOST_AHEAD:
                raise DataRefusedError("the fourth", hint="take another")
            yield one, number + 4 * is_item

    with pytest.raises(DataRefusedError, match="the fourth") as caught:
        list(executor.map(refuse_the_fourth, items()))
    assert caught.value.hint == "take another"
    begun = {path.name for path in one.iterdir()}
    assert len(begun) <= 3 + MOST_AHEAD
    assert list(executor.map(end_in_pairs, ((other, number) for number in range(10)))) == list(range(10))
    assert {path.name for path in one.iterdir()} == begun


def is_loud(text: pl.Expr, _: pl.Expr) -> pl.Expr:
    return text.str.ends_with("!")


LOUD_PRODUCTS = replace(
    PRODUCTS,
    columns=tuple(
        replace(column, rules=(Rule("quiet", is_loud),)) if column.name == "description" else column
        for column in PRODUCTS.columns
    ),
)


def bronze() -> MemoryStore:
    """Rows that are good, odd, wrong, and of one key: copies, later ones, and others of the same time."""
    rows = [list(row) for row in TRANSACTION_ROWS]
    rows += [[*row[:4], quantity, *row[5:]] for row, quantity in zip(rows, ["+7", "x", None, "0"] * 5, strict=False)]
    rows += [[*row[:-2], "2030-01-01", None] for row in rows[:70:7]]
    rows += [[*row[:7], 'in "cash"', *row[8:]] for row in rows[40:50]] + rows[60:80]
    loud = [(*row[:4], "Oh!" if row[0] != 3 else "oh", *row[5:]) for row in PRODUCT_ROWS]
    store = MemoryStore()
    put_stream(store, CUSTOMERS.bronze_key, [csv_text(names_of(CUSTOMERS), CUSTOMER_ROWS).encode()])
    put_stream(store, PRODUCTS.bronze_key, [csv_text(names_of(PRODUCTS), loud).encode()])
    for table in (STORES, INVENTORY, SALES_MANAGERS):
        put_stream(store, table.bronze_key, [empty_csv(table)])
    header = (*names_of(TRANSACTIONS), EXTRA_COLUMN)
    put_stream(store, TRANSACTIONS.bronze_key, [csv_text(header, [tuple(row) for row in rows]).encode()])
    return store


def counts(results: Iterable[DatasetResult]) -> list[DatasetResult]:
    return [replace(result, seconds=None) for result in results]


def test_other_processes_clean_months_alike(processes: ProcessExecutor) -> None:
    sale = dict.fromkeys(HEADER, "1")
    sales = [
        tuple((sale | {"transaction_id": str(n % 60), "created_at": f"2024-{1 + n % 7:02}-01"}).values())
        for n in range(90)
    ]
    lakes = [MonthlyLake(executor=executor) for executor in (LocalExecutor(WORKERS), processes)]
    for lake in lakes:
        lake.run(sales[:-1])
        lake.run(sales)
    one, other = ({key: item.data for key, item in lake.store.objects.items()} for lake in lakes)
    assert one == other


def test_other_processes_make_the_same_bytes(processes: ProcessExecutor, monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks and their duplicates are sent, and silver, quarantine, counts and gold's sums come back."""
    monkeypatch.setattr(memory, "SMALLEST_BATCH", 700)
    monkeypatch.setattr(memory, "USUAL", 700)
    found = []
    for executor in (LocalExecutor(WORKERS), processes):
        store = bronze()
        with PartialSums(Memory()) as partial_sums:
            tables = (CUSTOMERS, LOUD_PRODUCTS, TRANSACTIONS)
            cleaned = clean(store, tables, "run", recorded={}, partial_sums=partial_sums, executor=executor)
            sums = {name: frame.sort(pl.all()).rows() for name, frame in partial_sums.frames().items()}
        gold = aggregate(store, USUAL, recorded={}, executor=executor)
        objects = {key: sink.data for key, sink in store.objects.items()}
        found.append((objects, sums, counts(cleaned.datasets), counts(gold.datasets), gold.reconciliation))
    assert found[0] == found[1]
    rejected = {item.name: dict(item.rejected) for item in found[0][2] if item.rejected}
    assert rejected["products"] == {"quiet_description": 1}
    assert rejected["transactions"].keys() == {
        "duplicate_transaction_id",
        "invalid_quantity",
        "missing_quantity",
        "nonpositive_quantity",
    }
