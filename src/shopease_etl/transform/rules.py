"""Bronze to silver: standardised columns, named rules and the resolution of duplicates, as pure functions of frames.

Frames come in as read from bronze: every source column as text, named by `column_names.labels`, and `ROW`, the row's
number in bronze. The rules and the grammar are the contract's ("Silver", "What parses").
"""

import operator
from functools import reduce
from typing import Final

import polars as pl

from shopease_etl.contract import values
from shopease_etl.contract.column_names import silver_labels
from shopease_etl.contract.tables import BIGINT, MONEY, REJECTION_COLUMNS, ROW, STRING, TIMESTAMP, TRANSACTIONS, Table

_DECIMAL: Final = pl.Decimal(38, 2)
_TOO_LARGE: Final = 10**16

KEY: Final = "shopease:key"
RULE: Final = "shopease:rule"
LOST: Final = "shopease:lost"
RECORD: Final = "shopease:record"
_ADDED: Final = {ROW, RULE, LOST, RECORD}
_CLEAN: Final = "shopease:clean:"
_PARSED: Final = "shopease:parsed:"


def keys(bronze: pl.DataFrame, table: Table) -> pl.Series:
    """The parsed key of every row, NULL where it does not parse; no other column of bronze is needed."""
    key = _key(table)
    standardised = bronze.select(_standardised(key, BIGINT).alias(_clean(key)))
    return standardised.select(_value(key, BIGINT).alias(KEY)).to_series()


def contestants(bronze: pl.DataFrame, table: Table) -> pl.DataFrame:
    """Of rows that break no rule `ROW`, `RECORD`, `KEY`, and the timestamps by which they contend for it, NULL where
    there is none: `updated`, `created`.
    """
    passed = _judged(bronze, table).filter(pl.col(RULE).is_null())
    updated, created = (
        _timestamp(_clean(name)).alias(name.removesuffix("_at")) for name in ("updated_at", "created_at")
    )
    return passed.select(ROW, RECORD, pl.col(_parsed(_key(table))).alias(KEY), updated, created).collect()


def already_clean(bronze: pl.DataFrame, table: Table) -> pl.Series:
    """For every row of bronze, with `LOST`, whether it keeps every rule and silver has each of its values as it is.

    A row that is not already clean may be good as well: `judged` finds out, at ten times the cost.
    """
    ruled = {column: kind for kind, column in _RULES[table.name]}  # the last of a column's rules is the strictest
    types = _types(table)
    clean = (_stands(name, types.get(name), ruled.get(name)) for name in _source(bronze))
    return bronze.select(reduce(operator.and_, clean, ~pl.col(LOST))).to_series()


def judged(bronze: pl.DataFrame, table: Table) -> pl.DataFrame:
    """For every row of bronze, with `LOST`, its `ROW`, the first rule that it breaks as `RULE`, and the text of each
    of its columns as silver is to have it.

    A row that is `LOST` and breaks no other rule breaks the one that keys are unique.
    """
    types = _types(table)
    lost = pl.when(LOST).then(pl.lit(f"duplicate_{table.key}"))
    verdict = pl.coalesce(RULE, lost).alias(RULE)
    texts = (_written(name, types.get(name)).alias(name) for name in _source(bronze))
    return _judged(bronze, table).select(ROW, verdict, *texts).collect()


def silver(valid: pl.DataFrame, table: Table) -> pl.DataFrame:
    """Silver's columns, named by `silver_labels`, of rows that are `already_clean` or whose text is from `judged`."""
    source, types = _source(valid), _types(table)
    money = {name: pl.col(name).cast(pl.Decimal(18, 2)) for name in source if types.get(name) == MONEY}
    columns = money | (_calculated() if table == TRANSACTIONS else {})
    return valid.select(columns.get(name, pl.col(name)).alias(name) for name in silver_labels(table, source))


def quarantine(rejected: pl.DataFrame, run_id: str) -> pl.DataFrame:
    """Rows of bronze as they were, the `RULE` that each broke, and the run."""
    rule, run = REJECTION_COLUMNS
    return rejected.select(*_source(rejected), pl.col(RULE).alias(rule), pl.lit(run_id).alias(run))


def rules(table: Table) -> tuple[tuple[str, pl.Expr], ...]:
    """The table's rules in order: the rule's name, and what holds for a row that keeps it."""
    return tuple((f"{kind}_{column}", _keeps(kind, column)) for kind, column in _RULES[table.name])


_TOTAL: Final = "total_amount"
_RULES: Final[dict[str, tuple[tuple[str, str], ...]]] = {
    "customers": (
        ("missing", "customer_id"),
        ("invalid", "customer_id"),
        ("missing", "customer_name"),
        ("missing", "email"),
    ),
    "products": (
        ("missing", "product_id"),
        ("invalid", "product_id"),
        ("missing", "product_name"),
        ("missing", "price"),
        ("invalid", "price"),
        ("nonpositive", "price"),
    ),
    "transactions": (
        ("missing", "transaction_id"),
        ("invalid", "transaction_id"),
        ("missing", "quantity"),
        ("invalid", "quantity"),
        ("nonpositive", "quantity"),
        ("missing", "unit_price"),
        ("invalid", "unit_price"),
        ("nonpositive", "unit_price"),
        ("missing", "created_at"),
        ("invalid", "created_at"),
        ("invalid", _TOTAL),
    ),
}
_UPPERCASE: Final = {"customer_name", "category"}
_LOWERCASE: Final = {"email"}

_PLAIN: Final = {
    BIGINT: values.PLAIN_INTEGER,
    MONEY: values.PLAIN_MONEY,
    TIMESTAMP: values.TIMESTAMP,
    STRING: values.PLAIN_TEXT,
}
_POSITIVE: Final = {BIGINT: values.PLAIN_COUNT, MONEY: values.PLAIN_MONEY}


