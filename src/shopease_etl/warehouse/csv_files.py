"""Checks a CSV file before it is read: is it complete, and how long are its records?"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from shopease_etl.lake.csv_bytes import RowCounter

USUAL_RECORD: Final = 16 << 20
_PIECE: Final = 1 << 20
_WINDOW: Final = 1 << 16


@dataclass(frozen=True)
class Look:
    """Why the file seems to be cut off, or None; the most bytes of a record, and where the longest one begins if it has
    more than `USUAL_RECORD`.
    """

    cut_off: str | None = None
    longest: int = USUAL_RECORD
    longest_at: int = 0


@dataclass(frozen=True)
class CsvFile:
    """A CSV file: the start of the DuckDB call that reads it, and the result of its check."""

    call: str
    has_line_breaks: bool
    look: Look = field(default_factory=Look)

    def source(self, longest: int) -> str:
        """The call for records of at most this length."""
        room = longest + 16  # DuckDB counts the line end
        return f"{self.call}, max_line_size = {room}, buffer_size = {2 * room})"


def look_over(path: Path, *, has_line_breaks: bool) -> Look:
    """Check a file; if values may have line breaks, all of it is read (about 1 GB a second)."""
    try:
        size = path.stat().st_size
        with path.open("rb") as stream:
            stream.seek(max(size - 1, 0))
            ends_well = stream.read() == b"\n"
            if has_line_breaks or (size > USUAL_RECORD and not _has_short_lines(path, size)):
                look = _scanned(path)
            else:
                look = Look()
        return look if look.cut_off or ends_well else Look("it does not end with a line end")
    except OSError as error:
        return Look(error.strerror or str(error))


def row_at(path: Path, place: int) -> int:
    """The number of the row that begins at this byte, without the header."""
    rows = RowCounter()
    for start, piece in _pieces(path):
        rows.update(piece[: max(place - start, 0)])
    return rows.records


def _has_short_lines(path: Path, size: int) -> bool:
    """Whether no line is longer than `USUAL_RECORD`; a longer one would fill one of these windows."""
    with path.open("rb") as stream:
        for place in range(0, size - _WINDOW, USUAL_RECORD - _WINDOW):
            stream.seek(place)
            if b"\n" not in stream.read(_WINDOW):
                return False
    return True


def _scanned(path: Path) -> Look:
    is_quoted, begin, end, longest, longest_at = False, 0, 0, USUAL_RECORD, 0
    for start, piece in _pieces(path):
        first = _first_end(piece, is_quoted=is_quoted)
        is_quoted ^= piece.count(b'"') % 2 == 1
        end = start + len(piece)
        if first < 0:
            continue
        if start + first - begin > longest:
            longest, longest_at = start + first - begin, begin
        begin = start + _last_end(piece, is_quoted=is_quoted) + 1
    cut_off = "it ends in the middle of a quoted field" if is_quoted else None
    return Look(cut_off, max(longest, end - begin), longest_at)


def _pieces(path: Path) -> Iterator[tuple[int, bytes]]:
    with path.open("rb") as stream:
        place = 0
        while piece := stream.read(_PIECE):
            yield place, piece
            place += len(piece)


def _first_end(piece: bytes, *, is_quoted: bool) -> int:
    """The position of the first line end outside quotes, or -1; `is_quoted` tells how the piece begins."""
    place = 0
    while True:
        quote = piece.find(b'"', place)
        if not is_quoted and (end := piece.find(b"\n", place, quote if quote >= 0 else len(piece))) >= 0:
            return end
        if quote < 0:
            return -1
        place, is_quoted = quote + 1, not is_quoted


def _last_end(piece: bytes, *, is_quoted: bool) -> int:
    """The position of the last line end outside quotes, or -1; `is_quoted` tells how the piece ends."""
    place = len(piece)
    while True:
        quote = piece.rfind(b'"', 0, place)
        if not is_quoted and (end := piece.rfind(b"\n", quote + 1, place)) >= 0:
            return end
        if quote < 0:
            return -1
        place, is_quoted = quote, not is_quoted
