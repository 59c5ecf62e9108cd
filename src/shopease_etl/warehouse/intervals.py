"""Intervals as Athena prints them."""

from typing import Any

import pyarrow as pa


def interval_texts(column: "pa.Array[Any]") -> "pa.Array[Any]":
    """An Arrow column of intervals as text: `2-7` for years and months, `4 01:30:00.000` for days and less."""
    return pa.array([None if value is None else _text(*value) for value in column.to_pylist()], pa.string())


def _text(months: int, days: int, nanoseconds: int) -> str:
    if months:
        years, rest = divmod(abs(months), 12)
        return f"{'-' if months < 0 else ''}{years}-{rest}"
    total = days * 86_400_000_000_000 + nanoseconds
    milliseconds = abs(total) // 1_000_000
    seconds, fraction = divmod(milliseconds, 1000)
    minutes, second = divmod(seconds, 60)
    hours, minute = divmod(minutes, 60)
    day, hour = divmod(hours, 24)
    return f"{'-' if total < 0 else ''}{day} {hour:02}:{minute:02}:{second:02}.{fraction:03}"
