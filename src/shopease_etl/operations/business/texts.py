"""Figures as text: the same words on the page and in the Markdown."""

from datetime import date, datetime
from decimal import Decimal
from typing import Final

from shopease_etl.operations.business.periods import Period, month_end, month_of
from shopease_etl.units import format_seconds

NOT_AVAILABLE: Final = "n/a"
WEEKDAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONTHS: Final = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)
_UNITS: Final = ("B", "kB", "MB", "GB", "TB")


def number(value: Decimal | int | None) -> str:
    """All digits of a number, with separators: 1,234.50."""
    return NOT_AVAILABLE if value is None else f"{value:,}".replace("-", "\N{MINUS SIGN}")


def percentage(value: Decimal | None) -> str:
    """A share, such as 12.3%."""
    return NOT_AVAILABLE if value is None else f"{number(value)}%"


def change(value: Decimal | None, before: Decimal | int | None = None) -> str:
    """A change in percent with its sign; `new` if the earlier figure is 0."""
    if value is None:
        return "new" if before == 0 else NOT_AVAILABLE
    return f"{'+' if value > 0 else ''}{percentage(value)}"


def change_in_words(value: Decimal | None) -> str:
    """A change in percent, such as `up 5.1%`."""
    if value is None:
        return NOT_AVAILABLE
    if value == 0:
        return "unchanged"
    return f"{'up' if value > 0 else 'down'} {percentage(abs(value))}"


def day(value: date) -> str:
    """A day, such as 31 December 2025."""
    return f"{value.day} {MONTHS[value.month - 1]} {value.year}"


def short_day(value: date) -> str:
    """A day without its year, such as 31 Dec."""
    return f"{value.day} {MONTHS[value.month - 1][:3]}"


def month(value: date) -> str:
    """A month, such as December 2025."""
    return f"{MONTHS[value.month - 1]} {value.year}"


def short_month(value: date) -> str:
    """A month, such as Dec 2025."""
    return f"{MONTHS[value.month - 1][:3]} {value.year}"


def period(value: Period) -> str:
    """A period in as few words as possible: `December 2025`, `January to December 2025`, `1 to 15 May 2025`."""
    first, last = value.first, value.last
    if first == month_of(first) and last == month_end(last):
        if first == month_of(last):
            return month(last)
        return f"{MONTHS[first.month - 1]}{'' if first.year == last.year else f' {first.year}'} to {month(last)}"
    if first == last:
        return day(last)
    if month_of(first) == month_of(last):
        return f"{first.day} to {day(last)}"
    return f"{day(first)} to {day(last)}"


def moment(value: str) -> str:
    """A time of a manifest, such as `29 November 2026, 11:46 UTC`."""
    found = datetime.fromisoformat(value)
    return f"{day(found.date())}, {found:%H:%M} UTC"


def age(since: str, until: str) -> str:
    """The time between two times of manifests."""
    seconds = (datetime.fromisoformat(until) - datetime.fromisoformat(since)).total_seconds()
    return format_seconds(seconds)


def size(value: int) -> str:
    """A number of bytes, such as 249.2 MB."""
    amount, unit = float(value), 0
    while amount >= 1000 and unit < len(_UNITS) - 1:
        amount, unit = amount / 1000, unit + 1
    return f"{amount:.1f} {_UNITS[unit]}" if unit else f"{value} B"


def label(name: str) -> str:
    """A name of the contract in words: `cant_lose_them` is `can't lose them`."""
    return name.replace("_", " ").replace("cant ", "can't ")


def named(name: str | None, kind: str, number: int | None) -> str:
    """What is known of a store or product: its name, else its number."""
    return name or (f"(without a {kind})" if number is None else f"{kind} {number}")
