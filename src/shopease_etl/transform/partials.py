"""What gold is made of, put together from pieces of silver as they come."""

from collections import defaultdict
from typing import Final, Self

import polars as pl

from shopease_etl.contract import gold
from shopease_etl.contract.gold import DISTINCTS, PARTS
from shopease_etl.contract.tables import TRANSACTIONS, Table
from shopease_etl.transform.memory import Memory

_MOST_PIECES: Final = 16


class SilverParts:
    """Sums and counts of the sales, and the columns of the other tables that gold needs.

    Memory grows with days, products and customers, not with sales.
    """

    def __init__(self, memory: Memory) -> None:
        self._tables: dict[str, list[pl.DataFrame]] = defaultdict(list)
        self._parts: dict[str, list[pl.DataFrame]] = defaultdict(list)
        self._pairs = {distinct.name: memory.spill(gold.DAY) for distinct in DISTINCTS}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        for spill in self._pairs.values():
            spill.__exit__(*error)

    def has(self, table: Table) -> bool:
        """Whether anything of the table was added."""
        return table.name in self._tables

    def add(self, table: Table, sums: gold.Frames) -> None:
        """Take what `partial_sums` made of some rows of a table, in any order."""
        self._tables.setdefault(table.name, [])
        if table != TRANSACTIONS:
            self._tables[table.name].append(sums[table.name])
            return
        for distinct in DISTINCTS:
            self._pairs[distinct.name].add(sums[distinct.name])
        for part in PARTS:
            pieces = self._parts[part.name]
            pieces.append(sums[part.name])
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


def partial_sums(silver: pl.DataFrame, table: Table) -> dict[str, pl.DataFrame]:
    """What gold is made of, by name, of some rows of a table: sums and pairs of sales, or the columns of another table.

    It may run in another process.
    """
    typed = _typed(silver, table)
    if table != TRANSACTIONS:
        return {table.name: typed}
    return {part.name: part.of(typed) for part in PARTS} | {item.name: item.of(typed) for item in DISTINCTS}


def _typed(silver: pl.DataFrame, table: Table) -> pl.DataFrame:
    """Silver's text in its types; first as if all of it parsed, which is quicker."""
    try:
        return gold.typed(silver, table, all_parse=True)
    except pl.exceptions.InvalidOperationError:
        return gold.typed(silver, table)
