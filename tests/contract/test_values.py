"""The grammar against independent parsers of the same text."""

import re
from datetime import date

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shopease_etl.contract import values


def parses(pattern: str, text: str) -> bool:
    return bool(pl.select(pl.lit(text).str.contains(pattern)).item())


@pytest.mark.parametrize(
    "text", ["0", "12", "+5", "-3", "007", "000000000000000000000000000000012", "9" * 18, "9223372036854775807"]
)
def test_integers(text: str) -> None:
    assert parses(values.INTEGER, text)


@pytest.mark.parametrize(
    "text", ["", "1.0", "1e2", "1_000", "1,000", "٣", "--1", "+", " 1", "1 ", "0x1", "9223372036854775808", "9" * 19]
)
def test_not_integers(text: str) -> None:
    assert not parses(values.INTEGER, text)


@pytest.mark.parametrize("text", ["0", "1.5", "+1.50", "-0.004", "10.005", "0001.1", "9" * 16 + ".99"])
def test_numbers(text: str) -> None:
    assert parses(values.NUMBER, text)


@pytest.mark.parametrize("text", [".5", "5.", "1e2", "NaN", "Infinity", "1.5.5", "1,5", "٣.٥", "9" * 17])
def test_not_numbers(text: str) -> None:
    assert not parses(values.NUMBER, text)


@pytest.mark.parametrize(
    "text",
    [
        "2024-02-29",
        "2000-02-29 00:00:00",
        "2024-12-31 23:59:59.999999",
        "2024-12-31T23:59:59",
        "2024-06-01 10:00:00+02",
        "2024-06-01 10:00:00.5-03:30",
        "1800-01-01 10:00:00+00:53:28",
        "2024-06-01T10:00:00Z",
        "0001-01-01",
        "9999-12-31",
    ],
)
def test_timestamps(text: str) -> None:
    assert parses(values.TIMESTAMP, text)


@pytest.mark.parametrize(
    "text",
    [
        "infinity",
        "0044-03-15 BC",
        "0044-03-15 00:00:00 BC",
        "2024-01-01 24:00:00",
        "2024-01-01 23:59:60",
        "2024-01-01 10:60:00",
        "2024-01-01 10:00",
        "2024-1-1",
        "2024-01-01 10:00:00.1234567",
        "2024-01-01  10:00:00",
        "2024-01-01+02",
        "0000-01-01",
        "10000-01-01",
        "٢٠٢٤-01-01",
        "",
    ],
)
def test_not_timestamps(text: str) -> None:
    assert not parses(values.TIMESTAMP, text)


@given(st.integers(0, 9999), st.integers(0, 13), st.integers(0, 32))
def test_a_date_parses_only_if_it_is_in_the_calendar(year: int, month: int, day: int) -> None:
    try:
        date(year, month, day)
        exists = True
    except ValueError:
        exists = False
    assert bool(re.search(values.TIMESTAMP, f"{year:04}-{month:02}-{day:02}")) == exists
