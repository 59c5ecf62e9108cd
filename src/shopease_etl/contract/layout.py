"""The layout of a lake: its layers, the keys beside them, and which objects are the lake's own."""

from typing import Final

BRONZE: Final = "bronze"
SILVER: Final = "silver"
QUARANTINE: Final = "quarantine"
GOLD: Final = "gold"
LAYERS: Final = (BRONZE, SILVER, QUARANTINE, GOLD)
PRODUCED_BY: Final = {BRONZE: "extract", SILVER: "clean", QUARANTINE: "clean", GOLD: "aggregate"}

RUNS: Final = "_runs"
JOURNAL: Final = f"{RUNS}/.publishing-"
LEASE: Final = f"{RUNS}/.lease"
GENERATIONS: Final = "_generations"
RESULTS: Final = "athena-results"


def all_keys() -> frozenset[str]:
    """The key of every object that the layers may hold, by the lists of tables and gold datasets as they are now."""
    # both need the names above
    from shopease_etl.contract import gold, tables

    of_tables = (key for table in tables.TABLES for key in table.keys)
    return frozenset((*of_tables, *(dataset.key for dataset in gold.GOLD)))


def owns(key: str) -> bool:
    """Whether an object with this key in a layer is the lake's own; all others are left alone."""
    return key in all_keys()
