"""What gold is made of, put together from pieces of silver as they come."""

import threading
from collections import defaultdict
from typing import Final, Self

import narwhals.stable.v2 as nw
import polars as pl

from shopease_etl.contract import gold
from shopease_etl.contract.gold import DISTINCTS, PARTS
from shopease_etl.contract.tables import CLEANED_TABLES, TRANSACTIONS, Table
from shopease_etl.transform.memory import Memory
from shopease_etl.transform.recurring import Recurring

_MOST_PIECES: Final = 16


class SilverParts:
    """Sums and counts of the sales, and the columns of the other tables that gold needs; several threads may add.

    Memory grows with days, products and customers, not with sales.
    """

    def __init__(self, memory: Memory) -> None:
        self._tables: dict[str, list[pl.DataFrame]] = defaultdict(list)
        self._parts: dict[str, list[pl.DataFrame]] = defaultdict(list)
        self._pairs = {distinct.name: memory.spill(gold.DAY) for distinct in DISTINCTS}
        self._typed = {table.name: _Typing(table) for table in CLEANED_TABLES}
        self._summed = Recurring(lambda sales: [item.of(sales) for item in (*PARTS, *DISTINCTS)])
        self._guard = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        for spill in self._pairs.values():
            spill.__exit__(*error)

    def has(self, table: Table) -> bool:
        """Whether anything of the table was added."""
        return table.name in self._tables

    def add(self, table: Table, silver: pl.DataFrame) -> None:
        """Take some rows of a table of silver, in any order."""
        typed = self._typed[table.name](silver)
        if table != TRANSACTIONS:
            with self._guard:
                self._tables[table.name].append(typed)
            return
        frames = self._summed(typed)
        for distinct, pairs in zip(DISTINCTS, frames[len(PARTS) :], strict=True):
            self._pairs[distinct.name].add(pairs)
        with self._guard:
            self._tables[table.name] = []
            for part, frame in zip(PARTS, frames, strict=False):
                pieces = self._parts[part.name]
                pieces.append(frame)
                if len(pieces) >= _MOST_PIECES:
                    pieces[:] = [_together(part, pieces)]

    def frames(self) -> gold.Frames:
        """The parts of all sales by name, and the other tables by theirs."""
        found = {part.name: _together(part, self._parts[part.name]) for part in PARTS}
        found |= {name: pl.concat(frames) for name, frames in self._tables.items() if frames}
        for distinct in DISTINCTS:
            pairs = self._pairs[distinct.name].buckets()
            found[distinct.name] = pl.concat(
                [_collected(distinct.counted(nw.from_native(bucket.lazy()))) for bucket in pairs]
            )
        return {name: nw.from_native(frame.lazy()) for name, frame in found.items()}


class _Typing:
    """Gives silver's text its types; first as if all of it parsed, which is quicker."""

    def __init__(self, table: Table) -> None:
        self._all_parse = Recurring(lambda silver: [gold.typed(silver, table, all_parse=True)])
        self._any = Recurring(lambda silver: [gold.typed(silver, table)])

    def __call__(self, silver: pl.DataFrame) -> pl.DataFrame:
        try:
            return self._all_parse(silver)[0]
        except pl.exceptions.InvalidOperationError:
            return self._any(silver)[0]


def _together(part: gold.Part, pieces: list[pl.DataFrame]) -> pl.DataFrame:
    return _collected(part.together(nw.from_native(pl.concat(pieces).lazy())))


def _collected(frame: gold.Frame) -> pl.DataFrame:
    collected: pl.DataFrame = frame.to_native().collect()
    return collected
