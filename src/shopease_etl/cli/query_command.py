"""`shopease query`: run a SQL statement and write its rows to stdout or to a file, or open the shell."""

import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from shopease_etl import extras
from shopease_etl.cli.console import Console
from shopease_etl.cli.context import CommandContext
from shopease_etl.cli.query_results import checked_format, draw, write
from shopease_etl.errors import ConfigurationError, ShopeaseError, UnreachableError

if TYPE_CHECKING:
    from shopease_etl.lake.store import LakeStore
    from shopease_etl.stages.named_queries import NamedQueries
    from shopease_etl.warehouse import Warehouse


def _named(incomplete: str) -> list[tuple[str, str]]:
    """Names of queries for shell completion, each with its description; imports nothing slow."""
    from shopease_etl.settings import load
    from shopease_etl.stages.named_queries import named_queries, shipped_queries

    found = shipped_queries()
    with suppress(ShopeaseError):
        settings = load()
        found = tuple(named_queries(settings.glue_database, settings.queries).queries.values())
    return [(query.name, query.description) for query in found if query.name.startswith(incomplete)]


Name = Annotated[
    str | None,
    typer.Option(
        "--name",
        "-n",
        metavar="NAME",
        help="A query that ships with shopease, or one of your own (SHOPEASE_QUERIES).",
        autocompletion=_named,
    ),
]
Parameters = Annotated[
    list[str] | None,
    typer.Option("--param", "-p", metavar="NAME=VALUE", help="The value of :NAME in the statement; may be repeated."),
]
Timeout = Annotated[
    float | None,
    typer.Option(
        "--timeout",
        metavar="SECONDS",
        min=0.001,
        help="Cancel the query after this many seconds.",
        show_default="SHOPEASE_QUERY_TIMEOUT",
    ),
]


def query(
    context: CommandContext,
    sql: Annotated[
        str | None,
        typer.Argument(
            metavar="SQL", help="A read-only SQL statement; - for stdin; none: a shell.", show_default=False
        ),
    ] = None,
    file: Annotated[
        Path | None, typer.Option("--file", "-f", help="Read the statement from a file; - for stdin.")
    ] = None,
    name: Name = None,
    parameters: Parameters = None,
    listing: Annotated[bool, typer.Option("--list", help="List the queries that --name takes.")] = False,
    output_format: Annotated[
        Literal["table", "csv", "json", "parquet"], typer.Option("--format", help="Format of the result.")
    ] = "table",
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write the result to a file.")] = None,
    vertical: Annotated[
        bool,
        typer.Option(
            "--vertical", help="Print one value per line (automatic if the table is wider than the terminal)."
        ),
    ] = False,
    max_scan: Annotated[
        str | None,
        typer.Option("--max-scan", metavar="SIZE", help="Fail if the query would read more than SIZE, such as 10MB."),
    ] = None,
    timeout: Timeout = None,
) -> None:
    """Run a SQL query, or open a shell (Athena dialect): Athena for S3 lakes, DuckDB for local ones.

    Example: shopease query 'SELECT * FROM shopease_catalog.products LIMIT 5'
    """
    if listing:
        # sqlglot is an extra, and slow to import
        from shopease_etl.cli.query_listing import list_queries

        list_queries(_all_named(context), context.console)
        return
    values = _values(parameters or [])
    is_plain = output_format == "table" and all(given is None for given in (sql, file, name, output))
    if is_plain and _may_open_shell(context.console):
        _shell(context, values, max_scan, timeout, vertical=vertical)
        return
    statement = _bound(_statement(sql, file, name, context), values)
    chosen = checked_format(context.console, output_format, output, vertical=vertical)
    _run(statement, context, chosen, output, max_scan, timeout, vertical=vertical)


def _may_open_shell(console: Console) -> bool:
    """Whether a person can type: on a terminal that can edit lines, and with the packages for it."""
    is_terminal = sys.stdin.isatty() and console.width is not None and not console.json
    can_edit = os.environ.get("TERM", "dumb") not in ("dumb", "unknown")
    return is_terminal and can_edit and not extras.missing("shell")


