"""The rows of a query as a table or as blocks of lines; each value is written as in CSV.

The rows go through an unnamed temporary file: the widths of columns depend on all rows, and memory stays bounded.
"""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import islice
from typing import IO, Any, Self, cast

import pyarrow as pa

from shopease_etl.cli.result_formats import as_text
from shopease_etl.cli.tabular import GAP, NULL, padded, record_lines, width_of
from shopease_etl.errors import UnreachableError
from shopease_etl.escaping import escaped


class ResultTable:
    """All rows of a result, which can be printed once; use it as a context manager.

    Raises:
        UnreachableError: the folder for temporary files has no space for the rows.
    """

    def __init__(self, reader: pa.RecordBatchReader) -> None:
        self.names = [escaped(name) for name in reader.schema.names]
        self.rows = 0
        self._is_number = [_is_number(field.type) for field in reader.schema]
        self._widths = [width_of(name) for name in self.names]
        self._stack = ExitStack()
        try:
            with _temporary_file_errors():
                self._file = cast("IO[bytes]", self._stack.enter_context(tempfile.TemporaryFile()))  # noqa: SIM115 - the stack closes it
            self._store(reader)
        except BaseException:
            self._stack.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def width(self) -> int:
        """The width of the table in cells."""
        return sum(self._widths) + GAP * (len(self._widths) - 1)

    def lines(self, width: int, *, vertical: bool, has_styles: bool = False, most: int | None = None) -> Iterator[str]:
        """The lines of the table, or of its first `most` rows; if `vertical`, a block per row, wrapped to `width`."""
        bold, dim = (_bold, _dim) if has_styles else (str, str)
        if vertical:
            for number, values in enumerate(islice(self._values(), most), 1):
                shown = (NULL if value is None else value for value in values)
                yield from record_lines(number, self.names, shown, width, bold)
        else:
            yield bold(self._line(list(self.names)))
            yield "-" * self.width
            for values in islice(self._values(), most):
                yield self._line([NULL if value is None else value for value in values], values, dim)

    def _line(self, shown: list[str], values: tuple[str | None, ...] = (), dim: Callable[[str], str] = str) -> str:
        cells = [
            padded(text, width, right=right)
            for text, width, right in zip(shown, self._widths, self._is_number, strict=True)
        ]
        if not self._is_number[-1]:
            cells[-1] = cells[-1].rstrip()
        styled = (dim(cell) if value is None else cell for cell, value in zip(cells, values, strict=True))
        return (" " * GAP).join(styled if values else cells)

    def _store(self, reader: pa.RecordBatchReader) -> None:
        schema = pa.schema([pa.field(name, pa.string()) for name in reader.schema.names])
        with _temporary_file_errors():
            writer = pa.ipc.new_stream(self._file, schema)
        for batch in reader:
            columns = [_escaped_texts(column) for column in batch.columns]
            lengths = [max((width_of(text or NULL) for text in texts), default=0) for texts in columns]
            self._widths = [max(pair) for pair in zip(self._widths, lengths, strict=True)]
            self.rows += batch.num_rows
            with _temporary_file_errors():
                writer.write_batch(pa.record_batch([pa.array(texts, pa.string()) for texts in columns], schema=schema))
        with _temporary_file_errors():
            writer.close()

    def _values(self) -> Iterator[tuple[str | None, ...]]:
        self._file.seek(0)
        for batch in pa.ipc.open_stream(self._file):
            yield from zip(*(column.to_pylist() for column in batch.columns), strict=True)


@contextmanager
def _temporary_file_errors() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        message = f"cannot write temporary files to {tempfile.gettempdir()}: {error.strerror or error}"
        raise UnreachableError(message, hint="set TMPDIR to a folder on a disk with free space") from error


def _bold(text: str) -> str:
    return f"\x1b[1m{text}\x1b[0m"


def _dim(text: str) -> str:
    return f"\x1b[2m{text}\x1b[0m"


def _escaped_texts(column: "pa.Array[Any]") -> list[str | None]:
    texts: list[str | None] = as_text(column).to_pylist()
    return [text if text is None or text.isprintable() else escaped(text) for text in texts]


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))
