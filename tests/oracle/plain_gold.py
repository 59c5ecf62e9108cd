"""Gold and the reconciliation by the data contract: plain Python, nothing of the tool."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, localcontext
from typing import Any, Final

from plain_values import MAX_MONEY

SEGMENTS: Final[Mapping[int, Sequence[str]]] = {
    5: ("new_customers", "potential_loyalists", "potential_loyalists", "champions", "champions"),
    4: ("promising", "potential_loyalists", "potential_loyalists", "loyal_customers", "loyal_customers"),
    3: ("about_to_sleep", "about_to_sleep", "need_attention", "loyal_customers", "loyal_customers"),
    2: ("hibernating", "hibernating", "at_risk", "at_risk", "cant_lose_them"),
    1: ("hibernating", "hibernating", "at_risk", "at_risk", "cant_lose_them"),
}

Silver = Sequence[Mapping[str, str | None]]
Rows = list[tuple[Any, ...]]


@dataclass(frozen=True)
class Sale:
    """A row of silver transactions, as far as gold asks for it."""

    customer_id: int | None
    product_id: int | None
    quantity: int
    amount: Decimal
    day: date


def sales_of(transactions: Silver) -> list[Sale]:
    """The sales of silver."""
    return [
        Sale(
            _optional_int(row["customer_id"]),
            _optional_int(row["product_id"]),
            int(row["quantity"] or ""),
            Decimal(row["total_amount"] or ""),
            date.fromisoformat(row["transaction_date"] or ""),
        )
        for row in transactions
    ]


def daily_sales_summary(sales: Sequence[Sale]) -> Rows:
    """One row a day with sales."""
    return [
        (
            day,
            len(found),
            sum(sale.quantity for sale in found),
            revenue := _total(found),
            _divided(revenue, len(found)),
            len({sale.customer_id for sale in found} - {None}),
            len({sale.product_id for sale in found} - {None}),
        )
        for day, found in sorted(_grouped(sales, "day").items())
    ]


def product_performance(sales: Sequence[Sale], products: Silver) -> Rows:
    """One row per product sold, by revenue and id."""
    named = {_optional_int(row["product_id"]): row for row in products}
    rows = [
        (
            key,
            *(named.get(key, {}).get(name) for name in ("product_name", "category")),
            len(found),
            quantity := sum(sale.quantity for sale in found),
            revenue := _total(found),
            _divided(revenue, len(found)),
            _divided(Decimal(quantity), len(found)),
        )
        for key, found in _grouped(sales, "product_id").items()
    ]
    return sorted(rows, key=lambda row: (-row[5], row[0]))


def customer_analytics(sales: Sequence[Sale], customers: Silver) -> Rows:
    """One row per customer with a purchase, by spending and id."""
    named = {_optional_int(row["customer_id"]): row for row in customers}
    groups = _grouped(sales, "customer_id")
    as_of = max((sale.day for sale in sales), default=date.min)
    last = {key: max(sale.day for sale in found) for key, found in groups.items()}
    spent = {key: _total(found) for key, found in groups.items()}
    r_scores = _scores({key: -(as_of - day).days for key, day in last.items()})
    f_scores = _scores({key: len(found) for key, found in groups.items()})
    m_scores = _scores(spent)
    rows = [
        (
            key,
            *(named.get(key, {}).get(name) for name in ("customer_name", "city", "state")),
            len(found),
            sum(sale.quantity for sale in found),
            spent[key],
            _divided(spent[key], len(found)),
            min(sale.day for sale in found),
            last[key],
            (as_of - last[key]).days,
            *(scores := (r_scores[key], f_scores[key], m_scores[key])),
            "".join(map(str, scores)),
            SEGMENTS[scores[0]][scores[1] - 1],
        )
        for key, found in groups.items()
    ]
    return sorted(rows, key=lambda row: (-row[6], row[0]))


def reconciliation(sales: Sequence[Sale]) -> dict[str, Any]:
    """The sums that a manifest has, as far as they follow from silver alone."""
    parts = {
        "silver": sales,
        "without_product_id": [sale for sale in sales if sale.product_id is None],
        "without_customer_id": [sale for sale in sales if sale.customer_id is None],
        "product_performance": [sale for sale in sales if sale.product_id is not None],
        "customer_analytics": [sale for sale in sales if sale.customer_id is not None],
        "daily_sales_summary": sales,
    }
    sums: dict[str, Any] = {}
    for name, found in parts.items():
        before = name.startswith("without")
        sums[f"transactions_{name}" if before else f"{name}_transactions"] = len(found)
        sums[f"revenue_{name}" if before else f"{name}_revenue"] = _total(found)
    return sums


def _optional_int(value: str | None) -> int | None:
    return None if value is None else int(value)


def _grouped(sales: Sequence[Sale], name: str) -> dict[Any, list[Sale]]:
    """The sales by a value that they have; those without it are in no group."""
    groups: dict[Any, list[Sale]] = {}
    for sale in sales:
        if (key := getattr(sale, name)) is not None:
            groups.setdefault(key, []).append(sale)
    return groups


def _total(sales: Sequence[Sale]) -> Decimal:
    with localcontext(prec=60):
        return sum((sale.amount for sale in sales), Decimal("0.00"))


def _divided(total: Decimal, count: int) -> Decimal:
    """The average of something positive, rounded half up to cents."""
    with localcontext(prec=60):
        hundredths = int(total * 100)
        return Decimal((2 * hundredths + count) // (2 * count)).scaleb(-2)


def _scores(values: Mapping[Any, Any]) -> dict[Any, int]:
    """1 to 5 for each key; a greater value is better."""
    ordered = sorted(values.values())
    worse = dict(reversed([(value, place) for place, value in enumerate(ordered)]))
    return {key: 1 + 5 * worse[value] // len(values) for key, value in values.items()}


def all_gold(sales: Sequence[Sale], customers: Silver, products: Silver) -> dict[str, Rows]:
    """Every dataset by name."""
    return {
        "daily_sales_summary": daily_sales_summary(sales),
        "product_performance": product_performance(sales, products),
        "customer_analytics": customer_analytics(sales, customers),
    }


def too_large(gold: Mapping[str, Rows]) -> set[tuple[str, str]]:
    """The datasets and keys of rows that hold what does not fit decimal(18,2)."""
    return {
        (name, str(row[0]))
        for name, rows in gold.items()
        for row in rows
        if any(isinstance(value, Decimal) and value > MAX_MONEY for value in row)
    }
