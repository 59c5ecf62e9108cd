"""UNNEST of several arrays and of maps, which DuckDB does in SELECT only."""

from typing import Final

from sqlglot import exp

_MAPS: Final = (exp.Map, exp.MapFromEntries, exp.VarMap)
_MAP_FUNCTIONS: Final = {"map_agg", "multimap_agg", "histogram", "map_concat"}


def rewrite_unnest(node: exp.Expr) -> None:
    """Writes it as a subquery, the shorter arrays filled up with NULL; one array stays as it is."""
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
    return isinstance(node, _MAPS) or (isinstance(node, exp.Anonymous) and node.name.lower() in _MAP_FUNCTIONS)