def _shell(
    context: CommandContext, values: dict[str, str], max_scan: str | None, timeout: float | None, *, vertical: bool
) -> None:
    """Let the user type statements, with these limits."""
    # prompt_toolkit is an extra
    from shopease_etl.cli.query_shell import QueryShell

    limit, store, warehouse = _opened(context, max_scan, timeout)
    QueryShell(context, warehouse, _all_named(context), store.folder, limit, vertical, values).run()


def _opened(
    context: CommandContext, max_scan: str | None, timeout: float | None
) -> "tuple[int | None, LakeStore, Warehouse]":
    """The limit in bytes, the lake and its warehouse; a publication that was broken off is a warning."""
    from shopease_etl.lake.publish import warn_of_unfinished_publications
    from shopease_etl.pipeline import wiring
    from shopease_etl.units import size

    limit = size(max_scan) if max_scan else None
    store = wiring.lake_store(context.settings)
    with suppress(UnreachableError):  # an analyst may have no right to read `_runs`
        warn_of_unfinished_publications(store)
    return limit, store, wiring.warehouse(context.settings, store, timeout=timeout)


def _all_named(context: CommandContext) -> "NamedQueries":
    from shopease_etl.stages.named_queries import named_queries

    return named_queries(context.settings.glue_database, context.settings.queries)


def _values(given: list[str]) -> dict[str, str]:
    """The values of parameters by name.

    Raises:
        ConfigurationError: one has no value, or two.
    """
    values: dict[str, str] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise ConfigurationError(f"--param {text} has no name or no value", hint="--param NAME=VALUE")
        if name in values:
            raise ConfigurationError(f"--param {name} is given twice", hint="give it once")
        values[name] = value
    return values


def _bound(sql: str, values: dict[str, str]) -> str:
    # sqlglot is an extra, and slow to import
    from shopease_etl.warehouse.parameters import bind

    return bind(sql, values)


def _statement(sql: str | None, file: Path | None, name: str | None, context: CommandContext) -> str:
    """The one statement that was given: as text, in a file, on stdin, or as the name of a query.

    Raises:
        ConfigurationError: none or several were given, or the file cannot be read.
    """
    ways = "as an argument, with --file, on stdin, or with --name (`shopease query --list`)"
    given = sum(source is not None for source in (sql, file, name))
    if given > 1 or (not given and sys.stdin.isatty()):
        message = f"{'more than one statement' if given else 'no statement'} given"
        shell = "" if given or not extras.missing("shell") else "; for a shell: pip install 'shopease[shell]'"
        raise ConfigurationError(message, hint=f"give one: {ways}{shell}")
    if name is not None:
        return _all_named(context).find(name).sql
    if sql is not None and sql != "-":
        return sql
    source = "stdin" if file is None or str(file) == "-" else str(file)
    try:
        text = sys.stdin.read() if source == "stdin" or file is None else file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{source} is not UTF-8 text", hint=f"save it as UTF-8: {error.reason}") from error
    except OSError as error:
        raise ConfigurationError(f"cannot read {source}: {error.strerror}") from error
    if not text.strip():
        raise ConfigurationError(f"{source} has no statement", hint=f"give a statement: {ways}")
    return text


def _run(
    sql: str,
    context: CommandContext,
    output_format: str,
    output: Path | None,
    max_scan: str | None,
    timeout: float | None,
    *,
    vertical: bool,
) -> None:
    """Run the statement, write its rows, and print what the query cost on Athena."""
    from shopease_etl.cli.result_tables import ResultTable
    from shopease_etl.pipeline import costs
    from shopease_etl.stages import query as stage

    settings, console = context.settings, context.console
    limit, store, warehouse = _opened(context, max_scan, timeout)
    if output:
        stage.check_output(output, store.folder, settings.home)
    with stage.query(sql, warehouse, max_scan=limit) as result:
        if output_format == "table" and not console.json:  # never to a file
            with ResultTable(result.reader) as table:
                console.message(draw(table, console, vertical=vertical))
        else:
            write(result.reader, console, output_format, output)
        if scan := result.engine.scan():
            console.message(costs.describe_scan(scan, settings.price_athena_tb))
