"""Rewrites a parsed query so that DuckDB computes the same as Trino (Athena's engine)."""

import re
from collections.abc import Callable
from typing import Final

from sqlglot import exp
from sqlglot.expressions.builders import apply_index_offset

from shopease_etl.warehouse.trino_numbers import average, divide, replace_typed, rewrite_cast, rewrite_format
from shopease_etl.warehouse.trino_times import (
    extract,
    format_datetime,
    keep_type,
    keep_type_of_other_side,
    parse_datetime,
    rewrite_time_zones,
    week_of_year,
    whole_units,
)


def as_trino_computes(query: exp.Query | exp.Values) -> exp.Query | exp.Values:
    """Rewrite the query in place; ConfigurationError for what a local lake cannot do."""
    _name_columns(query)
    rewrite_time_zones(query)
    for table in query.find_all(exp.Table, exp.Column):
        if table.text("catalog").lower() == "awsdatacatalog":
            table.set("catalog", None)
    # inner nodes first: the outer ones copy them
    for node in reversed(list(query.find_all(*_REWRITES))):
        _REWRITES.get(type(node), _keep)(node)
    for node in reversed(list(query.find_all(exp.Anonymous))):
        if (rewrite := _FUNCTIONS.get(node.name.lower())) is not None:
            rewrite(node)
    return query


def _name_columns(query: exp.Expr) -> None:
    """Name the result's unnamed columns like Athena: `_col0`, `_col1`, ..."""
    select: exp.Expr = query
    while isinstance(select, (exp.SetOperation, exp.Subquery)):
        select = select.this
    if isinstance(select, exp.Select):
        named = (exp.Alias, exp.Aliases, exp.Column, exp.Dot, exp.Star)
        names = [
            column if isinstance(column, named) else exp.alias_(column, f"_col{position}")
            for position, column in enumerate(select.expressions)
        ]
        select.set("expressions", names)


def _call(name: str, *arguments: str) -> "_Rewrite":
    """A rewrite that calls a macro with these parts of the node."""

    def rewrite(node: exp.Expr) -> None:
        values = [value.copy() for argument in arguments if (value := node.args.get(argument)) is not None]
        node.replace(exp.func(name, *values))

    return rewrite


def _keep(_: exp.Expr) -> None:
    """Leave a node as it is: `find_all` finds subclasses of the rewritten classes too."""


def _sequence(node: exp.Expr) -> None:
    values = (node.args.get(name) for name in ("start", "end", "step"))
    replace_typed(node, "shopease_sequence", [value for value in values if value is not None])


def _extract_text(node: exp.Expr) -> None:
    """No match is NULL in Trino and '' in DuckDB; both are NULL after TRY_CAST to a number or time."""
    if node.find_ancestor(exp.TryCast) is None:
        part = node.args.get("group") or exp.Literal.number(0)
        node.replace(exp.func("shopease_extract", node.this.copy(), node.expression.copy(), part.copy()))


def _compare(node: exp.Expr) -> None:
    """Give literals a type: DuckDB takes an untyped one for the other side's type, Trino does not."""
    for operand in list(node.iter_expressions()):
        if isinstance(operand, exp.Literal) and (operand.is_string or operand.is_int):
            wide = operand.is_int and abs(int(operand.name)) >= 1 << 31
            operand.replace(
                exp.cast(operand.copy(), "varchar" if operand.is_string else "bigint" if wide else "integer")
            )


def _equal(node: exp.Expr) -> None:
    """DuckDB compares text with numbers by =, but not by >=: require both for a literal."""
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
    """Compare the first item of a list by =, which is as strict as above."""
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


def _item(node: exp.Expr) -> None:
    if node.args.get("safe") or len(node.expressions) != 1 or isinstance(node.expressions[0], exp.Slice):
        return
    # the parser counts items from 0, DuckDB from 1
    (index,) = apply_index_offset(node.this, node.expressions, 1, dialect="duckdb")
    is_map = isinstance(node.this, _MAPS) or (isinstance(index, exp.Literal) and index.is_string)
    node.replace(exp.func("shopease_value" if is_map else "shopease_item", node.this.copy(), index.copy()))


def _replace_by_pattern(node: exp.Expr) -> None:
    """A group is $1 in Trino's replacement, \\1 in DuckDB's."""
    replacement = node.args.get("replacement")
    if isinstance(replacement, exp.Literal):
        replacement.replace(exp.Literal.string(re.sub(r"\$(\d)", r"\\\1", replacement.name)))


