"""A CSV dataset of the lake, read in chunks of whole records, so that memory does not depend on its size."""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Final, TypeVar

import polars as pl

from shopease_etl.contract.column_names import frame_names
from shopease_etl.contract.tables import Table
from shopease_etl.errors import DataRefusedError, ShopeaseError, UnreachableError
from shopease_etl.lake.csv_bytes import RowCounter, csv_header, record_end, whole_records
from shopease_etl.lake.manifests import WriteGroup, require_hash, require_whole, rerun_hint
from shopease_etl.lake.store import Store
from shopease_etl.report import ObjectRecord

BATCH_BYTES: Final = 4 * 1024 * 1024
LONGEST_RECORD: Final = 1024 * 1024 * 1024
BYTE_ORDER_MARK: Final = "\ufeff"

_Found = TypeVar("_Found")


@dataclass(frozen=True)
class Chunk:
    """Whole records of a CSV object, every column as text; NULL and the empty string differ.

    `labels` name the columns in frames. The records have `length` bytes from `start` on; without `data` they are read
    from the `store` each time. `may_need_quotes` is false if no value has a character that CSV quotes. `first_row` is
    the number of the first row in the object and `rows` the number of rows, once they are known.
    """

    key: str
    labels: tuple[str, ...]
    start: int
    length: int
    data: bytes | None = None
    store: Store | None = None
    may_need_quotes: bool = True
    first_row: int = 0
    rows: int = 0

    def __getstate__(self) -> dict[str, object]:
        """What is pickled: the bytes instead of the store, which another process cannot use."""
        return {**vars(self), "data": self._bytes(), "store": None}

    def frame(self, columns: Sequence[str] | None = None) -> pl.DataFrame:
        """The rows, with these columns or with all.

        Raises:
            DataRefusedError, PolarsError: the records do not fit the header.
        """
        wanted = None if columns is None else [self.labels.index(name) for name in columns if name in self.labels]
        return self._parsed(self._bytes(), wanted)

    def take(self, row_numbers: pl.Series) -> pl.DataFrame:
        """The rows with these numbers, counted in the chunk and sorted; if possible only they are parsed."""
        data, no_separator = self._bytes(), "\x01"
        if not self.may_need_quotes and no_separator.encode() not in data:
            whole = dict.fromkeys(("line",), pl.String)
            lines = pl.read_csv(
                _keep_mark(data), has_header=False, schema=whole, separator=no_separator, quote_char=None
            ).to_series()
            if len(lines) == self.rows and not lines.has_nulls():
                return self._parsed("".join(f"{line}\n" for line in lines.gather(row_numbers)).encode(), None)
        return self._parsed(data, None)[row_numbers]

    def _bytes(self) -> bytes:
        if self.data is not None or self.store is None:
            return self.data or b""
        return self.store.read(self.key, self.start, self.length)

    def _parsed(self, data: bytes, columns: Sequence[int] | None) -> pl.DataFrame:
        schema = dict.fromkeys(self.labels, pl.String)
        if not data:
            return pl.DataFrame(schema=schema)[:, columns or slice(None)]
        try:
            return pl.read_csv(
                _keep_mark(data), has_header=False, schema=schema, columns=columns, missing_columns="insert"
            )
        except pl.exceptions.SchemaError as error:
            message = f"{self.key} cannot be read: a record has more fields than the header"
            raise DataRefusedError(message, hint=rerun_hint(self.key)) from error
        except pl.exceptions.PolarsError as error:
            raise _read_error(self.key, error) from error


