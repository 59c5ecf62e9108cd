"""The sections about sales: key figures, and sales over time."""

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from typing import Any, Final

from shopease_etl.operations.business import texts
from shopease_etl.operations.business.blocks import Card, Chart, Drawing, Figure, Section, Table
from shopease_etl.operations.business.figures import KeyFigure, KeyFigures, Report, Share

TREND_MONTHS: Final = 24
_LABELS: Final = {
    "revenue": "Revenue",
    "transactions": "Transactions",
    "average_transaction_value": "Average transaction",
    "items": "Items sold",
    "customers": "Customers",
}


def key_figures(report: Report) -> Section:
    """The last complete month as cards, and the month in progress as a table."""
    figures = report.key_figures
    if figures is None:
        return Section("key-figures", "Key figures", "There are no sales yet.")
    cards = tuple(_card(figure, figures) for figure in figures.figures)
    blocks = [_so_far(report.so_far)] if report.so_far else []
    title = f"Key figures: {texts.period(figures.period)}"
    sources = ("daily_sales_summary", "cohort_retention")
    return Section("key-figures", title, _meaning(figures), cards, blocks, sources)


def _meaning(figures: KeyFigures) -> str:
    kind = (
        "The last complete month" if figures.is_complete else "The only month with sales so far, which is not complete"
    )
    earlier = [texts.period(each) for each in (figures.before, figures.year_before) if each]
    if not earlier:
        return f"{kind}. There is no earlier period to compare it with, so all changes are n/a."
    more = "" if len(earlier) > 1 else ", as sales do not go back to the year before"
    return f"{kind}, compared with {' and '.join(earlier)}{more}."


def _card(figure: KeyFigure, figures: KeyFigures) -> Card:
    pairs = (
        (figure.change_percent, figure.before, figures.before, "the month before"),
        (figure.year_change_percent, figure.year_before, figures.year_before, "the year before"),
    )
    return Card(_LABELS[figure.name], texts.number(figure.value), tuple(_comparison(*pair) for pair in pairs))


def _comparison(value: Any, before: Any, period: Any, otherwise: str) -> tuple[str, str, str]:
    direction = "" if not value else "up" if value > 0 else "down"
    against = texts.period(period) if period else otherwise
    link = "compared with" if value is None else "on"
    past = f" ({texts.number(before)})" if before is not None else ""
    return texts.change_in_words(value), f"{link} {against}{past}", direction


def _so_far(figures: KeyFigures) -> Figure:
    periods = [figures.period, *(each for each in (figures.before, figures.year_before) if each)]
    columns = ["figure", texts.period(figures.period)]
    columns += [text for each in periods[1:] for text in (texts.period(each), "change")]
    rows = []
    for figure in figures.figures:
        row = [_LABELS[figure.name], texts.number(figure.value)]
        if figures.before:
            row += [texts.number(figure.before), texts.change(figure.change_percent, figure.before)]
        if figures.year_before:
            row += [texts.number(figure.year_before), texts.change(figure.year_change_percent, figure.year_before)]
        rows.append(tuple(row))
    title = f"{texts.month(figures.period.first)} so far"
    words = "The month in progress, beside the same days of the month and of the year before."
    return Figure(title, words, Table(title, tuple(columns), tuple(rows)), is_wide=True)


def over_time(report: Report) -> Section:
    """Revenue by month and weekday."""
    blocks = [block for block in (_months(report), _weekdays(report), _channels(report)) if block]
    return Section(
        "time",
        "Sales over time",
        "",
        blocks=blocks,
        sources=("daily_sales_summary", "monthly_channel_sales"),
    )


