"""Gold and the reconciliation by the data contract: plain Python, nothing of the tool."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal, localcontext
from typing import Any, Final

from plain_values import MAX_MONEY, integer, squeezed

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
    store_id: int | None = None
    sales_channel: str | None = None

    @property
    def month(self) -> date:
        """The first day of its month."""
        return self.day.replace(day=1)

    @property
    def store_month(self) -> tuple[int, date] | None:
        """Its store and month, if it has a store."""
        return None if self.store_id is None else (self.store_id, self.month)

    @property
    def channel_month(self) -> tuple[str, date] | None:
        """Its channel and month, if it has a channel."""
        return None if self.sales_channel is None else (self.sales_channel, self.month)

    @property
    def product_month(self) -> tuple[int, date] | None:
        """Its product and month, if it has a product."""
        return None if self.product_id is None else (self.product_id, self.month)


def sales_of(transactions: Silver) -> list[Sale]:
    """The sales of silver."""
    return [
        Sale(
            _optional_int(row["customer_id"]),
            _optional_int(row["product_id"]),
            int(row["quantity"] or ""),
            Decimal(row["total_amount"] or ""),
            date.fromisoformat(row["transaction_date"] or ""),
            _optional_int(row["store_id"]),
            row["sales_channel"],
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


def store_performance(sales: Sequence[Sale], stores: Silver, managers: Silver) -> Rows:
    """One row per store and month with sales."""
    named, bosses = _stores(stores), _managers(managers)
    return [
        (
            store,
            *named.get(store, (None, None, None)),
            bosses.get(store),
            month,
            len(found),
            sum(sale.quantity for sale in found),
            revenue := _total(found),
            _divided(revenue, len(found)),
            len({sale.customer_id for sale in found} - {None}),
        )
        for (store, month), found in sorted(_grouped(sales, "store_month").items())
    ]


def monthly_channel_sales(sales: Sequence[Sale]) -> Rows:
    """One row per channel and month with sales."""
    groups = _grouped(sales, "channel_month").items()
    return [
        (
            channel,
            month,
            len(found),
            sum(sale.quantity for sale in found),
            revenue := _total(found),
            _divided(revenue, len(found)),
        )
        for (channel, month), found in sorted(groups, key=lambda group: (group[0][0].encode(), group[0][1]))
    ]


def monthly_product_sales(sales: Sequence[Sale], products: Silver) -> Rows:
    """One row per product and month with sales."""
    named = {_optional_int(row["product_id"]): row for row in products}
    return [
        (
            product,
            *(named.get(product, {}).get(name) for name in ("product_name", "category")),
            month,
            len(found),
            sum(sale.quantity for sale in found),
            _total(found),
        )
        for (product, month), found in sorted(_grouped(sales, "product_month").items())
    ]


def inventory_status(sales: Sequence[Sale], inventory: Silver, stores: Silver, products: Silver) -> Rows:
    """One row per row of inventory."""
    named = {_optional_int(row["product_id"]): row for row in products}
    names = {store: found[0] for store, found in _stores(stores).items()}
    as_of = max((sale.day for sale in sales), default=date.max)
    recent = [sale for sale in sales if sale.day > as_of - timedelta(days=28)]
    rows = []
    for row in inventory:
        number, store, product, quantity, level = (
            integer(row[name]) for name in ("inventory_id", "store_id", "product_id", "quantity", "reorder_level")
        )
        sold = [
            sale
            for sale in recent
            if None not in (store, product) and (sale.store_id, sale.product_id) == (store, product)
        ]
        units = sum(sale.quantity for sale in sold)
        days = None if quantity is None or not units else _half_up(28 * quantity, units)
        rows.append(
            (
                *(number, store, names.get(store), product),
                *(named.get(product, {}).get(name) for name in ("product_name", "category")),
                *(quantity, level, units, None if days is None or abs(days) > MAX_MONEY else days),
                _stock_status(quantity, level, units, days),
            )
        )
    return sorted(rows, key=lambda row: [(row[place] is None, row[place] or 0) for place in (1, 3, 0, 6, 7)])


def _stock_status(quantity: int | None, level: int | None, units: int, days: Decimal | None) -> str | None:
    if quantity is None:
        return None
    if quantity <= 0:
        return "out_of_stock"
    if level is not None and quantity <= level:
        return "reorder"
    if units == 0:
        return "no_sales"
    return "low_cover" if days is not None and days < 7 else "ok"


def cohort_retention(sales: Sequence[Sale]) -> Rows:
    """One row per cohort and month with purchases."""
    customers = _grouped(sales, "customer_id")
    first = {customer: min(sale.month for sale in found) for customer, found in customers.items()}
    groups: dict[tuple[date, date], list[Sale]] = {}
    for customer, found in customers.items():
        for sale in found:
            groups.setdefault((first[customer], sale.month), []).append(sale)
    rows = []
    for (cohort, month), found in sorted(groups.items()):
        size = sum(start == cohort for start in first.values())
        count = len({sale.customer_id for sale in found})
        since = 12 * (month.year - cohort.year) + month.month - cohort.month
        rows.append((cohort, since, size, count, _half_up(count, size, "0.0001"), _total(found)))
    return rows


def _stores(stores: Silver) -> dict[int | None, tuple[str | None, ...]]:
    """The name, city and state of each store, of several the greatest as bytes, NULL before any text."""
    found: dict[int | None, tuple[str | None, ...]] = {}
    for row in stores:
        texts = tuple(squeezed(row[name]) for name in ("store_name", "city", "state"))
        if (store := integer(row["store_id"])) is not None:
            found[store] = max(found.get(store, texts), texts, key=_record)
    return found


def _record(texts: Sequence[str | None]) -> list[bytes]:
    return [b"" if text is None else b"\x01" + text.encode() for text in texts]


def _managers(managers: Silver) -> dict[int | None, str]:
    """The names of each store's managers in one text."""
    found: dict[int, list[tuple[bool, int, bytes, str]]] = {}
    for row in managers:
        store, number, name = integer(row["store_id"]), integer(row["manager_id"]), squeezed(row["manager_name"])
        if store is not None and name is not None:
            found.setdefault(store, []).append((number is None, number or 0, name.encode(), name))
    return {store: "; ".join(name for *_, name in sorted(names)) for store, names in found.items()}


