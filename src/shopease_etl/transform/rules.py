"""Bronze to silver: standardised columns, rules and values, as pure functions of frames.

Input frames are as read from bronze: every source column as text, named by `column_names.frame_names`, and `ROW`, the
row's number in bronze. The rules and the grammar are the contract's ("Silver", "What parses").
"""

import operator
from functools import reduce
from typing import Final

import polars as pl

from shopease_etl.contract import values
from shopease_etl.contract.column_names import silver_frame_names
from shopease_etl.contract.tables import BIGINT, MONEY, REJECTION_COLUMNS, ROW, STRING, TIMESTAMP, Column, Table

KEY: Final = "shopease:key"
RULE: Final = "shopease:rule"
DUPLICATE: Final = "shopease:duplicate"
RECORD: Final = "shopease:record"
_DECIMAL: Final = pl.Decimal(38, 2)
_TOO_LARGE: Final = 10**16


def keys(bronze: pl.DataFrame, table: Table) -> pl.Series:
    """The parsed key of every row, NULL where it does not parse; no other column of bronze is needed."""
    key = Column(str(table.key), BIGINT)
    return bronze.select(_standardise(key)).select(_parse(key).alias(KEY)).to_series()


def duplicate_candidates(bronze: pl.DataFrame, table: Table) -> pl.DataFrame:
    """The rows that break no rule: `ROW`, `RECORD`, `KEY`, and the timestamps that decide between rows of one key,
    `updated` and `created`, which may be NULL.
    """
    names = {KEY: str(table.key), "updated": "updated_at", "created": "created_at"}
    columns = (
        (pl.col(_value(name)) if name in bronze.columns else pl.lit(None, pl.String)).alias(alias)
        for alias, name in names.items()
    )
    return _evaluate(bronze, table).filter(pl.col(RULE).is_null()).select(ROW, RECORD, *columns).collect()


def already_clean(bronze: pl.DataFrame, table: Table) -> pl.Series:
    """Whether each row of bronze meets every rule and silver takes all of its values unchanged.

    The column `DUPLICATE` must say which rows are duplicates. A row that is not already clean may be valid too:
    `apply_rules` finds out, at ten times the cost. If a rule has no pattern, no row counts as clean; nor if a
    calculated column has one, as bronze has no text of that column.
    """
    columns = {column.name: column for column in table.columns}
    for column in (*table.columns, *table.calculated):
        if any(rule.pattern is None or (rule.pattern and column.name not in columns) for rule in column.rules):
            return pl.repeat(value=False, n=bronze.height, dtype=pl.Boolean, eager=True)
    clean = (_is_clean(name, columns.get(name)) for name in _source_columns(bronze))
    return bronze.select(reduce(operator.and_, clean, ~pl.col(DUPLICATE))).to_series()


def _is_clean(name: str, column: Column | None) -> pl.Expr:
    """Whether silver takes the value unchanged and it meets the column's rules; without rules it may be NULL."""
    text = pl.col(name)
    if column is None:
        return ~text.str.contains(values.LINE_BREAK).fill_null(value=False)
    plain = {
        BIGINT: values.PLAIN_INTEGER,
        MONEY: values.PLAIN_MONEY,
        TIMESTAMP: values.TIMESTAMP,
        STRING: {None: values.PLAIN_TEXT, "upper": values.PLAIN_UPPERCASE, "lower": values.PLAIN_LOWERCASE}[
            column.case
        ],
    }
    patterns = {plain[column.type], *(rule.pattern for rule in column.rules if rule.pattern)}
    return reduce(operator.and_, map(text.str.contains, patterns)).fill_null(not column.rules)


def apply_rules(bronze: pl.DataFrame, table: Table) -> pl.DataFrame:
    """For every row of bronze its `ROW`, the first rule that it breaks as `RULE`, or NULL, and the text of each of its
    columns as silver has it: the text of the value ("+007" is 7), or NULL.

    The column `DUPLICATE` must say which rows are duplicates. If they break no other rule, they break that of unique
    keys.
    """
    duplicate = pl.when(DUPLICATE).then(pl.lit(f"duplicate_{table.key}"))
    texts = (
        pl.col(_value(name)).cast(pl.String).alias(name)
        if name in table.known
        else pl.col(name).str.replace_all(values.LINE_BREAK, " ")
        for name in _source_columns(bronze)
    )
    return _evaluate(bronze, table).select(ROW, pl.coalesce(RULE, duplicate).alias(RULE), *texts).collect()


