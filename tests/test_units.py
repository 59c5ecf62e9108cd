"""Lengths of time: what is written is what is meant, and nothing else is taken for one."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shopease_etl.errors import ConfigurationError
from shopease_etl.units import format_seconds, seconds_in

UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}


@pytest.mark.parametrize(
    ("text", "seconds"), [("90m", 5_400), ("26h", 93_600), ("2d", 172_800), ("1d12h", 129_600), (" 1.5H ", 5_400)]
)
def test_what_people_write(text: str, seconds: float) -> None:
    assert seconds_in(text) == seconds


@given(st.lists(st.tuples(st.integers(1, 10_000), st.sampled_from(sorted(UNITS))), min_size=1, max_size=6))
def test_the_parts_are_added(parts: list[tuple[int, str]]) -> None:
    text = "".join(f"{number}{unit}" for number, unit in parts)
    assert seconds_in(text) == sum(number * UNITS[unit] for number, unit in parts)


@given(st.text() | st.from_regex(r"[0-9.smhdw -]{0,12}", fullmatch=True))
def test_anything_else_is_refused_with_the_way_out(text: str) -> None:
    try:
        seconds = seconds_in(text)
    except ConfigurationError as error:
        assert error.hint
    else:
        assert math.isfinite(seconds)
        assert seconds > 0


@pytest.mark.parametrize("text", ["", "26", "h", "-1h", "0h", "1h 2m", "1e3s", "٣h", f"{'9' * 400}d"])
def test_no_length_of_time(text: str) -> None:
    with pytest.raises(ConfigurationError):
        seconds_in(text)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-3, "0 s"), (119, "119 s"), (120, "2 min"), (7_200, "2 h"), (172_799, "47 h"), (172_800, "2 d")],
)
def test_told_in_one_unit(seconds: float, text: str) -> None:
    assert format_seconds(seconds) == text
