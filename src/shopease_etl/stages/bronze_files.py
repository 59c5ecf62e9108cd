"""The files of bronze that are cleaned, opened, and their rows in chunks."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain

import polars as pl

from shopease_etl.contract.tables import Table
from shopease_etl.errors import DataRefusedError
from shopease_etl.lake.store import Store
from shopease_etl.report import ObjectRecord
from shopease_etl.transform.chunks import Chunk, CsvObject
from shopease_etl.transform.deduplicate import ChunkRows


def open_bronze(store: Store, table: Table, recorded: Mapping[str, ObjectRecord], batch_bytes: int) -> CsvObject:
    """A file of bronze, with the columns that cleaning needs.

    Raises:
        DataRefusedError: it is missing, cut short, lacks a column, or has a name with a line break.
    """
    file = CsvObject(store, table.bronze_key, recorded, batch_bytes=batch_bytes, known=table.known)
    file.require_columns(table)
    _require_usable_names(file.names, table)
    return file


def _require_usable_names(source: Sequence[str], table: Table) -> None:
    """Athena reads a header of one line only."""
    bad = next((name for name in source if "\n" in name or "\r" in name), None)
    if bad is not None:
        message = f"{table.bronze_key}: the name of the column {bad!r} has a line break"
        raise DataRefusedError(message, hint=f"rename the column in the source table {table.source}")


def hash_of(chunks: Iterable[ChunkRows]) -> str:
    """A hash of a file's duplicate rows."""
    digest, first_row = hashlib.sha256(), None
    for chunk, row_numbers in chunks:
        first_row = chunk.first_row if first_row is None else first_row
        if len(row_numbers):
            digest.update(f"{(row_numbers - first_row).cast(pl.String).str.join(',').item()},".encode())
    return digest.hexdigest()


def chunks_of(files: Mapping[Table, CsvObject]) -> Iterator[Chunk]:
    """The chunks of all these files, one file after the other."""
    return chain.from_iterable(file.chunks() for file in files.values())
