"""Rows kept until all are there: in memory while they are few, in a file without a name when they are many."""

import tempfile
from collections import defaultdict
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import IO, Final, Self, cast

import polars as pl

from shopease_etl.errors import UnreachableError

_BUCKETS: Final = 64


class Spill:
    """Rows that are read back by the values of one column, all rows with one value together.

    Memory has no more than about `budget` bytes of them. The file is deleted as it is opened: a killed process leaves
    nothing.
    """

    def __init__(self, column: str, folder: Path, budget: int) -> None:
        self._column = column
        self._folder = folder
        self._budget = budget
        self._frames: list[pl.DataFrame] = []
        self._empty: pl.DataFrame | None = None
        self._bytes = 0
        self._file: IO[bytes] | None = None
        self._positions: dict[int, list[tuple[int, int]]] = defaultdict(list)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._frames.clear()
        if self._file:
            self._file.close()

    def add(self, frame: pl.DataFrame) -> None:
        """Keep the rows.

        Raises:
            UnreachableError: the disk does not take them.
        """
        self._empty = frame.clear()
        self._frames.append(frame)
        self._bytes += int(frame.estimated_size())
        if self._bytes > self._budget:
            self._write()

    def buckets(self) -> Iterator[pl.DataFrame]:
        """All rows, those with one value of the column in the same frame; one frame without rows where none is."""
        if not self._positions:
            if self._empty is not None:
                yield pl.concat([self._empty, *self._frames])
            return
        self._write()
        for positions in list(self._positions.values()):
            yield pl.concat([self._read(start, length) for start, length in positions])

    def _write(self) -> None:
        if not self._frames:
            return
        bucket_column = "shopease:bucket"
        frame = pl.concat(self._frames).with_columns((pl.col(self._column).hash() % _BUCKETS).alias(bucket_column))
        self._frames.clear()
        self._bytes = 0
        try:
            if self._file is None:
                self._folder.mkdir(parents=True, exist_ok=True)
                self._file = cast("IO[bytes]", tempfile.TemporaryFile(dir=self._folder))  # noqa: SIM115 - closed at exit
            for (bucket,), rows in frame.partition_by(bucket_column, as_dict=True, include_key=False).items():
                start = self._file.seek(0, 2)
                rows.write_ipc(self._file)
                self._positions[cast("int", bucket)].append((start, self._file.tell() - start))
        except OSError as error:
            message = f"cannot write to {self._folder} what does not fit in memory: {error.strerror or error}"
            hint = "set SHOPEASE_HOME to a folder on a disk with room, or SHOPEASE_MAX_MEMORY to more"
            raise UnreachableError(message, hint=hint) from error

    def _read(self, start: int, length: int) -> pl.DataFrame:
        if self._file is None:
            raise ValueError(start)
        self._file.seek(start)
        return pl.read_ipc(BytesIO(self._file.read(length)))
