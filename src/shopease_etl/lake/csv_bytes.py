"""CSV as bytes: the names in a header, and the number of records in a stream."""

import csv
import io

from shopease_etl.errors import DataRefusedError


class RowCounter:
    """Counts line ends outside quotes; a doubled quote in a field closes and opens it again, which changes nothing."""

    def __init__(self) -> None:
        self.records = 0
        self._quoted = False

    def update(self, chunk: bytes | bytearray) -> None:
        """Count the records that end in the next bytes, wherever the stream was cut."""
        if b'"' not in chunk:
            self.records += 0 if self._quoted else chunk.count(b"\n")
            return
        parts = chunk.split(b'"')
        self.records += sum(part.count(b"\n") for part in parts[int(self._quoted) :: 2])
        self._quoted ^= len(parts) % 2 == 0


def csv_header(key: str, head: bytes, *, is_whole_file: bool = False) -> tuple[str, ...] | None:
    """The names in a CSV's first record, quoted or not; None if `head`, the file's beginning, is too short."""
    end = record_end(head)
    if end is None and not (is_whole_file and head.count(b'"') % 2 == 0):
        return None
    try:
        return tuple(next(csv.reader(io.StringIO(head[:end].decode("utf-8"), newline=""), strict=True), ()))
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataRefusedError(f"the header of {key} cannot be read: {error}") from error


def record_end(head: bytes) -> int | None:
    """The position of the first record's line end; None if `head` is too short."""
    end = head.find(b"\n")
    while end >= 0 and head.count(b'"', 0, end) % 2:
        end = head.find(b"\n", end + 1)
    return end if end >= 0 else None


def whole_records(data: bytes) -> int:
    """The total length of the complete records in `data`, which begins with a record."""
    end = data.rfind(b"\n")
    if b'"' not in data:  # searching is much faster than counting
        return end + 1
    quotes = data.count(b'"', 0, max(end, 0))
    while end >= 0 and quotes % 2:
        former = data.rfind(b"\n", 0, end)
        quotes -= data.count(b'"', max(former, 0), end)
        end = former
    return end + 1
