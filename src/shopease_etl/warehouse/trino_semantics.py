"""Rewrites of a parsed query to DuckDB macros, so that it computes as Trino (Athena's engine) does."""

import re
from collections.abc import Callable
from typing import Final

from sqlglot import exp
from sqlglot.expressions.builders import apply_index_offset

from shopease_etl.errors import ConfigurationError
from shopease_etl.warehouse.trino_casts import replace_typed, rewrite_cast
from shopease_etl.warehouse.trino_formats import rewrite_format
from shopease_etl.warehouse.trino_times import format_datetime, parse_datetime, rewrite_time_zones
from shopease_etl.warehouse.trino_unnest import rewrite_unnest

_NAMED: Final = (exp.Alias, exp.Aliases, exp.Column, exp.Dot, exp.Star)
_WRAPPERS: Final = (exp.Filter, exp.Window)


def as_trino_computes(query: exp.Query | exp.Values) -> exp.Query | exp.Values:
    """The query rewritten in place of itself; ConfigurationError for what cannot be had."""
    _name_columns(query)
    rewrite_time_zones(query)
    for table in query.find_all(exp.Table, exp.Column):
        if table.text("catalog").lower() == "awsdatacatalog":
            table.set("catalog", None)
    # inner nodes first: what encloses them copies them rewritten
    for node in reversed(list(query.find_all(*_REWRITES))):
        _REWRITES.get(type(node), _keep)(node)
    for node in reversed(list(query.find_all(exp.Anonymous))):
        if (rewrite := _FUNCTIONS.get(node.name.lower())) is not None:
            rewrite(node)
    return query


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
    inner = [*node.this.find_all(exp.Anonymous), *node.expression.find_all(exp.Anonymous)]
    nested = any(function.name in _REPEATING for function in inner)
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
    elif isinstance(node, exp.Sub) and not any(isinstance(side, exp.Literal) for side in sides):
        replace_typed(node, "shopease_minus", sides)


def _whole_units(node: exp.Expr) -> None:
    """Trino counts whole units that have passed, DuckDB's date_diff the borders between them."""
    unit = exp.Literal.string(node.text("unit").lower() or "day")
    node.replace(exp.func("datesub", unit, node.expression.copy(), node.this.copy()))


def _call(name: str, *arguments: str) -> "_Rewrite":
    """A rewrite to a call of a macro with these parts of the node."""

    def rewrite(node: exp.Expr) -> None:
        values = [value.copy() for argument in arguments if (value := node.args.get(argument)) is not None]
        node.replace(exp.func(name, *values))

    return rewrite


def _keep(_: exp.Expr) -> None:
    """Leaves a node as it is: one of a class that is derived from one that is rewritten."""


def _sequence(node: exp.Expr) -> None:
    values = (node.args.get(name) for name in ("start", "end", "step"))
    replace_typed(node, "shopease_sequence", [value for value in values if value is not None])


def _extract_text(node: exp.Expr) -> None:
    """No match is NULL in Trino, '' in DuckDB, which is no difference where it is cast to a number or time."""
    if node.find_ancestor(exp.TryCast) is None:
        part = node.args.get("group") or exp.Literal.number(0)
        node.replace(exp.func("shopease_extract", node.this.copy(), node.expression.copy(), part.copy()))


def _compare(node: exp.Expr) -> None:
    """DuckDB reads an untyped literal as the other side's type; typed ones it compares by < and > as Trino does."""
    for operand in list(node.iter_expressions()):
        if isinstance(operand, exp.Literal) and (operand.is_string or operand.is_int):
            wide = operand.is_int and abs(int(operand.name)) >= 1 << 31
            operand.replace(
                exp.cast(operand.copy(), "varchar" if operand.is_string else "bigint" if wide else "integer")
            )


def _equal(node: exp.Expr) -> None:
    """DuckDB compares text with numbers by =, but not by >=: where a literal is compared, both must hold."""
    is_filter = isinstance(node.this, exp.Literal) != isinstance(node.expression, exp.Literal)
    _compare(node)
    if is_filter and node.find(exp.Query) is None:
        strict = exp.GTE if isinstance(node, exp.EQ) else exp.LT
        other = strict(this=node.this.copy(), expression=node.expression.copy())
        if isinstance(node, exp.EQ):
            node.replace(exp.paren(exp.and_(node.copy(), other)))
        else:
            greater = exp.GT(this=node.this.copy(), expression=node.expression.copy())
            node.replace(exp.paren(exp.or_(other, greater)))


def _in(node: exp.Expr) -> None:
    """The first of a list is compared by =, and so as strictly."""
    if not node.expressions or not isinstance(node.expressions[0], exp.Literal):
        return
    first, *rest = node.expressions
    equal = exp.EQ(this=node.this.copy(), expression=first.copy())
    others = exp.In(this=node.this.copy(), expressions=[value.copy() for value in rest])
    _compare(others)
    either = exp.paren(exp.or_(equal, others) if rest else equal)
    node.replace(either)
    if (written := either.find(exp.EQ)) is not None:
        _equal(written)


def _extract(node: exp.Expr) -> None:
    unit = node.this.name.upper()
    if unit not in _EXTRACTED:
        raise ConfigurationError(
            f"Athena has no field {unit} in extract()", hint=f"it has {', '.join(_ATHENAS_FIELDS)}"
        )
    node.set("this", exp.var(_EXTRACTED[unit]))


