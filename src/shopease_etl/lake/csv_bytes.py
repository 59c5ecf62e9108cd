"""CSV by its bytes: the names in a header, and records counted as they stream by."""

import csv
import io

from shopease_etl.errors import DataRefusedError


class RowCounter:
    """Counts line ends outside quotes; a doubled quote inside a field opens and closes at once, so it does no harm."""

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
    """The names in a CSV's first record, quoted or not; None where `head`, the file's beginning, is too short."""
    end = record_end(head)
    if end is None and not (is_whole_file and head.count(b'"') % 2 == 0):
        return None
    try:
        return tuple(next(csv.reader(io.StringIO(head[:end].decode("utf-8"), newline=""), strict=True), ()))
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataRefusedError(f"the header of {key} cannot be read: {error}") from error


def record_end(head: bytes) -> int | None:
    """Where the line end of the first record stands; None where `head` is too short."""
    end = head.find(b"\n")
    while end >= 0 and head.count(b'"', 0, end) % 2:
        end = head.find(b"\n", end + 1)
    return end if end >= 0 else None


def whole_records(data: bytes) -> int:
    """The length of the records that end in `data`, which begins with a record."""
    end = data.rfind(b"\n")
    if b'"' not in data:  # to look is far quicker than to count
        return end + 1
    quotes = data.count(b'"', 0, max(end, 0))
    while end >= 0 and quotes % 2:
        former = data.rfind(b"\n", 0, end)
        quotes -= data.count(b'"', max(former, 0), end)
        end = former
    return end + 1
