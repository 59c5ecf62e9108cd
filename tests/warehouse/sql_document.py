"""Writes docs/SQL.md from the table that the tests read: `python tests/warehouse/sql_document.py > docs/SQL.md`."""

import sys
import textwrap
from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal

import athena_refused
import trino_answers

from shopease_etl.warehouse.metadata_statements import FORMS
from shopease_etl.warehouse.parameters import bind
from shopease_etl.warehouse.trino_functions import ATHENA, LOCAL

_INTRODUCTION = """# SQL on a local lake

A lake on S3 is queried by Athena itself, and your SQL is sent to it unchanged, with values in place of
parameters. For a lake in a folder, shopease reads
Athena's SQL, translates it and runs it on DuckDB: close to Athena, not the same. What is below was compared with the
documentation of [Trino](https://trino.io/docs/current/), Athena's engine; it has not been run on Athena itself. A local
lake refuses every function that was not compared, rather than answer by another meaning of its name.

Statements: SELECT, WITH, VALUES, TABLE, {forms}.
"""

_PARAMETERS = """`:name` in a statement stands for the value of `--param name=value`, or of `\\p name=value` in the
shell: the same on Athena and on a local lake. It is not looked for in strings, quoted names and comments, nor
directly behind a name, a quote or a bracket, as in `x::date`. A value is one literal, never SQL: it cannot be a list,
a name or NULL. A plain number is a number, a day is a date, all else is a text. In single quotes, as SQL has them, it
is a text (in a command line `--param "text='2024-01-31'"`); so it is behind DATE, TIME, TIMESTAMP and INTERVAL: `DATE
:day`."""


def document() -> str:
    """The whole text of docs/SQL.md."""
    forms = " and ".join(", ".join(FORMS).rsplit(", ", 1))
    return "\n".join(
        [
            _wrapped(_INTRODUCTION.format(forms=forms)),
            *_parameters(),
            *_different(),
            *_refused(),
            *_missing(),
            *_answers(),
        ]
    )


def _wrapped(text: str) -> str:
    paragraphs = text.split("\n\n")
    return "\n\n".join(part if part.startswith("#") else textwrap.fill(part, 120) for part in paragraphs) + "\n"


def _parameters() -> Iterator[str]:
    yield "## Parameters\n"
    yield _wrapped(_PARAMETERS)
    yield "| `--param` | in the statement |\n|---|---|"
    for value in (
        "day=2024-01-31",
        "n=-12.50",
        "zip=02134",
        "name=it's",
        "text='2024-01-31'",
        "month=2024-01",
        "x=NULL",
    ):
        name, _, given = value.partition("=")
        yield f"| {_code(value)} | {_code(bind(f':{name}', {name: given}).strip())} |"
    yield ""


def _different() -> Iterator[str]:
    yield "## What differs\n"
    yield "| what | how |\n|---|---|"
    yield from (f"| {_cell(what)} | {_cell(how)} |" for what, how in athena_refused.DIFFERENT)


def _refused() -> Iterator[str]:
    yield "\n## What Athena refuses\n"
    yield "A local lake refuses these too (`sales` has the columns n integer, s varchar and d date).\n"
    yield "| statement | message |\n|---|---|"
    yield from (f"| {_code(sql)} | {_cell(message)} |" for sql, message, _ in athena_refused.REFUSED)
    yield "\n## What a local lake refuses and Athena answers\n"
    yield "| statement | message |\n|---|---|"
    yield from (f"| {_code(sql)} | {_cell(message)} |" for sql, message, _ in athena_refused.NOT_LOCAL)


def _missing() -> Iterator[str]:
    yield "\n## Functions that a local lake lacks\n"
    yield "Athena has them; a local lake says that they are not available. So are those with `ST_`.\n"
    yield textwrap.fill(", ".join(f"`{name}`" for name in sorted(ATHENA - LOCAL)), 120, break_on_hyphens=False)


def _answers() -> Iterator[str]:
    yield "\n## What was compared\n"
    yield "Each line is a test. NULL is shown as such; a map as its entries."
    for page, answers in trino_answers.ANSWERS.items():
        yield f"\n### [{page}](https://trino.io/docs/current/{page}.html)\n"
        yield "| expression | answer |\n|---|---|"
        yield from (f"| {_code(expression)} | {_code(_shown(answer))} |" for expression, answer in answers)


def _shown(answer: object) -> str:
    match answer:
        case None:
            return "NULL"
        case bool():
            return str(answer).lower()
        case str():
            return "'" + answer.replace("'", "''") + "'"
        case bytes():
            return f"X'{answer.hex().upper()}'"
        case datetime():
            return answer.isoformat(" ").replace("+00:00", " UTC")
        case date() | Decimal() | int() | float():
            return str(answer)
        case list():
            return f"[{', '.join(_shown(item) for item in answer)}]"
        case tuple():
            return f"({', '.join(_shown(item) for item in answer)})"
    raise TypeError(answer)


def _code(text: str) -> str:
    return f"`{_cell(text)}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    sys.stdout.write(document() + "\n")
