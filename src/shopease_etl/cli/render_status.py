"""The lake as a person reads it: datasets, rejected rows, runs and their trend, as wide as the terminal is."""

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from rich.console import Console, ConsoleOptions, RenderableType
from rich.text import Text

from shopease_etl import units
from shopease_etl.cli import render
from shopease_etl.cli.tabular import Grid
from shopease_etl.report import DatasetStatus, LakeStatus, RunStatus, Status

_BLOCKS: Final = "▁▂▃▄▅▆▇█"
_ASCII: Final = "_.-~=+*#"
# What can be left out, first what is missed least.
_OF_DATASETS: Final = ("changed (UTC)", "MB", "rejected", "age")
_OF_RUNS: Final = ("stages", "run", "seconds", "rows")


def lake_status(status: LakeStatus, *, now: float | None = None) -> RenderableType:
    """The datasets of the lake and its last runs, with no more columns than there is room for."""
    return _Status(status, time.time() if now is None else now)


def sparkline(values: Sequence[float], *, ascii_only: bool = False) -> str:
    """A character for each value, higher for larger ones, from nothing up to the largest."""
    marks = _ASCII if ascii_only else _BLOCKS
    most = max(values, default=0)
    return "".join(marks[round(value / most * (len(marks) - 1)) if most > 0 else 0] for value in values)


class _Status:
    def __init__(self, status: LakeStatus, now: float) -> None:
        self._status = status
        self._now = now

    def __rich_console__(self, _console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        status = self._status
        datasets = [_dataset(dataset, self._now) for dataset in status.datasets]
        runs = [_run(run) for run in status.runs]
        yield _grid(f"Lake {status.location}", datasets, _OF_DATASETS)
        yield ""
        rejects = [_reject(item, rule, rows) for item in status.datasets for rule, rows in item.rejects.items()]
        if rejects:
            yield _grid("Rejected rows", rejects)
            yield ""
        yield _grid("Last runs", runs, _OF_RUNS)
        yield ""
        yield from (f"{run.run_id}: {run.error}" for run in status.runs if run.error)
        yield from _trend(status.runs, ascii_only=options.ascii_only)
        if status.last_success:
            yield f"Last success: {status.last_success}"
        if status.under_way:
            yield f"Under way: {status.under_way}"


def _grid(title: str, rows: Sequence[Mapping[str, object]], droppable: Sequence[str] = ()) -> RenderableType:
    if not rows:
        return Text(f"{title}: nothing", "bold")
    return Grid(list(rows[0]), [list(row.values()) for row in rows], title=title, droppable=droppable)


def _dataset(dataset: DatasetStatus, now: float) -> dict[str, object]:
    return {
        "layer": dataset.layer,
        "dataset": dataset.name,
        "rows": _known(dataset.rows),
        "rejected": _known(dataset.rejected),
        "MB": dataset.bytes / 1e6,
        "age": units.told(now - dataset.modified),
        "changed (UTC)": time.strftime("%Y-%m-%d %H:%M", time.gmtime(dataset.modified)),
    }


def _reject(dataset: DatasetStatus, rule: str, rows: int) -> dict[str, object]:
    return {"dataset": dataset.name, "rule": rule, "rows": rows}


def _run(run: RunStatus) -> dict[str, object]:
    untimed = [name for name in run.stages if name not in run.stage_seconds]
    stages = [f"{name} {seconds:.1f} s" for name, seconds in run.stage_seconds.items()] + untimed
    return {
        "started (UTC)": run.started_at[:16].replace("T", " "),
        "status": render.verdict(run.status),
        "seconds": run.seconds,
        "rows": "" if run.rows is None else run.rows,
        "run": run.run_id,
        "stages": ", ".join(stages),
    }


def _trend(runs: Sequence[RunStatus], *, ascii_only: bool) -> Iterator[str]:
    """Seconds and rows of the runs that did what the last whole one did, oldest first; of one alone there is none."""
    succeeded = [run for run in reversed(runs) if run.status == Status.SUCCEEDED]
    whole = [run for run in succeeded if "extract" in run.stages] or succeeded
    alike = [run for run in whole if run.stages == whole[-1].stages]
    series: dict[str, list[float]] = {
        "seconds": [run.seconds for run in alike],
        "rows": [run.rows for run in alike if run.rows is not None],
    }
    for name, values in series.items():
        if values[1:]:
            first, last = (f"{value:,.1f}" if name == "seconds" else f"{value:,}" for value in (values[0], values[-1]))
            yield f"Trend of {name}: {sparkline(values, ascii_only=ascii_only)} from {first} to {last}"


def _known(value: int | None) -> object:
    return "?" if value is None else value
