"""When people shop: the weight of every hour of the shop's four years, and moments drawn from it."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

import polars as pl

from shopease_etl.sample.draws import Draws

FIRST_DAY: Final = date(2021, 1, 1)
LAST_DAY: Final = date(2024, 12, 31)
HOUR: Final = 3_600_000_000
"""In microseconds, as all moments here, counted from 1970."""
DAY: Final = 24 * HOUR

_EPOCH: Final = date(1970, 1, 1)
_GROWTH_PERCENT: Final = 14
_MONTHS: Final = (82, 80, 92, 96, 101, 97, 84, 90, 97, 104, 138, 152)
_WEEKDAYS: Final = (84, 82, 87, 94, 117, 142, 112)
_SPECIAL_DAYS: Final = {(12, 24): 150, (12, 25): 25, (12, 26): 130, (1, 1): 45, (7, 4): 60}
_BLACK_FRIDAY: Final = 260
_WORKDAY_HOURS: Final = (6, 3, 2, 1, 1, 3, 8, 16, 26, 40, 52, 62, 78, 66, 56, 56, 66, 86, 98, 96, 84, 60, 34, 16)
_WEEKEND_HOURS: Final = (10, 6, 3, 2, 1, 2, 4, 9, 24, 50, 82, 98, 100, 100, 102, 98, 88, 78, 66, 58, 52, 42, 28, 16)


@dataclass(frozen=True)
class Month:
    """One month: its number in the year, its bounds, and the running sum of the weights of its hours."""

    year: int
    month: int
    start: int
    end: int
    reach: pl.Series

    @property
    def weight(self) -> int:
        """The sum of the weights of its hours."""
        return int(self.reach[-1])

    def moments(self, first: int, count: int, of: int, draws: Draws) -> pl.Series:
        """Ascending moments of the month's sales `first` to `first + count`, of `of` in all."""
        numbers = pl.int_range(first, first + count, eager=True, dtype=pl.Int64)
        aim = (numbers + draws.uniform(count)) * (self.weight / of)
        hours = self.reach.search_sorted(aim, side="right").cast(pl.Int64).clip(0, len(self.reach) - 1)
        after = self.reach.gather(hours)
        before = pl.concat([pl.Series([0], dtype=pl.Int64), self.reach]).gather(hours)
        within = ((aim - before) / (after - before) * HOUR).cast(pl.Int64).clip(0, HOUR - 1)
        return hours * HOUR + within + self.start


def moment(day: date) -> int:
    """The first microsecond of a day."""
    return (day - _EPOCH).days * DAY


def months(seed: int) -> Iterator[Month]:
    """The months of the shop's years in order; every day is a little luckier or unluckier than its season."""
    luck = Draws(seed, "luck")
    start = FIRST_DAY
    while start <= LAST_DAY:
        end = (start + timedelta(days=31)).replace(day=1)
        days = [start + timedelta(days=number) for number in range((end - start).days)]
        chances = luck.whole(len(days), 31).to_list()
        weights = [weight for day, chance in zip(days, chances, strict=True) for weight in _hours(day, 85 + chance)]
        reach = pl.Series(weights, dtype=pl.Int64).cum_sum()
        yield Month(start.year, start.month, moment(start), moment(end), reach)
        start = end


def _hours(day: date, luck: int) -> list[int]:
    """The weights of a day's hours."""
    weekend = day.weekday() >= 5
    years = (day - FIRST_DAY).days
    trend = 36_525 + _GROWTH_PERCENT * years
    weight = trend * _MONTHS[day.month - 1] * _WEEKDAYS[day.weekday()] * _special(day) * luck // 1_000_000
    return [weight * hour for hour in (_WEEKEND_HOURS if weekend else _WORKDAY_HOURS)]


def _special(day: date) -> int:
    """What a feast or a sale makes of a day, in percent."""
    if day.month == 11 and day.weekday() == 4 and 23 <= day.day <= 29:
        return _BLACK_FRIDAY
    return _SPECIAL_DAYS.get((day.month, day.day), 100)
