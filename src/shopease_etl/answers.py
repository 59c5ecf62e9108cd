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

_WRITERS: Final = {"csv": write_csv, "json": write_json}


def write(reader: pa.RecordBatchReader, console: Console, output_format: str, output: Path | None) -> None:
    """Write the rows; under `--json` without a file they are part of the one document.

    Raises:
        ConfigurationError: Parquet without a file, or a table into one.
        UnreachableError: the file cannot be written.
    """
    if output:
        rows = _to_file(reader, output_format, output)
        document = {"output": str(output), "format": output_format, "rows": rows}
        console.result(document, lambda: f"Wrote {rows:,} rows to {output}")
    elif console.json:
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
        rows = [tuple(row.values()) for batch in reader for row in batch.to_pylist()]
        console.result(rows, lambda: table(reader.schema.names, rows, grouped=False))
        console.message(f"{len(rows):,} rows")


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
