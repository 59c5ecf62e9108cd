"""A CSV dataset of the lake in pieces of whole records, so that memory does not grow with it."""

import re
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, wait
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from typing import Final, TypeVar

import polars as pl

from shopease_etl import cancel
from shopease_etl.contract.column_names import labels
from shopease_etl.contract.tables import Table
from shopease_etl.errors import DataRefusedError, ShopeaseError, UnreachableError
from shopease_etl.lake.csv_bytes import RowCounter, csv_header, record_end, whole_records
from shopease_etl.lake.manifests import Publication, remake, require_hash, require_whole
from shopease_etl.lake.store import Store
from shopease_etl.report import Recorded

HEADER_BYTES: Final = 65_536
BATCH_BYTES: Final = 4 * 1024 * 1024
LONGEST_RECORD: Final = 1024 * 1024 * 1024
_NO_SEPARATOR: Final = "\x01"
_BYTE_ORDER_MARK: Final = "\ufeff"

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


@dataclass(frozen=True)
class Piece:
    """Whole records of an object: where they start, how long they are in bytes, and they themselves while at hand.

    `may_need_quotes` is false where no value has a character that CSV quotes. `first` is the number of the first row
    in the object and `rows` how many there are, once that is known.
    """

    start: int
    length: int
    data: bytes | None = None
    may_need_quotes: bool = True
    first: int = 0
    rows: int = 0


