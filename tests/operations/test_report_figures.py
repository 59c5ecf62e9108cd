"""The figures of the report: equal to what plain Python, or DuckDB, makes of the same sales."""

import json
from dataclasses import asdict
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gold_files import Sale, cohort_rows, groups, half_up, many_sales, stock_row, store_name, total, write_gold
from shopease_etl.lake.open import open_store
from shopease_etl.operations.business.compute import report
from shopease_etl.operations.business.figures import Breakdown, Report
from shopease_etl.operations.business.periods import Calendar, Period, add_months, month_end, months_between

SALES = many_sales(date(2023, 1, 1), 31 + 28 + 731)  # to the last day of February 2025


def figures(lake: Path, **options: Any) -> Report:
    return report(open_store(str(lake)), **options)


@pytest.fixture(scope="module")
def hand_made(tmp_path_factory: pytest.TempPathFactory) -> Report:
    """The report of more than two years of sales."""
    return figures(write_gold(tmp_path_factory.mktemp("gold") / "lake", SALES))


def within(first: date, last: date, sales: list[Sale] = SALES) -> list[Sale]:
    return [sale for sale in sales if first <= sale.day <= last]


def percent(part: Decimal | int, whole: Decimal | int) -> Decimal:
    return half_up(part * 100, whole, Decimal("0.1"))


def test_key_figures_are_those_of_the_last_complete_month(hand_made: Report) -> None:
    found = hand_made.key_figures
    assert found is not None
    periods = [(date(2025, 2, 1), date(2025, 2, 28)), (date(2025, 1, 1), date(2025, 1, 31))]
    periods.append((date(2024, 2, 1), date(2024, 2, 29)))
    assert [(each.first, each.last) for each in (found.period, found.before, found.year_before) if each] == periods
    assert (found.is_complete, hand_made.so_far) == (True, None)
    expected = []
    for first, last in periods:
        own = within(first, last)
        items = sum(sale.quantity for sale in own)
        customers = len({sale.customer for sale in own} - {None})
        expected.append((total(own), len(own), half_up(total(own), len(own)), items, customers))
    got = [(item.value, item.before, item.year_before) for item in found.figures]
    assert got == list(zip(*expected, strict=True))
    for item in found.figures:
        assert item.value is not None
        for before, change in ((item.before, item.change_percent), (item.year_before, item.year_change_percent)):
            assert before is not None
            assert change == percent(item.value - before, before)


@pytest.mark.parametrize("days", [14, 27, 30])
def test_a_month_in_progress_is_compared_with_the_same_days(tmp_path: Path, days: int) -> None:
    sales = many_sales(date(2024, 1, 1), 366 + 31 + 28 + days)
    found = figures(write_gold(tmp_path / "lake", sales))
    so_far, key = found.so_far, found.key_figures
    assert so_far is not None
    assert key is not None
    assert (key.period, key.is_complete) == (Period(date(2025, 2, 1), date(2025, 2, 28)), True)
    last = date(2025, 3, days)
    assert (so_far.period, so_far.is_complete) == (Period(date(2025, 3, 1), last), False)
    assert so_far.before == Period(date(2025, 2, 1), date(2025, 2, min(days, 28)))
    assert so_far.year_before == Period(date(2024, 3, 1), date(2024, 3, days))
    revenue, customers = so_far.figures[0], so_far.figures[-1]
    assert revenue.value == total(within(date(2025, 3, 1), last, sales))
    assert revenue.before == total(within(date(2025, 2, 1), date(2025, 2, min(days, 28)), sales))
    assert revenue.year_before == total(within(date(2024, 3, 1), date(2024, 3, days), sales))
    assert customers.value == len({sale.customer for sale in within(date(2025, 3, 1), last, sales)} - {None})
    assert customers.year_before is None
    assert [month.is_complete for month in found.months[-2:]] == [True, False]
    assert found.months[-1].change_percent is None