def _split(node: exp.Expr) -> None:
    if node.args.get("limit"):
        _call("shopease_split", "this", "expression", "limit")(node)


def _json_or_null(node: exp.Expr) -> None:
    """Text that is not JSON is NULL."""
    for value in node.expressions[:1] if isinstance(node, exp.Anonymous) else (node.this,):
        value.replace(exp.func("shopease_json", value.copy()))


def _match(name: str) -> "_Rewrite":
    def rewrite(node: exp.Expr) -> None:
        array, condition = node.expressions
        matched = exp.func(name, exp.func("list_transform", array.copy(), condition.copy()))
        node.replace(exp.Not(this=matched) if node.name.lower() == "none_match" else matched)

    return rewrite


def _milliseconds(node: exp.Expr) -> None:
    """DuckDB includes the seconds."""
    node.replace(exp.Mod(this=exp.func("millisecond", *node.expressions), expression=exp.Literal.number(1000)))


def _rename(name: str) -> "_Rewrite":
    def rewrite(node: exp.Expr) -> None:
        node.replace(exp.func(name, *(value.copy() for value in node.expressions)))

    return rewrite


def _unnest(node: exp.Expr) -> None:
    """Write it as a subquery that fills shorter arrays with NULL; a single array stays as it is.

    DuckDB unnests several arrays, and maps, only in SELECT.
    """
    if len(node.expressions) == 1 and not _is_map(node.expressions[0]):
        return
    lists: list[exp.Expr] = []
    for value in node.expressions:
        parts = ("map_keys", "map_values") if _is_map(value) else ("",)
        lists += [exp.func(part, value.copy()) if part else value.copy() for part in parts]
    alias = node.args.get("alias")
    if offset := node.args.get("offset"):
        lengths = [exp.func("len", value.copy()) for value in lists]
        lists.append(exp.func("generate_series", exp.Literal.number(1), exp.func("greatest", *lengths)))
        if alias is not None and alias.columns and isinstance(offset, exp.Identifier):
            alias.append("columns", offset.copy())
    items = [exp.alias_(exp.Anonymous(this="unnest", expressions=[value]), f"_col{n}") for n, value in enumerate(lists)]
    node.replace(exp.Lateral(this=exp.Subquery(this=exp.select(*items)), alias=alias and alias.copy()))


def _is_map(node: exp.Expr) -> bool:
    functions = {"map_agg", "multimap_agg", "histogram", "map_concat"}
    return isinstance(node, _MAPS) or (isinstance(node, exp.Anonymous) and node.name.lower() in functions)


_Rewrite = Callable[[exp.Expr], object]
_MAPS: Final = (exp.Map, exp.MapFromEntries, exp.VarMap)
_REWRITES: Final[dict[type[exp.Expr], _Rewrite]] = {
    exp.Div: divide,
    exp.Avg: average,
    exp.TimestampTrunc: keep_type,
    exp.DateTrunc: keep_type,
    exp.DateAdd: keep_type,
    exp.Add: keep_type_of_other_side,
    exp.Sub: keep_type_of_other_side,
    exp.DateDiff: whole_units,
    exp.Format: rewrite_format,
    **dict.fromkeys((exp.GT, exp.GTE, exp.LT, exp.LTE, exp.Between), _compare),
    exp.EQ: _equal,
    exp.NEQ: _equal,
    exp.In: _in,
    exp.Extract: extract,
    exp.Bracket: _item,
    exp.Cast: rewrite_cast,
    exp.TryCast: rewrite_cast,
    exp.RegexpReplace: _replace_by_pattern,
    exp.ParseDatetime: parse_datetime,
    exp.Substring: _call("shopease_substr", "this", "start", "length"),
    exp.GenerateSeries: _sequence,
    exp.RegexpExtract: _extract_text,
    # DuckDB returns a hash as text
    exp.SHA: lambda node: node.replace(exp.Unhex(this=node.copy())),
    exp.ArraySlice: _call("shopease_slice", "this", "start", "end"),
    exp.ArrayPosition: _call("shopease_position", "this", "expression"),
    exp.ArrayContains: _call("shopease_contains", "this", "expression"),
    exp.Split: _split,
    exp.TimeToStr: week_of_year,
    exp.Unnest: _unnest,
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
