"""The section about customers."""

from decimal import Decimal
from typing import Final

from shopease_etl.operations.business import texts
from shopease_etl.operations.business.blocks import Chart, Drawing, Figure, Section, Table
from shopease_etl.operations.business.content_sales import month_labels
from shopease_etl.operations.business.figures import Customers, Report

_LEVELS: Final = 9


def customers(report: Report) -> Section:
    """Segments, new and returning customers, cohorts and lifetime value."""
    blocks: list[Chart | Figure] = []
    if report.customers and report.customers.customers:
        blocks += [_segments(report.customers), _grid(report.customers)]
    if any(month.new or month.returning for month in report.buyers):
        blocks.append(_buyers(report))
    if report.lifetime_value:
        blocks.append(_lifetime_value(report))
    if report.cohorts:
        blocks.append(_cohorts(report))
    if report.top_customers:
        blocks.append(_top_customers(report))
    intro = "Customers are those with an id who have bought something."
    if report.customers and not report.customers.customers:
        intro = "No sale has a customer id, so nothing is known about customers."
    sources = ("customer_analytics", "cohort_retention", "customer_lifetime_value")
    return Section("customers", "Customers", intro, blocks=blocks, sources=sources)


def _segments(customers: Customers) -> Chart:
    best = max(customers.segments, key=lambda segment: segment.spent)
    points = [
        {"name": texts.label(item.name), "x": item.customers, "value": texts.number(item.customers)}
        for item in customers.segments
    ]
    rows = tuple(
        (
            texts.label(item.name),
            texts.number(item.customers),
            texts.percentage(item.share_percent),
            texts.number(item.spent),
            texts.percentage(item.spent_share_percent),
            texts.number(item.average_spent),
        )
        for item in customers.segments
    )
    columns = ("segment", "customers", "share", "spent", "share of spending", "average")
    return Chart(
        f"Segments: {texts.label(best.name)} bring {texts.percentage(best.spent_share_percent)} of all spending",
        f"Number of customers by segment, {customers.customers:,} in all.",
        Drawing("bars", points),
        Table("Customers by segment", columns, rows),
    )


def _grid(customers: Customers) -> Figure:
    most = max(max(row) for row in customers.grid)
    names = {5: "5 (latest)", 1: "1 (long ago)"}
    rows = tuple(
        (names.get(score, str(score)), *map(texts.number, row))
        for score, row in zip(range(5, 0, -1), customers.grid, strict=True)
    )
    levels = tuple((None, *(_level(Decimal(number), Decimal(most)) for number in row)) for row in customers.grid)
    columns = ("recency", "1 (rare)", "2", "3", "4", "5 (often)")
    words = "How many customers have each score: how lately they bought (rows) and how often (columns)."
    table = Table("Customers by recency and frequency", columns, rows, levels=levels)
    return Figure("Customers by recency and frequency", words, table)


def _level(value: Decimal, most: Decimal) -> int:
    return int(value * _LEVELS / most) if most else 0


def _buyers(report: Report) -> Chart:
    points, rows = [], []
    labels = month_labels([month.month for month in report.buyers])
    for month, label in zip(report.buyers, labels, strict=True):
        key = f"{month.month:%Y-%m}"
        points += [
            {"key": key, "x": label, "series": name, "y": value}
            for name, value in (("returning", month.returning), ("new", month.new))
        ]
        rows.append(
            (
                texts.month(month.month) + ("" if month.is_complete else " (so far)"),
                texts.number(month.new),
                texts.number(month.returning),
                texts.number(month.new_revenue),
                texts.number(month.returning_revenue),
            )
        )
    columns = ("month", "new customers", "returning customers", "revenue of new ones", "revenue of returning ones")
    return Chart(
        "New and returning customers by month",
        "Customers who bought in a month: for the first time ever in the data, or again.",
        Drawing("stacked", points, ("returning", "new")),
        Table("New and returning customers by month", columns, tuple(reversed(rows))),
        is_wide=not report.lifetime_value,
    )


def _cohorts(report: Report) -> Figure:
    length = max(len(cohort.rates) for cohort in report.cohorts)
    rows = tuple(
        (
            texts.short_month(cohort.month),
            texts.number(cohort.customers),
            *(texts.percentage(rate) for rate in cohort.rates[1:]),
            *[""] * (length - len(cohort.rates)),
        )
        for cohort in report.cohorts
    )
    most = max((rate for cohort in report.cohorts for rate in cohort.rates[1:]), default=Decimal(0))
    levels = tuple(
        (None, None, *(_level(rate, most) for rate in cohort.rates[1:]), *[None] * (length - len(cohort.rates)))
        for cohort in report.cohorts
    )
    columns = ("first purchase", "customers", *(f"+{since}" for since in range(1, length)))
    words = "Of the customers who first bought in a month, the share who bought again 1, 2, 3 … months later."
    table = Table("Customers who come back", columns, rows, levels=levels)
    return Figure("Customers who come back, by month of first purchase", words, table, is_wide=True)


def _lifetime_value(report: Report) -> Chart | Figure:
    known = [item for item in report.lifetime_value if item.decile is not None and item.value_365d is not None]
    names = {item.decile: f"{item.decile}" + {10: " (best)", 1: " (last)"}.get(item.decile or 0, "") for item in known}
    points = [
        {
            "name": names[item.decile],
            "x": float(item.average_value_365d or 0),
            "value": texts.number(item.average_value_365d),
        }
        for item in known
    ]
    rows = tuple(
        (
            names.get(item.decile, "not estimated"),
            texts.number(item.customers),
            texts.number(item.value_365d),
            texts.number(item.average_value_365d),
            texts.percentage(item.average_p_alive_percent),
        )
        for item in report.lifetime_value
    )
    columns = ("decile", "customers", "expected revenue", "of a customer", "probably active")
    run = report.lifetime_value_run
    older = f" By the run {run}: older than the other figures." if run else ""
    table = Table("Lifetime value by decile", columns, rows)
    if not known:
        return Figure("Lifetime value: not estimated", f"No model fits these customers.{older}", table)
    return Chart(
        "Expected revenue of a customer in the next 365 days, by decile",
        f"Customers in tenths by expected revenue; an estimate from their purchases (BG/NBD and Gamma-Gamma).{older}",
        Drawing("bars", points),
        table,
    )


def _top_customers(report: Report) -> Figure:
    rows = tuple(
        (
            item.name or "(unknown)",
            texts.label(item.segment),
            texts.day(item.last_purchase),
            str(item.customer_id),
            texts.number(item.purchases),
            texts.number(item.spent),
        )
        for item in report.top_customers
    )
    columns = ("customer", "segment", "last purchase", "id", "purchases", "spent")
    title = f"The {len(rows)} customers who have spent most"
    table = Table(title, columns, rows, texts=3)
    return Figure(title, "Personal data: share this report only with those who may see it.", table, is_wide=True)
