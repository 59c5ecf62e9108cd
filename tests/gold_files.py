"""Gold made by hand: sales as plain Python values, and the Parquet files of a lake that has them.

All sums are made with plain Python: they are the second opinion on the figures of the report.
"""

import itertools
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

MONEY: Final = pa.decimal128(18, 2)
CENT: Final = Decimal("0.01")
STATUSES: Final = ("out_of_stock", "reorder", "low_cover", "no_sales", "ok", None)


@dataclass(frozen=True)
class Sale:
    """A sale; None where the source has nothing."""

    day: date
    amount: Decimal
    quantity: int = 1
    customer: int | None = 1
    product: int | None = 1
    store: int | None = 1
    channel: str | None = "Online"

    @property
    def month(self) -> date:
        return self.day.replace(day=1)


def half_up(total: Decimal | int, count: Decimal | int, step: Decimal = CENT) -> Decimal:
    """total ÷ count, rounded half up."""
    return (Decimal(total) / Decimal(count)).quantize(step, ROUND_HALF_UP)


def total(sales: Iterable[Sale]) -> Decimal:
    """The sum of their amounts."""
    return sum((sale.amount for sale in sales), Decimal("0.00"))


def groups(sales: Iterable[Sale], *names: str) -> dict[tuple[Any, ...], list[Sale]]:
    """The sales by the values of some of their fields."""
    found: dict[tuple[Any, ...], list[Sale]] = defaultdict(list)
    for sale in sales:
        found[tuple(getattr(sale, name) for name in names)].append(sale)
    return dict(sorted(found.items(), key=str))


