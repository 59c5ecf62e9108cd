"""Translates Athena's SQL for DuckDB: only read-only statements, with Athena's results where the two differ."""

import difflib
import itertools
import logging
import re
from contextlib import suppress
from functools import partial
from typing import Final

from shopease_etl.contract.layout import SALE_MONTH
from shopease_etl.errors import ConfigurationError

try:
    import sqlglot
    from sqlglot import Token, exp
    from sqlglot.errors import ErrorLevel, ParseError, SqlglotError, TokenError, UnsupportedError
except ModuleNotFoundError as missing:
    raise ConfigurationError("SQL needs sqlglot", hint="pip install 'shopease[query]'") from missing

from shopease_etl.warehouse.athena_refusals import ColumnsOf, refuse_missing_functions, refuse_what_athena_refuses
from shopease_etl.warehouse.trino_semantics import as_trino_computes
from shopease_etl.wording import one_line

# its warnings about statements that it cannot parse add nothing to our errors
logging.getLogger("sqlglot").setLevel(logging.CRITICAL)

_READING: Final = "SELECT, WITH, VALUES, TABLE, SHOW, DESCRIBE and EXPLAIN"
_FIRST_WORDS: Final = {"SELECT", "WITH", "VALUES", "TABLE", "(", "SHOW", "DESCRIBE", "DESC", "EXPLAIN"}
_WRITING: Final = (exp.DML, exp.DDL, exp.Command, exp.Into, exp.Copy, exp.Drop, exp.Set, exp.Pragma, exp.Use)
_UNITS: Final = re.compile(r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|--[^\n]*|/\*.*?\*/|(?P<unclosed>['"]|/\*)""", re.DOTALL)
_METADATA: Final = {"SHOW", "DESCRIBE", "DESC"}
_EXPLAIN_OPTIONS: Final = re.compile(r"\s*\(\s*(?:FORMAT|TYPE)\b[^()]*\)", re.IGNORECASE)


def translate(sql: str, columns_of: ColumnsOf = lambda _: None) -> str:
    """One query, or EXPLAIN of one, in DuckDB's SQL; `columns_of` helps to find what Athena would refuse.

    ConfigurationError, with the place, for statements that write, do not parse, or are not available on a local lake.
    """
    first, _ = _only_statement(sql)
    if _keyword(sql, first) == "EXPLAIN":
        query = sql[: first.start] + " " * len("EXPLAIN") + sql[first.end + 1 :]
        return f"EXPLAIN {translate(query, columns_of)}"
    try:
        parsed = _parsed(sql)
    except ConfigurationError:
        # not a syntax error if the parser knows the function with other arguments
        refuse_missing_functions(tokens_of(sql), partial(_place, sql))
        raise
    refuse_what_athena_refuses(parsed, tokens_of(sql), columns_of, partial(_place, sql))
    try:
        return as_trino_computes(parsed).sql("duckdb", unsupported_level=ErrorLevel.RAISE, comments=False)
    except UnsupportedError as error:
        reason = one_line(str(error).replace("when targeting DuckDB", ""))
        hint = "docs/SQL.md lists what a local lake can do"
        raise ConfigurationError(f"not available on a local lake: {reason}", hint=hint) from error


def metadata_statement(sql: str) -> str | None:
    """A SHOW or DESCRIBE without comments, None for another statement; ConfigurationError for one that writes."""
    first, last = _only_statement(sql)
    if _keyword(sql, first) not in _METADATA:
        return None
    # the tokenizer takes everything after SHOW for one text, comments included
    return (
        _UNITS.sub(lambda unit: " " if unit[0].startswith(("--", "/*")) else unit[0], sql[first.start : last.end + 1])
        .strip()
        .rstrip(";")
        .rstrip()
    )


def reading_statement(sql: str) -> tuple[str, int]:
    """The one read-only statement, without comments around it, and its offset.

    ConfigurationError for one that writes; Athena checks everything else.
    """
    first, last = _only_statement(sql)
    _refuse_writing(sql)
    return sql[first.start : last.end + 1], first.start


def _keyword(sql: str, first: Token) -> str:
    """The first word of a statement, in capitals; ConfigurationError if it is not read-only."""
    keyword = first.text.upper()
    if keyword in _FIRST_WORDS:
        return keyword
    close = difflib.get_close_matches(keyword, _FIRST_WORDS, 1, 0.75)
    raise _refusal(f"found {keyword}", sql, first.start, hint=f"did you mean {close[0]}?" if close else None)


def _refuse_writing(sql: str) -> None:
    first, _ = _only_statement(sql)
    keyword = _keyword(sql, first)
    if keyword == "EXPLAIN":
        end = first.end + 1
        if options := _EXPLAIN_OPTIONS.match(sql, end):
            end = options.end()
        _refuse_writing(" " * end + sql[end:])
    elif keyword not in _METADATA:
        with suppress(SqlglotError):
            for statement in sqlglot.parse(sql, read="athena"):
                if statement is not None and (writing := statement.find(*_WRITING)) is not None:
                    raise _refusal(f"found {writing.key.upper()}", sql, None)


def tables_in(sql: str) -> set[str]:
    """The names of the tables and views that a statement reads, in lower case."""
    return {name for _, name in table_references(sql) or ()}


def table_references(sql: str) -> list[tuple[str, str]] | None:
    """Database (empty if not given) and name of each table or view, in lower case, once for each time it is read.

    Without names from the statement's own WITH. None if the statement cannot be parsed.
    """
    tables = _tables_read(sql)
    return None if tables is None else [(table.db.lower(), table.name.lower()) for table in tables]


def months_in(sql: str) -> dict[str, frozenset[str] | None]:
    """The names of `tables_in`, each with the months to which the statement limits the table; None if to none.

    It is limited if it is named once, and its WHERE has `sale_month = '2024-11'`, or IN with a list, alone or with AND.
    """
    found: dict[str, frozenset[str] | None] = {}
    for table in _tables_read(sql) or ():
        name = table.name.lower()
        found[name] = None if name in found else _months_of(table)
    return found


def _months_of(table: exp.Table) -> frozenset[str] | None:
    """The months in the WHERE of the SELECT that has the table in its FROM or in a JOIN."""
    source = table.parent
    select = source.parent if isinstance(source, (exp.From, exp.Join)) else None
    where = select.args.get("where") if isinstance(select, exp.Select) else None
    whole = None if where is None else where.this.unnest()
    for condition in whole.flatten() if isinstance(whole, exp.And) else [whole]:
        if not isinstance(condition, (exp.EQ, exp.In)):
            continue
        column = condition.this
        values = condition.expressions if isinstance(condition, exp.In) else [condition.expression]
        is_ours = isinstance(column, exp.Column) and column.table.lower() in {"", table.alias_or_name.lower()}
        is_literal = values and all(isinstance(value, exp.Literal) and value.is_string for value in values)
        if is_ours and is_literal and column.name.lower() == SALE_MONTH:
            return frozenset(value.name for value in values)
    return None


def _tables_read(sql: str) -> list[exp.Table] | None:
    words = sql.split(None, 1)
    if words and words[0].upper() in _METADATA:
        return []
    statement = words[1] if len(words) > 1 and words[0].upper() == "EXPLAIN" else sql
    try:
        parsed = sqlglot.parse_one(statement, read="athena")
    except SqlglotError:
        return None
    own = {cte.alias.lower() for cte in parsed.find_all(exp.CTE)}
    return [table for table in parsed.find_all(exp.Table) if table.name and (table.db or table.name.lower() not in own)]


def place_of(sql: str, name: str) -> str | None:
    """The first place of a name in the SQL, as `line 2, column 8: the line`; None if it does not occur."""
    wanted = name.rpartition(".")[2].casefold()
    for token in tokens_of(sql):
        if token.text.casefold() == wanted:
            return _place(sql, token.start)
    return None


def _only_statement(sql: str) -> tuple[Token, Token]:
    """The first and last token of the one statement."""
    tokens = tokens_of(sql)
    while tokens and _ends_statement(tokens[-1]):
        tokens.pop()
    while tokens and _ends_statement(tokens[0]):
        tokens.pop(0)
    if not tokens:
        raise ConfigurationError(
            "there is no SQL statement", hint=f"write one that begins with {_READING.replace(' and ', ' or ')}"
        )
    for token, following in itertools.pairwise(tokens):
        if _ends_statement(token):
            message = f"only one statement at a time is allowed; a second one begins at {_place(sql, following.start)}"
            raise ConfigurationError(message)
    return tokens[0], tokens[-1]


def _ends_statement(token: Token) -> bool:
    """Whether it is a semicolon, not a string with one."""
    return token.text == ";" and token.token_type == sqlglot.TokenType.SEMICOLON


def as_query(sql: str) -> str:
    """The statement with blanks in place of EXPLAIN, after which the tokenizer takes everything for one text."""
    tokens = tokens_of(sql)
    word = next((token for token in tokens if not _ends_statement(token)), None)
    if word is None or word.text.upper() != "EXPLAIN":
        return sql
    return re.sub(r"[^\n]", " ", sql[: word.end + 1]) + sql[word.end + 1 :]


def tokens_of(sql: str) -> list[Token]:
    """The tokens of a text; ConfigurationError if a string, a quoted name or a comment is not closed."""
    try:
        return list(sqlglot.tokenize(sql, read="trino"))
    except TokenError as error:
        unclosed = next((match for match in _UNITS.finditer(sql) if match["unclosed"]), None)
        if unclosed is None:
            raise ConfigurationError("SQL syntax error: the statement cannot be read") from error
        what = {"'": "string", '"': "quoted name"}.get(unclosed[0], "comment")
        raise ConfigurationError(
            f"SQL syntax error: {what} is not closed, at {_place(sql, unclosed.start())}",
            hint=f"add the closing {'*/' if unclosed[0] == '/*' else unclosed[0]}",
        ) from error


def _parsed(sql: str) -> exp.Query | exp.Values:
    try:
        statements = [statement for statement in sqlglot.parse(sql, read="athena") if statement is not None]
    except ParseError as error:
        raise _syntax_error(sql, error) from error
    except SqlglotError as error:
        raise ConfigurationError("SQL syntax error: the statement cannot be read") from error
    statement = statements[0]
    writing = statement.find(*_WRITING)
    if writing is not None or not isinstance(statement, (exp.Query, exp.Values)):
        raise _refusal(f"found {(writing or statement).key.upper()}", sql, None)
    return statement


def _syntax_error(sql: str, error: ParseError) -> ConfigurationError:
    """The token at which the parser stopped, and what it expected there, if it is a word of SQL."""
    found = error.errors[0]
    tokens = tokens_of(sql)
    end = sum(len(line) + 1 for line in sql.split("\n")[: found["line"] - 1]) + found["col"]
    number = next((number for number, token in enumerate(tokens) if token.end + 1 >= end), len(tokens) - 1)
    description = str(found["description"])
    is_many = description.startswith("The number of provided arguments")
    if found["highlight"] == ")" and (is_many or description.startswith("Required keyword")):
        amount = "many" if is_many else "few"
        return ConfigurationError(f"SQL syntax error: too {amount} arguments, at {_place(sql, tokens[number].start)}")
    # if something is missing, the parser may name the token before it
    is_missing = description.startswith(("Required", "Expected END"))
    if is_missing or (description.startswith("Expect") and number == len(tokens) - 1):
        number += 1
    missing = re.match(r"Expect(?:ing|ed) ([A-Z]+(?= |$)|\S$|table name)", description)
    expected = f", expected {missing[1]}" if missing else ""
    what = tokens[number].text if number < len(tokens) else "end of the statement"
    start = tokens[min(number, len(tokens) - 1)].start
    return ConfigurationError(f"SQL syntax error: unexpected {what}{expected}, at {_place(sql, start)}")


def _refusal(reason: str, sql: str, offset: int | None, hint: str | None = None) -> ConfigurationError:
    place = "" if offset is None else f" at {_place(sql, offset)}"
    message = one_line(f"{reason}{place}")
    return ConfigurationError(f"only read-only statements are allowed ({_READING}); {message}", hint=hint)


def _place(sql: str, offset: int) -> str:
    before = sql[:offset]
    line, column = before.count("\n") + 1, offset - (before.rfind("\n") + 1) + 1
    return f"line {line}, column {column}: {one_line(sql.split(chr(10))[line - 1])[:120]}"
