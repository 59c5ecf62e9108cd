"""Of rows that share their key one stays."""

import pytest
from bronze_rows import GOOD, bronze, cleaned, duplicates_in, sale
from hypothesis import given
from hypothesis import strategies as st

from shopease_etl.contract.tables import PRODUCTS, ROW, TRANSACTIONS


@pytest.mark.parametrize(
    ("stamps_of_rows", "winner"),
    [
        ([("2024-01-01 10:00:00", None), ("2024-01-01 10:00:00.1", None)], 1),
        ([("2024-06-01 12:30:00+02", None), ("2024-06-01 11:00:00+00", None)], 1),
        ([("2024-06-01 13:30:00+02", None), ("2024-06-01 11:00:00+00", None)], 0),
        ([(None, "2024-01-01"), (None, "2024-01-02")], 1),
        ([("infinity", "2024-01-02"), ("2020-01-01", "2024-01-01")], 1),
        # a time without an offset is one in Berlin
        ([("2024-06-01 12:30:00", None), ("2024-06-01 11:00:00+00", None)], 1),
        ([("2024-06-01 13:30:00", None), ("2024-06-01 11:00:00+00", None)], 0),
        # the clock shows 02:30 twice: the first is meant; 02:30 in March, which it never shows, is 03:30
        ([("2024-10-27 02:30:00", None), ("2024-10-27 00:31:00Z", None)], 1),
        ([("2024-03-31 02:30:00", None), ("2024-03-31 03:29:00", None)], 0),
        ([("2024-03-31 02:30:00", None), ("2024-03-31 03:31:00", None)], 1),
    ],
)
def test_the_latest_of_duplicates_stays(stamps_of_rows: list[tuple[str | None, str]], winner: int) -> None:
    rows = [
        sale(store_id=str(index), updated_at=updated, created_at=created or "2024-01-01")
        for index, (updated, created) in enumerate(stamps_of_rows)
    ]
    valid, rejected = cleaned(bronze(rows, TRANSACTIONS), TRANSACTIONS, zone="Europe/Berlin")
    assert valid["store_id"].to_list() == [str(winner)]
    assert rejected["rejected_rule"].to_list() == ["duplicate_transaction_id"]


few_texts = st.none() | st.sampled_from(["", "a", "a ", "aa", "b", "é", "\u00a0", "\U0001f600", "\uffff", "~"])


@given(
    records=st.lists(st.tuples(st.sampled_from(["1", "+1", "01", "2"]), few_texts, few_texts), min_size=1, max_size=8),
    budget=st.sampled_from([0, 1_000_000]),
)
def test_of_rows_that_tie_the_greatest_record_stays(
    records: list[tuple[str, str | None, str | None]], budget: int
) -> None:
    """In the source's columns by their bytes, NULL before any text, and of equal ones the first."""
    rows = [{**GOOD["products"], "product_id": key, "category": one, "extra": two} for key, one, two in records]
    source = bronze(rows, PRODUCTS)
    best: dict[int, tuple[list[tuple[bool, bytes]], int]] = {}
    for place, row in enumerate(source.drop(ROW).iter_rows()):
        record = [(value is not None, str(value or "").encode()) for value in row]
        if (key := int(row[0])) not in best or record > best[key][0]:
            best[key] = (record, place)
    duplicates = {row for _, numbers in duplicates_in(source, PRODUCTS, 3, budget) for row in numbers}
    assert set(range(len(rows))) - duplicates == {place for _, place in best.values()}


def test_duplicates_are_found_among_rows_that_keep_the_other_rules() -> None:
    rows = [sale(updated_at="2024-01-01"), sale(updated_at="2024-01-02", quantity="0")]
    valid, rejected = cleaned(bronze(rows, TRANSACTIONS), TRANSACTIONS)
    assert valid.height == 1
    assert rejected["rejected_rule"].to_list() == ["nonpositive_quantity"]
