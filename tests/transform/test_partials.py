"""Gold made from chunks of silver is gold made from all of it, in memory or on disk."""

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from pathlib import Path

import polars as pl
from hypothesis import example, given
from hypothesis import strategies as st

from shopease_etl.contract.gold import USUAL, GoldDataset
from shopease_etl.contract.gold.dataset import TOTALS, Measure, RowTotals, SalesSums
from shopease_etl.contract.gold.formulas import conform
from shopease_etl.contract.tables import CUSTOMERS, INVENTORY, PRODUCTS, SALES_MANAGERS, STORES, TRANSACTIONS
from shopease_etl.transform.memory import Memory
from shopease_etl.transform.partials import PartialSums, add_up

TEXTS = dict.fromkeys(("store_id", "customer_id"), pl.String)
COLUMNS = ("customer_id", "product_id", "quantity", "total_amount", "transaction_date", "store_id", "sales_channel")
RAW = {
    STORES: pl.DataFrame(
        {"store_id": ["1"], "store_name": ["Main"], "city": [None], "state": ["NY"]},
        schema_overrides={"city": pl.String},
    ),
    SALES_MANAGERS: pl.DataFrame({"manager_id": ["1"], "manager_name": ["Ann"], "store_id": ["2"]}),
    INVENTORY: pl.DataFrame(
        [(str(n), str(n % 3), str(n % 4), "9", "1") for n in range(12)],
        ["inventory_id", "store_id", "product_id", "quantity", "reorder_level"],
        orient="row",
    ),
}
sales = st.lists(
    st.tuples(
        st.none() | st.sampled_from(["1", "2", "x"]),
        st.none() | st.sampled_from(["1", "2", "007"]),
        st.integers(1, 9).map(str),
        st.decimals(min_value="0.01", max_value="999.99", places=2).map(str),
        st.dates(date(2023, 12, 3), date(2024, 1, 4)).map(str),
        st.none() | st.sampled_from(["1", "2"]),
        st.none() | st.sampled_from(["WEB", "Web"]),
    ),
    max_size=40,
)


def made(rows: Sequence[tuple[str | None, ...]], size: int, memory: Memory) -> dict[str, list[dict[str, object]]]:
    silver = pl.DataFrame(rows, schema=dict.fromkeys(COLUMNS, pl.String), orient="row")
    with PartialSums(memory) as parts:
        customers = pl.DataFrame({"customer_id": ["1"], "customer_name": ["A"], "city": ["O"], "state": ["N"]})
        products = pl.DataFrame({"product_id": ["1"], "product_name": ["Tea"], "category": ["FOOD"]})
        parts.add(CUSTOMERS, add_up(customers, CUSTOMERS))
        parts.add(PRODUCTS, add_up(products, PRODUCTS))
        for table, frame in RAW.items():
            parts.add(table, add_up(frame, table))
        for start in range(0, max(silver.height, 1), size):
            parts.add(TRANSACTIONS, add_up(silver.slice(start, size), TRANSACTIONS))
        frames = parts.frames()
        return {dataset.name: conform(dataset.build(frames), dataset).to_dicts() for dataset in USUAL} | {
            TOTALS: frames[TOTALS].to_dicts()
        }


# the last sale, from which days count, is of no product
@example([(None, "1", "1", "0.01", "2023-12-03", "1", None), (None, None, "1", "0.01", "2024-01-01", None, None)], 1)
@given(sales, st.integers(1, 7))
def test_gold_of_chunks_is_gold_of_the_whole(rows: list[tuple[str | None, ...]], size: int) -> None:
    whole = made(rows, 1_000, Memory())
    assert made(rows, size, Memory()) == whole
    assert made(rows, size, Memory(limit=8)) == whole


def test_sums_of_many_chunks_are_exact_to_the_cent(tmp_path: Path) -> None:
    rows = [("1", "1", "1", "0.01", "2024-01-01", "1", "web")] * 100
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


def test_only_what_the_datasets_need_is_kept() -> None:
    """Sales by store and month, and stores, which have no silver form: their text is read as silver's would be."""
    months = SalesSums("months", ("store_id", "year"), {"customers": Measure("distinct", "customer_id")})
    names = ("store_id", "store_name")
    by_store = GoldDataset("x", (), (), lambda frames: frames["stores"], RowTotals(STORES), {STORES: names}, (months,))
    stores = pl.DataFrame({"store_id": [" +07\n", "x", ""], "store_name": ["\u00a0Old  \n Town", " ", None]})
    with PartialSums(Memory(), [by_store]) as parts:
        parts.add(CUSTOMERS, add_up(pl.DataFrame({"customer_id": ["1"]}), CUSTOMERS, [by_store]))
        assert [table.name for table in parts.missing()] == ["transactions", "stores"]
        parts.add(STORES, add_up(stores, STORES, [by_store]))
        for store, customer in (("1", "1"), ("1", "2"), ("1", "2"), ("2", None), (None, "1")):
            sale = {"store_id": store, "customer_id": customer, "year": "2024", "total_amount": "1.00"}
            rows = pl.DataFrame({**sale, "transaction_date": "2024-01-01"}, schema_overrides=TEXTS)
            parts.add(TRANSACTIONS, add_up(rows, TRANSACTIONS, [by_store]))
        frames = parts.frames()
    assert frames["stores"].rows() == [(7, "Old Town"), (None, None), (None, None)]
    assert frames["months"].sort("store_id").rows() == [(1, 2024, 2), (2, 2024, 0)]
    assert frames.keys() == {"stores", "months", TOTALS}


def test_without_sales_no_sales_are_needed() -> None:
    rows = GoldDataset("x", (), (), lambda frames: frames["stores"], RowTotals(STORES), {STORES: ("store_id",)})
    with PartialSums(Memory(), [rows]) as parts:
        parts.add(TRANSACTIONS, add_up(pl.DataFrame({"transaction_id": ["1"]}), TRANSACTIONS, [rows]))
        parts.add(STORES, add_up(pl.DataFrame({"store_id": ["1"]}), STORES, [rows]))
        assert not parts.missing()
        assert rows.build(parts.frames()).rows() == [(1,)]
