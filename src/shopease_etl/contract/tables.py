"""The data contract as data: source tables, lake keys, columns, their types and rules.

It imports nothing of ours but `values`, and no library: the command line's help needs the tables, too.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from shopease_etl.contract import values

if TYPE_CHECKING:
    import polars as pl

BRONZE: Final = "bronze"
SILVER: Final = "silver"
GOLD: Final = "gold"
QUARANTINE: Final = "quarantine"
RUNS: Final = "_runs"
JOURNAL: Final = f"{RUNS}/.publishing-"
LEASE: Final = f"{RUNS}/.lease"
GENERATIONS: Final = "_generations"
RESULTS: Final = "athena-results"
LAYERS: Final = (BRONZE, SILVER, QUARANTINE, GOLD)
MADE_BY: Final = {BRONZE: "extract", SILVER: "clean", QUARANTINE: "clean", GOLD: "aggregate"}

BIGINT: Final = "bigint"
DATE: Final = "date"
INT: Final = "int"
MONEY: Final = "decimal(18,2)"
STRING: Final = "string"
TIMESTAMP: Final = "timestamp"

REJECTION_COLUMNS: Final = ("rejected_rule", "run_id")

# The column by which a frame numbers the rows of bronze.
ROW: Final = "shopease:row"


@dataclass(frozen=True)
class Rule:
    """A rule of cleaning: rows that break it go to quarantine as `KIND_COLUMN`.

    `keeps` is a condition on the standardised text of the column and on its parsed value, of which NULL breaks the
    rule. `pattern` saves the parsing of rows: text that matches it, and that silver has as it is, keeps the rule; ""
    matches all. Without a pattern every row of the table is parsed. A condition that is a function of a module, no
    lambda, can be sent to other processes.
    """

    kind: str
    keeps: Callable[["pl.Expr", "pl.Expr"], "pl.Expr"]
    pattern: str | None = None


def _has_text(text: "pl.Expr", _: "pl.Expr") -> "pl.Expr":
    return text.is_not_null()


def _has_value(_: "pl.Expr", value: "pl.Expr") -> "pl.Expr":
    return value.is_not_null()


def _is_positive(_: "pl.Expr", value: "pl.Expr") -> "pl.Expr":
    return value > 0


MISSING: Final = Rule("missing", _has_text, "")
INVALID: Final = Rule("invalid", _has_value, "")
NONPOSITIVE_COUNT: Final = Rule("nonpositive", _is_positive, values.PLAIN_COUNT)
NONPOSITIVE_PRICE: Final = Rule("nonpositive", _is_positive, values.PLAIN_MONEY)


@dataclass(frozen=True)
class Column:
    """A known column with its type in Athena's terms; `required` where a stage cannot do without it.

    Silver has text in the `case`, if there is one. Rules are tried in the order of columns, and of rules in a column.
    """

    name: str
    type: str
    required: bool = True
    rules: tuple[Rule, ...] = ()
    case: Literal["upper", "lower"] | None = None


@dataclass(frozen=True)
class Table:
    """A source table: its folder in the lake, its known columns, and its key where it has a silver form."""

    name: str
    source: str
    columns: tuple[Column, ...]
    key: str | None = None
    calculated: tuple[Column, ...] = ()
    silver_order: tuple[str, ...] = ()

    @property
    def bronze_key(self) -> str:
        """The lake key of the raw CSV."""
        return f"{BRONZE}/{self.name}/{self.source}.csv"

    @property
    def silver_key(self) -> str:
        """The lake key of the cleaned CSV."""
        return f"{SILVER}/{self.name}/{self.name}_cleaned.csv"

    @property
    def quarantine_key(self) -> str:
        """The lake key of the CSV of rejected rows."""
        return f"{QUARANTINE}/{self.name}/{self.name}_rejected.csv"

    @property
    def known(self) -> frozenset[str]:
        """The names of the columns that are known to be in the source."""
        return frozenset(column.name for column in self.columns)

    @property
    def required_columns(self) -> tuple[str, ...]:
        """The columns without which a stage cannot do its work."""
        return tuple(column.name for column in self.columns if column.required)


@dataclass(frozen=True)
class GoldTable:
    """A gold dataset: its inputs in silver and its columns in order."""

    name: str
    inputs: tuple[str, ...]
    columns: tuple[Column, ...]
    order_by: tuple[tuple[str, bool], ...]

    @property
    def key(self) -> str:
        """The lake key of the Parquet file."""
        return f"{GOLD}/{self.name}/data.parquet"


def _columns(column_type: str, *names: str, required: bool = True) -> tuple[Column, ...]:
    return tuple(Column(name, column_type, required) for name in names)


_STAMPS = _columns(TIMESTAMP, "created_at", "updated_at")
_OPTIONAL_STAMPS = _columns(TIMESTAMP, "created_at", "updated_at", required=False)

CUSTOMERS = Table(
    name="customers",
    source="customers",
    key="customer_id",
    columns=(
        Column("customer_id", BIGINT, rules=(MISSING, INVALID)),
        Column("customer_name", STRING, rules=(MISSING,), case="upper"),
        Column("email", STRING, rules=(MISSING,), case="lower"),
        *_columns(STRING, "phone", "address", required=False),
        *_columns(STRING, "city", "state"),
        Column("zip_code", STRING, required=False),
        *_STAMPS,
    ),
)
PRODUCTS = Table(
    name="products",
    source="products",
    key="product_id",
    columns=(
        Column("product_id", BIGINT, rules=(MISSING, INVALID)),
        Column("product_name", STRING, rules=(MISSING,)),
        Column("category", STRING, case="upper"),
        Column("price", MONEY, rules=(MISSING, INVALID, NONPOSITIVE_PRICE)),
        Column("description", STRING, required=False),
        *_STAMPS,
    ),
)
STORES = Table(
    name="stores",
    source="stores",
    columns=(
        Column("store_id", BIGINT),
        Column("store_name", STRING),
        *_columns(STRING, "city", "state", required=False),
        *_OPTIONAL_STAMPS,
    ),
)
INVENTORY = Table(
    name="inventory",
    source="inventory",
    columns=(
        Column("inventory_id", BIGINT, required=False),
        *_columns(BIGINT, "store_id", "product_id", "quantity", "reorder_level", required=False),
        *_OPTIONAL_STAMPS,
    ),
)
SALES_MANAGERS = Table(
    name="sales_managers",
    source="sales_managers",
    columns=(
        Column("manager_id", BIGINT, required=False),
        *_columns(STRING, "manager_name", "email", "phone", required=False),
        Column("store_id", BIGINT, required=False),
        *_OPTIONAL_STAMPS,
    ),
)
TRANSACTIONS = Table(
    name="transactions",
    source="sale_transactions",
    key="transaction_id",
    columns=(
        Column("transaction_id", BIGINT, rules=(MISSING, INVALID)),
        *_columns(BIGINT, "store_id", "customer_id", "product_id"),
        Column("quantity", BIGINT, rules=(MISSING, INVALID, NONPOSITIVE_COUNT)),
        Column("unit_price", MONEY, rules=(MISSING, INVALID, NONPOSITIVE_PRICE)),
        *_columns(STRING, "payment_method", "sales_channel"),
        Column("created_at", TIMESTAMP, rules=(MISSING, INVALID)),
        Column("updated_at", TIMESTAMP),
    ),
    calculated=(
        Column("total_amount", MONEY, rules=(INVALID,)),
        Column("transaction_date", DATE),
        *_columns(INT, "year", "month", "day"),
    ),
    silver_order=(
        *("transaction_id", "store_id", "customer_id", "product_id", "quantity", "unit_price", "total_amount"),
        *("payment_method", "sales_channel", "transaction_date", "year", "month", "day", "created_at", "updated_at"),
    ),
)

TABLES: Final = (CUSTOMERS, PRODUCTS, STORES, INVENTORY, SALES_MANAGERS, TRANSACTIONS)
CLEANED_TABLES: Final = tuple(table for table in TABLES if table.key)

DAILY_SALES_SUMMARY = GoldTable(
    name="daily_sales_summary",
    inputs=("transactions",),
    order_by=(("sales_date", False),),
    columns=(
        Column("sales_date", DATE),
        *_columns(BIGINT, "total_transactions", "total_items_sold"),
        *_columns(MONEY, "total_revenue", "avg_transaction_value"),
        *_columns(BIGINT, "unique_customers", "unique_products"),
    ),
)
PRODUCT_PERFORMANCE = GoldTable(
    name="product_performance",
    inputs=("transactions", "products"),
    order_by=(("total_revenue", True), ("product_id", False)),
    columns=(
        Column("product_id", BIGINT),
        *_columns(STRING, "product_name", "category"),
        *_columns(BIGINT, "total_orders", "total_quantity_sold"),
        *_columns(MONEY, "total_revenue", "avg_order_value", "avg_quantity_per_order"),
    ),
)
CUSTOMER_ANALYTICS = GoldTable(
    name="customer_analytics",
    inputs=("transactions", "customers"),
    order_by=(("total_spent", True), ("customer_id", False)),
    columns=(
        Column("customer_id", BIGINT),
        *_columns(STRING, "customer_name", "city", "state"),
        *_columns(BIGINT, "total_purchases", "total_items_bought"),
        *_columns(MONEY, "total_spent", "avg_order_value"),
        *_columns(DATE, "first_purchase_date", "last_purchase_date"),
        *_columns(INT, "recency_days", "r_score", "f_score", "m_score"),
        *_columns(STRING, "rfm_score", "rfm_segment"),
    ),
)

GOLD_TABLES: Final = (DAILY_SALES_SUMMARY, PRODUCT_PERFORMANCE, CUSTOMER_ANALYTICS)

# Every object that the layers may hold.
KEYS: Final = frozenset(
    (
        *(table.bronze_key for table in TABLES),
        *(key for table in CLEANED_TABLES for key in (table.silver_key, table.quarantine_key)),
        *(gold.key for gold in GOLD_TABLES),
    )
)
