"""A plan made once gives for every frame what a plan made for it alone would give."""

from concurrent.futures import ThreadPoolExecutor

import narwhals.stable.v2 as nw
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shopease_etl.transform.recurring import Frame, Recurring

SCHEMA = {"key": pl.Int64, "text": pl.String}
rows = st.lists(st.tuples(st.none() | st.integers(0, 3), st.none() | st.sampled_from(["1", "02", "x", ""])), max_size=6)


def doubled(frame: Frame) -> list[Frame]:
    """Two results: one row by row, one of groups."""
    return [
        frame.with_columns((nw.col("key") * 2).alias("twice")).filter(nw.col("text") != "x"),
        frame.group_by("key").agg(nw.len().alias("rows")).sort("key"),
    ]


@given(st.lists(rows, max_size=5))
def test_every_frame_gets_its_own_results(frames: list[list[tuple[int | None, str | None]]]) -> None:
    recurring = Recurring(doubled)
    for each in frames:
        frame = pl.DataFrame(each, SCHEMA, orient="row")
        fresh = [plan.to_native().collect() for plan in doubled(nw.from_native(frame.lazy()))]
        assert [one.equals(other) for one, other in zip(recurring(frame), fresh, strict=True)] == [True, True]


def test_threads_do_not_get_each_others_frames() -> None:
    recurring = Recurring(doubled)
    frames = [pl.DataFrame({"key": [number] * 50, "text": ["1"] * 50}, SCHEMA) for number in range(200)]
    with ThreadPoolExecutor(8) as pool:
        for frame, (each, grouped) in zip(frames, pool.map(recurring, frames), strict=True):
            assert each["key"].equals(frame["key"])
            assert grouped.row(0) == (frame["key"][0], 50)


def test_a_frame_that_fails_leaves_the_plan_as_it_was() -> None:
    recurring = Recurring(lambda frame: [frame.select(nw.col("text").cast(nw.Int64()))])
    good, bad = (pl.DataFrame({"key": [1], "text": [text]}, SCHEMA) for text in ("7", "x"))
    for _ in range(2):
        assert recurring(good)[0].item() == 7
        with pytest.raises(pl.exceptions.InvalidOperationError):
            recurring(bad)
