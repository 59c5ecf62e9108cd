"""A query's rows on stdout or in a file, in the format that was asked for."""

import contextlib
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Final, TextIO

import pyarrow as pa

from shopease_etl.console import Console
from shopease_etl.engines.formats import write_csv, write_json, write_parquet
from shopease_etl.errors import ConfigurationError, UnreachableError
from shopease_etl.rendering import table

ROWS_DRAWN: Final = 1_000
_WRITERS: Final = {"csv": write_csv, "json": write_json}


def write(reader: pa.RecordBatchReader, console: Console, output_format: str, output: Path | None) -> None:
    """Write the rows; a file's ending tells its format, and without a file `--json` has them in its one document.

    Raises:
        ConfigurationError: Parquet without a file, or a table into one.
        UnreachableError: the file cannot be written.
    """
    if output and output_format == "table" and output.suffix.lstrip(".") in (*_WRITERS, "parquet"):
        output_format = output.suffix.lstrip(".")
    if output:
        rows = _to_file(reader, output_format, output)
        document = {"output": str(output), "format": output_format, "rows": rows}
        console.result(document, lambda: f"Wrote {rows:,} rows to {output}")
    elif console.json:
        if output_format != "table":
            message = f"--json writes its own document, not {output_format}"
            raise ConfigurationError(message, hint="leave one of the two out, or name a file with --output")
        text = io.StringIO()
        rows = write_json(reader, text)
        console.line(f'{{"row_count": {rows}, "rows": {text.getvalue().replace(chr(10), "")}}}')
    else:
        _to_stdout(reader, console, output_format)


def _to_stdout(reader: pa.RecordBatchReader, console: Console, output_format: str) -> None:
    if output_format == "parquet":
        message = "Parquet is not for a terminal"
        raise ConfigurationError(message, hint="name a file: --output answer.parquet")
    if output_format in _WRITERS:
        with console.results() as stdout:
            _WRITERS[output_format](reader, stdout)
    else:
        _draw(reader, console)


def _draw(reader: pa.RecordBatchReader, console: Console) -> None:
    """The first rows as a table, and how many there are."""
    shown: list[tuple[object, ...]] = []
    count = 0
    for batch in reader:
        few = batch.slice(0, ROWS_DRAWN - len(shown))
        shown += zip(*(column.to_pylist() for column in few.columns), strict=True)
        count += batch.num_rows
    console.result(shown, lambda: table(reader.schema.names, shown, grouped=False))
    rest = "" if count == len(shown) else f", of which the first {len(shown):,} are shown; --format csv writes all"
    console.message(f"{count:,} rows{rest}")


def _to_file(reader: pa.RecordBatchReader, output_format: str, output: Path) -> int:
    if output_format == "table":
        message = "a table is for the terminal"
        raise ConfigurationError(message, hint="choose a format for the file: --format csv, json or parquet")
    if output_format == "parquet":
        return write_parquet(reader, output)
    with _whole(output) as stream:
        return _WRITERS[output_format](reader, stream)


@contextlib.contextmanager
def _whole(output: Path) -> Iterator[TextIO]:
    """A text file that appears under its name when it is whole."""
    part = output.with_name(f".{output.name}.part")
    try:
        with part.open("w", encoding="utf-8", newline="") as stream:
            yield stream
        part.replace(output)
    except OSError as error:
        message = f"cannot write {output}: {error.strerror}"
        raise UnreachableError(message) from error
    finally:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
