"""Figures of sales: key figures, months, weekdays, and revenue by category, store and channel."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from shopease_etl.operations.business.arithmetic import change_percent, percent, quotient
from shopease_etl.operations.business.figures import (
    Breakdown,
    ChannelMonth,
    KeyFigure,
    KeyFigures,
    Month,
    Share,
    Weekday,
)
from shopease_etl.operations.business.periods import (
    YEAR,
    Calendar,
    Period,
    add_months,
    month_end,
    month_of,
    months_between,
)

if TYPE_CHECKING:
    import polars as pl

ZERO: Final = Decimal("0.00")
MAX_SHARES: Final = 10
SMALLEST_SHARE: Final = 1_000  # of a thousandth of the revenue
MAX_MONTHS: Final = 120


@dataclass(frozen=True)
class Days:
    """The rows of daily_sales_summary by day: revenue, transactions and items."""

    rows: dict[date, tuple[Decimal, int, int]]

    @classmethod
    def of(cls, frame: "pl.DataFrame") -> "Days":
        """The days of a frame with `sales_date`, `total_revenue`, `total_transactions` and `total_items_sold`."""
        columns = ("sales_date", "total_revenue", "total_transactions", "total_items_sold")
        return cls({day: (revenue, sales, items) for day, revenue, sales, items in frame.select(columns).iter_rows()})

    @property
    def calendar(self) -> Calendar | None:
        """The days that are covered; None without sales."""
        return Calendar(min(self.rows), max(self.rows)) if self.rows else None

    def total(self, period: Period | None = None) -> tuple[Decimal, int, int]:
        """Revenue, transactions and items of a period, by default of all days."""
        rows = [row for day, row in self.rows.items() if period is None or period.first <= day <= period.last]
        return sum((row[0] for row in rows), ZERO), sum(row[1] for row in rows), sum(row[2] for row in rows)


def key_figures(
    days: Days,
    period: Period,
    earlier: Callable[[Period, int], Period | None],
    customers: Callable[[Period], int | None],
) -> KeyFigures:
    """The figures of a month, or of a month so far, beside those of the same days a month and a year earlier.

    `customers` counts the known customers who bought in a period, None where that is not known.
    """
    before, year_before = earlier(period, 1), earlier(period, YEAR)
    columns = [_values(days, chosen, customers) if chosen else {} for chosen in (period, before, year_before)]
    figures = [
        KeyFigure(
            name,
            value,
            columns[1].get(name),
            change_percent(value, columns[1].get(name)),
            columns[2].get(name),
            change_percent(value, columns[2].get(name)),
        )
        for name, value in columns[0].items()
    ]
    return KeyFigures(period, period.last == month_end(period.last), before, year_before, tuple(figures))


def _values(days: Days, period: Period, customers: Callable[[Period], int | None]) -> dict[str, Decimal | int | None]:
    revenue, transactions, items = days.total(period)
    return {
        "revenue": revenue,
        "transactions": transactions,
        "average_transaction_value": quotient(revenue, transactions),
        "items": items,
        "customers": customers(period),
    }


def months(days: Days, calendar: Calendar) -> tuple[Month, ...]:
    """The last 120 months, those without sales, too, the first one first."""
    found: dict[date, list[tuple[Decimal, int, int]]] = {}
    for day, row in days.rows.items():
        found.setdefault(month_of(day), []).append(row)
    revenue = {month: sum((row[0] for row in rows), ZERO) for month, rows in found.items()}
    begins = max(month_of(calendar.first), add_months(month_of(calendar.last), 1 - MAX_MONTHS))
    result = []
    for month in months_between(begins, calendar.last):
        is_complete = month_end(month) <= calendar.last
        is_comparable = calendar.before(Period(month, month_end(month)), YEAR) is not None
        own = revenue.get(month, ZERO)
        year_before = revenue.get(add_months(month, -YEAR), ZERO) if is_comparable else None
        change = change_percent(own, year_before) if is_complete else None
        transactions = sum(row[1] for row in found.get(month, ()))
        result.append(Month(month, own, transactions, year_before, change, is_complete))
    return tuple(result)


def weekdays(days: Days, period: Period) -> tuple[Weekday, ...]:
    """The sales of each weekday in a period; days without sales do not count."""
    found: dict[int, list[Decimal]] = {number: [] for number in range(1, 8)}
    for day, row in days.rows.items():
        if period.first <= day <= period.last:
            found[day.isoweekday()].append(row[0])
    totals = {number: sum(revenues, ZERO) for number, revenues in found.items()}
    return tuple(
        Weekday(number, len(revenues), totals[number], quotient(totals[number], len(revenues)))
        for number, revenues in found.items()
    )


@dataclass(frozen=True)
class Sold:
    """Revenue and transactions of something with a key and a name in a month."""

    key: object
    name: str | None
    month: date
    revenue: Decimal
    transactions: int


def breakdown(sold: Sequence[Sold], days: Days, period: Period, before: Period | None) -> Breakdown:
    """All revenue of a period by what was sold: the ten largest, all others, and what belongs to none of them."""
    names = {item.key: item.name for item in sold}
    revenue, transactions = _totals(sold, period)
    earlier = _totals(sold, before)[0] if before else None
    total, total_transactions, _ = days.total(period)
    total_before = days.total(before)[0] if before else None
    largest = sorted(revenue, key=lambda key: (-revenue[key], str(names[key]), str(key)))

    def share(kind: str, name: str | None, members: int, own: Decimal, sales: int, past: Decimal | None) -> Share:
        return Share(kind, name, members, own, percent(own, total), sales, past, change_percent(own, past))

    def of(kind: str, name: str | None, keys: Sequence[object]) -> Share:
        past = None if earlier is None else sum((earlier.get(key, ZERO) for key in keys), ZERO)
        own = sum((revenue[key] for key in keys), ZERO)
        return share(kind, name, len(keys), own, sum(transactions[key] for key in keys), past)

    shown = [key for key in largest[:MAX_SHARES] if revenue[key] * SMALLEST_SHARE >= total]
    shown = largest if len(largest) <= len(shown) + 1 else shown
    shares = [of("unnamed" if names[key] is None else "named", names[key], [key]) for key in shown]
    if rest := largest[len(shown) :]:
        shares.append(of("others", None, rest))
    without = total - sum(revenue.values(), ZERO), total_transactions - sum(transactions.values())
    without_before = None if total_before is None else total_before - sum((earlier or {}).values(), ZERO)
    if any(without):
        shares.append(share("none", None, 0, *without, without_before))
    return Breakdown(period, before, total, tuple(shares))


def _totals(sold: Sequence[Sold], period: Period) -> tuple[dict[object, Decimal], dict[object, int]]:
    """Revenue and transactions by key in a period of whole months."""
    revenue: dict[object, Decimal] = {}
    transactions: dict[object, int] = {}
    for item in sold:
        if month_of(period.first) <= item.month <= period.last:
            revenue[item.key] = revenue.get(item.key, ZERO) + item.revenue
            transactions[item.key] = transactions.get(item.key, 0) + item.transactions
    return revenue, transactions


def channel_months(sold: Sequence[Sold], shown: Breakdown, months: Sequence[Month]) -> tuple[ChannelMonth, ...]:
    """The revenue of the breakdown's channels in each of these months."""
    names = {share.name for share in shown.shares if share.kind in {"named", "unnamed"}}
    result = []
    for month in months:
        revenue: dict[tuple[str, str | None], Decimal] = {(share.kind, share.name): ZERO for share in shown.shares}
        for item in sold:
            if item.month == month.month:
                kind = ("unnamed" if item.name is None else "named") if item.name in names else "others"
                place = (kind, item.name if kind == "named" else None)
                revenue[place] = revenue.get(place, ZERO) + item.revenue
        if rest := month.revenue - sum(revenue.values(), ZERO):
            revenue["none", None] = rest
        result += [
            ChannelMonth(month.month, kind, name, own, percent(own, month.revenue))
            for (kind, name), own in revenue.items()
        ]
    return tuple(result)
