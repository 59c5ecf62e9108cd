"""Reads an object of the lake back, to verify it: its bytes, rows and sums, with another engine than the stages."""

# Arrow is slow to import: the first thread that reads does it, beside the stages.

import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal, localcontext
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from shopease_etl.contract import layout
from shopease_etl.contract.gold import GOLD
from shopease_etl.errors import DataRefusedError
from shopease_etl.lake.csv_bytes import csv_header
from shopease_etl.wording import one_line

BLOCK_BYTES: Final = 1 << 20
LARGEST_BLOCK_BYTES: Final = 1 << 30
EXACT_DIGITS: Final = 76
_POLL_SECONDS: Final = 0.05

Read = Callable[..., bytes]


@dataclass(frozen=True)
class Content:
    """What an object holds: its bytes, its rows without the header, and the sums by their recorded names."""

    bytes: int
    sha256: str
    rows: int
    sums: Mapping[str, Decimal | int]


class GrowingFile:
    """A file that is read while it is written, until `is_complete` or `stopped` is set."""

    def __init__(self, path: Path, stopped: threading.Event) -> None:
        self.is_complete = threading.Event()
        self._path = path
        self._stopped = stopped

    def read(self, start: int, length: int) -> bytes:
        """The bytes from `start`, `length` of them if the file does not end before; waits for them.

        Raises:
            InterruptedError: they are no longer needed.
        """
        with self._path.open("rb") as file:
            while not self.is_complete.is_set() and os.fstat(file.fileno()).st_size < start + length:
                if self._stopped.is_set():
                    raise InterruptedError
                self.is_complete.wait(_POLL_SECONDS)
            file.seek(start)
            return file.read(length)


class _Stored:
    """An object's bytes as a file that is read once, from its beginning to its end; hashed on the way."""

    closed = False

    def __init__(self, read: Read, stopped: threading.Event) -> None:
        self.bytes = 0
        self.hash = sha256()
        self._read = read
        self._stopped = stopped

    def readable(self) -> bool:
        """Always."""
        return True

    def read(self, size: int) -> bytes:
        """The next bytes; none at the end.

        Raises:
            InterruptedError: they are no longer needed.
        """
        if self._stopped.is_set():
            raise InterruptedError
        data = self._read(self.bytes, size)
        self.hash.update(data)
        self.bytes += len(data)
        return data


def summed(key: str) -> dict[str, str]:
    """The columns of an object that are added up, with the names of their sums."""
    folder = layout.dataset_of(key)
    recorded = (each for dataset in GOLD for each in dataset.recorded if layout.dataset_of(each[0]) == folder)
    return {column: name for _, column, name in recorded if column}


def read_again(key: str, read: Read, stopped: threading.Event) -> Content:
    """Read an object that a stage wrote; `read` returns its bytes, or at most so many from a position.

    Raises:
        DataRefusedError: it is no CSV, or no Parquet file, or has other columns than those that are added up.
        InterruptedError: `stopped` was set.
    """
    import pyarrow as pa

    names = summed(key)
    with _reading(key), localcontext(prec=EXACT_DIGITS):
        if key.startswith(f"{layout.GOLD}/"):
            return _parquet(read, names)
        block = BLOCK_BYTES
        while True:
            try:
                return _csv(key, read, names, block, stopped)
            except pa.ArrowInvalid:
                # a header or a row is larger than a block, or else it is no CSV
                if block >= LARGEST_BLOCK_BYTES or not read(block, 1):
                    raise
            block *= 8


@contextmanager
def _reading(key: str) -> Iterator[None]:
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowException, LookupError, ValueError, OSError) as error:
        message = f"{key} cannot be read again: {one_line(error)}"
        raise DataRefusedError(message) from error


def _parquet(read: Read, names: Mapping[str, str]) -> Content:
    import pyarrow as pa
    from pyarrow import parquet

    data = read()
    rows, sums = _totals(parquet.ParquetFile(pa.BufferReader(data)).iter_batches(), names)
    return Content(len(data), sha256(data).hexdigest(), rows, sums)


def _csv(key: str, read: Read, names: Mapping[str, str], block: int, stopped: threading.Event) -> Content:
    """Every row is split into fields, but only what is added up is decoded: the hash shows that no byte has changed."""
    import pyarrow as pa
    from pyarrow import csv

    header = csv_header(key, read(0, block))
    if header is None:
        message = f"its header does not end in the first {block:,} bytes"
        raise pa.ArrowInvalid(message)
    if not header:
        message = f"{key} has no columns"
        raise DataRefusedError(message)
    file = _Stored(read, stopped)
    types = {name: pa.decimal128(38, 2) if name in names else pa.string() for name in header}
    with csv.open_csv(
        file,
        # the header is read above: what Arrow would make of it depends on the first rows
        csv.ReadOptions(block_size=block, column_names=header, skip_rows_after_names=1),
        # an empty line is a row whose only column is NULL
        csv.ParseOptions(newlines_in_values=True, ignore_empty_lines=False),
        csv.ConvertOptions(column_types=types, null_values=[""], include_columns=[*names] or header[:1]),
    ) as reader:
        rows, sums = _totals(reader, names)
    return Content(file.bytes, file.hash.hexdigest(), rows, sums)


def _totals(batches: Iterator[Any], names: Mapping[str, str]) -> tuple[int, dict[str, Decimal | int]]:
    """How many rows there are, and the exact sums; a NULL adds nothing."""
    from pyarrow import compute

    rows = 0
    sums: dict[str, Decimal | int] = dict.fromkeys(names.values(), 0)
    for batch in batches:
        rows += batch.num_rows
        for column, name in names.items():
            sums[name] += compute.sum(batch.column(column)).as_py() or 0
    return rows, sums
