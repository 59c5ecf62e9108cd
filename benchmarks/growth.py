"""Measures how time and memory of a whole run grow with the data, into a local lake: `make bench-growth`.

The sample is made when its turn comes; a large one is dropped again, as its database takes gigabytes.
"""

import argparse
import datetime
import json
import math
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks import machine
from benchmarks.entrants import COPY, ENTRANTS, RUN_ALL
from benchmarks.rounds import measure_all, prepared
from benchmarks.table import machine_line, table

_LARGE: Final = 10.0
_ROUNDS: Final = ((1.0, 5), (10.0, 3), (math.inf, 2))
_COLUMNS: Final = (
    *("scale", "rows", "CSV MB", "rounds", "COPY s", "run-all s", "÷ COPY", "CPU s", "peak memory MB", "lake MB"),
)


def measured_at(folder: Path, scale: float, rounds: int) -> dict[str, Any]:
    """The medians at one scale; memory is the most of all rounds."""
    entrants = [entrant for entrant in ENTRANTS if entrant.name in {COPY, RUN_ALL}]
    with prepared(folder, scale, forget=scale >= _LARGE) as bench:
        size = bench.write_bronze()
        limit, ours = measure_all(bench, entrants, rounds)
        if failure := limit.failure or ours.failure:
            raise SystemExit(f"scale {scale:g}: {failure}")
        return {
            "scale": scale,
            "rows": bench.source.rows,
            "bronze_bytes": size,
            "rounds": rounds,
            "copy_seconds": statistics.median(limit.seconds),
            "seconds": statistics.median(ours.seconds),
            "cpu": statistics.median(ours.cpu),
            "peak": max(ours.peak),
            "lake_bytes": ours.bytes,
        }


def rounds_at(scale: float) -> int:
    """Fewer rounds where one takes long."""
    return next(number for most, number in _ROUNDS if scale <= most)


def exponent(sizes: Sequence[float], values: Sequence[float]) -> float:
    """The power of the size that fits best, by least squares on logarithms; 1 is proportional growth."""
    return statistics.linear_regression([math.log(size) for size in sizes], [math.log(value) for value in values]).slope


def markdown(told: Mapping[str, Any]) -> str:
    """The table, and the exponents of all scales and of the largest two."""
    points = told["points"]
    rows = [
        (
            f"{one['scale']:g}",
            f"{one['rows']:,}",
            f"{one['bronze_bytes'] / 1e6:.0f}",
            str(one["rounds"]),
            f"{one['copy_seconds']:.2f}",
            f"{one['seconds']:.2f}",
            f"{one['seconds'] / one['copy_seconds']:.1f}",
            f"{one['cpu']:.2f}",
            f"{one['peak'] / 1e6:.0f}",
            f"{one['lake_bytes'] / 1e6:.0f}",
        )
        for one in points
    ]
    return (
        f"# How a whole run grows with the data\n\n{told['date']}; {machine_line(told['machine'])}; shopease "
        f"{told['versions']['shopease']}, polars {told['versions']['polars']}. `shopease run-all` into a new local "
        f"folder, beside psql's COPY of the same tables to /dev/null.\n\n{table(_COLUMNS, rows)}{_exponents(points)}"
    )


def _exponents(points: Sequence[Mapping[str, Any]]) -> str:
    if len(points) < 2:
        return ""
    lines = []
    for name, what in (("seconds", "Time"), ("peak", "Memory")):
        every, last = (
            exponent([one["rows"] for one in some], [one[name] for one in some]) for some in (points, points[-2:])
        )
        lines.append(
            f"{what} grows as rows^{every:.2f} over all scales, and as rows^{last:.2f} between the last two.\n"
        )
    return "\n" + "".join(lines)


def main() -> None:
    """Measure every scale, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scales", type=float, nargs="+")
    parser.add_argument("--folder", type=Path, default=Path(".bench"), help="what is made for measuring, kept")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    parser.add_argument("--rounds", type=int, help="in place of 5 to scale 1, 3 to scale 10, 2 beyond")
    arguments = parser.parse_args()
    folder = arguments.folder.resolve()
    told = {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "machine": machine.described(),
        "versions": machine.versions("shopease", "polars"),
        "points": [
            measured_at(folder, scale, arguments.rounds or rounds_at(scale)) for scale in sorted(arguments.scales)
        ],
    }
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "growth.json").write_text(json.dumps(told, indent=1) + "\n")
    (arguments.out / "growth.md").write_text(markdown(told))
    print(markdown(told))


if __name__ == "__main__":
    main()
