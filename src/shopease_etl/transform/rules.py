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
from shopease_etl.contract.tables import BIGINT, MONEY, REJECTION_COLUMNS, ROW, STRING, TIMESTAMP, Column, Rule, Table

_DECIMAL: Final = pl.Decimal(38, 2)
_TOO_LARGE: Final = 10**16

KEY: Final = "shopease:key"
RULE: Final = "shopease:rule"
DUPLICATE: Final = "shopease:duplicate"
RECORD: Final = "shopease:record"
_ADDED: Final = {ROW, RULE, DUPLICATE, RECORD}
_CLEAN: Final = "shopease:clean:"
_PARSED: Final = "shopease:parsed:"


def keys(bronze: pl.DataFrame, table: Table) -> pl.Series:
    """The parsed key of every row, NULL where it does not parse; no other column of bronze is needed."""
    key = _key(table)
    standardised = bronze.select(_standardised(Column(key, BIGINT)).alias(_clean(key)))
    return standardised.select(_value(key, BIGINT).alias(KEY)).to_series()


def duplicate_candidates(bronze: pl.DataFrame, table: Table) -> pl.DataFrame:
    """Of rows that break no rule `ROW`, `RECORD`, `KEY`, and the timestamps by which they contend for it, NULL where
    there is none: `updated`, `created`.
    """
    passed = _with_rule(bronze, table).filter(pl.col(RULE).is_null())
    updated, created = (
        (_timestamp(_clean(name)) if name in bronze.columns else pl.lit(None, pl.String)).alias(alias)
        for name, alias in (("updated_at", "updated"), ("created_at", "created"))
    )
    return passed.select(ROW, RECORD, pl.col(_parsed(_key(table))).alias(KEY), updated, created).collect()


def already_clean(bronze: pl.DataFrame, table: Table) -> pl.Series:
    """Whether each row of bronze keeps every rule and silver has all of its values as they are.

    `DUPLICATE` says of each row whether it is one. A row that is not already clean may be good as well: `apply_rules`
    finds out, at ten times the cost.
    """
    if not all(_has_pattern(rule, column, table) for column in _known(table) for rule in column.rules):
        return pl.Series([False], dtype=pl.Boolean).new_from_index(0, bronze.height)
    columns = {column.name: column for column in table.columns}
    clean = (_is_clean(name, columns.get(name)) for name in _source(bronze))
    return bronze.select(reduce(operator.and_, clean, ~pl.col(DUPLICATE))).to_series()


def apply_rules(bronze: pl.DataFrame, table: Table) -> pl.DataFrame:
    """For every row of bronze its `ROW`, the first rule that it breaks as `RULE`, NULL where there is none, and the
    text of each of its columns as silver has it.

    `DUPLICATE` says of each row whether it is one. A duplicate that breaks no other rule breaks that of unique keys.
    """
    types = _types(table)
    duplicate = pl.when(DUPLICATE).then(pl.lit(f"duplicate_{table.key}"))
    verdict = pl.coalesce(RULE, duplicate).alias(RULE)
    texts = (_written(name, types.get(name)).alias(name) for name in _source(bronze))
    return _with_rule(bronze, table).select(ROW, verdict, *texts).collect()


def silver(valid: pl.DataFrame, table: Table) -> pl.DataFrame:
    """Silver's columns, named by `silver_labels`, of rows that are `already_clean` or come from `apply_rules`."""
    source, types = _source(valid), _types(table)
    money = {name: pl.col(name).cast(pl.Decimal(18, 2)) for name in source if types.get(name) == MONEY}
    columns = money | (_calculated() if table.calculated else {})
    return valid.select(columns.get(name, pl.col(name)).alias(name) for name in silver_labels(table, source))


def quarantine(rejected: pl.DataFrame, run_id: str) -> pl.DataFrame:
    """Rows of bronze as they were, the `RULE` that each broke, and the run."""
    rule, run = REJECTION_COLUMNS
    return rejected.select(*_source(rejected), pl.col(RULE).alias(rule), pl.lit(run_id).alias(run))


def rules(table: Table) -> tuple[tuple[str, pl.Expr], ...]:
    """The table's rules in order: the rule's name, and what holds for a row that keeps it."""
    return tuple(
        (f"{rule.kind}_{column.name}", rule.keeps(pl.col(_clean(column.name)), _ruled(column)))
        for column in _known(table)
        for rule in column.rules
    )


_TOTAL: Final = "total_amount"
_PLAIN: Final = {
    BIGINT: values.PLAIN_INTEGER,
    MONEY: values.PLAIN_MONEY,
    TIMESTAMP: values.TIMESTAMP,
    STRING: values.PLAIN_TEXT,
}
_PLAIN_CASE: Final = {"upper": values.PLAIN_UPPERCASE, "lower": values.PLAIN_LOWERCASE}


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


def _known(table: Table) -> tuple[Column, ...]:
    return (*table.columns, *table.calculated)


def _has_pattern(rule: Rule, column: Column, table: Table) -> bool:
    """Bronze has no text of a calculated column."""
    return rule.pattern == "" or (rule.pattern is not None and column in table.columns)


def _is_clean(name: str, column: Column | None) -> pl.Expr:
    """Holds where silver has the value as it is and no rule is broken; a column without rules may be NULL."""
    text = pl.col(name)
    if column is None:
        return ~text.str.contains(values.LINE_BREAK).fill_null(False)  # noqa: FBT003 - a value, no flag
    patterns = {_PLAIN_CASE[column.case] if column.case else _PLAIN[column.type]}
    patterns |= {rule.pattern for rule in column.rules if rule.pattern}
    return reduce(operator.and_, map(text.str.contains, patterns)).fill_null(not column.rules)


def _with_rule(bronze: pl.DataFrame, table: Table) -> pl.LazyFrame:
    """Bronze as `_read` gives it, with the first rule that each row breaks as `RULE`."""
    rule: pl.Expr = pl.lit(None, pl.String)
    for name, keeps in reversed(rules(table)):
        rule = pl.when(~keeps.fill_null(False)).then(pl.lit(name)).otherwise(rule)  # noqa: FBT003 - a value, no flag
    return _read(bronze, table).with_columns(rule.alias(RULE))


def _read(bronze: pl.DataFrame, table: Table) -> pl.LazyFrame:
    """Bronze with the standardised text of every known column, and the parsed value of those that have one."""
    source = _source(bronze)
    present = [column for column in table.columns if column.name in source]
    standardised = bronze.lazy().with_columns(_standardised(c).alias(_clean(c.name)) for c in present)
    return standardised.with_columns(
        _value(column.name, column.type).alias(_parsed(column.name)) for column in present if column.type != STRING
    )


def _ruled(column: Column) -> pl.Expr:
    """The value that the column's rules are about."""
    if column.name == _TOTAL:
        total = _total(pl.col(_parsed("quantity")), pl.col(_parsed("unit_price")))
        return pl.when(total < _TOO_LARGE).then(total)
    return pl.col(_clean(column.name) if column.type == STRING else _parsed(column.name))


def _standardised(column: Column) -> pl.Expr:
    """Trimmed, NULL where nothing is left; in text inner white space made one space, and its case the column's."""
    text = pl.col(column.name)
    if column.type == STRING:
        text = text.str.replace_all(values.WHITESPACE, " ").str.strip_chars(" ")
    else:
        text = text.str.strip_chars(values.WHITESPACE_CHARACTERS)
    if column.case:
        text = text.str.to_uppercase() if column.case == "upper" else text.str.to_lowercase()
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