class CsvObject:
    """A CSV dataset in the lake; `names` are those in its header.

    `labels` are the columns' names in frames: if `known` names are given, those of `column_names.frame_names`.

    Raises:
        DataRefusedError: the object is missing, cut short, not the size in bytes that its run recorded, or its header
            cannot be read.
    """

    def __init__(
        self,
        store: Store,
        key: str,
        recorded: Mapping[str, ObjectRecord],
        *,
        batch_bytes: int = BATCH_BYTES,
        known: Collection[str] | None = None,
    ) -> None:
        self.key = key
        self.bytes = require_whole(store, key, recorded)
        self._store = store
        expected = recorded.get(key)
        self._expected = expected if expected and expected.sha256 else None
        self._batch_bytes = batch_bytes
        self.names, self._header = _header(store, key)
        self.labels = self.names if known is None else frame_names(self.names, known)

    def chunks(self) -> Iterator[Chunk]:
        """The records in order, in chunks of about `batch_bytes`; without records one empty chunk.

        Raises:
            DataRefusedError: a record is too long; or, at the end, the bytes are not those that the run recorded.
        """
        start, size, digest = len(self._header), self._batch_bytes, sha256(self._header)
        if start >= self.bytes:
            yield self._chunk(start, b"")
        while start < self.bytes:
            data = self._store.read(self.key, start, size)
            length = len(data) if start + len(data) >= self.bytes else whole_records(data)
            if length:
                records = data[:length]
                if self._expected:
                    digest.update(records)
                yield self._chunk(start, records, may_need_quotes=b'"' in data or b"\r" in data)
                start, size = start + length, self._batch_bytes
            elif size >= LONGEST_RECORD or not data:
                row = f"row {self._rows_before(start) + 1:,} of {self.key}"
                message = (
                    f"{row} cannot be read: it has more than {size / 1e6:,.0f} MB, or a quote that is never closed"
                )
                raise DataRefusedError(message, hint=rerun_hint(self.key))
            else:
                size *= 2
        if self._expected:
            require_hash(self.key, digest.hexdigest(), self._expected)

    def read_again(self, found: Iterable[tuple[Chunk, _Found]]) -> Iterator[tuple[Chunk, _Found]]:
        """All chunks once more, with their bytes, and what was found out about each; raises as `chunks` does."""
        digest = sha256(self._header)
        for chunk, about in found:
            data = self._store.read(self.key, chunk.start, chunk.length)
            if self._expected:
                digest.update(data)
            yield replace(chunk, data=data), about
        if self._expected:
            require_hash(self.key, digest.hexdigest(), self._expected)

    def _chunk(self, start: int, data: bytes, *, may_need_quotes: bool = False) -> Chunk:
        return Chunk(self.key, self.labels, start, len(data), data, self._store, may_need_quotes)

    def _rows_before(self, end: int) -> int:
        rows = RowCounter()
        for start in range(len(self._header), end, self._batch_bytes):
            rows.update(self._store.read(self.key, start, min(self._batch_bytes, end - start)))
        return rows.records

    def require_columns(self, table: Table) -> None:
        """Raise DataRefusedError, naming every required column of the table that the dataset lacks."""
        missing = [name for name in table.required_columns if name not in self.names]
        if missing:
            message = f"{self.key} lacks the column{'s' if missing[1:] else ''} {', '.join(missing)}"
            raise DataRefusedError(message, hint=f"the table {table.source} must have it; see the data contract")


def _keep_mark(data: bytes) -> bytes:
    """The bytes with another mark if they begin with one, as Polars drops the first: here U+FEFF is data."""
    mark = BYTE_ORDER_MARK.encode()
    return mark + data if data.startswith(mark) else data


def _header(store: Store, key: str) -> tuple[tuple[str, ...], bytes]:
    """The names of the columns, and the header's bytes."""
    length = 65_536
    while (names := csv_header(key, head := store.read(key, length=length))) is None and len(head) == length:
        length *= 8
    if names:
        names = (names[0].removeprefix(BYTE_ORDER_MARK), *names[1:])
    if not names or len(set(names)) < len(names):
        message = f"the header of {key} " + ("names a column twice" if names else "cannot be read")
        raise DataRefusedError(message, hint=rerun_hint(key))
    return names, head[: (record_end(head) or 0) + 1]


@contextmanager
def translate_read_errors(key: str, written: WriteGroup | None = None) -> Iterator[None]:
    """Translate errors of Polars into ours, while it reads a dataset and writes others."""
    try:
        yield
    except (pl.exceptions.PolarsError, OSError) as error:
        raise (written and written.failure()) or _read_error(key, error) from error


def _read_error(key: str, error: Exception) -> ShopeaseError:
    lines = str(error).strip().splitlines()
    reason = re.sub(r"shopease:\w+:", "", lines[0]) if lines else type(error).__name__
    if isinstance(error, OSError):
        return UnreachableError(f"cannot read {key}: {reason}")
    if isinstance(error, pl.exceptions.InvalidOperationError):
        return DataRefusedError(f"{key} has a value that is too large for decimal(18,2) or bigint: {reason}")
    return DataRefusedError(f"{key} cannot be read: {reason}", hint=rerun_hint(key))
