"""Verifies what a run wrote before it is published: reads it back with another engine than those that wrote it."""

import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal, localcontext
from hashlib import sha256
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyarrow import csv

from shopease_etl import cancel
from shopease_etl.contract import layout
from shopease_etl.contract.gold import GOLD
from shopease_etl.contract.layout import BRONZE, QUARANTINE, SILVER
from shopease_etl.errors import DataRefusedError
from shopease_etl.lake.csv_bytes import csv_header
from shopease_etl.lake.store import Store
from shopease_etl.progress import SILENT, Progress
from shopease_etl.report import DatasetResult, StageResult
from shopease_etl.wording import counted, one_line

THREADS: Final = max(1, min(4, (os.cpu_count() or 1) // 2))  # the stages are at work beside them
BLOCK_BYTES: Final = 1 << 20
LARGEST_BLOCK_BYTES: Final = 1 << 30
EXACT_DIGITS: Final = 76
_MONEY: Final = pa.decimal128(38, 2)


@dataclass(frozen=True)
class _Content:
    """What an object holds: its bytes, its rows without the header, and the sums by their recorded names."""

    bytes: int
    sha256: str
    rows: int
    sums: Mapping[str, Decimal | int]


class _Stored:
    """An object's bytes as a file that is read once, from its beginning to its end; hashed on the way."""

    closed = False

    def __init__(self, store: Store, key: str, stopped: threading.Event) -> None:
        self.bytes = 0
        self.hash = sha256()
        self._store = store
        self._key = key
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
        data = self._store.read(self._key, self.bytes, size)
        self.hash.update(data)
        self.bytes += len(data)
        return data


class Verifier:
    """Verifies what the stages of a run wrote, while later stages are running."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="verify")
        self._stopped = threading.Event()
        self._stages: list[StageResult] = []
        self._contents: list[tuple[DatasetResult, Future[_Content]]] = []

    def add(self, stage: StageResult) -> None:
        """Begin to read what the stage wrote, and add up what it holds."""
        self._stages.append(stage)
        for item in sorted(stage.datasets, key=lambda item: -item.bytes):
            self._contents.append((item, self._pool.submit(_content, self._store, self._stopped, item)))

    def result(self, progress: Progress = SILENT) -> dict[str, object]:
        """Wait for the end; returns the sums for the manifest.

        Raises:
            DataRefusedError: an object is not what its stage recorded, or silver and quarantine are not bronze's rows;
                the message names key and both numbers.
        """
        items = [item for item, _ in self._contents]
        rows: dict[str, int] = {}
        sums: dict[str, Decimal | int] = {}
        progress.start("verify", sum(item.bytes for item in items))
        for item, future in self._contents:
            content = cancel.result(future)
            _require_recorded(item, content)
            rows[item.key] = content.rows
            sums |= content.sums
            progress.advance("verify", size=content.bytes)
        _require_every_row(items, rows)
        _require_sums(self._stages, rows, sums)
        progress.finish("verify", counted(len(rows), "object"))
        return {"reread": {"objects": len(rows), "rows": rows, **sums}}

    def stop(self) -> None:
        """Read no more."""
        self._stopped.set()
        self._pool.shutdown(cancel_futures=True)


def verify(store: Store, stages: Sequence[StageResult], *, progress: Progress = SILENT) -> dict[str, object]:
    """Read every object that the stages wrote, and add up what it holds, as `Verifier` does."""
    verifier = Verifier(store)
    try:
        for stage in stages:
            verifier.add(stage)
        return verifier.result(progress)
    finally:
        verifier.stop()


def _content(store: Store, stopped: threading.Event, item: DatasetResult) -> _Content:
    summed = _summed(item.key)
    with _reading(item.key), localcontext(prec=EXACT_DIGITS):
        if item.layer == layout.GOLD:
            return _parquet(store, item.key, summed)
        block = BLOCK_BYTES
        while True:
            try:
                return _csv(store, item.key, summed, block, stopped)
            except pa.ArrowInvalid:
                # a header or a row is larger than a block, or else it is no CSV
                if block >= min(item.bytes, LARGEST_BLOCK_BYTES):
                    raise
            block *= 8


@contextmanager
def _reading(key: str) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, LookupError, ValueError, OSError) as error:
        message = f"{key} cannot be read again: {one_line(error)}"
        raise DataRefusedError(message) from error


def _parquet(store: Store, key: str, summed: Mapping[str, str]) -> _Content:
    data = store.read(key)
    rows, sums = _totals(pq.ParquetFile(pa.BufferReader(data)).iter_batches(), summed)
    return _Content(len(data), sha256(data).hexdigest(), rows, sums)


def _csv(store: Store, key: str, summed: Mapping[str, str], block: int, stopped: threading.Event) -> _Content:
    """Every row is split into fields, but only what is added up is decoded: the hash shows that no byte has changed."""
    names = csv_header(key, store.read(key, length=block))
    if names is None:
        message = f"its header does not end in the first {block:,} bytes"
        raise pa.ArrowInvalid(message)
    if not names:
        message = f"{key} has no columns"
        raise DataRefusedError(message)
    file = _Stored(store, key, stopped)
    types = {name: _MONEY if name in summed else pa.string() for name in names}
    with csv.open_csv(
        file,
        # the header is read above: what Arrow would make of it depends on the first rows
        csv.ReadOptions(block_size=block, column_names=names, skip_rows_after_names=1),
        # an empty line is a row whose only column is NULL
        csv.ParseOptions(newlines_in_values=True, ignore_empty_lines=False),
        csv.ConvertOptions(column_types=types, null_values=[""], include_columns=[*summed] or names[:1]),
    ) as reader:
        rows, sums = _totals(reader, summed)
    return _Content(file.bytes, file.hash.hexdigest(), rows, sums)


def _totals(batches: Iterator[Any], summed: Mapping[str, str]) -> tuple[int, dict[str, Decimal | int]]:
    """How many rows there are, and the exact sums; a NULL adds nothing."""
    rows = 0
    sums: dict[str, Decimal | int] = dict.fromkeys(summed.values(), 0)
    for batch in batches:
        rows += batch.num_rows
        for column, name in summed.items():
            sums[name] += pc.sum(batch.column(column)).as_py() or 0
    return rows, sums


def _require_recorded(item: DatasetResult, content: _Content) -> None:
    _require(item.key, "bytes", content.bytes, item.bytes)
    _require(item.key, "the hash", content.sha256, item.sha256)
    _require(item.key, "rows", content.rows, item.rows_out)
    if item.layer == BRONZE:
        _require(item.key, "rows", content.rows, item.rows_in)


def _require_every_row(items: Sequence[DatasetResult], rows: Mapping[str, int]) -> None:
    """Silver and quarantine together have the rows of bronze, which an earlier run may have written."""
    by_layer = {(item.layer, item.name): rows[item.key] for item in items}
    for item in items:
        if item.layer == SILVER:
            found = rows[item.key] + by_layer.get((QUARANTINE, item.name), 0)
            bronze = by_layer.get((BRONZE, item.name), item.rows_in)
            _require(item.key, "rows together with quarantine", found, bronze)


def _require_sums(stages: Sequence[StageResult], rows: Mapping[str, int], sums: Mapping[str, Decimal | int]) -> None:
    """The lake has the inputs that gold was built from, and gold has what was reconciled."""
    for stage in (stage for stage in stages if stage.name == "aggregate"):
        built = {item.key for item in stage.datasets}
        for dataset in (dataset for dataset in GOLD if dataset.key in built):
            for key, column, name in dataset.recorded:
                if key in rows:
                    found = sums[name] if column else rows[key]
                    _require(key, column or "rows", found, stage.reconciliation.get(name))


def _summed(key: str) -> dict[str, str]:
    """The columns of an object that are added up, with the names of their sums."""
    recorded = (of_key for dataset in GOLD for of_key in dataset.recorded if of_key[0] == key)
    return {column: name for _, column, name in recorded if column}


def _require(key: str, what: str, found: object, expected: object) -> None:
    if found != expected:
        message = f"{key}, read again, is not what the run recorded: {what} {_text(found)} instead of {_text(expected)}"
        raise DataRefusedError(
            message, hint="nothing was published; run it again, and check the disk if it fails again"
        )


def _text(value: object) -> str:
    return f"{value:,}" if isinstance(value, int | Decimal) else str(value)
