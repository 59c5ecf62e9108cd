"""CSV in, the same CSV out: the least that any cleaning of bronze takes, and nothing but that.

Run as `python csv_floor.py FOLDER_OF_BRONZE OUTPUT_FOLDER`; prints the seconds of the work without the interpreter's
start and imports. Every cell stays text, as nothing is done with it; rows stream from reader to writer.
"""

import sys
import time
from pathlib import Path

import polars as pl

TABLES = ("customers", "products", "transactions")


def main() -> None:
    """Do it, and print the seconds."""
    started = time.perf_counter()
    stream(Path(sys.argv[1]), Path(sys.argv[2]))
    print(time.perf_counter() - started)


def stream(bronze: Path, output: Path) -> None:
    """Read the tables of bronze, and write them as they are into the folder."""
    for table in TABLES:
        for file in (bronze / table).glob("*.csv"):
            pl.scan_csv(file, infer_schema=False).sink_csv(output / file.name)


if __name__ == "__main__":
    main()
