"""Refuses statements that Athena would refuse but DuckDB would run, as far as their text shows it."""

import difflib
import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from sqlglot import Token, TokenType, exp
from sqlglot.dialects import Trino

from shopease_etl.errors import ConfigurationError
from shopease_etl.warehouse.trino_functions import ATHENA, LOCAL

# The columns of a table or view by its name; None if it does not exist.
ColumnsOf = Callable[[str], Sequence[str] | None]
# A place in the statement for a person, by its offset.
Place = Callable[[int], str]

_QUOTED: Final = {TokenType.STRING, TokenType.IDENTIFIER}
_DOCUMENT: Final = "docs/SQL.md lists the functions of a local lake"
_INSTEAD: Final = {
    "format_number": "format('%,.2f', x)",
    "strftime": "date_format(d, '%Y-%m-%d')",
    "left": "substr(x, 1, n)",
    "right": "substr(x, -n)",
    "ifnull": "coalesce(x, y)",
    "nvl": "coalesce(x, y)",
    "string_agg": "listagg(x, ', ') WITHIN GROUP (ORDER BY x)",
    "group_concat": "listagg(x, ', ') WITHIN GROUP (ORDER BY x)",
    "len": "length(x)",
    "median": "approx_percentile(x, 0.5)",
    "epoch": "to_unixtime(t)",
    "reduce": "a sum over UNNEST",
}
_TOKENS: Final = {
    "::": ("the cast x::type", "CAST(x AS type)"),
    "==": ("the operator ==", "="),
    "&": ("the operator &", "bitwise_and(x, y)"),
    "|": ("the operator |", "bitwise_or(x, y)"),
    "^": ("the operator ^", "power(x, y) or bitwise_xor(x, y)"),
    "{": ("a struct in braces", "ROW(x, y)"),
}
# by class of node: an argument that Athena's SQL never has, what it is called, and what to write instead
_FOREIGN_ARGUMENTS: Final[dict[type[exp.Expr], dict[str, tuple[str, str]]]] = {
    exp.ILike: {"this": ("ILIKE", "lower(x) LIKE 'text%'")},
    exp.SimilarTo: {"this": ("SIMILAR TO", "regexp_like(x, 'pattern')")},
    exp.Star: dict.fromkeys(("except_", "replace"), ("* EXCLUDE and * REPLACE", "the names of the columns")),
    exp.Distinct: {"on": ("DISTINCT ON", "row_number() OVER (…) = 1")},
    exp.Group: {"all": ("GROUP BY ALL", "the columns, or their numbers")},
    exp.Join: {"method": ("ASOF and POSITIONAL JOIN", "JOIN … ON")},
    exp.LimitOptions: {"percent": ("LIMIT in percent", "a number of rows")},
    exp.Pivot: {"expressions": ("PIVOT", "max(x) FILTER (WHERE …) for each column")},
}


def refuse_what_athena_refuses(query: exp.Expr, tokens: Sequence[Token], columns_of: ColumnsOf, place: Place) -> None:
    """ConfigurationError, with the place, for what would not run on Athena, and for functions that only Athena has."""
    refuse_missing_functions(tokens, place)
    _refuse_foreign_functions(query, tokens, place)
    for token, following in itertools.pairwise([*tokens, tokens[-1]]):
        found = None if token.token_type in _QUOTED else _TOKENS.get(token.text)
        if token.token_type == TokenType.INTERVAL and following.token_type == TokenType.NUMBER:
            found = ("INTERVAL with a bare number", f"INTERVAL '{following.text}'")
        if found:
            raise _not_athenas(found[0], found[1], place(token.start))
    for node in query.walk():
        if isinstance(node, exp.CurrentUser | exp.CurrentTime | exp.Localtime | exp.CurrentCatalog):
            name = node.sql_name().lower()
            start = next((token.start for token in tokens if token.text.lower() == name), 0)
            raise ConfigurationError(f"{name} is not available on a local lake, at {place(start)}", hint=_DOCUMENT)
        if (foreign := _foreign_syntax(node)) is not None:
            raise _not_athenas(*foreign)
    _check_offset(tokens, place)
    _refuse_texts_as_names(query, tokens, place)
    for select in query.find_all(exp.Select):
        _check_aliases(select, columns_of)


def _refuse_texts_as_names(query: exp.Expr, tokens: Sequence[Token], place: Place) -> None:
    """The parser takes 'stores' in FROM 'stores' for a name in double quotes, as DuckDB does."""
    written = Counter(token.text for token in tokens if token.token_type == TokenType.IDENTIFIER)
    quoted = Counter(name.this for name in query.find_all(exp.Identifier) if name.args.get("quoted"))
    for token in tokens:
        if token.token_type == TokenType.STRING and quoted[token.text] > written[token.text]:
            message = f"a text stands where a name belongs, at {place(token.start)}"
            hint = "write the name bare or in double quotes; a parameter is always a value"
            raise ConfigurationError(message, hint=hint)


def _foreign_syntax(node: exp.Expr) -> tuple[str, str] | None:
    """Syntax that DuckDB has but Athena does not, and what to write instead."""
    for argument, found in _FOREIGN_ARGUMENTS.get(type(node), {}).items():
        if node.args.get(argument):
            return found
    if isinstance(node, exp.Join) and node.kind in {"SEMI", "ANTI"}:
        return "a semi or anti join", "EXISTS or NOT EXISTS"
    if isinstance(node, exp.Ordered) and node.this.name.upper() == "ALL":
        return "ORDER BY ALL", "the columns, or their numbers"
    if isinstance(node, exp.DataType) and node.this == exp.DType.TEXT:
        return "the types text and string", "varchar"
    return None


