"""Gold made from chunks of silver is gold made from all of it, in memory or on disk."""

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from pathlib import Path

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from shopease_etl.contract import gold
from shopease_etl.contract.tables import CUSTOMERS, PRODUCTS, TRANSACTIONS
from shopease_etl.transform.memory import Memory
from shopease_etl.transform.partials import SilverParts, partial_sums

COLUMNS = ("customer_id", "product_id", "quantity", "total_amount", "transaction_date")
sales = st.lists(
    st.tuples(
        st.none() | st.sampled_from(["1", "2", "x"]),
        st.none() | st.sampled_from(["1", "2", "007"]),
        st.integers(1, 9).map(str),
        st.decimals(min_value="0.01", max_value="999.99", places=2).map(str),
        st.dates(date(2023, 12, 30), date(2024, 1, 2)).map(str),
    ),
    max_size=40,
)


def made(rows: Sequence[tuple[str | None, ...]], size: int, memory: Memory) -> dict[str, list[dict[str, object]]]:
    silver = pl.DataFrame(rows, schema=dict.fromkeys(COLUMNS, pl.String), orient="row")
    with SilverParts(memory) as parts:
        customers = pl.DataFrame({"customer_id": ["1"], "customer_name": ["A"], "city": ["O"], "state": ["N"]})
        products = pl.DataFrame({"product_id": ["1"], "product_name": ["Tea"], "category": ["FOOD"]})
        parts.add(CUSTOMERS, partial_sums(customers, CUSTOMERS))
        parts.add(PRODUCTS, partial_sums(products, PRODUCTS))
        for start in range(0, max(silver.height, 1), size):
            parts.add(TRANSACTIONS, partial_sums(silver.slice(start, size), TRANSACTIONS))
        frames = parts.frames()
        return {
            dataset.table.name: gold.finished(dataset.compose(frames), dataset.table).to_dicts()
            for dataset in gold.GOLD
        } | {"totals": frames["totals"].to_dicts()}


@given(sales, st.integers(1, 7))
def test_gold_of_chunks_is_gold_of_the_whole(rows: list[tuple[str | None, ...]], size: int) -> None:
    whole = made(rows, 1_000, Memory())
    assert made(rows, size, Memory()) == whole
    assert made(rows, size, Memory(limit=8)) == whole


def test_sums_of_many_chunks_are_exact_to_the_cent(tmp_path: Path) -> None:
    rows = [("1", "1", "1", "0.01", "2024-01-01")] * 100
    totals = made(rows, 1, Memory(folder=tmp_path))["totals"][0]
    assert totals["revenue"] == Decimal("1.00")
    assert totals["transactions"] == 100


def test_spilled_rows_are_in_an_unnamed_file(tmp_path: Path) -> None:
    frame = pl.DataFrame({"day": [3, 1, 2, 3] * 50})
    with Memory(limit=8, folder=tmp_path / "home").spill("day") as spill:
        for piece in frame.iter_slices(7):
            spill.add(piece)
        assert list((tmp_path / "home").iterdir()) == []
        found = [bucket["day"] for bucket in spill.buckets()]
    assert pl.concat(found).sort().to_list() == frame["day"].sort().to_list()
    assert sum(bucket.n_unique() for bucket in found) == 3


def test_parts_are_those_of_the_formulas() -> None:
    frame = pl.DataFrame({"transaction_date": [date(2024, 1, 1)], "customer_id": [None]})
    assert gold.DISTINCTS[0].of(frame).height == 0
