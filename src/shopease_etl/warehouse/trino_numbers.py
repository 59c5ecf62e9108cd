"""Rewrites of arithmetic, casts and format(), and of functions that depend on the types of values."""

import re
from collections.abc import Iterator, Sequence
from typing import Final

from sqlglot import exp

from shopease_etl.contract import values
from shopease_etl.errors import ConfigurationError

_INTEGERS: Final = {exp.DType.TINYINT, exp.DType.SMALLINT, exp.DType.INT, exp.DType.BIGINT}
_STRICT: Final = {exp.DType.DATE: "shopease_day", exp.DType.BOOLEAN: "shopease_truth"}
_WIDEST: Final = 38
_WRAPPERS: Final = (exp.Filter, exp.Window)


def rewrite_cast(node: exp.Expr) -> None:
    """CAST and TRY_CAST accept and return what Trino's do; ConfigurationError for char(n)."""
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
    elif kind.this in _STRICT and not (
        isinstance(node.this, exp.Literal) and re.fullmatch(r"\d{4}-\d\d-\d\d", node.this.name)
    ):
        replace_typed(node.this, _STRICT[kind.this], [node.this])
    elif kind.this == exp.DType.VARCHAR and kind.expressions:
        _shorten(node, kind.expressions[0].this)
    elif kind.this == exp.DType.VARCHAR and not isinstance(node.this, (exp.Literal, exp.Null)):
        replace_typed(node, "shopease_text", [node.this])


def replace_typed(node: exp.Expr, macro: str, values: Sequence[exp.Expr]) -> None:
    """Call a macro with variants for several types."""
    is_known = not any(_is_grouped(inner) for value in values for inner in value.walk())
    # DuckDB cannot call the other macro in HAVING with what it knows only after grouping: leave it as it is
    if is_known or node.find_ancestor(exp.Having) is None:
        name = macro if is_known else f"{macro}_once"
        node.replace(exp.func(name, *(value.copy() for value in values)))


def _is_grouped(node: exp.Expr) -> bool:
    """Whether DuckDB knows a value only after grouping; the parser does not know some of the aggregates."""
    unknown = {"every", "map_agg", "multimap_agg", "geometric_mean"}
    return isinstance(node, (exp.AggFunc, exp.Window, exp.Query)) or node.name.lower() in unknown


def _digits(text: str) -> tuple[int, int]:
    """Precision and scale of a decimal literal."""
    match = re.fullmatch(r"[+-]?0*(?P<whole>\d*)(?:[.](?P<fraction>\d*))?", text)
    if match is None or not (digits := len(match["whole"]) + len(match["fraction"] or "")) <= _WIDEST:
        raise ConfigurationError(f"'{text}' is not a decimal of at most {_WIDEST} digits")
    return max(digits, 1), len(match["fraction"] or "")


def _is_integer_text(node: exp.Expr) -> bool:
    """Whether it is NULL, or text that already matched the contract's integers, as in the typed views."""
    return isinstance(node, exp.Null) or (
        isinstance(node, exp.RegexpExtract) and node.expression.name == values.INTEGER
    )


def _shorten(node: exp.Expr, length: exp.Expr) -> None:
    """Truncate text; other values that are too long fail, or are NULL with TRY_CAST."""
    text = exp.cast(node.this.copy(), "varchar")
    is_strict = exp.Boolean(this=not isinstance(node, exp.TryCast))
    arguments = [node.this.copy(), text, length.copy(), is_strict]
    node.replace(exp.Anonymous(this="shopease_shorten", expressions=arguments))
    if isinstance(text, exp.Cast):
        rewrite_cast(text)


def divide(node: exp.Expr) -> None:
    """Integers are divided without a remainder; decimals stay decimals."""
    # a macro repeats its arguments: a quotient of quotients is bound once, which DuckDB cannot do in HAVING
    inner = [*node.this.find_all(exp.Anonymous), *node.expression.find_all(exp.Anonymous)]
    nested = any(function.name in {"shopease_divide", "shopease_divide_once", "shopease_average"} for function in inner)
    name = "shopease_divide_once" if nested and node.find_ancestor(exp.Having) is None else "shopease_divide"
    node.replace(exp.func(name, node.this.copy(), node.expression.copy()))


def average(node: exp.Expr) -> None:
    """The average of decimals is a decimal: sum divided by count, also of a window or with a filter."""
    whole: exp.Expr = node
    while isinstance(whole.parent, _WRAPPERS) and whole.parent.this is whole:
        whole = whole.parent
    variants = []
    for aggregate in (exp.Sum, exp.Count, exp.Avg):
        variant = whole.copy()
        average = variant
        while isinstance(average, _WRAPPERS):
            average = average.this
        replacement = aggregate(this=average.this.copy())
        variants.append(replacement if average is variant else variant)
        average.replace(replacement)
    whole.replace(exp.func("shopease_average", *variants))


def rewrite_format(node: exp.Expr) -> None:
    """Write format() as a concatenation; ConfigurationError for patterns that a local lake does not support."""
    pattern = node.this
    if not (isinstance(pattern, exp.Literal) and pattern.is_string):
        raise ConfigurationError("format() needs a literal pattern on a local lake")
    values = iter(node.expressions)
    syntax = r"%%|%(?P<grouped>,?)(?:[.](?P<digits>\d{1,2}))?(?P<kind>[sdf])|(?P<text>[^%]+)|%"
    parts = [_format_part(match, values, pattern.name) for match in re.finditer(syntax, pattern.name)]
    node.replace(exp.func("concat", *(parts or [exp.Literal.string("")])))


def _format_part(match: re.Match[str], values: Iterator[exp.Expr], pattern: str) -> exp.Expr:
    if match["text"] is not None or match[0] == "%%":
        return exp.Literal.string(match["text"] or "%")
    value = next(values, None)
    if match["kind"] is None or value is None:
        raise ConfigurationError(
            f"format('{pattern}', …): a local lake supports %s, %d, %,d, %.2f, %,.2f and similar ones"
        )
    return exp.func("coalesce", _formatted(value.copy(), match), exp.Literal.string("null"))


def _formatted(value: exp.Expr, match: re.Match[str]) -> exp.Expr:
    text = exp.cast(value, "varchar")
    if match["kind"] == "s":
        return text
    digits = 0 if match["kind"] == "d" else min(int(match["digits"] or 6), 30)
    # a double is rounded in decimal digits, as by Java's formatter, if it is cast to text first
    fixed = exp.cast(exp.cast(text, f"decimal(38, {digits})"), "varchar")
    return exp.func("shopease_grouped", fixed) if match["grouped"] else fixed
