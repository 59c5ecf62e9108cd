"""Names of columns as data: in frames, in silver and quarantine, and in the catalog.

To Polars a name such as `^a$` or `*` is a pattern. So frames name the known columns of a table as they are, and all
others by their position.
"""

import re
from collections.abc import Collection, Sequence
from typing import Final

from shopease_etl.contract.tables import REJECTION_COLUMNS, Table

# Hive's properties list columns with commas between them, and Glue takes no control characters.
_NOT_IN_CATALOGS: Final = re.compile(r"[\x00-\x1f\x7f,]")


def labels(names: Sequence[str], known: Collection[str]) -> tuple[str, ...]:
    """Columns as frames name them: known ones by their names, others `c` and their position, such as `c7`."""
    return tuple(name if name in known else f"c{place}" for place, name in enumerate(names))


def written(table: Table, source: Sequence[str]) -> tuple[str, ...]:
    """The columns of the source as silver and quarantine name them.

    An extra column whose name is one of ours, in upper or lower case, gets the prefix `source_`; again if the source
    has such a column too.
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
    """The columns of silver in order, given those of the source; extra ones come last, in their order."""
    names = dict(zip(labels(source, table.known), written(table, source), strict=True))
    return tuple(names.get(label, label) for label in silver_labels(table, tuple(names)))


def silver_labels(table: Table, source: Sequence[str]) -> tuple[str, ...]:
    """Silver's columns in order as frames name them, given the source's as frames name them."""
    if not table.silver_order:
        return tuple(source)
    return (*table.silver_order, *(label for label in source if label not in table.known))


def quarantine_columns(table: Table, source: Sequence[str]) -> tuple[str, ...]:
    """The columns of quarantine in order: the source's, the rule that was broken, and the run."""
    return (*written(table, source), *REJECTION_COLUMNS)


def catalogued(header: Sequence[str]) -> tuple[str, ...]:
    """The columns of a CSV as Athena and the local catalog name them.

    They are as in the header, except that characters that a catalog does not allow are `_`, and that of names which
    differ only in case all but the one in lower case get the prefix `source_`.
    """
    able = [_NOT_IN_CATALOGS.sub("_", name).strip(" ") or "_" for name in header]
    names = list(able)
    taken: set[str] = set()
    for place in sorted(range(len(able)), key=lambda place: header[place] != able[place].lower()):
        while names[place].lower() in taken:
            names[place] = f"source_{names[place]}"
        taken.add(names[place].lower())
    return tuple(names)
