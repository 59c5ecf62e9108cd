"""Names of columns as data: how they stand in frames, in silver and quarantine, and in the catalog.

To Polars a name such as `^a$` or `*` is a pattern. So frames have only names of ours: a table's known columns by their
names, all others by their place.
"""

import re
from collections.abc import Collection, Sequence
from typing import Final

from shopease_etl.contract.tables import REJECTION_COLUMNS, Table

# Hive's properties list columns with commas between them, and Glue takes no control characters.
_NOT_IN_CATALOGS: Final = re.compile(r"[\x00-\x1f\x7f,]")


def labels(names: Sequence[str], known: Collection[str]) -> tuple[str, ...]:
    """Columns as frames name them: those that are known by their names, others `c` and their place."""
    return tuple(name if name in known else f"c{place}" for place, name in enumerate(names))


def written(table: Table, source: Sequence[str]) -> tuple[str, ...]:
    """The columns of the source as silver and quarantine name them.

    An extra column with the name of one of ours, in any case, gets `source_` before it; once more where the source has
    such a column, too.
    """
    ours = {*table.known, *(column.name for column in table.calculated), *REJECTION_COLUMNS}
    taken = {name for name in source if name in table.known or name.lower() not in ours}
    names = []
    for name in source:
        free = name
        if name not in taken:
            free = f"source_{name}"
            while free in taken:
                free = f"source_{free}"
            taken.add(free)
        names.append(free)
    return tuple(names)


def silver_columns(table: Table, source: Sequence[str]) -> tuple[str, ...]:
    """The columns of silver in order, given those of the source; extra ones keep their order at the end."""
    names = dict(zip(labels(source, table.known), written(table, source), strict=True))
    return tuple(names.get(label, label) for label in silver_labels(table, tuple(names)))


def silver_labels(table: Table, source: Sequence[str]) -> tuple[str, ...]:
    """Silver's columns in order as frames name them, given the source's as frames name them."""
    if not table.silver_order:
        return tuple(source)
    return (*table.silver_order, *(label for label in source if label not in table.known))


def quarantine_columns(table: Table, source: Sequence[str]) -> tuple[str, ...]:
    """The columns of quarantine in order: the source's, and why and by which run the row was rejected."""
    return (*written(table, source), *REJECTION_COLUMNS)


def catalogued(header: Sequence[str]) -> tuple[str, ...]:
    """The columns of a CSV as Athena and the local catalog name them.

    They are as in the header, but for what a catalog cannot hold: characters that it does not take are `_`, and of
    names that differ only in case the one in lower case stays, the others get `source_` before them.
    """
    able = [_NOT_IN_CATALOGS.sub("_", name).strip(" ") or "_" for name in header]
    names = list(able)
    taken: set[str] = set()
    for place in sorted(range(len(able)), key=lambda place: header[place] != able[place].lower()):
        while names[place].lower() in taken:
            names[place] = f"source_{names[place]}"
        taken.add(names[place].lower())
    return tuple(names)
