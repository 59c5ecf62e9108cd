"""Dirty sources whose sales have dates in some months, at their ends, and beyond all months."""

from dataclasses import dataclass
from random import Random
from typing import Final

import dirty_values
from dirty_sources import CHANCE_OF_DIRT, Column, DirtySource
from plain_silver import MOMENT

TYPES: Final = ("timestamp", "timestamp", "timestamptz", "timestamptz(0)", "date")
MONTHS: Final = 8
# Which month has these is known only in a time zone.
ENDS: Final = (
    *("2024-0{}-01 00:00:00", "2024-0{}-01 00:00:00+00", "2024-0{}-28 23:59:59.999999", "2024-0{}-01 03:30:00+00"),
    *("2024-0{}-01 00:00:00.5+14", "2024-0{}-01 00:30:00-11"),
)
NO_MONTH: Final = (
    *("infinity", "-infinity", "0044-03-15 BC", "0001-12-31 23:59:59 BC", "10000-01-01", "99999-12-31 23:59:59", None),
)
EDGES: Final = ("0001-01-01 00:00:00", "0001-01-01 00:30:00+00", "9999-12-31 23:59:59.999999", "9999-12-31 23:30:00+00")


@dataclass(frozen=True)
class MonthSource(DirtySource):
    """A seed's source that can be kept by month."""

    def known(self, random: Random, name: str, kind: str, most: int) -> Column:
        """As in any dirty source, but `created_at` is a date or a timestamp."""
        if (name, kind) != ("created_at", MOMENT):
            return super().known(random, name, kind, most)
        return Column(name, random.choice(TYPES), self.moment, self.moment)

    def moment(self, random: Random) -> str | None:
        """When something was sold, in a spelling that PostgreSQL takes."""
        chance, month = random.random(), random.randint(1, MONTHS)
        if chance < CHANCE_OF_DIRT:
            return random.choice((*NO_MONTH, *EDGES))
        if chance < 2 * CHANCE_OF_DIRT:
            return random.choice(dirty_values.CLOCK_CHANGES[self.zone])
        if chance < 0.2:
            return random.choice(ENDS).format(month)
        return f"2024-0{month}-{random.randint(1, 28):02} {random.randint(0, 23):02}:{random.randint(0, 59):02}:00"


def month_source(seed: int) -> MonthSource:
    """The source of a seed."""
    return MonthSource(seed, Random(seed).choice(list(dirty_values.CLOCK_CHANGES)), is_huge=False)