class CsvObject:
    """A CSV dataset with every column as text; NULL and the empty string stay apart.

    `names` are those in the header; frames have `labels`, which are names of ours where it is given which are `known`.

    Raises:
        DataRefusedError: the object is missing, cut short, not the size in bytes that its run recorded, or its header
            cannot be read.
    """

    def __init__(
        self,
        store: Store,
        key: str,
        recorded: Mapping[str, Recorded],
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
        self.labels = self.names if known is None else labels(self.names, known)

    def pieces(self) -> Iterator[Piece]:
        """The records in pieces of about the batch's size, in order; one without rows where there are none.

        Raises:
            DataRefusedError: at the end, where the bytes were not those that the object's run recorded.
        """
        start, size, digest = len(self._header), self._batch_bytes, sha256(self._header)
        if start >= self.bytes:
            yield Piece(start, 0, b"")
        while start < self.bytes:
            data = self._store.read(self.key, start, size)
            length = len(data) if start + len(data) >= self.bytes else whole_records(data)
            if length:
                piece = data[:length]
                if self._expected:
                    digest.update(piece)
                yield Piece(start, length, piece, b'"' in data or b"\r" in data)
                start, size = start + length, self._batch_bytes
            elif size >= LONGEST_RECORD or not data:
                row = f"row {self._rows_before(start) + 1:,} of {self.key}"
                message = (
                    f"{row} cannot be read: it has more than {size / 1e6:,.0f} MB, or a quote that is never closed"
                )
                raise DataRefusedError(message, hint=remake(self.key))
            else:
                size *= 2
        if self._expected:
            require_hash(self.key, digest.hexdigest(), self._expected)

    def _rows_before(self, place: int) -> int:
        rows = RowCounter()
        for start in range(len(self._header), place, self._batch_bytes):
            rows.update(self._store.read(self.key, start, min(self._batch_bytes, place - start)))
        return rows.records

    def frame(self, piece: Piece, columns: Sequence[str] | None = None) -> pl.DataFrame:
        """The piece's rows; `columns` are those to read, where not all.

        Raises:
            DataRefusedError, PolarsError: they are no CSV of the header's columns.
        """
        places = None if columns is None else [self.labels.index(name) for name in columns if name in self.labels]
        return self._parsed(self._data(piece), places)

    def some(self, piece: Piece, places: pl.Series) -> pl.DataFrame:
        """Those of the piece's rows that stand at these places, which rise; only they are parsed where that can be."""
        data = self._data(piece)
        if not piece.may_need_quotes and _NO_SEPARATOR.encode() not in data:
            whole = dict.fromkeys(("line",), pl.String)
            lines = pl.read_csv(
                _kept(data), has_header=False, schema=whole, separator=_NO_SEPARATOR, quote_char=None
            ).to_series()
            if len(lines) == piece.rows and not lines.has_nulls():
                return self._parsed("".join(f"{line}\n" for line in lines.gather(places)).encode(), None)
        return self._parsed(data, None)[places]

    def _data(self, piece: Piece) -> bytes:
        if piece.data is not None or not piece.length:
            return piece.data or b""
        return self._store.read(self.key, piece.start, piece.length)

    def _parsed(self, data: bytes, places: Sequence[int] | None) -> pl.DataFrame:
        schema = dict.fromkeys(self.labels, pl.String)
        if not data:
            return pl.DataFrame(schema=schema)[:, places or slice(None)]
        try:
            return pl.read_csv(_kept(data), has_header=False, schema=schema, columns=places, missing_columns="insert")
        except pl.exceptions.SchemaError as error:
            message = f"{self.key} cannot be read: a record has more fields than the header"
            raise DataRefusedError(message, hint=remake(self.key)) from error

    def require_columns(self, table: Table) -> None:
        """Raise DataRefusedError that names every column which the table needs and the dataset lacks."""
        missing = [name for name in table.required_columns if name not in self.names]
        if missing:
            message = f"{self.key} lacks the column{'s' if missing[1:] else ''} {', '.join(missing)}"
            raise DataRefusedError(message, hint=f"the table {table.source} must have it; see the data contract")


def _kept(data: bytes) -> bytes:
    """The bytes such that Polars drops none: it takes U+FEFF in the first value for a byte order mark."""
    mark = _BYTE_ORDER_MARK.encode()
    return mark + data if data.startswith(mark) else data


def _header(store: Store, key: str) -> tuple[tuple[str, ...], bytes]:
    """The names of the columns, and the header's bytes."""
    length = HEADER_BYTES
    while (names := csv_header(key, head := store.read(key, length=length))) is None and len(head) == length:
        length *= 8
    if names:
        names = (names[0].removeprefix(_BYTE_ORDER_MARK), *names[1:])
    if not names or len(set(names)) < len(names):
        message = f"the header of {key} " + ("names a column twice" if names else "cannot be read")
        raise DataRefusedError(message, hint=remake(key))
    return names, head[: (record_end(head) or 0) + 1]


@contextmanager
def reading(key: str, written: Publication | None = None) -> Iterator[None]:
    """Translate what Polars raises while it reads a dataset, and writes others, into our errors."""
    try:
        yield
    except (pl.exceptions.PolarsError, OSError) as error:
        raise (written and written.failure()) or _refusal(key, error) from error


def _refusal(key: str, error: Exception) -> ShopeaseError:
    reason = _first_line(error)
    if isinstance(error, OSError):
        return UnreachableError(f"cannot read {key}: {reason}")
    if isinstance(error, pl.exceptions.InvalidOperationError):
        return DataRefusedError(
            f"{key} holds a value too large for what is made of it (decimal(18,2) or bigint): {reason}"
        )
    return DataRefusedError(f"{key} cannot be read: {reason}", hint=remake(key))


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return re.sub(r"shopease:\w+:", "", lines[0]) if lines else type(error).__name__


def in_order(
    pool: Executor, work: Callable[[_Item], _Result], items: Iterable[_Item], ahead: int
) -> Iterator[tuple[_Item, _Result]]:
    """Each item with what `work` makes of it in the pool, in the items' order; at most `ahead` wait or are at work."""
    under_way: deque[tuple[_Item, Future[_Result]]] = deque()
    try:
        for item in items:
            under_way.append((item, pool.submit(work, item)))
            if len(under_way) >= ahead:
                yield _first(under_way)
        while under_way:
            yield _first(under_way)
    finally:
        for _, future in under_way:
            future.cancel()
        wait([future for _, future in under_way])


def _first(under_way: deque[tuple[_Item, Future[_Result]]]) -> tuple[_Item, _Result]:
    item, future = under_way.popleft()
    return item, cancel.result(future)
