"""Checks a CSV file before it is read: is it complete, and how long are its records?"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from shopease_etl.lake.csv_bytes import RowCounter

USUAL_RECORD: Final = 16 << 20
_BLOCK: Final = 1 << 20


@dataclass(frozen=True)
class CsvCheck:
    """The result of a check: why the file seems to be cut off, or None; the most bytes of a record, and where the
    longest one begins if it has more than `USUAL_RECORD`.
    """

    cut_off: str | None = None
    longest: int = USUAL_RECORD
    longest_at: int = 0


def check_csv(path: Path, *, has_line_breaks: bool) -> CsvCheck:
    """Check a file; if values may have line breaks, all of it is read (about 1 GB a second)."""
    try:
        size = path.stat().st_size
        with path.open("rb") as stream:
            stream.seek(max(size - 1, 0))
            ends_well = stream.read() == b"\n"
            if has_line_breaks or (size > USUAL_RECORD and not _has_short_lines(path, size)):
                check = _scan(path)
            else:
                check = CsvCheck()
        return check if check.cut_off or ends_well else CsvCheck("its last line has no line end")
    except OSError as error:
        return CsvCheck(error.strerror or str(error))


def row_at(path: Path, position: int) -> int:
    """The number of the row that begins at this byte, without the header."""
    rows = RowCounter()
    for start, block in _blocks(path):
        rows.update(block[: max(position - start, 0)])
    return rows.records


def _has_short_lines(path: Path, size: int) -> bool:
    """Whether no line is longer than `USUAL_RECORD`; a longer one would fill one of these windows."""
    window = 1 << 16
    with path.open("rb") as stream:
        for position in range(0, size - window, USUAL_RECORD - window):
            stream.seek(position)
            if b"\n" not in stream.read(window):
                return False
    return True


def _scan(path: Path) -> CsvCheck:
    is_quoted, begin, end, longest, longest_at = False, 0, 0, USUAL_RECORD, 0
    for start, block in _blocks(path):
        first = _first_end(block, is_quoted=is_quoted)
        is_quoted ^= block.count(b'"') % 2 == 1
        end = start + len(block)
        if first < 0:
            continue
        if start + first - begin > longest:
            longest, longest_at = start + first - begin, begin
        begin = start + _last_end(block, is_quoted=is_quoted) + 1
    cut_off = "it ends in the middle of a quoted field" if is_quoted else None
    return CsvCheck(cut_off, max(longest, end - begin), longest_at)


def _blocks(path: Path) -> Iterator[tuple[int, bytes]]:
    """The file in blocks, each with the position of its first byte."""
    with path.open("rb") as stream:
        position = 0
        while block := stream.read(_BLOCK):
            yield position, block
            position += len(block)


def _first_end(block: bytes, *, is_quoted: bool) -> int:
    """The position of the first line end outside quotes, or -1; `is_quoted`: the block begins inside quotes."""
    position = 0
    while True:
        quote = block.find(b'"', position)
        if not is_quoted and (end := block.find(b"\n", position, quote if quote >= 0 else len(block))) >= 0:
            return end
        if quote < 0:
            return -1
        position, is_quoted = quote + 1, not is_quoted


def _last_end(block: bytes, *, is_quoted: bool) -> int:
    """The position of the last line end outside quotes, or -1; `is_quoted`: the block ends inside quotes."""
    position = len(block)
    while True:
        quote = block.rfind(b'"', 0, position)
        if not is_quoted and (end := block.rfind(b"\n", quote + 1, position)) >= 0:
            return end
        if quote < 0:
            return -1
        position, is_quoted = quote, not is_quoted
