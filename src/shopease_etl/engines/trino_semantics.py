"""Rewrites of a parsed query, with the DuckDB macros they call, so that it computes as Trino (Athena's engine) does."""

import re
from collections.abc import Iterator
from typing import Final

from sqlglot import exp

from shopease_etl.errors import ConfigurationError

# Types are known to DuckDB's binder only, not here: the macros ask for them by typeof() and cast_to_type().
# Trino divides decimals at the larger scale of the two, half away from zero; DuckDB would go through a double.
MACROS: Final = (
    # the type of a quotient, as a NULL: integers and doubles as they are, decimals with 20 digits more
    "shopease_type(a, b) AS CASE WHEN true THEN NULL ELSE (a + b) * 1::integer * 1::integer END",
    r"shopease_scale(x) AS coalesce(try_cast(regexp_extract(typeof(x), ',\s*(\d+)', 1) AS integer), 0)",
    "shopease_power(n) AS CAST(rpad('1', CAST(n + 1 AS integer), '0') AS decimal(38, 0))",
    "shopease_units(x, s) AS CAST(x * shopease_power(s) AS hugeint)",
    """shopease_quotient(a, b, s) AS
       CAST(2 * CAST(shopease_power(s) AS hugeint) * shopease_units(a, s) // shopease_units(b, s) AS decimal(38, 0))
       * cast_to_type('5e-' || (s + 1), shopease_type(a, b) * 0.1)""",
    """shopease_divide(a, b) AS CASE WHEN typeof(a + b) LIKE 'DECIMAL%'
       THEN cast_to_type(shopease_quotient(a, b, shopease_scale(a + b)), shopease_type(a, b))
       ELSE cast_to_type(a / b, shopease_type(a, b)) END""",
    "shopease_divide_once(a, b) AS list_transform([{'a': a, 'b': b}], LAMBDA v: shopease_divide(v.a, v.b))[1]",
    """shopease_average(total, n, average) AS CASE WHEN typeof(total) LIKE 'DECIMAL%'
       THEN cast_to_type(shopease_quotient(total, n, shopease_scale(total)), shopease_type(total, 0::uhugeint))
       ELSE cast_to_type(average, shopease_type(total, 0::uhugeint)) END""",
    """shopease_grouped(t) AS regexp_extract(t, '^-?')
       || format('{:,}', CAST(regexp_extract(t, '[0-9]+') AS hugeint)) || regexp_extract(t, '[.][0-9]+$')""",
)

_FORMAT_PIECE: Final = re.compile(r"%%|%(?P<grouped>,?)(?:[.](?P<digits>\d{1,2}))?(?P<kind>[sdf])|(?P<text>[^%]+)|%")
_NAMED: Final = (exp.Alias, exp.Aliases, exp.Column, exp.Dot, exp.Star)
_WRAPPERS: Final = (exp.Filter, exp.Window)


def as_trino_computes(query: exp.Query | exp.Values) -> exp.Query | exp.Values:
    """The query rewritten in place of itself; ConfigurationError for a function that Athena does not have."""
    _refuse_foreign_functions(query)
    _name_columns(query)
    for table in query.find_all(exp.Table, exp.Column):
        if table.text("catalog").lower() == "awsdatacatalog":
            table.set("catalog", None)
    # inner nodes first: what encloses them copies them rewritten
    for node in reversed(list(query.find_all(*_REWRITES))):
        _REWRITES[type(node)](node)
    return query


def _refuse_foreign_functions(query: exp.Expr) -> None:
    for function in query.find_all(exp.Anonymous):
        if function.name.upper() == "FORMAT_NUMBER":
            raise ConfigurationError(
                "Athena has no function FORMAT_NUMBER: use format('%,.2f', x)", hint="format('%,.2f', x) gives 1,234.50"
            )


def _name_columns(query: exp.Expr) -> None:
    """Gives the result's unnamed columns the names that Athena gives them, `_col0` and so on."""
    select: exp.Expr = query
    while isinstance(select, (exp.SetOperation, exp.Subquery)):
        select = select.this
    if isinstance(select, exp.Select):
        names = [
            column if isinstance(column, _NAMED) else exp.alias_(column, f"_col{position}")
            for position, column in enumerate(select.expressions)
        ]
        select.set("expressions", names)


def _divide(node: exp.Expr) -> None:
    # a macro repeats its arguments: a quotient of quotients is bound once, which DuckDB cannot do in HAVING
    nested = node.this.find(exp.Div, exp.Anonymous) or node.expression.find(exp.Div, exp.Anonymous)
    name = "shopease_divide_once" if nested and node.find_ancestor(exp.Having) is None else "shopease_divide"
    node.replace(exp.func(name, node.this.copy(), node.expression.copy()))


def _average(node: exp.Expr) -> None:
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


def _keep_type(node: exp.Expr) -> None:
    """A date stays a date: the result takes the type of the value that it was computed from."""
    node.replace(exp.func("cast_to_type", node.copy(), node.this.copy()))


def _keep_type_of_other_side(node: exp.Expr) -> None:
    sides = [side for side in (node.this, node.expression) if not isinstance(side.unnest(), exp.Interval)]
    if len(sides) == 1:
        node.replace(exp.func("cast_to_type", node.copy(), sides[0].copy()))


def _whole_units(node: exp.Expr) -> None:
    """Trino counts whole units that have passed, DuckDB's date_diff the borders between them."""
    unit = exp.Literal.string(node.text("unit").lower() or "day")
    node.replace(exp.func("datesub", unit, node.expression.copy(), node.this.copy()))


def _format(node: exp.Expr) -> None:
    pattern = node.this
    if not (isinstance(pattern, exp.Literal) and pattern.is_string):
        raise ConfigurationError("format() needs its pattern as a literal on a local lake")
    values = iter(node.expressions)
    pieces = [_format_piece(match, values, pattern.name) for match in _FORMAT_PIECE.finditer(pattern.name)]
    node.replace(exp.func("concat", *(pieces or [exp.Literal.string("")])))


def _format_piece(match: re.Match[str], values: Iterator[exp.Expr], pattern: str) -> exp.Expr:
    if match["text"] is not None or match[0] == "%%":
        return exp.Literal.string(match["text"] or "%")
    value = next(values, None)
    if match["kind"] is None or value is None:
        raise ConfigurationError(f"format('{pattern}', …): a local lake knows %s, %d, %,d, %.2f, %,.2f and their like")
    return exp.func("coalesce", _formatted(value.copy(), match), exp.Literal.string("null"))


def _formatted(value: exp.Expr, match: re.Match[str]) -> exp.Expr:
    text = exp.cast(value, "varchar")
    if match["kind"] == "s":
        return text
    digits = 0 if match["kind"] == "d" else min(int(match["digits"] or 6), 30)
    # by way of its text a double is rounded in decimal digits, as Java's formatter does
    fixed = exp.cast(exp.cast(text, f"decimal(38, {digits})"), "varchar")
    return exp.func("shopease_grouped", fixed) if match["grouped"] else fixed


_REWRITES: Final = {
    exp.Div: _divide,
    exp.Avg: _average,
    exp.TimestampTrunc: _keep_type,
    exp.DateTrunc: _keep_type,
    exp.DateAdd: _keep_type,
    exp.Add: _keep_type_of_other_side,
    exp.Sub: _keep_type_of_other_side,
    exp.DateDiff: _whole_units,
    exp.Format: _format,
}
