"""A time of day in a zone: what clock changes do to it, and when a machine in another zone has to look."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from shopease_etl.errors import ConfigurationError

LOCALTIME: Final = Path("/etc/localtime")
_DAYS_AHEAD: Final = 2 * 366  # the clock's changes of two years


@dataclass(frozen=True)
class Irregular:
    """The days on which a zone's clock skips a time of day, and those on which it passes it twice."""

    skipped: tuple[date, ...]
    repeated: tuple[date, ...]


def clock(text: str) -> time:
    """A time of day, written as 03:30.

    Raises:
        ConfigurationError: it is none.
    """
    try:
        return datetime.strptime(text, "%H:%M").replace(tzinfo=UTC).time()
    except ValueError:
        message = f"{text!r} is no time of day"
        raise ConfigurationError(message, hint="write it as 03:30, from 00:00 to 23:59") from None


def named_zone(name: str) -> ZoneInfo:
    """A time zone by its name.

    Raises:
        ConfigurationError: there is none of that name.
    """
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        message = f"{name!r} is no time zone"
        raise ConfigurationError(message, hint="write it as in Europe/Berlin") from None


def machine_zone(localtime: Path = LOCALTIME) -> tzinfo:
    """The zone that cron on this machine lives in; UTC where the machine names none."""
    try:
        with localtime.open("rb") as file:
            return ZoneInfo.from_file(file)
    except (OSError, ValueError):
        return UTC


def irregular(at: time, zone: tzinfo, first: date) -> Irregular:
    """The days of the next two years on which the clock does not pass a time once."""
    skipped, repeated = [], []
    for day in _days(first):
        early = datetime.combine(day, at, zone)
        if early.astimezone(UTC).astimezone(zone).replace(tzinfo=None) != early.replace(tzinfo=None):
            skipped.append(day)
        elif early.utcoffset() != early.replace(fold=1).utcoffset():
            repeated.append(day)
    return Irregular(tuple(skipped), tuple(repeated))


def agree(one: tzinfo, other: tzinfo, first: date) -> bool:
    """Whether two zones show the same time in the next two years."""
    noons = [datetime.combine(day, time(12), UTC) for day in _days(first)]
    return all(noon.astimezone(one).utcoffset() == noon.astimezone(other).utcoffset() for noon in noons)


def is_fixed(zone: tzinfo, first: date) -> bool:
    """Whether a zone's clock is not changed in the next two years."""
    return len({datetime.combine(day, time(12), UTC).astimezone(zone).utcoffset() for day in _days(first)}) == 1


def seen_from(at: time, zone: tzinfo, other: tzinfo, first: date) -> tuple[time, ...]:
    """All times of day that another zone shows when it is `at` in a zone, in the next two years."""
    moments = (datetime.combine(day, at, zone).astimezone(other) for day in _days(first))
    return tuple(sorted({moment.time().replace(fold=0) for moment in moments}))


def _days(first: date) -> Iterator[date]:
    return (first + timedelta(days=number) for number in range(_DAYS_AHEAD))