def test_months_and_weekdays_add_up_to_the_sales(hand_made: Report) -> None:
    by_month = {key[0]: own for key, own in groups(SALES, "month").items()}
    assert {month.month: (month.revenue, month.transactions) for month in hand_made.months} == {
        month: (total(own), len(own)) for month, own in by_month.items()
    }
    for month in hand_made.months:
        earlier = by_month.get(month.month.replace(year=month.month.year - 1))
        assert month.year_before == (total(earlier) if earlier else None)
        assert month.change_percent == (percent(month.revenue - total(earlier), total(earlier)) if earlier else None)
    assert hand_made.weekday_period == Period(date(2024, 3, 1), date(2025, 2, 28))
    year = within(date(2024, 3, 1), date(2025, 2, 28))
    for weekday in hand_made.weekdays:
        own = [sale for sale in year if sale.day.isoweekday() == weekday.weekday]
        days = len({sale.day for sale in own})
        assert (weekday.revenue, weekday.days) == (total(own), days)
        assert weekday.average_revenue == half_up(total(own), days)


@pytest.mark.parametrize(("name", "field"), [("stores", "store"), ("channels", "channel"), ("categories", "product")])
def test_a_breakdown_adds_up_to_all_revenue(hand_made: Report, name: str, field: str) -> None:
    found: Breakdown = getattr(hand_made, name)
    year = within(date(2024, 3, 1), date(2025, 2, 28))
    earlier = within(date(2023, 3, 1), date(2024, 2, 29))
    assert found.revenue == total(year) == sum(share.revenue for share in found.shares)
    assert sum(share.transactions or 0 for share in found.shares) == len(year)
    assert sum(share.before or 0 for share in found.shares) == total(earlier)
    for share in found.shares:
        assert share.before is not None
        assert share.share_percent == percent(share.revenue, total(year))
        assert share.change_percent == percent(share.revenue - share.before, share.before)
    if field != "product":
        keys = {key[0]: own for key, own in groups(year, field).items()}
        label = (lambda key: store_name(key) or f"store {key}") if field == "store" else (lambda key: key)
        named = {label(key): total(own) for key, own in keys.items() if key is not None}
        assert {share.name: share.revenue for share in found.shares if share.kind == "named"} == named
        assert [share.revenue for share in found.shares if share.kind == "none"] == [total(keys[None])]


def test_channel_months_add_up_to_the_months(hand_made: Report) -> None:
    shown = [month.month for month in hand_made.months[-24:]]
    assert list(dict.fromkeys(item.month for item in hand_made.channel_months)) == shown
    for month in hand_made.months[-24:]:
        own = [item for item in hand_made.channel_months if item.month == month.month]
        assert sum(item.revenue for item in own) == month.revenue
        sold = groups(within(month.month, month_end(month.month)), "channel")
        assert {item.name: item.revenue for item in own} == {key[0]: total(sales) for key, sales in sold.items()}


def test_products_are_compared_with_the_same_months_a_year_ago(hand_made: Report) -> None:
    found = hand_made.products
    assert found is not None
    assert (found.period, found.before) == (
        Period(date(2024, 12, 1), date(2025, 2, 28)),
        Period(date(2023, 12, 1), date(2024, 2, 29)),
    )
    now = {key[0]: total(own) for key, own in groups(within(date(2024, 12, 1), date(2025, 2, 28)), "product").items()}
    past = {key[0]: total(own) for key, own in groups(within(date(2023, 12, 1), date(2024, 2, 29)), "product").items()}
    known = {product: revenue for product, revenue in now.items() if product is not None}
    best = sorted(known, key=lambda product: (-known[product], product))[:10]
    assert [(item.product_id, item.revenue, item.before) for item in found.best] == [
        (product, now[product], past[product]) for product in best
    ]
    change = {product: known[product] - past[product] for product in known}
    falling = sorted((product for product in change if change[product] < 0), key=lambda product: change[product])
    assert [(item.product_id, item.change) for item in found.falling] == [
        (product, change[product]) for product in falling[:10]
    ]
    assert found.products == len(known)