def _half_up(dividend: int, divisor: int, places: str = "0.01") -> Decimal:
    with localcontext(prec=60):
        return (Decimal(dividend) / divisor).quantize(Decimal(places), ROUND_HALF_UP)


def reconciliation(sales: Sequence[Sale]) -> dict[str, Any]:
    """The sums that a manifest has, as far as they follow from silver alone."""
    parts = {
        "silver": sales,
        "without_product_id": [sale for sale in sales if sale.product_id is None],
        "without_customer_id": [sale for sale in sales if sale.customer_id is None],
        "product_performance": [sale for sale in sales if sale.product_id is not None],
        "customer_analytics": [sale for sale in sales if sale.customer_id is not None],
        "daily_sales_summary": sales,
        "store_performance": [sale for sale in sales if sale.store_id is not None],
        "without_store_id": [sale for sale in sales if sale.store_id is None],
        "monthly_channel_sales": [sale for sale in sales if sale.sales_channel is not None],
        "without_sales_channel": [sale for sale in sales if sale.sales_channel is None],
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


def all_gold(sales: Sequence[Sale], tables: Mapping[str, Silver]) -> dict[str, Rows]:
    """Every dataset by name; `tables` are silver, or bronze of what silver does not have."""
    customers, products, stores = tables["customers"], tables["products"], tables["stores"]
    return {
        "daily_sales_summary": daily_sales_summary(sales),
        "product_performance": product_performance(sales, products),
        "customer_analytics": customer_analytics(sales, customers),
        "store_performance": store_performance(sales, stores, tables["sales_managers"]),
        "monthly_channel_sales": monthly_channel_sales(sales),
        "monthly_product_sales": monthly_product_sales(sales, products),
        "inventory_status": inventory_status(sales, tables["inventory"], stores, products),
        "cohort_retention": cohort_retention(sales),
    }


def too_large(gold: Mapping[str, Rows]) -> set[tuple[str, str]]:
    """The datasets and keys of rows that hold what does not fit decimal(18,2)."""
    return {
        (name, str(row[0]))
        for name, rows in gold.items()
        for row in rows
        if any(isinstance(value, Decimal) and value > MAX_MONEY for value in row)
    }
