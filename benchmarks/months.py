"""Measures runs that copy only the months which changed, beside complete runs of both layouts: `make bench-months`.

Each round has a new copy of the database, a new lake by month, and the same nights in the same order.
"""

import argparse
import datetime
import json
import os
import shutil
import statistics
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

import psycopg

from benchmarks import machine
from benchmarks.data import SHOPEASE, Source, source
from benchmarks.entrants import own_stages
from benchmarks.measuring import measured
from benchmarks.table import machine_line, table
from shopease_etl.source import embedded

FULL: Final = "full run, one file"
# One percent more sales, all in the newest month, each with an id of its own.
NEW_ROWS: Final = """
CREATE TEMPORARY TABLE newest AS SELECT date_trunc('month', max(created_at)) AS month, max(transaction_id) AS id,
    count(*) / 100 AS more FROM sale_transactions;
CREATE TEMPORARY TABLE fresh AS SELECT * FROM sale_transactions WHERE transaction_id > 0 AND created_at > '0001-01-01'
    LIMIT (SELECT more FROM newest);
CREATE TEMPORARY SEQUENCE ids;
SELECT setval('ids', id) FROM newest;
UPDATE fresh SET transaction_id = nextval('ids'),
    created_at = month + (created_at - date_trunc('month', created_at)) / 2 FROM newest;
INSERT INTO sale_transactions SELECT * FROM fresh;
"""
UPDATES: Final = """
WITH months AS (
    SELECT date_trunc('month', max(created_at)) - n * interval '1 month' AS month
    FROM sale_transactions, unnest(ARRAY[2, 9, 20]) n GROUP BY n
), numbered AS (
    SELECT s.ctid AS place, row_number() OVER (PARTITION BY month) AS number
    FROM sale_transactions s JOIN months ON date_trunc('month', created_at) = month
)
UPDATE sale_transactions SET payment_method = 'voucher'
WHERE ctid IN (SELECT place FROM numbered ORDER BY number LIMIT 10000);
"""
# What is run: its name, the layout, and what is done to the sales before it; the first of a layout makes a new lake.
NIGHTS: Final[Sequence[tuple[str, str, str]]] = (
    (FULL, "none", ""),
    ("full run, by month", "month", ""),
    ("a night without changes", "month", ""),
    ("1 % new rows in one month", "month", NEW_ROWS),
    ("10,000 updates in three months", "month", UPDATES),
)
_COLUMNS: Final = (
    *("", "seconds", "÷ full run, one file", "÷ full run, by month", "CPU s", "the server's CPU s", "peak memory"),
    *("÷ full run, one file", "months copied", "extract", "clean", "aggregate", "crawl"),
)


@dataclass(frozen=True)
class Run:
    """What a run took: seconds, bytes of memory at most, months that it copied, and seconds by stage."""

    night: str
    seconds: float
    cpu: float
    server_cpu: float
    peak: int
    copied: int
    stages: Mapping[str, float]


@contextmanager
def copied(home: Path, found: Source) -> Iterator[Source]:
    """A copy of the database, which is dropped again."""
    name = f"months_{found.scale:g}".replace(".", "_")
    with embedded.running(home) as default, psycopg.connect(default, autocommit=True) as connection:
        template = psycopg.conninfo.conninfo_to_dict(found.url)["dbname"]
        connection.execute(f"DROP DATABASE IF EXISTS {name}".encode())
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy".encode())
        yield replace(found, url=found.url.replace(f"/{template}?", f"/{name}?"))
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


def one_round(folder: Path, found: Source) -> Iterator[Run]:
    """The runs of a round in order."""
    work = folder / "work"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    for night, layout, edits in NIGHTS:
        with psycopg.connect(found.url, autocommit=True) as connection:
            connection.execute(edits.encode())
        yield _measured(work, found, night, layout)
    shutil.rmtree(work)


def _measured(work: Path, found: Source, night: str, layout: str) -> Run:
    environment = {
        "HOME": str(work),
        "LANG": "C.UTF-8",
        "NO_COLOR": "1",
        "PATH": os.environ["PATH"],
        "SHOPEASE_DATABASE_URL": found.url,
        "SHOPEASE_HOME": str(work / "home" / layout),
        "SHOPEASE_LAKE": str(work / layout),
        "SHOPEASE_PARTITIONS": layout,
        "TMPDIR": str(work),
    }
    before = found.server_cpu()
    took = measured([SHOPEASE, "run-all", "--json", "--quiet"], environment, work)
    results = json.loads(took.stdout.splitlines()[-1])
    files = (one for stage in results["stages"] if stage["name"] == "extract" for one in stage["datasets"])
    months = sum("sale_month=" in one["key"] and not one.get("run_id") for one in files)
    server = found.server_cpu() - before
    print(f"{night}: {took.seconds:.2f} s, {took.peak / 1e6:.0f} MB, {months} months", flush=True)
    return Run(night, took.seconds, took.cpu, server, took.peak, months, own_stages(took.stdout))


def markdown(results: Mapping[str, Any]) -> str:
    """The medians of each kind of run, and what they are of a complete one."""
    runs = {night: [run for run in results["runs"] if run["night"] == night] for night, _, _ in NIGHTS}
    full, by_month = (_median(runs[night], "seconds") for night in (FULL, "full run, by month"))
    memory = max(run["peak"] for run in runs[FULL])
    rows = [
        (
            night,
            f"{_median(found, 'seconds'):.2f}",
            f"{_median(found, 'seconds') / full:.2f}",
            f"{_median(found, 'seconds') / by_month:.2f}",
            f"{_median(found, 'cpu'):.2f}",
            f"{_median(found, 'server_cpu'):.2f}",
            f"{max(run['peak'] for run in found) / 1e6:.0f} MB",
            f"{max(run['peak'] for run in found) / memory:.2f}",
            str(found[0]["copied"] or ""),
            *(f"{statistics.median(run['stages'][name] for run in found):.2f}" for name in _COLUMNS[-4:]),
        )
        for night, found in runs.items()
    ]
    place = f"{machine_line(results['machine'])}; PostgreSQL {results['postgresql']}"
    return (
        f"# Runs by month at scale {results['scale']:g}: {results['rows']:,} rows\n\n{results['date']}; {place}. "
        f"`shopease run-all` into a local folder; medians of {results['rounds']} rounds, memory is the most.\n\n"
        f"{table(_COLUMNS, rows)}"
    )


def _median(runs: Sequence[Mapping[str, Any]], what: str) -> float:
    return float(statistics.median(run[what] for run in runs))


def main() -> None:
    """Measure all rounds, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, default=Path(".bench"), help="what is made for measuring, kept")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    arguments = parser.parse_args()
    folder = arguments.folder.resolve()
    runs: list[Run] = []
    with source(folder / "home", arguments.scale) as found:
        for _ in range(arguments.rounds):
            with copied(folder / "home", found) as copy:
                runs += one_round(folder, copy)
        results = {
            "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
            "scale": found.scale,
            "rows": found.rows,
            "rounds": arguments.rounds,
            "machine": machine.described(),
            "postgresql": found.version,
            "runs": [asdict(run) for run in runs],
        }
    arguments.out.mkdir(parents=True, exist_ok=True)
    raw = arguments.out / f"months-scale-{results['scale']:g}.json"
    raw.write_text(json.dumps(results, indent=1) + "\n")
    raw.with_suffix(".md").write_text(markdown(results))
    print(markdown(results))


if __name__ == "__main__":
    main()