def test_stock_by_status_and_what_is_most_urgent(tmp_path: Path) -> None:
    found = figures(write_gold(tmp_path / "lake", SALES[:10], stock=100)).stock
    assert found is not None
    rows = [stock_row(number) for number in range(100)]
    statuses = ["out_of_stock", "reorder", "low_cover"]
    counts = {status: sum(row[-1] == status for row in rows) for status in [*statuses, "no_sales", "ok"]}
    assert found.statuses == {**counts, "unknown": sum(row[-1] is None for row in rows)}
    urgent = [row for row in rows if row[-1] in statuses]
    urgent.sort(key=lambda row: (statuses.index(row[-1]), -row[8], row[1], row[3]))
    assert (found.items, found.need_action) == (100, len(urgent))
    assert [(item.store_id, item.product_id) for item in found.worst] == [(row[1], row[3]) for row in urgent[:15]]
    assert {
        (store.store_id, store.items, store.out_of_stock, store.reorder, store.low_cover) for store in found.stores
    } == {
        (store, len(own), *(sum(row[-1] == status for row in own) for status in statuses))
        for store in (1, 2, 3)
        for own in [[row for row in rows if row[1] == store]]
    }


def test_customers_by_segment_and_score(hand_made: Report) -> None:
    found = hand_made.customers
    assert found is not None
    by_customer = {key[0]: total(own) for key, own in groups(SALES, "customer").items() if key[0] is not None}
    assert (found.customers, found.spent) == (len(by_customer), sum(by_customer.values()))
    names = ("champions", "at_risk", "hibernating")
    own = {
        name: [spent for customer, spent in by_customer.items() if customer % 3 == n] for n, name in enumerate(names)
    }
    assert {segment.name: (segment.customers, segment.spent) for segment in found.segments} == {
        name: (len(spent), sum(spent)) for name, spent in own.items()
    }
    assert found.grid == tuple(
        tuple(sum(1 + c % 5 == r and 1 + c % 3 == f for c in by_customer) for f in range(1, 6)) for r in range(5, 0, -1)
    )


def test_new_and_returning_customers_and_cohorts(hand_made: Report) -> None:
    first = {key[0]: min(sale.month for sale in own) for key, own in groups(SALES, "customer").items()}
    for month in hand_made.buyers:
        own = [sale for sale in within(month.month, month_end(month.month)) if sale.customer is not None]
        new = {sale.customer for sale in own if first[sale.customer] == month.month}
        assert month.new == len(new)
        assert month.returning == len({sale.customer for sale in own} - new)
        assert month.new_revenue == total(sale for sale in own if sale.customer in new)
        assert month.new_revenue + month.returning_revenue == total(own)
    rates = {(row[0], row[1]): (row[4] * 100).quantize(Decimal("0.1"), ROUND_HALF_UP) for row in cohort_rows(SALES)}
    assert hand_made.cohorts
    for cohort in hand_made.cohorts:
        expected = [rates.get((cohort.month, since), Decimal("0.0")) for since in range(len(cohort.rates))]
        assert list(cohort.rates) == expected
        assert add_months(cohort.month, len(cohort.rates) - 1) <= date(2025, 2, 1)


def test_names_of_customers_are_there_only_if_asked_for(tmp_path: Path) -> None:
    lake = write_gold(tmp_path / "lake", SALES)
    assert "Name" not in json.dumps(asdict(figures(lake)), default=str)
    found = figures(lake, with_customers=True)
    spent = {key[0]: total(own) for key, own in groups(SALES, "customer").items() if key[0] is not None}
    best = sorted(spent, key=lambda customer: (-spent[customer], customer))[:20]
    assert [(item.customer_id, item.name, item.spent) for item in found.top_customers] == [
        (customer, f"Name {customer}", spent[customer]) for customer in best
    ]
    assert "Somebody Secret" not in json.dumps(asdict(found), default=str)


@given(st.dates(date(1, 1, 1), date(9990, 12, 31)), st.integers(0, 1_000))
def test_periods_never_reach_beyond_the_sales(first: date, days: int) -> None:
    calendar = Calendar(first, first + timedelta(days=days))
    month, last = calendar.month, calendar.last
    assert month.first.day == 1
    assert month.last in {month_end(month.first), last}
    assert (calendar.so_far is None) == (month.last == last)
    for length, period in ((12, calendar.year), (3, calendar.quarter)):
        months = months_between(period.first, period.last)
        assert (period.last, len(months) <= length) == (month.last, True)
        assert len(months) == length or period.first <= first
    for earlier in (calendar.earlier_year(), calendar.earlier_quarter(), calendar.before(month, 1)):
        assert earlier is None or first <= earlier.first <= earlier.last <= last
