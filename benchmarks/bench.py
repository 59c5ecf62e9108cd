"""Measures the limits, the tool and its peers side by side, and writes a table, the raw figures and a picture.

Run it with `make bench`.
"""

import argparse
import datetime
import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from benchmarks import machine
from benchmarks.contenders import PEERS
from benchmarks.entrants import ENTRANTS, HERE, Entrant
from benchmarks.environments import programs_of
from benchmarks.rounds import measure_all, prepared
from benchmarks.table import markdown

PACKAGES: Final = ("shopease", "polars", "duckdb", "psycopg", "boto3")


def results(folder: Path, scale: float, rounds: int, peers: tuple[Entrant, ...]) -> Mapping[str, Any]:
    """Measure; all that a table needs to be understood later."""
    with prepared(folder, scale) as bench:
        size = bench.write_bronze()
        load = os.getloadavg()[0]
        series = measure_all(bench, (*ENTRANTS, *peers), rounds)
        return {
            "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
            "scale": scale,
            "rows": bench.source.rows,
            "bronze_bytes": size,
            "rounds": rounds,
            "machine": machine.described(),
            "load_before": load,
            "versions": {**machine.versions(*PACKAGES), "PostgreSQL": bench.source.version},
            "series": [asdict(one) for one in series],
        }


def write(told: Mapping[str, Any], out: Path) -> Path:
    """The raw figures and the table, beside each other; returns the raw figures' path."""
    out.mkdir(parents=True, exist_ok=True)
    raw = out / f"scale-{told['scale']:g}.json"
    raw.write_text(json.dumps(told, indent=1) + "\n")
    raw.with_suffix(".md").write_text(markdown(told))
    return raw


def main() -> None:
    """Measure, and write the results."""
    arguments = _arguments()
    folder = arguments.folder.resolve()
    raw = write(results(folder, arguments.scale, arguments.rounds, arguments.peers), arguments.out)
    print(raw.with_suffix(".md").read_text())
    if arguments.picture:
        python = programs_of(HERE / "picture.txt", folder / "env") / "python"
        subprocess.run([python, HERE / "picture.py", raw, arguments.picture], check=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--peers", type=_peers, default=PEERS, help="all, none, or names with commas between them")
    parser.add_argument("--folder", type=Path, default=Path(".bench"), help="what is made for measuring, kept")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    parser.add_argument("--picture", type=Path, help="also draw the bars, into this file")
    return parser.parse_args()


def _peers(names: str) -> tuple[Entrant, ...]:
    known = {peer.name: peer for peer in PEERS}
    if names in {"all", "none"}:
        return PEERS if names == "all" else ()
    if unknown := set(names.split(",")) - known.keys():
        raise argparse.ArgumentTypeError(f"no peer is named {', '.join(sorted(unknown))}: {', '.join(known)}")
    return tuple(known[name] for name in names.split(","))


if __name__ == "__main__":
    main()
