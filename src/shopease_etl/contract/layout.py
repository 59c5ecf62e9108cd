"""The layout of a lake: its layers, the other keys, and which objects are the lake's own."""

import re
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
STATE: Final = "_state"
GENERATIONS: Final = "_generations"
RESULTS: Final = "athena-results"
SPARK: Final = "_spark"

# A table kept by month has one file for each month of its sales, and one for sales without a date.
SALE_MONTH: Final = "sale_month"
NO_MONTH: Final = "none"
_IN_MONTH: Final = re.compile(rf"([^/]+/[^/]+)/{SALE_MONTH}=([0-9]{{4}}-(?:0[1-9]|1[0-2])|{NO_MONTH})/([^/]+)")


def all_keys() -> frozenset[str]:
    """The key of every object that the layers may hold, by the lists of tables and gold datasets."""
    # both need the names above
    from shopease_etl.contract import gold, tables

    of_tables = (key for table in tables.TABLES for key in table.keys)
    return frozenset((*of_tables, *(dataset.key for dataset in gold.GOLD)))


def owns(key: str) -> bool:
    """Whether an object with this key, in a layer or in the state, is the lake's own; all others are left alone."""
    from shopease_etl.contract import tables

    if not (in_month := _IN_MONTH.fullmatch(key)):
        return key in all_keys()
    by_month = [table for table in tables.TABLES if table.month_column]
    if in_month[1] in {f"{STATE}/{table.name}" for table in by_month}:
        return True
    return f"{in_month[1]}/{in_month[3]}" in {whole for table in by_month for whole in table.keys}


def dataset_of(key: str) -> str:
    """The folder of an object's dataset, such as `silver/transactions`: with one file, or one for each month."""
    return "/".join(key.split("/")[:2])


def month_of(key: str) -> str | None:
    """The month of an object's rows, such as `2024-11`, or `none`; None if its dataset is not kept by month."""
    in_month = _IN_MONTH.fullmatch(key)
    return in_month[2] if in_month else None
