"""DuckDB's messages for people who write Athena's SQL: one line, without its guesses and its echo of translated SQL."""

import re
from collections.abc import Callable, Collection
from typing import Final

from shopease_etl.errors import ConfigurationError
from shopease_etl.warehouse.dialect import place_of
from shopease_etl.warehouse.metadata_statements import nearest

DOCUMENT: Final = "docs/SQL.md lists what a local lake can do"
_LENGTH: Final = 500
_TABLE: Final = re.compile(r"Table with name (\S+) does not exist")
_ALIAS: Final = re.compile(r'Referenced table "([^"]+)" not found')
_COLUMN: Final = re.compile(r'(?:Referenced column|have a column named) "([^"]+)"')
_FUNCTION: Final = re.compile(r"Function with name \"?([^\s\"]+)\"? does not exist")
_MUST_BE_GROUPED: Final = re.compile(r'column "([^"]+)" must appear in the GROUP BY')
_NOT_COMPARED: Final = re.compile(r"Cannot (?:compare|mix) values of type (\S+) and (?:values of )?(?:type )?(\S+)")
_CAST: Final = "cast one of the two: DATE '2024-01-31', TIMESTAMP '2024-01-31 08:00:00', CAST(x AS bigint)"
_ARGUMENTS: Final = re.compile(
    r"(?:argument types|for the function call) ['\"](?:shopease_)?(?P<name>[^(]+)\((?P<types>.*?)\)['\"]\."
)
# texts of the macros shopease_whole, shopease_shorten, shopease_day and shopease_truth
_NOT_CAST: Final = re.compile(
    r"Could not convert string ('.*) (is not a whole number|does not fit into varchar\(\d+\))' to INT", re.DOTALL
)
_NOT_A: Final = re.compile(r"""['"]not a (date|boolean): (.*)(?:", expected|' to BOOL)""", re.DOTALL)
# a part of DuckDB's message, what it is about, and a word of the statement near it
_MISSING: Final = (
    ("UNNEST requires a single list", "UNNEST of a map that is not made in its parentheses", "UNNEST"),
    ("does not support lambdas", "a lambda for this function", "->"),
    ("Cannot concatenate types", "|| of an array and an item, without ARRAY[…] around the item,", "||"),
)
_TEXT: Final = (
    "cast the text, CAST(x AS bigint), or read a typed view: all columns of bronze_ and silver_ tables are text, "
    "those of transactions, products and their like are not"
)
_CUT: Final = re.compile(
    r"\n\s*LINE \d+:|\n\s*Possible \w+|\s*Candidate (?:func|macro|bindings|tables|time)|\s*Did you mean"
    r"| Use TRY\(| You might need| in expression \("
)


def reason(message: str) -> str:
    """The message in one line, without lists of options."""
    if "No files found" in message:
        return "it is not there"
    if (value := _NOT_CAST.search(message)) is not None:
        return f"{value[1]}' {value[2]}"[:_LENGTH]
    if (value := _NOT_A.search(message)) is not None:
        return f"'{value[2]}' is not a {value[1]}"[:_LENGTH]
    text = _CUT.split(message)[0]
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if (csv_line := re.search(r"CSV Error on Line: (\d+)", text)) is not None:
        return f"line {csv_line[1]}: {lines[-1]}"[:_LENGTH]
    return re.sub(r"^(?:[A-Z]\w+ )+Error: ", "", " ".join(lines))[:_LENGTH]


def unknown_table(message: str) -> str | None:
    """The name of a table that does not exist, where the message is about one."""
    found = _TABLE.search(message)
    return found[1].strip('"!') if found else None


def wrong_name(message: str, sql: str, columns: Callable[[], Collection[str]]) -> ConfigurationError | None:
    """The error for a column or function that does not exist, with its place and the nearest names.

    `columns` gives those of all tables that the statement names.
    """
    if (alias := _ALIAS.search(message)) is not None:
        return ConfigurationError(f"FROM has no table {at(alias[1], sql)}", hint="name it in FROM, or correct the name")
    if (column := _COLUMN.search(message)) is not None:
        if column[1].startswith("$"):
            return not_available("a hidden column", at(column[1], sql))
        known = columns()
        hint = nearest(column[1], known) if known else None
        return ConfigurationError(f"there is no column {at(column[1], sql)}", hint=hint)
    if (function := _FUNCTION.search(message)) is not None:
        return not_available(f"the function {function[1].lower()}", at(function[1], sql))
    if (compared := _NOT_COMPARED.search(message)) is not None:
        return ConfigurationError(f"Athena cannot compare {compared[1].lower()} with {compared[2].lower()}", hint=_CAST)
    if (arguments := _ARGUMENTS.search(message)) is not None:
        return _wrong_types(arguments["name"], arguments["types"], sql)
    for text, what, word in _MISSING:
        if text in message:
            return not_available(what, at(word, sql))
    if (column := _MUST_BE_GROUPED.search(message)) is not None:
        return ConfigurationError(
            f"neither in GROUP BY nor in an aggregate function: {at(column[1], sql)}",
            hint="add it to GROUP BY, or use arbitrary(…) where any of its values will do",
        )
    return None


def _wrong_types(name: str, types: str, sql: str) -> ConfigurationError:
    """The error for a call of wrong types; DuckDB may name a function that the translation calls."""
    kinds = types.replace("STRING_LITERAL", "VARCHAR").replace("_LITERAL", "").lower()
    place = place_of(sql, name)
    what = f"{name} does" if place else "a function or operator of the statement does"
    where = f", at {place}" if place else ""
    hint = _TEXT if "varchar" in kinds.split(", ") else DOCUMENT
    return ConfigurationError(f"{what} not take ({kinds}){where}", hint=hint)


def not_available(what: str, place: str) -> ConfigurationError:
    """The error for something that Athena has and a local lake has not."""
    return ConfigurationError(f"{what} is not available on a local lake: {place}", hint=DOCUMENT)


def no_table(name: str, sql: str, known: Collection[str]) -> ConfigurationError:
    """The error for a table that does not exist, with its place and the nearest names."""
    return ConfigurationError(f"there is no table {at(name, sql)}", hint=nearest(name.rpartition(".")[2], known))


def at(name: str, sql: str) -> str:
    """A name with its place in the statement, if it is there."""
    place = place_of(sql, name)
    return f"{name} at {place}" if place else name
