"""Sales kept by month: what is cleaned is what a full cleaning gives, whichever months are carried over."""

from dataclasses import replace
from random import Random

import pytest
from polars.testing import assert_frame_equal

from bronze_months import HEADER, MonthlyLake, Sale
from shopease_etl.contract import layout
from shopease_etl.contract.tables import TRANSACTIONS
from shopease_etl.errors import DataRefusedError

MONTHS = tuple(f"2024-{month:02}" for month in range(1, 9))


def sale(key: str | None, created: str | None, updated: str | None = None, quantity: str = "1") -> Sale:
    row = dict.fromkeys(HEADER, "1") | {"transaction_id": key, "quantity": quantity, "unit_price": "2.505"}
    return tuple((row | {"created_at": created, "updated_at": updated}).values())


def random_sale(random: Random) -> Sale:
    """A key is in two months now and then, and a value is wrong or missing."""
    key = random.choice([str(random.randrange(40)), f"+{random.randrange(40)}", *map(str, range(100, 140))])
    day = random.choice(["-01", "-01", "-28 10:00:00", "-28 10:00:00.5"])
    row = sale(
        None if random.random() < 0.03 else key,
        random.choice([None, "infinity"]) if random.random() < 0.05 else random.choice(MONTHS) + day,
        random.choice([None, "2024-09-01", "2024-09-02"]),
        random.choice("1112x0"),
    )
    return (row[0], row[1], random.choice("12x"), *row[3:])


def edited(random: Random, sales: list[Sale]) -> list[Sale]:
    """A few sales fewer and a few more; once in a while a month has none left, or no month has."""
    left = [row for row in sales if random.random() < 0.95]
    if random.random() < 0.2:
        gone = random.choice(MONTHS)
        left = [row for row in left if not (row[HEADER.index("created_at")] or "").startswith(gone)]
    return [] if random.random() < 0.05 else left + [random_sale(random) for _ in range(random.randrange(3))]


def assert_same(lake: MonthlyLake, other: MonthlyLake) -> None:
    assert lake.contents() == other.contents()
    for name, frame in lake.gold().items():
        assert_frame_equal(frame, other.gold()[name])


@pytest.mark.parametrize("seed", range(4))
def test_an_incremental_run_equals_a_full_one(seed: int) -> None:
    random = Random(seed)
    lake, sales = MonthlyLake(), [random_sale(random) for _ in range(30)]
    for _ in range(8):
        lake.run(sales, only_clean=random.random() < 0.5)
        lake.aggregate()
        full = MonthlyLake()
        full.run(sales)
        assert_same(lake, full)
        sales = edited(random, sales)
    lake.run(sales)
    whole = MonthlyLake(by_month=False)
    whole.run(sales)
    assert lake.rows() == whole.rows()
    for name, frame in lake.gold().items():
        assert_frame_equal(frame, whole.gold()[name])


JANUARY, FEBRUARY, MARCH, APRIL = (f"{month}-15" for month in MONTHS[:4])
BASE = [
    *(sale("1", JANUARY, "2024-09-02"), sale("9", JANUARY)),
    *(sale("2", FEBRUARY), sale("7", FEBRUARY, "2024-09-01")),
    *(sale("3", MARCH), sale("9", MARCH, "2024-09-01")),
    *(sale("4", APRIL), sale(None, None)),
]


@pytest.mark.parametrize(
    ("sales", "months"),
    [
        (BASE, []),
        ([*BASE, sale("5", FEBRUARY)], ["2024-02"]),
        # an older sale of January's key is rejected itself, a later one takes its place; the 9 in March stays ahead
        ([*BASE, sale("1", FEBRUARY, "2024-09-01")], ["2024-02"]),
        ([*BASE, sale("1", FEBRUARY, "2024-09-03")], ["2024-01", "2024-02"]),
        # the better row goes, with its month or without, and the other comes back
        ([row for row in BASE if row[-2] != MARCH], ["2024-01"]),
        ([row for row in BASE if row != sale("9", MARCH, "2024-09-01")], ["2024-01", "2024-03"]),
        ([row for row in BASE if row != sale("9", JANUARY)], ["2024-01"]),
        ([row for row in BASE if row[-2] is not None], []),
        ([], ["none"]),
    ],
)
def test_only_months_whose_silver_changes_are_written(sales: list[Sale], months: list[str]) -> None:
    lake, full = MonthlyLake(), MonthlyLake()
    lake.run(BASE)
    assert lake.rewritten(sales) == months
    full.run(sales)
    assert_same(lake, full)


