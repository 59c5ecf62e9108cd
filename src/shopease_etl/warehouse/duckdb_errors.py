"""DuckDB's messages in one line, for people who write Athena's SQL: without guesses and translated SQL."""

import re
from collections.abc import Callable, Collection
from typing import Final

from shopease_etl.errors import ConfigurationError
from shopease_etl.warehouse.dialect import place_of
from shopease_etl.warehouse.metadata_statements import nearest

DOCUMENT: Final = "docs/SQL.md lists what a local lake can do"
_LENGTH: Final = 500
_CUT: Final = re.compile(
    r"\n\s*LINE \d+:|\n\s*Possible \w+|\s*Candidate (?:func|macro|bindings|tables|time)|\s*Did you mean"
    r"| Use TRY\(| You might need| in expression \("
)


def reason(message: str) -> str:
    """The message in one line, without lists of options."""
    if "No files found" in message:
        return "it is not there"
    # texts of the macros shopease_whole and shopease_shorten, then of shopease_day and shopease_truth
    not_cast = r"Could not convert string ('.*) (is not a whole number|does not fit into varchar\(\d+\))' to INT"
    if value := re.search(not_cast, message, re.DOTALL):
        return f"{value[1]}' {value[2]}"[:_LENGTH]
    if value := re.search(r"""['"]not a (date|boolean): (.*)(?:", expected|' to BOOL)""", message, re.DOTALL):
        return f"'{value[2]}' is not a {value[1]}"[:_LENGTH]
    text = _CUT.split(message)[0]
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if csv_line := re.search(r"CSV Error on Line: (\d+)", text):
        return f"line {csv_line[1]}: {lines[-1]}"[:_LENGTH]
    return re.sub(r"^(?:[A-Z]\w+ )+Error: ", "", " ".join(lines))[:_LENGTH]


def unknown_table(message: str) -> str | None:
    """The name of the table, if the message is about one that does not exist."""
    found = re.search(r"Table with name (\S+) does not exist", message)
    return found[1].strip('"!') if found else None


def wrong_name(message: str, sql: str, columns: Callable[[], Collection[str]]) -> ConfigurationError | None:
    """The error for a wrong column or function, with its place and similar names.

    `columns` returns the columns of all tables in the statement.
    """
    if alias := re.search(r'Referenced table "([^"]+)" not found', message):
        return ConfigurationError(f"FROM has no table {at(alias[1], sql)}", hint="name it in FROM, or correct the name")
    if column := re.search(r'(?:Referenced column|have a column named) "([^"]+)"', message):
        if column[1].startswith("$"):
            return not_available("a hidden column", at(column[1], sql))
        known = columns()
        hint = nearest(column[1], known) if known else None
        return ConfigurationError(f"there is no column {at(column[1], sql)}", hint=hint)
    if function := re.search(r"Function with name \"?([^\s\"]+)\"? does not exist", message):
        return not_available(f"the function {function[1].lower()}", at(function[1], sql))
    if column := re.search(r'column "([^"]+)" must appear in the GROUP BY', message):
        return ConfigurationError(
            f"neither in GROUP BY nor in an aggregate function: {at(column[1], sql)}",
            hint="add it to GROUP BY, or use arbitrary(…) if any of its values will do",
        )
    return _wrong_types(message, sql) or _missing_form(message, sql)


def _wrong_types(message: str, sql: str) -> ConfigurationError | None:
    """The error for operands or arguments of the wrong types; DuckDB may name a macro of the translation."""
    operands = r"Cannot (?:compare|mix) values of type (\S+) and (?:values of )?(?:type )?(\S+)"
    if compared := re.search(operands, message):
        hint = "cast one of the two: DATE '2024-01-31', TIMESTAMP '2024-01-31 08:00:00', CAST(x AS bigint)"
        return ConfigurationError(f"Athena cannot compare {compared[1].lower()} with {compared[2].lower()}", hint=hint)
    call = r"(?:argument types|for the function call) ['\"](?:shopease_)?(?P<name>[^(]+)\((?P<types>.*?)\)['\"]\."
    if (arguments := re.search(call, message)) is None:
        return None
    kinds = arguments["types"].replace("STRING_LITERAL", "VARCHAR").replace("_LITERAL", "").lower()
    place = place_of(sql, arguments["name"])
    what = f"{arguments['name']} does" if place else "a function or operator of the statement does"
    where = f", at {place}" if place else ""
    text_hint = (
        "cast the text, CAST(x AS bigint), or read a typed view: all columns of bronze_ and silver_ tables are text, "
        "those of transactions, products and similar views are not"
    )
    hint = text_hint if "varchar" in kinds.split(", ") else DOCUMENT
    return ConfigurationError(f"{what} not take ({kinds}){where}", hint=hint)


def _missing_form(message: str, sql: str) -> ConfigurationError | None:
    # a part of DuckDB's message, what it is about, and a word of the statement near it
    for text, what, word in (
        ("UNNEST requires a single list", "UNNEST of a map that is not made in its parentheses", "UNNEST"),
        ("does not support lambdas", "a lambda for this function", "->"),
        ("Cannot concatenate types", "|| of an array and an item, without ARRAY[…] around the item,", "||"),
    ):
        if text in message:
            return not_available(what, at(word, sql))
    return None


def not_available(what: str, place: str) -> ConfigurationError:
    """The error for something that Athena has but a local lake does not."""
    return ConfigurationError(f"{what} is not available on a local lake: {place}", hint=DOCUMENT)


def no_table(name: str, sql: str, known: Collection[str]) -> ConfigurationError:
    """The error for a table that does not exist, with its place and similar names."""
    return ConfigurationError(f"there is no table {at(name, sql)}", hint=nearest(name.rpartition(".")[2], known))


def at(name: str, sql: str) -> str:
    """A name with its place in the statement, if it occurs there."""
    place = place_of(sql, name)
    return f"{name} at {place}" if place else name