def silver(valid: pl.DataFrame, table: Table) -> pl.DataFrame:
    """Silver's columns, named by `silver_frame_names`, of rows that are `already_clean` or come from `apply_rules`."""
    source, created = _source_columns(valid), pl.col("created_at")
    types = {column.name: column.type for column in table.columns}
    columns = {name: pl.col(name).cast(pl.Decimal(18, 2)) for name in source if types.get(name) == MONEY}
    if table.calculated:
        columns |= {
            "total_amount": _total_amount(pl.col("quantity"), pl.col("unit_price")).cast(pl.Decimal(18, 2)),
            "transaction_date": created.str.slice(0, 10),
            "year": created.str.slice(0, 4).cast(pl.Int64),
            "month": created.str.slice(5, 2).cast(pl.Int64),
            "day": created.str.slice(8, 2).cast(pl.Int64),
        }
    return valid.select(columns.get(name, pl.col(name)).alias(name) for name in silver_frame_names(table, source))


def quarantine(rejected: pl.DataFrame, run_id: str) -> pl.DataFrame:
    """Rows of bronze unchanged, the `RULE` that each broke, and the run."""
    rule, run = REJECTION_COLUMNS
    return rejected.select(*_source_columns(rejected), pl.col(RULE).alias(rule), pl.lit(run_id).alias(run))


def rules(table: Table) -> tuple[tuple[str, pl.Expr], ...]:
    """The table's rules in order: the rule's name, and whether a row meets it."""
    total = _total_amount(pl.col(_value("quantity")), pl.col(_value("unit_price")))
    calculated = {"total_amount": pl.when(total < _TOO_LARGE).then(total)}
    return tuple(
        (
            f"{rule.kind}_{column.name}",
            rule.condition(pl.col(_text(column.name)), calculated.get(column.name, pl.col(_value(column.name)))),
        )
        for column in (*table.columns, *table.calculated)
        for rule in column.rules
    )


def money(text: pl.Expr) -> pl.Expr:
    """Text to decimal(18,2), rounded exactly, half away from zero; NULL if it is not a number or too large."""
    number = pl.when(text.str.contains(values.NUMBER)).then(text)
    truncated = number.str.replace(values.SURPLUS_DECIMALS, "${1}").cast(_DECIMAL)
    cent = pl.when(number.str.starts_with("-")).then(pl.lit("-0.01")).otherwise(pl.lit("0.01")).cast(_DECIMAL)
    rounded = pl.when(number.str.contains(values.ROUNDS_AWAY)).then(truncated + cent).otherwise(truncated)
    return pl.when(rounded.abs() < _TOO_LARGE).then(rounded).cast(pl.Decimal(18, 2))


def _source_columns(bronze: pl.DataFrame) -> list[str]:
    return [name for name in bronze.columns if name not in {ROW, RULE, DUPLICATE, RECORD}]


def _text(column: str) -> str:
    """The name in frames of a column's standardised text; `_value` is that of its parsed value."""
    return f"shopease:text:{column}"


def _value(column: str) -> str:
    return f"shopease:value:{column}"


def _evaluate(bronze: pl.DataFrame, table: Table) -> pl.LazyFrame:
    """Bronze with the text and value of each known column that it has, and the first rule that each row breaks."""
    present = [column for column in table.columns if column.name in bronze.columns]
    standardised = bronze.lazy().with_columns(map(_standardise, present))
    parsed = standardised.with_columns(_parse(column).alias(_value(column.name)) for column in present)
    rule: pl.Expr = pl.lit(None, pl.String)
    for name, condition in reversed(rules(table)):
        rule = pl.when(~condition.fill_null(value=False)).then(pl.lit(name)).otherwise(rule)
    return parsed.with_columns(rule.alias(RULE))


def _standardise(column: Column) -> pl.Expr:
    """Trimmed text, NULL if it is empty; columns of text also get single spaces and the column's case."""
    text = pl.col(column.name)
    if column.type == STRING:
        text = text.str.replace_all(values.WHITESPACE, " ").str.strip_chars(" ")
    else:
        text = text.str.strip_chars(values.WHITESPACE_CHARACTERS)
    if column.case:
        text = text.str.to_uppercase() if column.case == "upper" else text.str.to_lowercase()
    return pl.when(text != "").then(text).alias(_text(column.name))


def _parse(column: Column) -> pl.Expr:
    """The value of the standardised text by the contract's grammar, NULL if it does not parse."""
    text = pl.col(_text(column.name))
    if column.type == STRING:
        return text
    if column.type == MONEY:
        return money(text)
    if column.type == TIMESTAMP:
        return pl.when(text.str.contains(values.TIMESTAMP)).then(text)
    return pl.when(text.str.contains(values.INTEGER)).then(text).cast(pl.Int64)


def _total_amount(quantity: pl.Expr, price: pl.Expr) -> pl.Expr:
    return quantity.cast(pl.Decimal(38, 0)) * price.cast(_DECIMAL)
