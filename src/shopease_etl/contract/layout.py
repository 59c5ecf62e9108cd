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
