"""What is measured: the limits and the tool; `contenders.py` has its peers. Each tells what it leaves out."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.data import SHOPEASE, Source

HERE: Final = Path(__file__).parent
LIMIT, LOCAL, BRONZE, LAKE = "limit", "local", "bronze", "lake"
GROUPS: Final = {
    LIMIT: "The limits",
    LOCAL: "The tool into a local folder",
    BRONZE: "Bronze on S3: the six tables, no more",
    LAKE: "Bronze, silver and gold on S3",
}
COPY, FLOOR, RUN_ALL, RUN_ALL_S3 = "copy", "csv", "run-all", "run-all-s3"

Command = list[str | Path]
Stages = Mapping[str, float]


@dataclass(frozen=True)
class Run:
    """One run: its own empty folder, the source, that source's bronze as files, where its lake is to be, its Python."""

    folder: Path
    source: Source
    bronze: Path
    lake: str
    programs: Path


def _no_stages(_stdout: str) -> Stages:
    return {}


@dataclass(frozen=True)
class Entrant:
    """One way to do it: the command of a run, and what its output tells of its parts.

    `leaves_out` is what it does not do that the tool does, or how its result differs; a peer has `requirements`, the
    list of what is in its environment.
    """

    name: str
    title: str
    group: str
    command: Callable[[Run], Command]
    leaves_out: str = ""
    requirements: Path | None = None
    stages: Callable[[str], Stages] = _no_stages


def _copy_to_nowhere(run: Run) -> Command:
    statements = [part for statement in run.source.copy_statements for part in ("-c", statement)]
    return [run.source.psql, "-X", "-q", "-o", "/dev/null", "-d", run.source.url, *statements]


def _csv_floor(run: Run) -> Command:
    return [SHOPEASE.with_name("python"), HERE / "csv_floor.py", run.bronze, run.folder]


def own_stages(stdout: str) -> Stages:
    """What the tool says with `--json`, on the last line of its output."""
    return {stage["name"]: stage["seconds"] for stage in json.loads(stdout.splitlines()[-1])["stages"]}


def _ours(name: str, group: str, title: str, leaves_out: str, *arguments: str) -> Entrant:
    def command(run: Run) -> Command:
        return [SHOPEASE, *arguments, "--lake", run.lake, "--json", "--quiet"]

    return Entrant(name, title, group, command, leaves_out, stages=own_stages)


ENTRANTS: Final = (
    Entrant(COPY, "`psql`, COPY of the six tables to /dev/null", LIMIT, _copy_to_nowhere, "keeps nothing"),
    Entrant(
        FLOOR,
        "CSV in = CSV out: Polars streams three tables of bronze from file to file",
        LIMIT,
        _csv_floor,
        "changes nothing",
        stages=lambda stdout: {"work": float(stdout)},
    ),
    _ours("extract", LOCAL, "`shopease extract`", "bronze only", "extract"),
    _ours(RUN_ALL, LOCAL, "`shopease run-all`", "", "run-all"),
    _ours("extract-s3", BRONZE, "**`shopease extract`**", "", "extract"),
    _ours(RUN_ALL_S3, LAKE, "**`shopease run-all --skip-crawl`**", "the catalog", "run-all", "--skip-crawl"),
)
