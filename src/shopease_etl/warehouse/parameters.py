"""Parameters of a statement: `:name` stands for a value, which becomes a literal of Athena's SQL, on DuckDB too.

Athena's own `?` can neither be repeated nor stand in LIMIT, and its values, too, are literals in text. A literal is one
token whatever the value is, so no value changes what the statement does.
"""

import difflib
import re
from collections.abc import Iterator, Mapping
from datetime import date
from typing import TYPE_CHECKING, Final

from shopease_etl.errors import ConfigurationError
from shopease_etl.warehouse.dialect import as_query, tokens_of

if TYPE_CHECKING:
    from sqlglot import Token

# Not a parameter: b in json_object('a':b) and in x::b.
_NAME: Final = re.compile(r"(?<![\w'\")\]:]):([^\W\d]\w*)")
_NUMBER: Final = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?", re.ASCII)
_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_TEXT: Final = re.compile(r"'((?:[^']|'')*)'")
# The literal of DATE '2024-01-31' is a text.
_TYPES: Final = {"DATE", "TIME", "TIMESTAMP", "INTERVAL"}


def parameters_in(sql: str) -> tuple[str, ...]:
    """The names of the parameters in the order of their first places.

    Raises:
        ConfigurationError: a string, a quoted name or a comment is not closed.
    """
    return tuple(dict.fromkeys(found[1] for found, _ in _places(sql)))


def bind(sql: str, values: Mapping[str, str]) -> str:
    """The statement with a literal in place of each parameter; unchanged if it has none.

    A plain number, such as -12.50, is a number, and a day, such as 2024-01-31, a date; all else is a text. In single
    quotes, written as in SQL, anything is a text.

    Raises:
        ConfigurationError: a parameter has no value, a value no parameter, or a value cannot be written in SQL.
    """
    names = parameters_in(sql)
    if unknown := [name for name in values if name not in names]:
        close = difflib.get_close_matches(unknown[0], names, 1)
        known = f"it has {', '.join(names)}" if names else "it has none: a parameter is written :name"
        hint = f"did you mean {close[0]}? ({known})" if close else known
        raise ConfigurationError(f"the statement has no parameter {unknown[0]}", hint=hint)
    if absent := [name for name in names if name not in values]:
        what = "parameter" if len(absent) == 1 else "parameters"
        given = [f"{name}=VALUE" for name in absent]
        hint = f"--param {' --param '.join(given)} (in the shell: \\p {' '.join(given)})"
        raise ConfigurationError(f"no value for the {what} {', '.join(absent)} of the statement", hint=hint)
    bound, end = "", 0
    for found, before in _places(sql):
        is_text = before is not None and before.token_type.name in _TYPES
        # blanks: `x-:n` with -5 must not become a comment
        bound += f"{sql[end : found.start()]} {_literal(found[1], values[found[1]], is_text=is_text)} "
        end = found.end()
    return bound + sql[end:]


def _places(sql: str) -> Iterator[tuple[re.Match[str], "Token | None"]]:
    """The places of parameters, each with the token before it; not those in strings, quoted names and comments."""
    text = as_query(sql)
    before: Token | None = None
    for token in tokens_of(text):
        if token.token_type.name == "COLON" and (found := _NAME.match(text, token.start)):
            yield found, before
        before = token


def _literal(name: str, value: str, *, is_text: bool) -> str:
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise ConfigurationError(f"the value of parameter {name} is not UTF-8 text") from error
    if quoted := _TEXT.fullmatch(value):
        return f"'{quoted[1]}'"
    if not is_text and _NUMBER.fullmatch(value):
        return value
    if not is_text and _DATE.fullmatch(value):
        try:
            return f"DATE '{date.fromisoformat(value)}'"
        except ValueError as error:
            message = f"the value of parameter {name} is not a day: {value}"
            raise ConfigurationError(message, hint=f"""as a text: --param "{name}='{value}'\"""") from error
    return "'" + value.replace("'", "''") + "'"