@pytest.mark.parametrize("is_gone", [True, False], ids=["gone", "damaged"])
@pytest.mark.parametrize(
    "key",
    [
        *(TRANSACTIONS.in_month("2024-03").state_key(file) for file in ("keys.parquet", "sums.zip")),
        *(TRANSACTIONS.in_month("2024-03").silver_key, TRANSACTIONS.in_month("2024-03").quarantine_key),
    ],
)
def test_what_is_gone_or_damaged_is_made_again(key: str, is_gone: bool) -> None:
    """Also if the bronze of the month changes at the same time, so that it is not known which keys it had."""
    without = [row for row in BASE if row != sale("9", MARCH, "2024-09-01")]
    for sales in (BASE, without):
        lake, full = MonthlyLake(), MonthlyLake()
        lake.run(BASE)
        lake.store.objects[key].data += b"x"
        if is_gone:
            lake.store.delete([key])
        assert "2024-03" in lake.rewritten(sales)
        full.run(sales)
        assert_same(lake, full)
        assert lake.rewritten(sales) == []


@pytest.mark.parametrize("file", ["keys.parquet", "sums.zip"])
def test_gold_is_made_from_silver_where_sums_are_not_kept(file: str) -> None:
    lake, full = MonthlyLake(), MonthlyLake()
    cleaned = lake.run(BASE, only_clean=True)
    lake.store.objects[TRANSACTIONS.in_month("2024-03").state_key(file)].data += b"x"
    lake.store.delete([TRANSACTIONS.in_month("2024-01").state_key(file)])
    lake.aggregate()
    full.run(BASE)
    assert_same(lake, full)
    revenue = [item.sums["silver_revenue"] for item in cleaned.datasets if item.sums]
    assert revenue == ["2.51", "5.02", "5.02", "2.51", "0.00"]


def test_other_rules_another_zone_or_the_wish_make_all_months_again() -> None:
    lake = MonthlyLake()
    every = lake.rewritten(BASE)
    assert every == ["2024-01", "2024-02", "2024-03", "2024-04", "none"]
    assert lake.rewritten(BASE, full=True) == every
    lake.run(BASE, zone="Europe/Berlin")
    assert lake.rewritten(BASE) == every
    assert lake.rewritten(BASE, has_unique_key=True) == every
    assert lake.rewritten(BASE, has_unique_key=True) == []


@pytest.mark.parametrize("by_month", [True, False])
def test_nothing_is_compared_if_the_source_has_a_unique_index(by_month: bool) -> None:
    """So rows with the same key, which such a source cannot have, stay; no keys are kept."""
    lake = MonthlyLake(by_month)
    assert sum(item.rejected.get("duplicate_transaction_id", 0) for item in lake.run(BASE).datasets) == 1
    found = lake.run(BASE, has_unique_key=True).datasets
    assert not [item for item in found if "duplicate_transaction_id" in item.rejected]
    assert not [key for item in found for key in item.state if "keys" in key]


def test_a_month_whose_bronze_is_gone_is_not_carried_over() -> None:
    lake = MonthlyLake()
    lake.run(BASE)
    lake.store.delete([TRANSACTIONS.in_month("2024-03").bronze_key])
    with pytest.raises(DataRefusedError, match=r"bronze/transactions/sale_month=2024-03/.* is not in the lake"):
        lake.clean()


def test_a_sale_in_the_file_of_another_month_is_refused() -> None:
    lake = MonthlyLake()
    lake.run(BASE)
    one, other = (TRANSACTIONS.in_month(month).bronze_key for month in ("2024-03", "2024-04"))
    lake.store.objects[one].data = lake.store.objects[other].data
    lake.recorded = {}
    with pytest.raises(DataRefusedError, match=f"{one} has sales of another month: of 2024-04-15"):
        lake.clean()


def test_a_carried_month_has_what_was_recorded_and_the_run_that_wrote_it() -> None:
    lake = MonthlyLake()
    first = {item.key: item for item in lake.run(BASE, run_id="first").datasets}
    second = {item.key: item for item in lake.run([*BASE, sale("5", FEBRUARY)], run_id="second").datasets}
    assert first.keys() == second.keys()
    for key, item in second.items():
        is_own = layout.month_of(key) in {None, "2024-02"}
        assert item == (item if is_own else replace(first[key], run_id="first"))
        assert item.run_id == (None if is_own else "first")
