"""What parses, by the data contract, and the CSV of the lake: plain Python, nothing of the tool."""

import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal, localcontext
from typing import Final
from zoneinfo import ZoneInfo

WHITE_SPACE: Final = " \t\n\r\f\v\u00a0"
MAX_BIGINT: Final = 2**63 - 1
MAX_MONEY: Final = Decimal("9999999999999999.99")

_RUN: Final = re.compile(f"[{WHITE_SPACE}]+")
_LINE_BREAK: Final = re.compile("\r\n|\n|\r")
_INTEGER: Final = re.compile(r"([+-]?)([0-9]+)")
_NUMBER: Final = re.compile(r"[+-]?[0-9]+([.][0-9]+)?")
_TIMESTAMP: Final = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})"
    r"(?:[ T]([0-9]{2}):([0-9]{2}):([0-9]{2})(?:[.]([0-9]{1,6}))?"
    r"(Z|([+-])([0-9]{2})(?::?([0-9]{2})|:([0-9]{2}):([0-9]{2}))?)?)?"
)

Record = tuple[str | None, ...]


def trimmed(value: str | None) -> str | None:
    """The value without white space at its ends; None where nothing is left."""
    return (value or "").strip(WHITE_SPACE) or None


def squeezed(value: str | None) -> str | None:
    """The trimmed value with each inner run of white space made one space."""
    known = trimmed(value)
    return known and _RUN.sub(" ", known)


def one_line(value: str | None) -> str | None:
    """The value with each line break made one space."""
    return value and _LINE_BREAK.sub(" ", value)


def integer(value: str | None) -> int | None:
    """The bigint that the value is, if it is one."""
    found = _INTEGER.fullmatch(trimmed(value) or "")
    if not found:
        return None
    digits = found[2].lstrip("0") or "0"
    if len(digits) > len(str(MAX_BIGINT)):
        return None
    number = -int(digits) if found[1] == "-" else int(digits)
    return number if -MAX_BIGINT - 1 <= number <= MAX_BIGINT else None


def money(value: str | None) -> Decimal | None:
    """The decimal(18,2) that the value is when it is rounded half away from zero, if it is one."""
    known = trimmed(value) or ""
    if not _NUMBER.fullmatch(known):
        return None
    with localcontext(prec=len(known) + 3):
        rounded = Decimal(known).quantize(Decimal("0.01"), ROUND_HALF_UP)
        return rounded if abs(rounded) <= MAX_MONEY else None


def instant(value: str | None, zone: ZoneInfo) -> int | None:
    """The value as microseconds since year 1 in UTC, if it is a timestamp; one without offset is read in the zone."""
    found = _TIMESTAMP.fullmatch(trimmed(value) or "")
    if not found:
        return None
    year, month, day, hour, minute, second = (int(part or 0) for part in found.groups()[:6])
    try:
        local = datetime(year, month, day, hour, minute, second, int((found[7] or "").ljust(6, "0")), tzinfo=UTC)
    except ValueError:
        return None
    seconds = _offset(found)
    if seconds is None:
        return None
    if found[8] is None:
        offset = local.replace(tzinfo=zone).utcoffset()
        assert offset is not None
        seconds = offset.days * 86_400 + offset.seconds
    since = local - datetime(1, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds - seconds) * 1_000_000 + since.microseconds


def _offset(found: re.Match[str]) -> int | None:
    """The seconds of the written offset; None where it is too large."""
    hours, minutes, seconds = (int(part or 0) for part in (found[10], found[11] or found[12], found[13]))
    if hours > 15 or minutes > 59 or seconds > 59:
        return None
    total = hours * 3600 + minutes * 60 + seconds
    return -total if found[9] == "-" else total


def read_csv(data: bytes) -> list[Record]:
    """The records of COPY's CSV, the header first; an empty field is NULL, `""` is the empty string."""
    return list(_records(data.decode("utf-8")))


def _records(text: str) -> Iterator[Record]:
    place, record = 0, list[str | None]()
    while place < len(text):
        value: str | None
        if text[place] == '"':
            value, place = _quoted(text, place + 1)
        else:
            end = place
            while text[end] not in ",\n":
                end += 1
            value, place = text[place:end] or None, end
        record.append(value)
        if text[place] == "\n":
            yield tuple(record)
            record = []
        elif text[place + 1] == "\n":  # the last field of the record is NULL
            record.append(None)
            yield tuple(record)
            record, place = [], place + 1
        place += 1


def _quoted(text: str, start: int) -> tuple[str, int]:
    """The field whose opening quote is before `start`, and the place after its closing quote."""
    parts, place = [], start
    while True:
        end = text.index('"', place)
        parts.append(text[place:end])
        if text[end + 1] != '"':
            return '"'.join(parts), end + 1
        place = end + 2


def write_csv(records: Iterable[Sequence[str | None]]) -> bytes:
    """Records as the lake's CSV has them: quoted only where that is needed."""
    return "".join(",".join(map(_field, record)) + "\n" for record in records).encode("utf-8")


def _field(value: str | None) -> str:
    if value is None:
        return ""
    if value and not set(value) & set(',"\n\r'):
        return value
    return '"' + value.replace('"', '""') + '"'
