"""A query's rows on stdout or in a file, in the format that was asked for."""

import io
from pathlib import Path
from typing import Final

import pyarrow as pa

from shopease_etl.atomic import replacing
from shopease_etl.cli.console import PIPED_WIDTH, Console
from shopease_etl.cli.formats import write_csv, write_json, write_parquet
from shopease_etl.cli.result_tables import ResultTable
from shopease_etl.errors import ConfigurationError, UnreachableError
from shopease_etl.escaping import escaped_lines, json_escaped
from shopease_etl.wording import counted

_WRITERS: Final = {"csv": write_csv, "json": write_json}
_FILE_FORMATS: Final = (*_WRITERS, "parquet")


def chosen_format(console: Console, output_format: str, output: Path | None, *, vertical: bool) -> str:
    """The format to write; that of a file is told by its ending.

    Raises:
        ConfigurationError: Parquet without a file, a table into one, a format under `--json`, or something vertical
            that is no table.
    """
    if output and output_format == "table" and output.suffix.lstrip(".") in _FILE_FORMATS:
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


def write(
    reader: pa.RecordBatchReader, console: Console, output_format: str, output: Path | None, *, vertical: bool = False
) -> None:
    """Write the rows in the format that `chosen_format` gave; without a file `--json` has them in its one document.

    A table that is wider than the terminal is shown as `vertical` asks for it: one line a value.

    Raises:
        UnreachableError: the file or stdout cannot be written.
    """
    if output:
        rows = _to_file(reader, output_format, output)
        document = {"output": str(output), "format": output_format, "rows": rows}
        console.result(document, lambda: f"Wrote {counted(rows, 'row')} to {output}", f"wrote {output}")
    elif console.json:
        text = io.StringIO()
        rows = write_json(reader, text)
        console.json_line(f'{{"row_count": {rows}, "rows": {text.getvalue().replace(chr(10), "")}}}')
    elif output_format == "table":
        _draw(reader, console, vertical=vertical)
    else:
        with console.results(escape=json_escaped if output_format == "json" else escaped_lines) as stdout:
            _WRITERS[output_format](reader, stdout)


def _draw(reader: pa.RecordBatchReader, console: Console, *, vertical: bool) -> None:
    """All rows as a table, or as blocks where that is asked for or is all that fits, and how many there are."""
    width = console.width or PIPED_WIDTH
    with ResultTable(reader) as result:
        is_vertical = vertical or result.width > width
        lines = result.lines(width, vertical=is_vertical, has_styles=console.has_styles)
        console.lines(lines, result.rows * (len(result.names) + 1) if is_vertical else result.rows + 2)
    note = "" if vertical or not is_vertical else f" (the table is {result.width} columns wide, so one value per line)"
    console.message(f"{counted(result.rows, 'row')}{note}")


def _to_file(reader: pa.RecordBatchReader, output_format: str, output: Path) -> int:
    """The file appears under its name when it is whole."""
    try:
        with replacing(output) as file:
            if output_format == "parquet":
                return write_parquet(reader, file)
            stream = io.TextIOWrapper(file, encoding="utf-8", newline="")
            rows = _WRITERS[output_format](reader, stream)
            stream.detach()  # writes what it still has
            return rows
    except OSError as error:
        message = f"cannot write {output}: {error.strerror or error}"
        raise UnreachableError(message) from error