def _months(report: Report) -> Chart | None:
    if not report.months:
        return None
    complete = [month for month in report.months if month.is_complete]
    best = max(complete, key=lambda month: month.revenue, default=None)
    finding = f"{texts.month(best.month)} was the best of {len(complete)} months" if best and complete[1:] else ""
    shown = report.months[-TREND_MONTHS:]
    points = [
        {
            "x": label,
            "y": float(month.revenue),
            "before": None if month.year_before is None else float(month.year_before),
            "pale": not month.is_complete,
        }
        for month, label in zip(shown, month_labels([month.month for month in shown]), strict=True)
    ]
    rows = tuple(
        (
            texts.month(month.month) + ("" if month.is_complete else " (so far)"),
            texts.number(month.revenue),
            texts.number(month.transactions),
            texts.number(month.year_before),
            texts.change(month.change_percent, month.year_before),
        )
        for month in reversed(report.months)
    )
    has_before = any(point["before"] is not None for point in points)
    legend = [
        *(["The line at each column is the same month a year earlier."] if has_before else []),
        *(["Pale columns are months that are not complete."] if any(point["pale"] for point in points) else []),
    ]
    return Chart(
        f"Revenue by month{': ' if finding else ''}{finding}",
        last_months(len(shown)),
        Drawing("columns", points),
        Table("Revenue by month", ("month", "revenue", "transactions", "a year earlier", "change"), rows),
        is_wide=True,
        legend=" ".join(legend),
    )


def _weekdays(report: Report) -> Chart | None:
    if not report.weekday_period or not (open_days := [day for day in report.weekdays if day.days]):
        return None
    best = max(open_days, key=lambda day: day.average_revenue or 0)
    points = [
        {
            "name": texts.WEEKDAYS[day.weekday - 1],
            "x": float(day.average_revenue or 0),
            "value": texts.number(day.average_revenue),
        }
        for day in report.weekdays
    ]
    rows = tuple(
        (
            texts.WEEKDAYS[day.weekday - 1],
            texts.number(day.days),
            texts.number(day.revenue),
            texts.number(day.average_revenue),
        )
        for day in report.weekdays
    )
    return Chart(
        f"Revenue by weekday: {texts.WEEKDAYS[best.weekday - 1]} is the strongest day",
        f"Average revenue of a day with sales, {texts.period(report.weekday_period)}.",
        Drawing("bars", points),
        Table("Revenue by weekday", ("weekday", "days with sales", "revenue", "average of a day"), rows),
    )


def _channels(report: Report) -> Chart | None:
    """The share of each channel month by month; small channels together."""
    if not report.channels or not report.channel_months:
        return None
    large = [
        share
        for share in report.channels.shares
        if share.kind in {"named", "unnamed"} and (share.share_percent or 0) >= 1
    ]
    names = {(share.kind, share.name): part_name(share, "channel", "channels") for share in large[:5]}
    sums: dict[date, dict[str, Decimal]] = {}
    for item in report.channel_months:
        month = sums.setdefault(item.month, dict.fromkeys([*names.values(), "others"], Decimal("0.00")))
        month[names.get((item.kind, item.name), "others")] += item.revenue
    series = [name for name in [*names.values(), "others"] if any(month[name] for month in sums.values())]
    labels = month_labels(list(sums))
    points = [
        {"key": f"{month:%Y-%m}", "x": label, "series": name, "y": float(sums[month][name])}
        for month, label in zip(sums, labels, strict=True)
        for name in series
    ]
    rows = tuple(
        (texts.month(month), *(texts.number(sums[month][name]) for name in series)) for month in reversed(sums)
    )
    return Chart(
        "Share of each channel in revenue, month by month",
        last_months(len(sums)),
        Drawing("stacked", points, series=series, is_share=True),
        Table("Revenue by month and channel", ("month", *series), rows),
    )


def last_months(number: int) -> str:
    """Which months a chart shows."""
    return f"The last {number} months." if number > 1 else "The only month with sales."


def month_labels(months: Sequence[date]) -> list[list[str]]:
    """Labels below columns: the month, and below it the year of the first month and of each January."""
    return [
        [texts.MONTHS[month.month - 1][:3], *([str(month.year)] if not place or month.month == 1 else [])]
        for place, month in enumerate(months)
    ]


def part_name(share: Share, noun: str, plural: str) -> str:
    """The name of a part of a breakdown, also of one that has none in the data."""
    if share.kind == "others":
        return f"{share.members:,} other {plural}"
    return {"none": f"(sold without a {noun})", "unnamed": f"({noun} unknown)"}.get(share.kind) or share.name or ""
