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


# From a run on `shopease sample` at scale 1.
_TABLES = """## What can be queried

`shopease tables` lists it: the gold datasets, the typed views, and with `--all` the raw tables, whose columns are
all text.

```console
$ shopease tables
Database shopease_catalog on lake /home/ana/lake
name                   kind       rows      MB  age   meaning
────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────
daily_sales_summary    gold      1,461    0.02  20 s  One row per day with sales: sales, items, revenue, customers.
product_performance    gold        739    0.02  20 s  One row per product sold, best first: orders, items, revenue.
customer_analytics     gold      7,376    0.16  20 s  One row per customer with a purchase: spending, RFM segment.
store_performance      gold        371    0.01  20 s  One row per store and month with sales: sales, revenue, customers.
monthly_channel_sales  gold        327    0.01  20 s  One row per channel and month with sales: sales, items, revenue.
monthly_product_sales  gold     24,671    0.13  20 s  One row per product and month with sales: orders, items, revenue.
inventory_status       gold      3,000    0.03  20 s  One row per stock record: quantity, days of cover, reorder status.
cohort_retention       gold      1,176    0.01  20 s  One row per cohort of new customers and month: who came back.
customers              view      7,473    1.16  82 s  Customers, cleaned: one row per customer_id.
products               view        586    0.09  82 s  Products, cleaned: one row per product_id.
stores                 view          5    0.00  82 s  Stores, as they are in the source.
inventory              view      3,000    0.22  82 s  Stock of products in stores, as it is in the source.
sales_managers         view          5    0.00  82 s  Sales managers and their stores, as they are in the source.
transactions           view  1,015,133  136.20  80 s  Sales, cleaned: one row per transaction_id, with amount and date.
Not listed: 12 raw tables. To list all: shopease tables --all
```

With a name it describes a table or view, and shows five of its rows (of sales by month: of the last month). `--rows 0`
leaves the rows out, which on Athena saves a query; `--json` has all of it as one document.

```console
$ shopease tables cohort_retention --rows 3
cohort_retention
One row per cohort of new customers and month: who came back.

1,176 rows, 0.01 MB
Written 2026-11-29 12:18 UTC, 104 s ago by run 20261129T121853.208688Z-e080
In the lake: gold/cohort_retention/data.parquet

column          type           meaning
────────────────────────────────────────────────────────────────────────────────────────────────────────────────
cohort_month    date           Month of the customers' first purchase, as the date of its first day.
months_since    int            Months from cohort_month to the month of the purchases; 0 is cohort_month itself.
cohort_size     bigint         Number of customers in the cohort.
customers       bigint         Number of the cohort's customers who bought in that month.
retention_rate  decimal(9,4)   Share of the cohort that bought in that month: customers / cohort_size.
total_revenue   decimal(18,2)  Revenue with the cohort in that month: sum of quantity * unit_price, exact.

3 of 1,176 rows:
cohort_month  months_since  cohort_size  customers  retention_rate  total_revenue
---------------------------------------------------------------------------------
2021-01-01               0         1365       1365          1.0000     1078099.17
2021-01-01               1         1365       1059          0.7758      927468.87
2021-01-01               2         1365       1077          0.7890     1139026.17
```

In Glue the tables of gold have these meanings as comments; gold's files have them in their Parquet metadata, as JSON
under the key `shopease.columns`.
"""


def document() -> str:
    """The whole text of docs/SQL.md."""
    forms = " and ".join(", ".join(FORMS).rsplit(", ", 1))
    return "\n".join(
        [
            _wrapped(_INTRODUCTION.format(forms=forms)),
            _TABLES,
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