def many_sales(first: date, days: int, each: int = 3) -> list[Sale]:
    """Sales on so many days in a row: of several customers, products, stores and channels, some of them missing."""
    numbers = itertools.count(1)
    channels = ("Online", "In-Store", "Phone", None)
    return [
        Sale(
            first + timedelta(days=day),
            Decimal(100 + 37 * (n % 191) + 11 * (day // 30)) / 100,
            1 + n % 4,
            None if n % 17 == 0 else n % 23,
            None if n % 29 == 0 else n % 13,
            None if n % 31 == 0 else n % 5,
            channels[n % 4],
        )
        for day in range(days)
        for n in itertools.islice(numbers, each)
    ]


def product_name(product: int) -> str | None:
    return None if product == 0 else f"Product {product}"


def category(product: int) -> str | None:
    return (None, "TOYS", "BOOKS", "SHOES")[product % 4]


def write_gold(
    lake: Path,
    sales: Sequence[Sale],
    *,
    names: Callable[[int], str | None] = product_name,
    stock: int = 30,
    without: Sequence[str] = (),
) -> Path:
    """The lake with gold of these sales, without some of its datasets; the stock has so many items."""
    for name, (columns, rows) in _datasets(sales, names, stock).items():
        if name not in without:
            schema = pa.schema(list(columns.items()))
            table = pa.Table.from_pylist([dict(zip(columns, row, strict=True)) for row in rows], schema=schema)
            path = lake / "gold" / name / "data.parquet"
            path.parent.mkdir(parents=True, exist_ok=True)
            pq.write_table(table, path, compression="zstd")
    return lake


Columns = dict[str, pa.DataType]
Rows = list[tuple[Any, ...]]


def _datasets(sales: Sequence[Sale], names: Callable[[int], str | None], stock: int) -> dict[str, tuple[Columns, Rows]]:
    integer, text, day = pa.int64(), pa.string(), pa.date32()
    sums: Columns = {
        "total_transactions": integer,
        "total_items_sold": integer,
        "total_revenue": MONEY,
        "avg_transaction_value": MONEY,
    }
    ratio = pa.decimal128(9, 4)
    return {
        "daily_sales_summary": (
            {"sales_date": day, **sums, "unique_customers": integer, "unique_products": integer},
            [(*key, *_sums(own), 0, 0) for key, own in groups(sales, "day").items()],
        ),
        "monthly_channel_sales": (
            {"sales_channel": text, "sales_month": day, **sums},
            [
                (channel, month, *_sums(own))
                for (channel, month), own in groups(sales, "channel", "month").items()
                if channel is not None
            ],
        ),
        "monthly_product_sales": (
            {
                "product_id": integer,
                "product_name": text,
                "category": text,
                "sales_month": day,
                "total_orders": integer,
                "total_quantity_sold": integer,
                "total_revenue": MONEY,
            },
            [
                (product, names(product), category(product), month, *_sums(own)[:3])
                for (product, month), own in groups(sales, "product", "month").items()
                if product is not None
            ],
        ),
        "store_performance": (
            {
                "store_id": integer,
                "store_name": text,
                "city": text,
                "state": text,
                "manager_names": text,
                "sales_month": day,
                **sums,
                "unique_customers": integer,
            },
            [
                (store, store_name(store), None, None, "Somebody Secret", month, *_sums(own), 0)
                for (store, month), own in groups(sales, "store", "month").items()
                if store is not None
            ],
        ),
        "customer_analytics": (
            {
                "customer_id": integer,
                "customer_name": text,
                "total_purchases": integer,
                "total_spent": MONEY,
                "last_purchase_date": day,
                "r_score": pa.int32(),
                "f_score": pa.int32(),
                "rfm_segment": text,
            },
            [
                (customer, f"Name {customer}", len(own), total(own), max(sale.day for sale in own), *_scores(customer))
                for (customer,), own in groups(sales, "customer").items()
                if customer is not None
            ],
        ),
        "cohort_retention": (
            {
                "cohort_month": day,
                "months_since": pa.int32(),
                "cohort_size": integer,
                "customers": integer,
                "retention_rate": ratio,
                "total_revenue": MONEY,
            },
            cohort_rows(sales),
        ),
        "inventory_status": (
            {
                "inventory_id": integer,
                "store_id": integer,
                "store_name": text,
                "product_id": integer,
                "product_name": text,
                "category": text,
                "quantity": integer,
                "reorder_level": integer,
                "units_sold_28d": integer,
                "days_of_cover": MONEY,
                "stock_status": text,
            },
            [stock_row(number, names) for number in range(stock)],
        ),
    }


def _sums(sales: Sequence[Sale]) -> tuple[int, int, Decimal, Decimal]:
    return len(sales), sum(sale.quantity for sale in sales), total(sales), half_up(total(sales), len(sales))


def store_name(store: int) -> str | None:
    return f"Store {store}" if store != 4 else None


def _scores(customer: int) -> tuple[int, int, str]:
    return 1 + customer % 5, 1 + customer % 3, ("champions", "at_risk", "hibernating")[customer % 3]


def stock_row(number: int, names: Callable[[int], str | None] = product_name) -> tuple[Any, ...]:
    """A row of inventory_status; statuses take turns."""
    status = STATUSES[number % 6]
    sold = (number * 7) % 11
    cover = half_up(number * 28, sold) if sold else None
    return (
        number,
        1 + number % 3,
        store_name(1 + number % 3),
        number,
        names(number),
        None,
        number,
        5,
        sold,
        cover,
        status,
    )


def cohort_rows(sales: Sequence[Sale]) -> Rows:
    """The rows of cohort_retention."""
    known = [sale for sale in sales if sale.customer is not None]
    first = {key[0]: min(sale.month for sale in own) for key, own in groups(known, "customer").items()}
    rows = []
    for cohort in sorted({*first.values()}):
        size = sum(month == cohort for month in first.values())
        own = [sale for sale in known if first[sale.customer] == cohort]
        for (month,), bought in groups(own, "month").items():
            since = (month.year - cohort.year) * 12 + month.month - cohort.month
            buyers = len({sale.customer for sale in bought})
            rows.append((cohort, since, size, buyers, half_up(buyers, size, Decimal("0.0001")), total(bought)))
    return rows
