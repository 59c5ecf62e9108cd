"""`shopease tables`: what can be queried, what it means, and how fresh it is."""

import io
import json
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.console import Console, ConsoleOptions, RenderableType
from rich.text import Text

from shopease_etl import units
from shopease_etl.cli.console import PIPED_WIDTH
from shopease_etl.cli.context import CommandContext
from shopease_etl.cli.tabular import Grid, Paragraph
from shopease_etl.errors import ConfigurationError
from shopease_etl.wording import counted

if TYPE_CHECKING:
    import pyarrow as pa

    from shopease_etl.operations.tables import LakeTables, TableDescription

_ROWS: Final = 5


def _names(incomplete: str) -> list[tuple[str, str]]:
    """Names for shell completion, each with its meaning; imports nothing slow."""
    from shopease_etl.contract import meanings

    return [(name, meanings.of_table(name)) for name in meanings.contract_columns() if name.startswith(incomplete)]


def tables(
    context: CommandContext,
    name: Annotated[
        str | None,
        typer.Argument(metavar="NAME", help="Describe this table or view.", show_default=False, autocompletion=_names),
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Also list the raw tables of bronze, silver and quarantine.")
    ] = False,
    rows: Annotated[
        int | None,
        typer.Option("--rows", metavar="N", min=0, max=1000, help=f"Show N rows of NAME ({_ROWS} if not given)."),
    ] = None,
) -> None:
    """List what can be queried, with rows, age and meaning; with a name its columns and some rows.

    Example: shopease tables daily_sales_summary
    """
    from shopease_etl.operations.tables import find_table, lake_tables
    from shopease_etl.pipeline import wiring

    if name is None and rows is not None:
        raise ConfigurationError("--rows needs the NAME of a table or view", hint="shopease tables NAME --rows 5")
    if name is not None and everything:
        raise ConfigurationError("--all is for the list", hint="leave out --all, or NAME")
    store = wiring.lake_store(context.settings)
    found = lake_tables(store, wiring.warehouse(context.settings, store))
    if name is None:
        _list(context, found, everything=everything)
    else:
        _describe(context, found, find_table(found, name), _ROWS if rows is None else rows)


def _list(context: CommandContext, found: "LakeTables", *, everything: bool) -> None:
    """Print the tables and views, the raw ones only if asked for."""
    shown = [table for table in found.tables if everything or table.kind != "raw"]
    context.console.result(replace(found, tables=tuple(shown)), lambda: _grid(found, shown))
    hidden = len(found.tables) - len(shown)
    if hidden and not context.console.json:
        context.console.message(f"Not listed: {counted(hidden, 'raw table')}. To list all: shopease tables --all")
    if found.uncatalogued:
        names = ", ".join(found.uncatalogued)
        context.console.message(f"Not catalogued yet: {names}. Next: shopease crawl")


def _grid(found: "LakeTables", shown: "list[TableDescription]") -> Grid:
    now = time.time()
    rows = [
        (
            table.name,
            table.kind,
            _count(table),
            "" if table.bytes is None else table.bytes / 1e6,
            "" if table.modified is None else units.format_seconds(now - table.modified),
            table.meaning,
        )
        for table in shown
    ]
    return Grid(
        ("name", "kind", "rows", "MB", "age", "meaning"),
        rows,
        title=f"Database {found.database} on lake {found.location}",
        droppable=("kind", "MB", "age"),
        prose=("meaning",),
    )


def _count(table: "TableDescription") -> int | str:
    return "no file" if table.key is None and table.kind != "other" else "?" if table.rows is None else table.rows


def _describe(context: CommandContext, found: "LakeTables", table: "TableDescription", rows: int) -> None:
    """Print a table's description, then some rows, which need a query."""
    from shopease_etl.operations.tables import first_rows
    from shopease_etl.pipeline import costs, wiring
    from shopease_etl.stages.query import query

    settings, console = context.settings, context.console
    if not (rows and console.json):
        console.result(table, lambda: TableView(table))
    if not rows:
        return
    store = wiring.lake_store(settings)
    with query(first_rows(store, found.database, table, rows), wiring.warehouse(settings, store)) as result:
        if console.json:
            _write(context, table, result.reader)
        else:
            _draw(context, table, result.reader)
        if scan := result.engine.scan():
            console.message(costs.describe_scan(scan, settings.price_athena_tb))


def _write(context: CommandContext, table: "TableDescription", reader: "pa.RecordBatchReader") -> None:
    """Print the description and the rows as one document."""
    from shopease_etl.cli.result_formats import write_json

    text = io.StringIO()
    write_json(reader, text)
    sample = text.getvalue().replace("\n", "")
    context.console.json_line(f'{json.dumps(asdict(table), ensure_ascii=False)[:-1]}, "sample": {sample}}}')


def _draw(context: CommandContext, table: "TableDescription", reader: "pa.RecordBatchReader") -> None:
    """Print the rows as a table, or as one line per value if it is too wide."""
    from shopease_etl.cli.result_tables import ResultTable

    console = context.console
    width = console.width or PIPED_WIDTH
    with ResultTable(reader) as result:
        lines = result.lines(width, vertical=result.width > width, has_styles=console.has_styles)
        total = "" if table.rows is None else f" of {table.rows:,}"
        console.line(f"\n{result.rows:,}{total} rows:")
        console.lines(lines, 0)  # no pager: the description stands above


@dataclass(frozen=True)
class TableView:
    """What a table or view means, what the lake has of it, and its columns."""

    table: "TableDescription"
    now: float = field(default_factory=time.time)

    def __rich_console__(self, _console: Console, _options: ConsoleOptions) -> Iterator[RenderableType]:
        table = self.table
        yield Text(table.name, "bold")
        if table.meaning:
            yield Paragraph(table.meaning)
        yield ""
        yield Paragraph("\n".join(self._facts()))
        yield ""
        columns = [(column.name, column.type, column.meaning) for column in table.columns]
        has_meanings = any(column.meaning for column in table.columns)
        headings = ("column", "type", "meaning") if has_meanings else ("column", "type")
        yield Grid(headings, [column[: len(headings)] for column in columns], prose=("meaning",))

    def _facts(self) -> Iterator[str]:
        table = self.table
        if table.key is None or table.bytes is None or table.modified is None:
            yield "The lake has no file of it."
            return
        rows = "Rows: not known" if table.rows is None else counted(table.rows, "row")
        months = f" in {counted(table.months, 'month')}" if table.months else ""
        yield f"{rows}{months}, {table.bytes / 1e6:,.2f} MB"
        written = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(table.modified))
        by = f" by run {table.run_id}" if table.run_id else ""
        yield f"Written {written}, {units.format_seconds(self.now - table.modified)} ago{by}"
        yield f"In the lake: {table.key}"
