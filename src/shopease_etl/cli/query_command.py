"""`shopease query`: run a SQL statement, and write its rows to stdout or to a file."""

import io
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from shopease_etl.cli.console import PIPED_WIDTH, Console
from shopease_etl.cli.context import CommandContext
from shopease_etl.cli.tabular import Grid
from shopease_etl.errors import ConfigurationError, UnreachableError
from shopease_etl.escaping import escaped_lines, json_escaped
from shopease_etl.wording import counted

if TYPE_CHECKING:
    import pyarrow as pa


def _shipped_queries(incomplete: str) -> list[tuple[str, str]]:
    """Names of shipped queries for shell completion, each with its description; imports nothing slow."""
    files = sorted((Path(__file__).parents[1] / "queries").glob("*.sql"))
    found = [(file.stem, file.read_text(encoding="utf-8").partition("\n")[0]) for file in files]
    return [(name, line.removeprefix("-- ")) for name, line in found if name.startswith(incomplete)]


Name = Annotated[
    str | None,
    typer.Option(
        "--name", "-n", metavar="NAME", help="A query that ships with shopease.", autocompletion=_shipped_queries
    ),
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
        str | None, typer.Argument(metavar="SQL", help="A read-only SQL statement; - for stdin.", show_default=False)
    ] = None,
    file: Annotated[
        Path | None, typer.Option("--file", "-f", help="Read the statement from a file; - for stdin.")
    ] = None,
    name: Name = None,
    listing: Annotated[bool, typer.Option("--list", help="List the queries that ship with shopease.")] = False,
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
    """Run a SQL query (Athena dialect): Athena for S3 lakes, DuckDB for local ones.

    Example: shopease query 'SELECT * FROM shopease_catalog.products LIMIT 5'
    """
    if listing:
        _list_shipped_queries(context.console)
        return
    statement = _statement(sql, file, name, context)
    chosen = _checked_format(context.console, output_format, output, vertical=vertical)
    _run(statement, context, chosen, output, max_scan, timeout, vertical=vertical)


def _list_shipped_queries(console: Console) -> None:
    from shopease_etl.stages.query import shipped_queries

    queries = shipped_queries()
    rows = [(query.name, query.description) for query in queries]
    console.result(queries, lambda: Grid(("name", "description"), rows, prose=("description",)))


def _statement(sql: str | None, file: Path | None, name: str | None, context: CommandContext) -> str:
    """The one statement that was given: as text, in a file, on stdin, or as the name of a shipped query.

    Raises:
        ConfigurationError: none or several were given, or the file cannot be read.
    """
    from shopease_etl.stages.query import shipped_query

    ways = "as an argument, with --file, on stdin, or with --name (`shopease query --list`)"
    given = sum(source is not None for source in (sql, file, name))
    if given > 1 or (not given and sys.stdin.isatty()):
        message = f"{'more than one statement' if given else 'no statement'} given"
        raise ConfigurationError(message, hint=f"give one: {ways}")
    if name is not None:
        return shipped_query(name, context.settings.glue_database).sql
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


def _checked_format(console: Console, output_format: str, output: Path | None, *, vertical: bool) -> str:
    """The format to write: that of a file may follow from its suffix.

    Raises:
        ConfigurationError: the options exclude each other, such as Parquet without a file.
    """
    if output and output_format == "table" and output.suffix in {".csv", ".json", ".parquet"}:
        output_format = output.suffix.lstrip(".")
    if vertical and (output or console.json or output_format != "table"):
        message = "--vertical is for tables on stdout"
        raise ConfigurationError(message, hint="leave out --vertical, or --format, --output and --json")
    if output and output_format == "table":
        message = "the table format cannot be written to a file"
        raise ConfigurationError(message, hint="choose another: --format csv, json or parquet")
    if console.json and not output and output_format != "table":
        message = f"--json writes its own document, not {output_format}"
        raise ConfigurationError(message, hint="leave one of the two out, or name a file with --output")
    if not output and output_format == "parquet":
        message = "cannot write Parquet to stdout"
        raise ConfigurationError(message, hint="name a file: --output answer.parquet")
    return output_format


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
    from shopease_etl.lake.publish import warn_of_unfinished_publications
    from shopease_etl.pipeline import costs, wiring
    from shopease_etl.settings import size
    from shopease_etl.stages import query as stage

    settings, console = context.settings, context.console
    limit = size(max_scan) if max_scan else None
    store = wiring.lake_store(settings)
    if output:
        stage.check_output(output, store.folder, settings.home)
    warehouse = wiring.warehouse(settings, store, timeout=timeout)
    with suppress(UnreachableError):  # an analyst may have no right to read `_runs`
        warn_of_unfinished_publications(store)
    with stage.query(sql, warehouse, max_scan=limit) as result:
        if output_format == "table" and not console.json:  # never to a file
            _draw(result.reader, console, vertical=vertical)
        else:
            _write(result.reader, console, output_format, output)
        if scan := result.engine.scan():
            console.message(costs.describe_scan(scan, settings.price_athena_tb))


def _write(reader: "pa.RecordBatchReader", console: Console, output_format: str, output: Path | None) -> None:
    """Write the rows in this format; `--json` without a file puts them into its one document.

    Raises:
        UnreachableError: the file or stdout cannot be written.
    """
    from shopease_etl.cli.result_formats import TEXT_WRITERS, write_file, write_json

    if output:
        rows = write_file(reader, output, output_format)
        document = {"output": str(output), "format": output_format, "rows": rows}
        console.result(document, lambda: f"Wrote {counted(rows, 'row')} to {output}", f"wrote {output}")
    elif console.json:
        text = io.StringIO()
        rows = write_json(reader, text)
        console.json_line(f'{{"row_count": {rows}, "rows": {text.getvalue().replace(chr(10), "")}}}')
    else:
        with console.results(escape=json_escaped if output_format == "json" else escaped_lines) as stdout:
            TEXT_WRITERS[output_format](reader, stdout)


def _draw(reader: "pa.RecordBatchReader", console: Console, *, vertical: bool) -> None:
    """Print all rows as a table, or as one line per value if asked for or if the table is too wide."""
    from shopease_etl.cli.result_tables import ResultTable

    width = console.width or PIPED_WIDTH
    with ResultTable(reader) as result:
        is_vertical = vertical or result.width > width
        lines = result.lines(width, vertical=is_vertical, has_styles=console.has_styles)
        console.lines(lines, result.rows * (len(result.names) + 1) if is_vertical else result.rows + 2)
    note = "" if vertical or not is_vertical else f" (the table is {result.width} columns wide, so one value per line)"
    console.message(f"{counted(result.rows, 'row')}{note}")
