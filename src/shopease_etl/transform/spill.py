"""Rows kept until all of them are there: in memory while they are few, in a file without a name when they are many."""

import tempfile
import threading
from collections import defaultdict
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import IO, Final, Self, cast

import polars as pl

from shopease_etl.errors import UnreachableError

BUCKETS: Final = 64
_BUCKET: Final = "shopease:bucket"


class Spill:
    """Rows that are to be looked at by the values of one column, all rows with one value together.

    No more than about `budget` bytes are held in memory. The file is deleted as it is opened: a killed process leaves
    nothing. Several threads may add.
    """

    def __init__(self, column: str, folder: Path, budget: int) -> None:
        self._column = column
        self._folder = folder
        self._budget = budget
        self._frames: list[pl.DataFrame] = []
        self._nothing: pl.DataFrame | None = None
        self._bytes = 0
        self._file: IO[bytes] | None = None
        self._places: dict[int, list[tuple[int, int]]] = defaultdict(list)
        self._guard = threading.Lock()

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
        with self._guard:
            self._nothing = frame.clear()
            self._frames.append(frame)
            self._bytes += int(frame.estimated_size())
            if self._bytes > self._budget:
                self._write()

    def buckets(self) -> Iterator[pl.DataFrame]:
        """All rows, those with one value of the column in the same frame; one frame without rows where none is."""
        if not self._places:
            if self._nothing is not None:
                yield pl.concat([self._nothing, *self._frames])
            return
        self._write()
        for places in list(self._places.values()):
            yield pl.concat([self._read(*place) for place in places])

    def _write(self) -> None:
        if not self._frames:
            return
        frame = pl.concat(self._frames).with_columns((pl.col(self._column).hash() % BUCKETS).alias(_BUCKET))
        self._frames.clear()
        self._bytes = 0
        try:
            if self._file is None:
                self._folder.mkdir(parents=True, exist_ok=True)
                self._file = cast("IO[bytes]", tempfile.TemporaryFile(dir=self._folder))  # noqa: SIM115 - closed at exit
            for (bucket,), rows in frame.partition_by(_BUCKET, as_dict=True, include_key=False).items():
                start = self._file.seek(0, 2)
                rows.write_ipc(self._file)
                self._places[cast("int", bucket)].append((start, self._file.tell() - start))
        except OSError as error:
            message = f"cannot write to {self._folder} what does not fit in memory: {error.strerror or error}"
            hint = "set SHOPEASE_HOME to a folder on a disk with room, or SHOPEASE_MAX_MEMORY to more"
            raise UnreachableError(message, hint=hint) from error

    def _read(self, start: int, length: int) -> pl.DataFrame:
        if self._file is None:
            raise ValueError(start)
        self._file.seek(start)
        return pl.read_ipc(BytesIO(self._file.read(length)))
