"""The periods that the report is about: complete months, the month so far, and the same days of earlier periods."""

from calendar import monthrange
from dataclasses import dataclass
from datetime import date
from typing import Final

YEAR: Final = 12
QUARTER: Final = 3


@dataclass(frozen=True)
class Period:
    """Days from `first` to `last`, both included."""

    first: date
    last: date


def month_of(day: date) -> date:
    """The first day of the day's month."""
    return day.replace(day=1)


def add_months(month: date, number: int) -> date:
    """The first day of the month that is so many months after a first day's; at the earliest that of year 1."""
    years, index = divmod(month.year * YEAR + month.month - 1 + number, YEAR)
    return date(years, index + 1, 1) if years > 0 else date.min


def month_end(day: date) -> date:
    """The last day of the day's month."""
    return day.replace(day=monthrange(day.year, day.month)[1])


def months_between(first: date, last: date) -> list[date]:
    """The first days of all months from one month to another."""
    number = (last.year - first.year) * YEAR + last.month - first.month
    return [add_months(month_of(first), place) for place in range(number + 1)]


@dataclass(frozen=True)
class Calendar:
    """What the days with sales cover: `first` is the first of them, `last` the last one.

    A month is complete if `last` is its last day or later.
    """

    first: date
    last: date

    @property
    def month(self) -> Period:
        """The last complete month, or the only month so far if none is complete."""
        start = month_of(self.last)
        if self.last == month_end(self.last) or start == month_of(self.first):
            return Period(start, self.last)
        start = add_months(start, -1)
        return Period(start, month_end(start))

    @property
    def has_complete_month(self) -> bool:
        """Whether any month is complete."""
        return self.month.last == month_end(self.month.last)

    @property
    def so_far(self) -> Period | None:
        """The days of the month in progress, if there is one after the last complete month."""
        return Period(month_of(self.last), self.last) if self.last > self.month.last else None

    @property
    def year(self) -> Period:
        """The twelve months that end with `month`, or as many as there are."""
        return self._months(YEAR)

    @property
    def quarter(self) -> Period:
        """The three months that end with `month`, or as many as there are."""
        return self._months(QUARTER)

    def _months(self, number: int) -> Period:
        month = self.month
        return Period(max(add_months(month.first, 1 - number), month_of(self.first)), month.last)

    def before(self, period: Period, months: int) -> Period | None:
        """The same days so many months earlier, None unless sales begin on or before the first of these days.

        A period that ends with its month's end has an earlier one that does, too; a day that an earlier month does not
        have is its last day.
        """
        if period.first < add_months(date.min, months):
            return None
        start = add_months(period.first, -months)
        last = month_end(add_months(month_of(period.last), -months))
        if period.last != month_end(period.last):
            last = last.replace(day=min(period.last.day, last.day))
        return Period(start, last) if self.first <= start else None

    def earlier_year(self) -> Period | None:
        """The twelve months before `year`, if sales cover both."""
        return self.before(self.year, YEAR)

    def earlier_quarter(self) -> Period | None:
        """What `quarter` is compared with: the same months a year ago, else the months just before; None without."""
        length = len(months_between(self.quarter.first, self.quarter.last))
        return self.before(self.quarter, YEAR) or self.before(self.quarter, length)
