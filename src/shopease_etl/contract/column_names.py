"""Names of columns: in frames, in silver and quarantine, and in the catalog.

Polars reads a name such as `^a$` or `*` as a pattern. So frames use the names of known columns only; other columns are
named by their position.
"""

import re
from collections.abc import Collection, Sequence

from shopease_etl.contract.tables import REJECTION_COLUMNS, Table


def labels(names: Sequence[str], known: Collection[str]) -> tuple[str, ...]:
    """The names of columns in frames: known ones keep theirs, others are `c` and their position."""
    return tuple(name if name in known else f"c{position}" for position, name in enumerate(names))


def written(table: Table, source: Sequence[str]) -> tuple[str, ...]:
    """The names of the source's columns in silver and quarantine.

    An extra column with the name of one of ours, in any case, gets the prefix `source_`; again if the source has such a
    column too.
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
    """The names of silver's columns in frames, in order, given those of the source in frames."""
    if not table.silver_order:
        return tuple(source)
    return (*table.silver_order, *(label for label in source if label not in table.known))


def quarantine_columns(table: Table, source: Sequence[str]) -> tuple[str, ...]:
    """The columns of quarantine in order: the source's, then the rule and the run that rejected the row."""
    return (*written(table, source), *REJECTION_COLUMNS)


def catalogued(header: Sequence[str]) -> tuple[str, ...]:
    """The names of a CSV's columns in Athena and the local catalog.

    They are those of the header where a catalog allows them: forbidden characters become `_`, and of names that differ
    only in case the others than the one in lower case get the prefix `source_`.
    """
    # Hive's properties list columns with commas between them, and Glue refuses control characters
    allowed = [re.sub(r"[\x00-\x1f\x7f,]", "_", name).strip(" ") or "_" for name in header]
    names = list(allowed)
    taken: set[str] = set()
    for position in sorted(range(len(allowed)), key=lambda position: header[position] != allowed[position].lower()):
        while names[position].lower() in taken:
            names[position] = f"source_{names[position]}"
        taken.add(names[position].lower())
    return tuple(names)
