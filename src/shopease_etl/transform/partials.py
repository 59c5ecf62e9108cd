"""What gold is made of, put together from pieces of silver as they come."""

import threading
from collections import defaultdict
from typing import Final, Self

import polars as pl

from shopease_etl.contract import gold
from shopease_etl.contract.gold import DISTINCTS, PARTS
from shopease_etl.contract.tables import TRANSACTIONS, Table
from shopease_etl.transform.memory import Memory

_MOST_PIECES: Final = 16


class SilverParts:
    """Sums and counts of the sales, and the columns of the other tables that gold needs; several threads may add.

    Memory grows with days, products and customers, not with sales.
    """

    def __init__(self, memory: Memory) -> None:
        self._tables: dict[str, list[pl.DataFrame]] = defaultdict(list)
        self._parts: dict[str, list[pl.DataFrame]] = defaultdict(list)
        self._pairs = {distinct.name: memory.spill(gold.DAY) for distinct in DISTINCTS}
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
        typed = _typed(silver, table)
        if table != TRANSACTIONS:
            with self._guard:
                self._tables[table.name].append(typed)
            return
        for distinct in DISTINCTS:
            self._pairs[distinct.name].add(distinct.of(typed))
        sums = [(part, part.of(typed)) for part in PARTS]
        with self._guard:
            self._tables[table.name] = []
            for part, frame in sums:
                pieces = self._parts[part.name]
                pieces.append(frame)
                if len(pieces) >= _MOST_PIECES:
                    pieces[:] = [part.together(pl.concat(pieces))]

    def frames(self) -> gold.Frames:
        """The parts of all sales by name, and the other tables by theirs."""
        found = {part.name: part.together(pl.concat(self._parts[part.name])) for part in PARTS}
        found |= {name: pl.concat(frames) for name, frames in self._tables.items() if frames}
        for distinct in DISTINCTS:
            buckets = self._pairs[distinct.name].buckets()
            found[distinct.name] = pl.concat([distinct.counted(pairs) for pairs in buckets])
        return found


def _typed(silver: pl.DataFrame, table: Table) -> pl.DataFrame:
    """Silver's text in its types; first as if all of it parsed, which is quicker."""
    try:
        return gold.typed(silver, table, all_parse=True)
    except pl.exceptions.InvalidOperationError:
        return gold.typed(silver, table)
