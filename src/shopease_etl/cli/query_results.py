"""Writes the rows of a query: as a table on the terminal, or in another format to stdout or a file."""

import io
from pathlib import Path
from typing import TYPE_CHECKING

from shopease_etl.cli.console import PIPED_WIDTH, Console
from shopease_etl.errors import ConfigurationError
from shopease_etl.escaping import escaped_lines, json_escaped
from shopease_etl.wording import counted

if TYPE_CHECKING:
    import pyarrow as pa

    from shopease_etl.cli.result_tables import ResultTable


def checked_format(console: Console, output_format: str, output: Path | None, *, vertical: bool) -> str:
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


def write(reader: "pa.RecordBatchReader", console: Console, output_format: str, output: Path | None) -> None:
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


def draw(table: "ResultTable", console: Console, *, vertical: bool, most: int | None = None) -> str:
    """Print the rows as a table, or as one line per value if asked for or if the table is too wide.

    Without a pager no more than `most` rows are printed. Returns how many rows there are, in words.
    """
    width = console.width or PIPED_WIDTH
    is_vertical = vertical or table.width > width
    limit = None if console.has_pager else most
    rows = table.rows if limit is None else min(limit, table.rows)
    lines = table.lines(width, vertical=is_vertical, has_styles=console.has_styles, most=limit)
    console.lines(lines, rows * (len(table.names) + 1) if is_vertical else rows + 2)
    note = "" if vertical or not is_vertical else f" (the table is {table.width} columns wide, so one value per line)"
    shown = f"the first {rows:,} of " if rows < table.rows else ""
    return f"{shown}{counted(table.rows, 'row')}{note}"
