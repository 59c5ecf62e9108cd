"""The data contract as data: source tables, their keys in the lake, columns, their types and rules.

It imports no library, as the command line's help needs the tables too.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Literal, Self

from shopease_etl.contract import values
from shopease_etl.contract.layout import BRONZE, QUARANTINE, SALE_MONTH, SILVER, STATE

if TYPE_CHECKING:
    import polars as pl

BIGINT: Final = "bigint"
DATE: Final = "date"
INT: Final = "int"
MONEY: Final = "decimal(18,2)"
RATE: Final = "decimal(9,4)"
STRING: Final = "string"
TIMESTAMP: Final = "timestamp"

REJECTION_COLUMNS: Final = ("rejected_rule", "run_id")

# The column with the row numbers of bronze.
ROW: Final = "shopease:row"


@dataclass(frozen=True)
class Rule:
    """A rule of cleaning: rows that break it go to quarantine as `KIND_COLUMN`.

    `condition` gets the column's standardised text and its parsed value; NULL breaks the rule. `pattern` makes parsing
    unnecessary: text that matches it, and that silver leaves as it is, meets the rule; "" matches all.
    Without a pattern every row of the table is parsed. A condition must be a function of a module, not a lambda, to be
    sent to other processes.
    """

    kind: str
    condition: Callable[["pl.Expr", "pl.Expr"], "pl.Expr"]
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
    """A known column with its type in Athena's terms; `required` if a stage needs it; columns with rules always are.

    In silver its text is in `case`, if that is set. Rules apply in the order of columns, and of rules in a column.
    """

    name: str
    type: str
    required: bool = True
    rules: tuple[Rule, ...] = ()
    case: Literal["upper", "lower"] | None = None


@dataclass(frozen=True)
class Table:
    """A source table: its folder in the lake, its known columns, and its key, a bigint, if silver has the table.

    A table that is not `required` may be missing in the source; then the lake has no file of it, and gold works.
    A table with a `month_column`, a date or timestamp, can be kept by month; with a `month` it is that part of it.
    """

    name: str
    source: str
    columns: tuple[Column, ...]
    key: str | None = None
    calculated: tuple[Column, ...] = ()
    silver_order: tuple[str, ...] = ()
    required: bool = True
    month_column: str | None = None
    month: str | None = None

    def __post_init__(self) -> None:
        """Refuse what cleaning would ignore or could not read.

        Raises:
            ValueError: a type is none of source columns, the key is no bigint, or rules apply to a table without key.
        """
        types = {column.name: column.type for column in self.columns}
        if unknown := set(types.values()) - {BIGINT, MONEY, STRING, TIMESTAMP}:
            raise ValueError(f"{self.name}: source columns cannot be of type {', '.join(sorted(unknown))}")
        if self.key and types.get(self.key) != BIGINT:
            raise ValueError(f"{self.name}: its key {self.key} must be one of its columns, a bigint")
        if not self.key and any(column.rules for column in self.columns):
            raise ValueError(f"{self.name}: rules apply only to a table with a key")

    def in_month(self, month: str | None) -> Self:
        """The table's part of a month, such as `2024-11`, or `none` for rows without a date; None for the whole."""
        return replace(self, month=month)

    @property
    def bronze_key(self) -> str:
        """The lake key of the raw CSV."""
        return self._key(BRONZE, f"{self.source}.csv")

    @property
    def silver_key(self) -> str:
        """The lake key of the cleaned CSV."""
        return self._key(SILVER, f"{self.name}_cleaned.csv")

    @property
    def quarantine_key(self) -> str:
        """The lake key of the CSV of rejected rows."""
        return self._key(QUARANTINE, f"{self.name}_rejected.csv")

    def state_key(self, file: str) -> str:
        """The lake key of what was derived from a month's rows."""
        return self._key(STATE, file)

    def _key(self, layer: str, file: str) -> str:
        folder = f"{layer}/{self.name}"
        return f"{folder}/{SALE_MONTH}={self.month}/{file}" if self.month else f"{folder}/{file}"

    @property
    def best_key(self) -> str:
        """The lake key of the CSV that views and gold read: the cleaned one, or the raw one of other tables."""
        return self.silver_key if self.key else self.bronze_key

    @property
    def keys(self) -> tuple[str, ...]:
        """The lake keys of all the table's files."""
        return (self.bronze_key, self.silver_key, self.quarantine_key) if self.key else (self.bronze_key,)

    @property
    def known(self) -> frozenset[str]:
        """The names of the known columns of the source."""
        return frozenset(column.name for column in self.columns)

    @property
    def required_columns(self) -> tuple[str, ...]:
        """The columns that stages need."""
        return tuple(column.name for column in self.columns if column.required or column.rules)


