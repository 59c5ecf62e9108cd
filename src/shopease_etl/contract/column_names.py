"""Names of columns as data: in frames, in silver and quarantine, and in the catalog.

To Polars a name such as `^a$` or `*` is a pattern. So frames name the known columns of a table as they are, and all
others by their position.
"""

import re
from collections.abc import Collection, Sequence

from shopease_etl.contract.layout import SALE_MONTH
from shopease_etl.contract.tables import REJECTION_COLUMNS, Table


def frame_names(names: Sequence[str], known: Collection[str]) -> tuple[str, ...]:
    """Columns as frames name them: known ones by their names, others `c` and their position, such as `c7`."""
    return tuple(name if name in known else f"c{position}" for position, name in enumerate(names))


def stored_names(table: Table, source: Sequence[str]) -> tuple[str, ...]:
    """The names of the source's columns in silver and quarantine.

    An extra column whose name is one of ours, in upper or lower case, gets the prefix `source_`; again if the source
    has such a column too.
    """
    ours = {*table.known, *(column.name for column in table.calculated), *REJECTION_COLUMNS}
    if table.month_column:
        ours.add(SALE_MONTH)
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
    names = dict(zip(frame_names(source, table.known), stored_names(table, source), strict=True))
    return tuple(names.get(label, label) for label in silver_frame_names(table, tuple(names)))


def silver_frame_names(table: Table, source: Sequence[str]) -> tuple[str, ...]:
    """The names of silver's columns in frames, in order, given those of the source in frames."""
    if not table.silver_order:
        return tuple(source)
    return (*table.silver_order, *(label for label in source if label not in table.known))


def quarantine_columns(table: Table, source: Sequence[str]) -> tuple[str, ...]:
    """The columns of quarantine in order: the source's, the rule that was broken, and the run."""
    return (*stored_names(table, source), *REJECTION_COLUMNS)


def catalog_names(header: Sequence[str]) -> tuple[str, ...]:
    """The names of a CSV's columns in Athena and the local catalog.

    They are as in the header, except that characters that a catalog does not allow are `_`, and that of names which
    differ only in case all but the one in lower case get the prefix `source_`.
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
