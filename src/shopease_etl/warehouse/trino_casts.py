"""Rewrites of casts, which Trino does more strictly than DuckDB, and of what depends on the types of values."""

import re
from collections.abc import Sequence
from typing import Final

from sqlglot import exp

from shopease_etl.contract import values
from shopease_etl.errors import ConfigurationError

_AGGREGATES: Final = {"every", "map_agg", "multimap_agg", "geometric_mean"}
_INTEGERS: Final = {exp.DType.TINYINT, exp.DType.SMALLINT, exp.DType.INT, exp.DType.BIGINT}
_STRICT: Final = {exp.DType.DATE: "shopease_day", exp.DType.BOOLEAN: "shopease_truth"}
_DAY: Final = re.compile(r"\d{4}-\d\d-\d\d")
_DECIMAL: Final = re.compile(r"[+-]?0*(?P<whole>\d*)(?:[.](?P<fraction>\d*))?")
_WIDEST: Final = 38


def rewrite_cast(node: exp.Expr) -> None:
    """Makes CAST and TRY_CAST take and give what Trino's do; ConfigurationError for char(n)."""
    kind = node.args["to"]
    if kind.this == exp.DType.CHAR:
        raise ConfigurationError("the type char(n) is not available on a local lake", hint="use varchar")
    if kind.this == exp.DType.DECIMAL and not kind.expressions:
        # the parser gives a literal, decimal '1.50', fewer arguments than a cast
        is_literal = "format" not in node.args and isinstance(node.this, exp.Literal)
        digits = _digits(node.this.name) if is_literal else (_WIDEST, 0)
        kind.set("expressions", [exp.DataTypeParam(this=exp.Literal.number(number)) for number in digits])
    elif kind.this in _INTEGERS and not _is_integer_text(node.this):
        replace_typed(node.this, "shopease_whole", [node.this])
    elif kind.this in _STRICT and not (isinstance(node.this, exp.Literal) and _DAY.fullmatch(node.this.name)):
        replace_typed(node.this, _STRICT[kind.this], [node.this])
    elif kind.this == exp.DType.VARCHAR and kind.expressions:
        _shorten(node, kind.expressions[0].this)
    elif kind.this == exp.DType.VARCHAR and not isinstance(node.this, (exp.Literal, exp.Null)):
        replace_typed(node, "shopease_text", [node.this])


def replace_typed(node: exp.Expr, macro: str, values: Sequence[exp.Expr]) -> None:
    """Calls a macro that has forms for several types."""
    is_known = not any(_is_grouped(inner) for value in values for inner in value.walk())
    # with what is known only after grouping DuckDB cannot call the other macro in HAVING: there it stays as it is
    if is_known or node.find_ancestor(exp.Having) is None:
        name = macro if is_known else f"{macro}_once"
        node.replace(exp.func(name, *(value.copy() for value in values)))


def _is_grouped(node: exp.Expr) -> bool:
    """Whether DuckDB knows a value after grouping only; some aggregates the parser does not know as such."""
    return isinstance(node, (exp.AggFunc, exp.Window, exp.Query)) or node.name.lower() in _AGGREGATES


def _digits(text: str) -> tuple[int, int]:
    """Precision and scale of a decimal literal."""
    match = _DECIMAL.fullmatch(text)
    if match is None or not (digits := len(match["whole"]) + len(match["fraction"] or "")) <= _WIDEST:
        raise ConfigurationError(f"'{text}' is not a decimal of at most {_WIDEST} digits")
    return max(digits, 1), len(match["fraction"] or "")


def _is_integer_text(node: exp.Expr) -> bool:
    """Whether it is NULL, or what the typed views cast: text that has matched the contract's integers already."""
    return isinstance(node, exp.Null) or (
        isinstance(node, exp.RegexpExtract) and node.expression.name == values.INTEGER
    )


def _shorten(node: exp.Expr, length: exp.Expr) -> None:
    """Text is cut to its length; of other values none may be longer, which TRY_CAST answers with NULL."""
    text = exp.cast(node.this.copy(), "varchar")
    is_strict = exp.Boolean(this=not isinstance(node, exp.TryCast))
    arguments = [node.this.copy(), text, length.copy(), is_strict]
    node.replace(exp.Anonymous(this="shopease_shorten", expressions=arguments))
    if isinstance(text, exp.Cast):
        rewrite_cast(text)