def _not_athenas(what: str, instead: str, place: str = "") -> ConfigurationError:
    where = f", at {place}" if place else ""
    return ConfigurationError(f"Athena does not know {what}{where}", hint=f"use {instead}")


def refuse_missing_functions(tokens: Sequence[Token], place: Place) -> None:
    """ConfigurationError, with the place, for a function that Athena has but a local lake does not."""
    for token in _called(tokens):
        name = token.text.lower()
        if (name in ATHENA or name.startswith("st_")) and name not in LOCAL:
            message = f"the function {name} is not available on a local lake, at {place(token.start)}"
            raise ConfigurationError(message + _instead(name), hint=_DOCUMENT)


def _refuse_foreign_functions(query: exp.Expr, tokens: Sequence[Token], place: Place) -> None:
    functions = {function.name.lower() for function in query.find_all(exp.Anonymous)}
    registered = {*Trino.Parser.FUNCTIONS, *Trino.Parser.FUNCTION_PARSERS}
    for token in _called(tokens):
        name = token.text.lower()
        if name in ATHENA or (name not in functions and name.upper() not in registered):
            continue
        if token.token_type == TokenType.VAR or name in _INSTEAD:
            close = difflib.get_close_matches(name, ATHENA, 1, 0.8)
            message = f"Athena has no function {name}, at {place(token.start)}{_instead(name)}"
            raise ConfigurationError(message, hint=f"did you mean {close[0]}?" if close else _DOCUMENT)


def _called(tokens: Sequence[Token]) -> Iterator[Token]:
    """The names before an opening parenthesis, but not aliases of tables: these follow a parenthesis or a name."""
    aliased = {TokenType.R_PAREN, TokenType.VAR, TokenType.ALIAS, TokenType.WITH, TokenType.ORDINALITY}
    before: Token | None = None
    for token, following in itertools.pairwise(tokens):
        is_name = token.token_type not in _QUOTED
        names_table = before is not None and before.token_type in aliased
        if is_name and following.token_type == TokenType.L_PAREN and not names_table:
            yield token
        before = token


def _instead(name: str) -> str:
    return f"; use {_INSTEAD[name]}" if name in _INSTEAD else ""


def _check_offset(tokens: Sequence[Token], place: Place) -> None:
    """Trino requires OFFSET before LIMIT."""
    depths: dict[int, bool] = {}
    depth = 0
    for token in tokens:
        depth += (token.token_type == TokenType.L_PAREN) - (token.token_type == TokenType.R_PAREN)
        if token.token_type in {TokenType.SELECT, TokenType.LIMIT}:
            depths[depth] = token.token_type == TokenType.LIMIT
        elif token.token_type == TokenType.OFFSET and depths.get(depth):
            raise _not_athenas("OFFSET after LIMIT", "OFFSET … LIMIT …", place(token.start))


def _check_aliases(select: exp.Select, columns_of: ColumnsOf) -> None:
    """An alias of SELECT can be used only in ORDER BY."""
    aliases = {item.alias.lower() for item in select.expressions if isinstance(item, exp.Alias)}
    trees = [("SELECT", item) for item in select.expressions]
    clauses = {"where": "WHERE", "group": "GROUP BY", "having": "HAVING"}
    trees += [(clause, tree) for key, clause in clauses.items() if (tree := select.args.get(key))]
    for clause, column in ((clause, column) for clause, tree in trees for column in tree.find_all(exp.Column)):
        name = column.name.lower()
        if name not in aliases or column.table or column.find_ancestor(exp.Select) is not select:
            continue
        if (known := _source_columns(select, columns_of)) is not None and name not in known:
            instead = "the expression itself, or its number in GROUP BY"
            raise _not_athenas(f"the alias {column.name} in {clause}", instead)


def _source_columns(select: exp.Select, columns_of: ColumnsOf) -> set[str] | None:
    """The columns of all sources of a SELECT; None if they are not known, or it may read from an outer query."""
    parent = select.parent
    while isinstance(parent, (exp.SetOperation, exp.Subquery)):
        parent = parent.parent
    if not isinstance(parent, (exp.CTE, exp.From, exp.Join, type(None))):
        return None
    source = select.args.get("from_")
    found: set[str] = set()
    for item in [source.this if source else None, *(join.this for join in select.args.get("joins") or ())]:
        columns = _columns_of_source(item, select, columns_of) if item is not None else []
        if columns is None:
            return None
        found |= {name.lower() for name in columns}
    return found


def _columns_of_source(item: exp.Expr, select: exp.Select, columns_of: ColumnsOf) -> Sequence[str] | None:
    alias = item.args.get("alias")
    if alias is not None and alias.args.get("columns"):
        return [column.name for column in alias.args["columns"]]
    if isinstance(item, exp.Table):
        own = {cte.alias.lower(): cte for with_ in select.root().find_all(exp.With) for cte in with_.expressions}
        if item.db or item.name.lower() not in own:
            return columns_of(item.name)
        item = own[item.name.lower()]
        if columns := item.args["alias"].args.get("columns"):
            return [column.name for column in columns]
    query = item.this
    names = query.named_selects if isinstance(query, exp.Query) else ["*"]
    return None if "*" in names else names
