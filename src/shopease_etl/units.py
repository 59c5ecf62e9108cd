"""Durations and sizes as people write them, such as 90m, 26h or 10MB."""

import math
import re
from typing import Final

from pydantic import ByteSize, TypeAdapter, ValidationError

from shopease_etl.errors import ConfigurationError

_UNITS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_PART: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)([smhdw])")
_WHOLE: Final = re.compile(rf"(?:{_PART.pattern})+")


def seconds_in(text: str) -> float:
    """The seconds in a duration such as 90m, 26h or 1d12h.

    Raises:
        ConfigurationError: it is not a duration, or it is zero or infinite.
    """
    written = text.strip().lower()
    parts = _PART.findall(written) if _WHOLE.fullmatch(written) else []
    seconds = sum(float(number) * _UNITS[unit] for number, unit in parts)
    if not seconds or not math.isfinite(seconds):
        message = f"{text!r} is not a duration"
        raise ConfigurationError(message, hint="write it as 90m, 26h or 2d")
    return seconds


def format_seconds(seconds: float) -> str:
    """A duration in one unit, rounded down, such as 26 h."""
    for unit, length, limit in (("s", 1, 120), ("min", 60, 7_200), ("h", 3_600, 172_800)):
        if seconds < limit:
            return f"{max(0, int(seconds)) // length} {unit}"
    return f"{int(seconds) // 86_400} d"


def size(text: str) -> int:
    """A number of bytes, written like 10MB or 1GiB.

    Raises:
        ConfigurationError: it is not a size.
    """
    try:
        return int(TypeAdapter(ByteSize).validate_python(text))
    except ValidationError:
        message = f"{text!r} is not a size"
        raise ConfigurationError(message, hint="write it as 10MB or 1GiB") from None
