"""Time and peak memory of `shopease run-all`, beside the least that reading the same tables can take.

Run it with `make measure`, after `make demo`. The limit is `psql` with COPY of the six tables to /dev/null; both are
measured in turn, whole processes, on the database that is in `.shopease`. Peak memory is that of the largest process
of a command without the database server.
"""

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from shopease_etl import embedded
from shopease_etl.tables import TABLES

ROUNDS = 5
HOME = Path(".shopease")


def timed(command: list[str | Path], **environment: str) -> tuple[float, str]:
    """Wall seconds of a command, and its stdout."""
    started = time.perf_counter()
    done = subprocess.run(command, check=True, capture_output=True, text=True, env={**os.environ, **environment})
    return time.perf_counter() - started, done.stdout


def copy_to_nowhere(url: str) -> float:
    """Seconds that psql takes to read every table and throw it away."""
    commands = [f"\\copy public.{table.source} TO /dev/null (FORMAT csv, HEADER)" for table in TABLES]
    options = [option for command in commands for option in ("-c", command)]
    return timed([embedded.find_tool("psql"), "-X", "-q", "-d", url, *options])[0]


def run_all(lake: str) -> tuple[float, dict[str, float]]:
    """Seconds of one run into a new lake, and seconds by stage."""
    command: list[str | Path] = [Path(sys.executable).with_name("shopease"), "run-all", "--json", "--quiet"]
    seconds, output = timed(command, SHOPEASE_LAKE=lake, SHOPEASE_DATABASE_URL="embedded", SHOPEASE_HOME=str(HOME))
    run = json.loads(output.splitlines()[-1])
    return seconds, {stage["name"]: stage["seconds"] for stage in run["stages"]}


def main() -> None:
    """Measure, and print a Markdown table."""
    limits, runs, stages = [], [], []
    with embedded.running(HOME) as url, tempfile.TemporaryDirectory() as folder:
        for number in range(ROUNDS):
            limits.append(copy_to_nowhere(url))
            seconds, by_stage = run_all(f"{folder}/lake-{number}")
            runs.append(seconds)
            stages.append(by_stage)
    limit = statistics.median(limits)
    unit = 1 if sys.platform == "darwin" else 1024
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * unit / 1e6
    print("| median of", ROUNDS, "rounds | seconds | ÷ COPY to /dev/null |\n|---|---|---|")
    print(f"| COPY of six tables to /dev/null | {limit:.2f} | 1.0 |")
    for name in stages[0]:
        seconds = statistics.median(by_stage[name] for by_stage in stages)
        print(f"| {name} | {seconds:.2f} | {seconds / limit:.1f} |")
    print(f"| run-all, the whole process | {statistics.median(runs):.2f} | {statistics.median(runs) / limit:.1f} |")
    print(f"\nPeak memory, the largest of the rounds: {peak:.0f} MB")


if __name__ == "__main__":
    main()
