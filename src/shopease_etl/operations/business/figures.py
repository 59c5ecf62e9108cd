"""The figures of the report, as `--json` prints them; the page and the Markdown only render them.

Money is exact. Shares, changes and rates are percent, rounded half up to one decimal. What cannot be known is None: a
change without an earlier figure, or a part whose dataset the lake does not have.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from shopease_etl.operations.business.periods import Period
from shopease_etl.operations.business.quality import Quality, Reconciliation, Trouble


@dataclass(frozen=True)
class KeyFigure:
    """A figure of a period, the same one of the period before and of the year before, and the changes since."""

    name: str
    value: Decimal | int | None
    before: Decimal | int | None
    change_percent: Decimal | None
    year_before: Decimal | int | None
    year_change_percent: Decimal | None


@dataclass(frozen=True)
class KeyFigures:
    """The figures of a month, and the periods that they are compared with, None if sales begin later."""

    period: Period
    is_complete: bool
    before: Period | None
    year_before: Period | None
    figures: tuple[KeyFigure, ...]


@dataclass(frozen=True)
class Month:
    """A calendar month's sales, and its revenue a year earlier; the first and the last month may be incomplete."""

    month: date
    revenue: Decimal
    transactions: int
    year_before: Decimal | None
    change_percent: Decimal | None
    is_complete: bool


@dataclass(frozen=True)
class Weekday:
    """Sales of the days of a weekday (1 is Monday) that had sales, and their average revenue."""

    weekday: int
    days: int
    revenue: Decimal
    average_revenue: Decimal | None


@dataclass(frozen=True)
class Share:
    """The revenue of a store, channel or category, its share of all revenue, and its change.

    `kind` is `named`; `unnamed` where the data has no name for it; `others` for the `members` that are not shown;
    `none` for sales that belong to none.
    """

    kind: str
    name: str | None
    members: int
    revenue: Decimal
    share_percent: Decimal | None
    transactions: int | None
    before: Decimal | None
    change_percent: Decimal | None


@dataclass(frozen=True)
class Breakdown:
    """All revenue of a period by store, channel or category; it adds up to `revenue`.

    Shown are the ten largest that have at least 0.1 % of it, the largest first.
    """

    period: Period
    before: Period | None
    revenue: Decimal
    shares: tuple[Share, ...]


@dataclass(frozen=True)
class ChannelMonth:
    """A channel's revenue in a month, and its share of the month's; the channels are those of the breakdown."""

    month: date
    kind: str
    name: str | None
    revenue: Decimal
    share_percent: Decimal | None


@dataclass(frozen=True)
class ProductSales:
    """A product's sales in a period, and its revenue in the earlier one."""

    product_id: int
    name: str | None
    category: str | None
    revenue: Decimal
    quantity: int
    before: Decimal | None
    change: Decimal | None
    change_percent: Decimal | None


@dataclass(frozen=True)
class Products:
    """The best sellers of a period, and those that lost most revenue since the earlier one; `products` were sold."""

    period: Period
    before: Period | None
    products: int
    best: tuple[ProductSales, ...]
    falling: tuple[ProductSales, ...]


@dataclass(frozen=True)
class StockItem:
    """A product in a store that needs action."""

    store_id: int | None
    store_name: str | None
    product_id: int | None
    product_name: str | None
    quantity: int | None
    reorder_level: int | None
    units_sold_28d: int | None
    days_of_cover: Decimal | None
    stock_status: str


@dataclass(frozen=True)
class StoreStock:
    """The items of a store, and how many of them need action; `store_id` and name are None for the `others`."""

    kind: str
    store_id: int | None
    name: str | None
    members: int
    items: int
    out_of_stock: int
    reorder: int
    low_cover: int


@dataclass(frozen=True)
class Stock:
    """The number of items (a product in a store) by status and by store, and those that need action most urgently.

    Urgent are those that are out of stock, to reorder or low in cover, in this order, and of each the ones that sell
    most.
    """

    items: int
    statuses: Mapping[str, int]
    need_action: int
    stores: tuple[StoreStock, ...]
    worst: tuple[StockItem, ...]


@dataclass(frozen=True)
class Segment:
    """The customers of an RFM segment and what they have spent."""

    name: str
    customers: int
    share_percent: Decimal | None
    spent: Decimal
    spent_share_percent: Decimal | None
    average_spent: Decimal | None


@dataclass(frozen=True)
class Customers:
    """All known customers with a purchase by segment; `grid` counts them by R score (5 first) and F score (1 first)."""

    customers: int
    spent: Decimal
    segments: tuple[Segment, ...]
    grid: tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class BuyersMonth:
    """Known customers who bought in a month: for the first time, or again; and their revenue."""

    month: date
    new: int
    returning: int
    new_revenue: Decimal
    returning_revenue: Decimal
    is_complete: bool


@dataclass(frozen=True)
class Cohort:
    """Customers whose first purchase was in a month, and percent of them who bought that many months later.

    Rates begin with month 0; they end with the last complete month.
    """

    month: date
    customers: int
    rates: tuple[Decimal, ...]


@dataclass(frozen=True)
class Decile:
    """A tenth of the customers by expected lifetime value, 10 is the best; None if it could not be estimated."""

    decile: int | None
    customers: int
    value_365d: Decimal | None
    average_value_365d: Decimal | None
    average_p_alive_percent: Decimal | None


@dataclass(frozen=True)
class TopCustomer:
    """One of the customers who have spent most."""

    customer_id: int
    name: str | None
    spent: Decimal
    purchases: int
    last_purchase: date
    segment: str


@dataclass(frozen=True)
class Report:
    """All figures of the report; `missing` are the gold datasets that the lake does not have.

    `run_id` is the run that made the figures, which ended at `data_at`; `sales` are the first and last day with sales.
    """

    made_at: str
    shopease_version: str
    lake: str
    run_id: str | None
    data_at: str | None
    trouble: Trouble | None
    reconciliation: Reconciliation | None
    sales: Period | None
    revenue: Decimal
    transactions: int
    missing: tuple[str, ...]
    key_figures: KeyFigures | None
    so_far: KeyFigures | None
    months: tuple[Month, ...]
    weekdays: tuple[Weekday, ...]
    weekday_period: Period | None
    categories: Breakdown | None
    stores: Breakdown | None
    channels: Breakdown | None
    channel_months: tuple[ChannelMonth, ...]
    products: Products | None
    stock: Stock | None
    customers: Customers | None
    buyers: tuple[BuyersMonth, ...]
    cohorts: tuple[Cohort, ...]
    lifetime_value: tuple[Decile, ...]
    lifetime_value_run: str | None
    top_customers: tuple[TopCustomer, ...]
    quality: Quality