def _item(node: exp.Expr) -> None:
    if node.args.get("safe") or len(node.expressions) != 1 or isinstance(node.expressions[0], exp.Slice):
        return
    # the parser counts items from 0
    (index,) = apply_index_offset(node.this, node.expressions, 1, dialect="duckdb")
    is_map = isinstance(node.this, _MAPS) or (isinstance(index, exp.Literal) and index.is_string)
    node.replace(exp.func("shopease_value" if is_map else "shopease_item", node.this.copy(), index.copy()))


def _replace_by_pattern(node: exp.Expr) -> None:
    """A group is $1 in Trino's replacement and \\1 in DuckDB's."""
    replacement = node.args.get("replacement")
    if isinstance(replacement, exp.Literal):
        replacement.replace(exp.Literal.string(re.sub(r"\$(\d)", r"\\\1", replacement.name)))


def _split(node: exp.Expr) -> None:
    if node.args.get("limit"):
        _call("shopease_split", "this", "expression", "limit")(node)


def _week_of_year(node: exp.Expr) -> None:
    """Trino's %v is DuckDB's %V."""
    pattern = node.args["format"]
    if isinstance(pattern, exp.Literal):
        pattern.replace(exp.Literal.string(re.sub("%(.)", lambda field: field[0].replace("v", "V"), pattern.name)))


def _json_or_null(node: exp.Expr) -> None:
    """Text that is no JSON is NULL."""
    for value in node.expressions[:1] if isinstance(node, exp.Anonymous) else (node.this,):
        value.replace(exp.func("shopease_json", value.copy()))


def _match(name: str) -> "_Rewrite":
    def rewrite(node: exp.Expr) -> None:
        array, condition = node.expressions
        matched = exp.func(name, exp.func("list_transform", array.copy(), condition.copy()))
        node.replace(exp.Not(this=matched) if node.name.lower() == "none_match" else matched)

    return rewrite


def _bytes(node: exp.Expr) -> None:
    """DuckDB gives a hash as text."""
    node.replace(exp.Unhex(this=node.copy()))


def _milliseconds(node: exp.Expr) -> None:
    """DuckDB counts the seconds too."""
    node.replace(exp.Mod(this=exp.func("millisecond", *node.expressions), expression=exp.Literal.number(1000)))


def _rename(name: str) -> "_Rewrite":
    def rewrite(node: exp.Expr) -> None:
        node.replace(exp.func(name, *(value.copy() for value in node.expressions)))

    return rewrite


_Rewrite = Callable[[exp.Expr], None]
_REPEATING: Final = {"shopease_divide", "shopease_divide_once", "shopease_average"}
_MAPS: Final = (exp.Map, exp.MapFromEntries, exp.VarMap)
_ATHENAS_FIELDS: Final = (
    *("YEAR", "QUARTER", "MONTH", "WEEK", "DAY", "DAY_OF_MONTH", "DAY_OF_WEEK", "DOW", "DAY_OF_YEAR", "DOY"),
    *("YEAR_OF_WEEK", "YOW", "HOUR", "MINUTE", "SECOND"),
)
_EXTRACTED: Final = {
    **{field: field for field in ("YEAR", "QUARTER", "MONTH", "WEEK", "DAY", "HOUR", "MINUTE", "SECOND")},
    **dict.fromkeys(("DAY_OF_WEEK", "DAYOFWEEK", "DOW"), "ISODOW"),
    **dict.fromkeys(("DAY_OF_YEAR", "DAYOFYEAR", "DOY"), "DOY"),
    **dict.fromkeys(("YEAR_OF_WEEK", "YEAROFWEEK", "YOW"), "ISOYEAR"),
    **dict.fromkeys(("DAY_OF_MONTH", "DAYOFMONTH"), "DAY"),
}
_REWRITES: Final[dict[type[exp.Expr], _Rewrite]] = {
    exp.Div: _divide,
    exp.Avg: _average,
    exp.TimestampTrunc: _keep_type,
    exp.DateTrunc: _keep_type,
    exp.DateAdd: _keep_type,
    exp.Add: _keep_type_of_other_side,
    exp.Sub: _keep_type_of_other_side,
    exp.DateDiff: _whole_units,
    exp.Format: rewrite_format,
    **dict.fromkeys((exp.GT, exp.GTE, exp.LT, exp.LTE, exp.Between), _compare),
    exp.EQ: _equal,
    exp.NEQ: _equal,
    exp.In: _in,
    exp.Extract: _extract,
    exp.Bracket: _item,
    exp.Cast: rewrite_cast,
    exp.TryCast: rewrite_cast,
    exp.RegexpReplace: _replace_by_pattern,
    exp.ParseDatetime: parse_datetime,
    exp.Substring: _call("shopease_substr", "this", "start", "length"),
    exp.GenerateSeries: _sequence,
    exp.RegexpExtract: _extract_text,
    exp.SHA: _bytes,
    exp.ArraySlice: _call("shopease_slice", "this", "start", "end"),
    exp.ArrayPosition: _call("shopease_position", "this", "expression"),
    exp.ArrayContains: _call("shopease_contains", "this", "expression"),
    exp.Split: _split,
    exp.TimeToStr: _week_of_year,
    exp.Unnest: rewrite_unnest,
    exp.JSONExtract: _json_or_null,
    exp.JSONExtractScalar: _call("shopease_json_scalar", "this", "expression"),
}
_FUNCTIONS: Final[dict[str, _Rewrite]] = {
    "any_match": _match("shopease_any"),
    "all_match": _match("shopease_all"),
    "none_match": _match("shopease_any"),
    "millisecond": _milliseconds,
    "to_iso8601": lambda node: replace_typed(node, "shopease_iso8601", node.expressions),
    "yow": _rename("isoyear"),
    "url_decode": _rename("shopease_url_decode"),
    "format_datetime": format_datetime,
    "json_array_length": _json_or_null,
}
