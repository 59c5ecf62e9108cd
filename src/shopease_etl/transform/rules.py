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
    return bronze.select(_standardised(key)).select(_parsed(key).alias(KEY)).to_series()


def duplicate_candidates(bronze: pl.DataFrame, table: Table) -> pl.DataFrame:
    """Of the rows that break no rule: `ROW`, `RECORD`, `KEY`, and the timestamps that decide between rows of one key,
    `updated` and `created`, NULL where there is none.
    """
    names = {KEY: str(table.key), "updated": "updated_at", "created": "created_at"}
    columns = (
        (pl.col(_value(name)) if name in bronze.columns else pl.lit(None, pl.String)).alias(alias)
        for alias, name in names.items()
    )
    return _checked(bronze, table).filter(pl.col(RULE).is_null()).select(ROW, RECORD, *columns).collect()


def already_clean(bronze: pl.DataFrame, table: Table) -> pl.Series:
    """Whether each row of bronze keeps every rule and silver has all of its values as they are.

    `DUPLICATE` says of each row whether it is one. A row that is not already clean may be good as well: `apply_rules`
    finds out, at ten times the cost. Where a rule has no pattern, no row is taken for clean, and so where the pattern
    is one of a calculated column, of which bronze has no text.
    """
    columns = {column.name: column for column in table.columns}
    for column in (*table.columns, *table.calculated):
        if any(rule.pattern is None or (rule.pattern and column.name not in columns) for rule in column.rules):
            return pl.repeat(value=False, n=bronze.height, dtype=pl.Boolean, eager=True)
    clean = (_is_clean(name, columns.get(name)) for name in _source(bronze))
    return bronze.select(reduce(operator.and_, clean, ~pl.col(DUPLICATE))).to_series()


def _is_clean(name: str, column: Column | None) -> pl.Expr:
    """Whether silver has the value as it is and no rule is broken; a column without rules may be NULL."""
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
    """For every row of bronze its `ROW`, the first rule that it breaks as `RULE`, NULL where there is none, and the
    text of each of its columns as silver has it: that of the value ("+007" is 7), NULL where there is none.

    `DUPLICATE` says of each row whether it is one. A duplicate that breaks no other rule breaks that of unique keys.
    """
    duplicate = pl.when(DUPLICATE).then(pl.lit(f"duplicate_{table.key}"))
    texts = (
        pl.col(_value(name)).cast(pl.String).alias(name)
        if name in table.known
        else pl.col(name).str.replace_all(values.LINE_BREAK, " ")
        for name in _source(bronze)
    )
    return _checked(bronze, table).select(ROW, pl.coalesce(RULE, duplicate).alias(RULE), *texts).collect()


def silver(valid: pl.DataFrame, table: Table) -> pl.DataFrame:
    """Silver's columns, named by `silver_labels`, of rows that are `already_clean` or come from `apply_rules`."""
    source, created = _source(valid), pl.col("created_at")
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
    return valid.select(columns.get(name, pl.col(name)).alias(name) for name in silver_labels(table, source))


def quarantine(rejected: pl.DataFrame, run_id: str) -> pl.DataFrame:
    """Rows of bronze as they were, the `RULE` that each broke, and the run."""
    rule, run = REJECTION_COLUMNS
    return rejected.select(*_source(rejected), pl.col(RULE).alias(rule), pl.lit(run_id).alias(run))


def rules(table: Table) -> tuple[tuple[str, pl.Expr], ...]:
    """The table's rules in order: the rule's name, and what holds for a row that keeps it."""
    total = _total_amount(pl.col(_value("quantity")), pl.col(_value("unit_price")))
    calculated = {"total_amount": pl.when(total < _TOO_LARGE).then(total)}
    return tuple(
        (
            f"{rule.kind}_{column.name}",
            rule.keeps(pl.col(_text(column.name)), calculated.get(column.name, pl.col(_value(column.name)))),
        )
        for column in (*table.columns, *table.calculated)
        for rule in column.rules
    )


def money(text: pl.Expr) -> pl.Expr:
    """Text to decimal(18,2), exactly half away from zero; NULL where it is no number or too large."""
    number = pl.when(text.str.contains(values.NUMBER)).then(text)
    truncated = number.str.replace(values.SURPLUS_DECIMALS, "${1}").cast(_DECIMAL)
    cent = pl.when(number.str.starts_with("-")).then(pl.lit("-0.01")).otherwise(pl.lit("0.01")).cast(_DECIMAL)
    rounded = pl.when(number.str.contains(values.ROUNDS_AWAY)).then(truncated + cent).otherwise(truncated)
    return pl.when(rounded.abs() < _TOO_LARGE).then(rounded).cast(pl.Decimal(18, 2))


def _source(bronze: pl.DataFrame) -> list[str]:
    return [name for name in bronze.columns if name not in {ROW, RULE, DUPLICATE, RECORD}]


def _text(column: str) -> str:
    """The name of a column's standardised text in frames; the next is that of its parsed value."""
    return f"shopease:text:{column}"


def _value(column: str) -> str:
    return f"shopease:value:{column}"


def _checked(bronze: pl.DataFrame, table: Table) -> pl.LazyFrame:
    """Bronze with the text and value of every known column that it has, and the first rule that each row breaks."""
    present = [column for column in table.columns if column.name in bronze.columns]
    standardised = bronze.lazy().with_columns(map(_standardised, present))
    parsed = standardised.with_columns(_parsed(column).alias(_value(column.name)) for column in present)
    rule: pl.Expr = pl.lit(None, pl.String)
    for name, keeps in reversed(rules(table)):
        rule = pl.when(~keeps.fill_null(value=False)).then(pl.lit(name)).otherwise(rule)
    return parsed.with_columns(rule.alias(RULE))


def _standardised(column: Column) -> pl.Expr:
    """Trimmed, NULL where nothing is left; in text inner white space made one space, and its case the column's."""
    text = pl.col(column.name)
    if column.type == STRING:
        text = text.str.replace_all(values.WHITESPACE, " ").str.strip_chars(" ")
    else:
        text = text.str.strip_chars(values.WHITESPACE_CHARACTERS)
    if column.case:
        text = text.str.to_uppercase() if column.case == "upper" else text.str.to_lowercase()
    return pl.when(text != "").then(text).alias(_text(column.name))


def _parsed(column: Column) -> pl.Expr:
    """The value of the standardised text by the contract's grammar, NULL where it does not parse."""
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
