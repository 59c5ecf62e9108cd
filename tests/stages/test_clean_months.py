"""Sales kept by month: what is cleaned is what a full cleaning gives, whichever months are carried over."""

from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from bronze_months import HEADER, MonthlyLake, Sale

CREATED = ("2024-01-31 10:00:00", "2024-02-01 00:00:00", "2024-02-02", "2024-03-01", "2024-05-01", "infinity", None)
sales = st.tuples(
    st.sampled_from(["1", "+1", "2", "3", "4", "5", "x", None]),
    st.just("1"),
    st.sampled_from(["1", "2", None]),
    st.sampled_from(["1", "7", "x"]),
    st.sampled_from(["1", "2", "0"]),
    st.sampled_from(["1.00", "2.505"]),
    *(st.just("CASH"), st.just("WEB")),
    st.sampled_from(CREATED),
    st.sampled_from(["2024-06-01", "2024-06-02", None]),
)
edits = st.tuples(st.lists(st.integers(0, 30), max_size=4), st.lists(sales, max_size=4))


def assert_same(lake: MonthlyLake, other: MonthlyLake) -> None:
    assert lake.contents() == other.contents()
    for name, frame in lake.gold().items():
        assert_frame_equal(frame, other.gold()[name])


def after(rows: list[Sale], edit: tuple[list[int], list[Sale]]) -> list[Sale]:
    removed, added = edit
    return [row for place, row in enumerate(rows) if place not in removed] + added


@settings(max_examples=25)
@given(st.lists(sales, max_size=25), st.lists(edits, min_size=1, max_size=3))
def test_an_incremental_run_equals_a_full_one(first: list[Sale], changes: list[tuple[list[int], list[Sale]]]) -> None:
    assert len(HEADER) == 10
    lake, rows = MonthlyLake(), first
    lake.run(rows)
    for change in changes:
        rows = after(rows, change)
        lake.run(rows)
        full, whole = MonthlyLake(), MonthlyLake(by_month=False)
        full.run(rows)
        whole.run(rows)
        assert_same(lake, full)
        assert lake.rows() == whole.rows()
        for name, frame in lake.gold().items():
            assert_frame_equal(frame, whole.gold()[name])
