"""When people shop: the weight of every hour of the sample's four years, and moments drawn from it."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

import polars as pl

from shopease_etl.sample.draws import Draws

HOUR: Final = 3_600_000_000
"""In microseconds, like all moments here, which are counted from 1970."""
DAY: Final = 24 * HOUR


def microseconds(day: date) -> int:
    """The first microsecond of a day."""
    return (day - date(1970, 1, 1)).days * DAY


_FIRST_DAY: Final = date(2021, 1, 1)
_END_DAY: Final = date(2025, 1, 1)
START: Final = microseconds(_FIRST_DAY)
END: Final = microseconds(_END_DAY)
"""The sales of the sample are from START until before END."""


@dataclass(frozen=True)
class Month:
    """One month: its number in the year, its bounds, and the running sum of the weights of its hours."""

    year: int
    month: int
    start: int
    end: int
    sums: pl.Series

    @property
    def weight(self) -> int:
        """The sum of the weights of its hours."""
        return int(self.sums[-1])

    def moments(self, first: int, count: int, total: int, draws: Draws) -> pl.Series:
        """Ascending moments of the sales number `first` to `first + count` of the month's `total`."""
        numbers = pl.int_range(first, first + count, eager=True, dtype=pl.Int64)
        target = (numbers + draws.uniform(count)) * (self.weight / total)
        hours = self.sums.search_sorted(target, side="right").cast(pl.Int64).clip(0, len(self.sums) - 1)
        after = self.sums.gather(hours)
        before = pl.concat([pl.Series([0], dtype=pl.Int64), self.sums]).gather(hours)
        within = ((target - before) / (after - before) * HOUR).cast(pl.Int64).clip(0, HOUR - 1)
        return hours * HOUR + within + self.start


def months(seed: int) -> Iterator[Month]:
    """The months in order; chance makes every day a little better or worse than its season."""
    draws = Draws(seed, "luck")
    start = _FIRST_DAY
    while start < _END_DAY:
        end = (start + timedelta(days=31)).replace(day=1)
        days = [start + timedelta(days=number) for number in range((end - start).days)]
        chances = draws.integers(len(days), 31).to_list()
        weights = [
            weight for day, chance in zip(days, chances, strict=True) for weight in _hour_weights(day, 85 + chance)
        ]
        sums = pl.Series(weights, dtype=pl.Int64).cum_sum()
        yield Month(start.year, start.month, microseconds(start), microseconds(end), sums)
        start = end


def _hour_weights(day: date, chance: int) -> list[int]:
    """The weights of a day's hours; months, weekdays, special days and `chance` count in percent."""
    growth = 36_525 + 14 * (day - _FIRST_DAY).days
    month = (82, 80, 92, 96, 101, 97, 84, 90, 97, 104, 138, 152)[day.month - 1]
    weekday = (84, 82, 87, 94, 117, 142, 112)[day.weekday()]
    special = {(12, 24): 150, (12, 25): 25, (12, 26): 130, (1, 1): 45, (7, 4): 60}.get((day.month, day.day), 100)
    if day.month == 11 and day.weekday() == 4 and 23 <= day.day <= 29:  # Black Friday
        special = 260
    if day.weekday() >= 5:
        hours = [10, 6, 3, 2, 1, 2, 4, 9, 24, 50, 82, 98, 100, 100, 102, 98, 88, 78, 66, 58, 52, 42, 28, 16]
    else:
        hours = [6, 3, 2, 1, 1, 3, 8, 16, 26, 40, 52, 62, 78, 66, 56, 56, 66, 86, 98, 96, 84, 60, 34, 16]
    weight = growth * month * weekday * special * chance // 1_000_000
    return [weight * hour for hour in hours]
