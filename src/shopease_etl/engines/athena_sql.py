"""Athena's SQL told to DuckDB: only reading statements pass, and where the two differ the answer is Athena's."""

import itertools
import re
from contextlib import suppress
from typing import Final

from shopease_etl.errors import ConfigurationError

try:
    import sqlglot
    from sqlglot import Token, exp
    from sqlglot.errors import ErrorLevel, ParseError, SqlglotError, TokenError
except ModuleNotFoundError as missing:
    raise ConfigurationError("SQL needs sqlglot", hint="pip install 'shopease[query]'") from missing

from shopease_etl.engines.trino_semantics import as_trino_computes

_READING: Final = "SELECT, WITH, VALUES, SHOW TABLES, SHOW COLUMNS, DESCRIBE and EXPLAIN"
_FIRST_WORDS: Final = {"SELECT", "WITH", "VALUES", "TABLE", "(", "SHOW", "DESCRIBE", "DESC", "EXPLAIN"}
_WRITING: Final = (exp.DML, exp.DDL, exp.Command, exp.Into, exp.Copy, exp.Drop, exp.Set, exp.Pragma, exp.Use)
_UNITS: Final = re.compile(r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|--[^\n]*|/\*.*?\*/|(?P<unclosed>['"]|/\*)""", re.DOTALL)
_NAME: Final = r'(?:[`"]?(?P<database>[\w-]+)[`"]?\.)?[`"]?(?P<table>[\w-]+)[`"]?'
_SHOW_TABLES: Final = re.compile(r'SHOW\s+TABLES(?:\s+(?:IN|FROM)\s+[`"]?(?P<database>[\w-]+)[`"]?)?', re.IGNORECASE)
_SHOW_COLUMNS: Final = re.compile(rf"SHOW\s+COLUMNS\s+(?:IN|FROM)\s+{_NAME}", re.IGNORECASE)
_DESCRIBE: Final = re.compile(rf"DESC(?:RIBE)?\s+{_NAME}", re.IGNORECASE)
_EXPLAIN_OPTIONS: Final = re.compile(r"\s*\(\s*(?:FORMAT|TYPE)\b[^()]*\)", re.IGNORECASE)


def translate(sql: str, database: str) -> str:
    """One reading statement in DuckDB's SQL; ConfigurationError, with the place, for what writes or does not parse."""
    first, last = _only_statement(sql)
    keyword = first.text.upper()
    if keyword not in _FIRST_WORDS:
        raise _refusal(f"this one begins with {keyword}", sql, first.start)
    if keyword == "EXPLAIN":
        return f"EXPLAIN {translate(sql[: first.start] + ' ' * len(keyword) + sql[first.end + 1 :], database)}"
    if keyword in {"SHOW", "DESCRIBE", "DESC"}:
        return _metadata_query(sql, sql[first.start : last.end + 1], database, first)
    return as_trino_computes(_parsed(sql)).sql("duckdb", unsupported_level=ErrorLevel.IGNORE, comments=False)


def reading_statement(sql: str) -> tuple[str, int]:
    """The one reading statement as it stands, without comments around it, and where it begins.

    ConfigurationError for what writes; whether the rest is right is Athena's to say.
    """
    first, last = _only_statement(sql)
    _refuse_writing(sql)
    return sql[first.start : last.end + 1], first.start


def _refuse_writing(sql: str) -> None:
    first, _ = _only_statement(sql)
    keyword = first.text.upper()
    if keyword not in _FIRST_WORDS:
        raise _refusal(f"this one begins with {keyword}", sql, first.start)
    if keyword == "EXPLAIN":
        end = first.end + 1
        if options := _EXPLAIN_OPTIONS.match(sql, end):
            end = options.end()
        _refuse_writing(" " * end + sql[end:])
    elif keyword not in {"SHOW", "DESCRIBE", "DESC"}:
        with suppress(SqlglotError):
            for statement in sqlglot.parse(sql, read="athena"):
                if statement is not None and (writing := statement.find(*_WRITING)) is not None:
                    raise _refusal(f"this one holds {writing.key.upper()}", sql, None)


def tables_in(sql: str) -> set[str]:
    """The names, in lower case, of the tables and views that a statement reads."""
    return {name for _, name in table_references(sql) or ()}


def table_references(sql: str) -> list[tuple[str, str]] | None:
    """Database (empty where not named) and name, in lower case, of a table or view for each time that it is read.

    Names of the statement's own WITH are left out. None where the statement cannot be parsed.
    """
    words = sql.split(None, 1)
    statement = words[1] if len(words) > 1 and words[0].upper() == "EXPLAIN" else sql
    try:
        parsed = sqlglot.parse_one(statement, read="athena")
    except SqlglotError:
        return None
    own = {cte.alias.lower() for cte in parsed.find_all(exp.CTE)}
    found = [(table.db.lower(), table.name.lower()) for table in parsed.find_all(exp.Table)]
    return [(database, name) for database, name in found if name and (database or name not in own)]


def place_of(sql: str, name: str) -> str | None:
    """Where a name first stands in the SQL, as `line 2, column 8: the line`; None where it does not."""
    wanted = name.rpartition(".")[2].casefold()
    for token in _tokens(sql):
        if token.text.casefold() == wanted:
            return _place(sql, token.start)
    return None


def _only_statement(sql: str) -> tuple[Token, Token]:
    """The first and last token of the one statement that there must be."""
    tokens = _tokens(sql)
    while tokens and _ends_statement(tokens[-1]):
        tokens.pop()
    while tokens and _ends_statement(tokens[0]):
        tokens.pop(0)
    if not tokens:
        raise ConfigurationError(f"there is no SQL statement; only reading statements are let through: {_READING}")
    for token, following in itertools.pairwise(tokens):
        if _ends_statement(token):
            raise _refusal("one statement at a time, a second one begins here", sql, following.start)
    return tokens[0], tokens[-1]


def _ends_statement(token: Token) -> bool:
    """A semicolon, not a string that holds one."""
    return token.text == ";" and token.token_type == sqlglot.TokenType.SEMICOLON


def _tokens(sql: str) -> list[Token]:
    try:
        return list(sqlglot.tokenize(sql, read="trino"))
    except TokenError as error:
        unclosed = next((match for match in _UNITS.finditer(sql) if match["unclosed"]), None)
        reason = f"{unclosed[0]} is never closed, at {_place(sql, unclosed.start())}" if unclosed else _one_line(error)
        raise ConfigurationError(f"this is not Athena's SQL: {reason}") from error


def _parsed(sql: str) -> exp.Query | exp.Values:
    try:
        statements = [statement for statement in sqlglot.parse(sql, read="athena") if statement is not None]
    except ParseError as error:
        raise _unreadable(sql, error) from error
    except SqlglotError as error:
        raise ConfigurationError(f"this is not Athena's SQL: {_one_line(error)}") from error
    statement = statements[0]
    writing = statement.find(*_WRITING)
    if writing is not None or not isinstance(statement, (exp.Query, exp.Values)):
        raise _refusal(f"this one holds {(writing or statement).key.upper()}", sql, None)
    return statement


def _unreadable(sql: str, error: ParseError) -> ConfigurationError:
    found = error.errors[0]
    lines = sql.split("\n")
    line, end, word = found["line"], found["col"], found["highlight"]
    offset = sum(len(text) + 1 for text in lines[: line - 1]) + max(end - len(word), 0)
    reason = re.sub(
        r" but got <.*| missing for <class.*|Required keyword: ", "", str(found["description"]), flags=re.DOTALL
    )
    return ConfigurationError(f"this is not Athena's SQL: {reason or 'cannot be read'}, at {_place(sql, offset)}")


def _metadata_query(sql: str, statement: str, database: str, first: Token) -> str:
    if match := _SHOW_TABLES.fullmatch(statement):
        where = f"table_schema = {_literal(match['database'] or database)}"
        return f"SELECT table_name FROM information_schema.tables WHERE {where} ORDER BY 1"  # noqa: S608 - literals are quoted
    match = _SHOW_COLUMNS.fullmatch(statement) or _DESCRIBE.fullmatch(statement)
    if match is None:
        raise _refusal("this form is not supported on a local lake", sql, first.start)
    schema, table = _literal(match["database"] or database), _literal(match["table"].lower())
    where = f"table_schema = {schema} AND lower(table_name) = {table}"
    if statement.upper().startswith("SHOW"):
        chosen = "column_name"
    else:
        kind = "replace(replace(lower(data_type), 'varchar', 'string'), 'integer', 'int')"
        chosen = f"column_name, {kind} AS data_type"
    return f"SELECT {chosen} FROM information_schema.columns WHERE {where} ORDER BY ordinal_position"  # noqa: S608 - literals are quoted


def _refusal(reason: str, sql: str, offset: int | None) -> ConfigurationError:
    place = "" if offset is None else f" at {_place(sql, offset)}"
    told = " ".join(f"{reason}{place}".split())
    return ConfigurationError(f"only reading statements are let through: {_READING}; {told}")


def _place(sql: str, offset: int) -> str:
    before = sql[:offset]
    line, column = before.count("\n") + 1, offset - (before.rfind("\n") + 1) + 1
    return f"line {line}, column {column}: {' '.join(sql.split(chr(10))[line - 1].split())[:120]}"


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