def columns(column_type: str, *names: str, required: bool = True) -> tuple[Column, ...]:
    """Columns of one type, without rules."""
    return tuple(Column(name, column_type, required) for name in names)


CUSTOMERS = Table(
    name="customers",
    source="customers",
    key="customer_id",
    columns=(
        Column("customer_id", BIGINT, rules=(MISSING, INVALID)),
        Column("customer_name", STRING, rules=(MISSING,), case="upper"),
        Column("email", STRING, rules=(MISSING,), case="lower"),
        *columns(STRING, "phone", "address", required=False),
        *columns(STRING, "city", "state"),
        Column("zip_code", STRING, required=False),
        *columns(TIMESTAMP, "created_at", "updated_at"),
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
        *columns(TIMESTAMP, "created_at", "updated_at"),
    ),
)
STORES = Table(
    name="stores",
    source="stores",
    columns=(
        Column("store_id", BIGINT),
        *columns(STRING, "store_name", "city", "state"),
        *columns(TIMESTAMP, "created_at", "updated_at", required=False),
    ),
)
INVENTORY = Table(
    name="inventory",
    source="inventory",
    columns=(
        *columns(BIGINT, "inventory_id", "store_id", "product_id", "quantity", "reorder_level"),
        *columns(TIMESTAMP, "created_at", "updated_at", required=False),
    ),
)
SALES_MANAGERS = Table(
    name="sales_managers",
    source="sales_managers",
    columns=(
        Column("manager_id", BIGINT),
        Column("manager_name", STRING),
        *columns(STRING, "email", "phone", required=False),
        Column("store_id", BIGINT),
        *columns(TIMESTAMP, "created_at", "updated_at", required=False),
    ),
)
TRANSACTIONS = Table(
    name="transactions",
    source="sale_transactions",
    key="transaction_id",
    columns=(
        Column("transaction_id", BIGINT, rules=(MISSING, INVALID)),
        *columns(BIGINT, "store_id", "customer_id", "product_id"),
        Column("quantity", BIGINT, rules=(MISSING, INVALID, NONPOSITIVE_COUNT)),
        Column("unit_price", MONEY, rules=(MISSING, INVALID, NONPOSITIVE_PRICE)),
        *columns(STRING, "payment_method", "sales_channel"),
        Column("created_at", TIMESTAMP, rules=(MISSING, INVALID)),
        Column("updated_at", TIMESTAMP),
    ),
    calculated=(
        Column("total_amount", MONEY, rules=(INVALID,)),
        Column("transaction_date", DATE),
        *columns(INT, "year", "month", "day"),
    ),
    month_column="created_at",
    silver_order=(
        *("transaction_id", "store_id", "customer_id", "product_id", "quantity", "unit_price", "total_amount"),
        *("payment_method", "sales_channel", "transaction_date", "year", "month", "day", "created_at", "updated_at"),
    ),
)

TABLES: Final = (CUSTOMERS, PRODUCTS, STORES, INVENTORY, SALES_MANAGERS, TRANSACTIONS)
CLEANED_TABLES: Final = tuple(table for table in TABLES if table.key)