def _clean(column: str) -> str:
    return _CLEAN + column


def _parsed(column: str) -> str:
    return _PARSED + column


def _key(table: Table) -> str:
    if table.key is None:
        message = f"{table.name} has no silver form"
        raise ValueError(message)
    return table.key


def _source(bronze: pl.DataFrame) -> list[str]:
    return [name for name in bronze.columns if name not in _ADDED]


def _types(table: Table) -> dict[str, str]:
    return {column.name: column.type for column in table.columns}


def _stands(column: str, column_type: str | None, rule: str | None) -> pl.Expr:
    """Holds where silver writes the value as it is and no rule is broken; a column of the source's own may be NULL."""
    text = pl.col(column)
    if column_type is None:
        return ~text.str.contains(values.LINE_BREAK).fill_null(False)  # noqa: FBT003 - a value, no flag
    pattern = _POSITIVE[column_type] if rule == "nonpositive" else _PLAIN[column_type]
    if column in _UPPERCASE | _LOWERCASE:
        pattern = values.PLAIN_UPPERCASE if column in _UPPERCASE else values.PLAIN_LOWERCASE
    return text.str.contains(pattern).fill_null(rule is None)


def _judged(bronze: pl.DataFrame, table: Table) -> pl.LazyFrame:
    """Bronze as `_read` gives it, with the first rule that each row breaks as `RULE`."""
    rule: pl.Expr = pl.lit(None, pl.String)
    for name, keeps in reversed(rules(table)):
        rule = pl.when(~keeps.fill_null(False)).then(pl.lit(name)).otherwise(rule)  # noqa: FBT003 - a value, no flag
    return _read(bronze, table).with_columns(rule.alias(RULE))


def _read(bronze: pl.DataFrame, table: Table) -> pl.LazyFrame:
    """Bronze with the standardised text of every known column, and the parsed value of those that have one."""
    source = _source(bronze)
    present = [column for column in table.columns if column.name in source]
    standardised = bronze.lazy().with_columns(_standardised(c.name, c.type).alias(_clean(c.name)) for c in present)
    return standardised.with_columns(
        _value(column.name, column.type).alias(_parsed(column.name)) for column in present if column.type != STRING
    )


def _keeps(kind: str, column: str) -> pl.Expr:
    if kind == "missing":
        return pl.col(_clean(column)).is_not_null()
    if column == _TOTAL:
        return _total(pl.col(_parsed("quantity")), pl.col(_parsed("unit_price"))) < _TOO_LARGE
    value = pl.col(_parsed(column))
    return value.is_not_null() if kind == "invalid" else value > 0


def _standardised(column: str, column_type: str) -> pl.Expr:
    """Trimmed, NULL where nothing is left; in text inner white space made one space, names and mail in their case."""
    text = pl.col(column)
    if column_type != STRING:
        text = text.str.strip_chars(values.WHITESPACE_CHARACTERS)
        return pl.when(text != "").then(text)
    text = text.str.replace_all(values.WHITESPACE, " ").str.strip_chars(" ")
    if column in _UPPERCASE:
        text = text.str.to_uppercase()
    if column in _LOWERCASE:
        text = text.str.to_lowercase()
    return pl.when(text != "").then(text)


def _value(column: str, column_type: str) -> pl.Expr:
    """The value of the standardised text by the contract's grammar, NULL where it does not parse."""
    text = pl.col(_clean(column))
    if column_type == TIMESTAMP:
        return _timestamp(_clean(column))
    return money(text) if column_type == MONEY else pl.when(text.str.contains(values.INTEGER)).then(text).cast(pl.Int64)


def _timestamp(column: str) -> pl.Expr:
    """The text where it is a timestamp, else NULL."""
    text = pl.col(column)
    return pl.when(text.str.contains(values.TIMESTAMP)).then(text)


def money(text: pl.Expr) -> pl.Expr:
    """Text to decimal(18,2), exactly half away from zero; NULL where it is no number or too large."""
    number = pl.when(text.str.contains(values.NUMBER)).then(text)
    truncated = number.str.replace(values.SURPLUS_DECIMALS, "${1}").cast(_DECIMAL)
    cent = pl.when(number.str.starts_with("-")).then(pl.lit("-0.01")).otherwise(pl.lit("0.01")).cast(_DECIMAL)
    rounded = pl.when(number.str.contains(values.ROUNDS_AWAY)).then(truncated + cent).otherwise(truncated)
    return pl.when(rounded.abs() < _TOO_LARGE).then(rounded).cast(pl.Decimal(18, 2))


def _number(text: pl.Expr, start: int, digits: int = 2) -> pl.Expr:
    return text.str.slice(start, digits).cast(pl.Int64)


def _written(name: str, column_type: str | None) -> pl.Expr:
    """The text as silver has it: that of the value ("+007" is 7), NULL where there is none."""
    if column_type is None:
        return pl.col(name).str.replace_all(values.LINE_BREAK, " ")
    return pl.col(_clean(name) if column_type == STRING else _parsed(name)).cast(pl.String)


def _total(quantity: pl.Expr, price: pl.Expr) -> pl.Expr:
    return quantity.cast(pl.Decimal(38, 0)) * price.cast(_DECIMAL)


def _calculated() -> dict[str, pl.Expr]:
    created = pl.col("created_at")
    return {
        _TOTAL: _total(pl.col("quantity"), pl.col("unit_price")).cast(pl.Decimal(18, 2)),
        "transaction_date": created.str.slice(0, 10),
        "year": _number(created, 0, 4),
        "month": _number(created, 5),
        "day": _number(created, 8),
    }
