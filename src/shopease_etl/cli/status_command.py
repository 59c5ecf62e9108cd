"""`shopease status`: datasets, rejected rows, recent runs and their trend, for terminals of any width."""

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.console import Console, ConsoleOptions, RenderableType
from rich.text import Text

from shopease_etl import units
from shopease_etl.cli.context import CommandContext
from shopease_etl.cli.tabular import Grid, verdict
from shopease_etl.errors import ShopeaseError
from shopease_etl.report import Status
from shopease_etl.wording import counted

if TYPE_CHECKING:
    from shopease_etl.operations.status import DatasetStatus, LakeStatus, RunStatus

log = logging.getLogger(__name__)

# Columns that may be hidden, the least important first.
_DROPPABLE_OF_DATASETS: Final = ("changed (UTC)", "MB", "months", "rejected", "age")
_DROPPABLE_OF_RUNS: Final = ("stages", "run", "seconds", "rows")


def status(
    context: CommandContext,
    runs: Annotated[int, typer.Option("--runs", metavar="N", min=1, help="Show the last N runs.")] = 10,
    max_age: Annotated[
        str | None,
        typer.Option(
            "--max-age", metavar="AGE", help="Exit code 1 if the newest data is older than AGE, such as 90m, 26h or 2d."
        ),
    ] = None,
) -> None:
    """Show datasets, rows, rejected rows and recent runs; exit code 1 if the last run failed.

    Example: shopease status --max-age 26h
    """
    from shopease_etl.operations.status import lake_status

    seconds = units.seconds_in(max_age) if max_age is not None else None
    found = lake_status(context.settings, runs=runs, max_age=seconds)
    context.console.result(found, lambda: StatusView(found))
    if not found.datasets and not found.runs:
        context.console.message(f"There is nothing in {found.location} yet. Next: shopease run-all")
    if found.problem:
        log.warning("%s", found.problem)
        raise typer.Exit(ShopeaseError.exit_code)


@dataclass(frozen=True)
class StatusView:
    """The datasets and last runs of a lake, with as many columns as fit."""

    status: "LakeStatus"
    now: float = field(default_factory=time.time)

    def __rich_console__(self, _console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        status = self.status
        has_months = any(item.months for item in status.datasets)
        rows = [_dataset(item, self.now, has_months=has_months) for item in status.datasets]
        yield _grid(f"Lake {status.location}", rows, _DROPPABLE_OF_DATASETS)
        yield ""
        rejects = [
            {"dataset": item.name, "rule": rule, "rows": rows}
            for item in status.datasets
            for rule, rows in item.rejects.items()
        ]
        if rejects:
            yield _grid("Rejected rows", rejects)
            yield ""
        yield _grid("Last runs", [_run(run) for run in status.runs], _DROPPABLE_OF_RUNS)
        yield ""
        yield from (f"{run.run_id}: {run.error}" for run in status.runs if run.error)
        yield from _trend(status.runs, ascii_only=options.ascii_only)
        if status.last_success:
            yield f"Last success: {status.last_success}"
        if status.under_way:
            yield f"In progress: {status.under_way}"


def sparkline(values: Sequence[float], *, ascii_only: bool = False) -> str:
    """One character per value, from zero up to the largest value."""
    marks = "_.-~=+*#" if ascii_only else "▁▂▃▄▅▆▇█"
    most = max(values, default=0)
    return "".join(marks[round(value / most * (len(marks) - 1)) if most > 0 else 0] for value in values)


def _grid(title: str, rows: Sequence[Mapping[str, object]], droppable: Sequence[str] = ()) -> RenderableType:
    if not rows:
        return Text(f"{title}: nothing", "bold")
    return Grid(list(rows[0]), [list(row.values()) for row in rows], title=title, droppable=droppable)


def _dataset(dataset: "DatasetStatus", now: float, *, has_months: bool) -> dict[str, object]:
    months = f"{dataset.months}, of {counted(len(dataset.runs), 'run')}" if dataset.months else ""
    return {
        "layer": dataset.layer,
        "dataset": dataset.name,
        **({"months": months} if has_months else {}),
        "rows": "?" if dataset.rows is None else dataset.rows,
        "rejected": "?" if dataset.rejected is None else dataset.rejected,
        "MB": dataset.bytes / 1e6,
        "age": units.format_seconds(now - dataset.modified),
        "changed (UTC)": time.strftime("%Y-%m-%d %H:%M", time.gmtime(dataset.modified)),
    }


def _run(run: "RunStatus") -> dict[str, object]:
    untimed = [name for name in run.stages if name not in run.stage_seconds]
    stages = [f"{name} {seconds:.1f} s" for name, seconds in run.stage_seconds.items()] + untimed
    return {
        "started (UTC)": run.started_at[:16].replace("T", " "),
        "status": verdict(run.status),
        "seconds": run.seconds,
        "rows": "" if run.rows is None else run.rows,
        "run": run.run_id,
        "stages": ", ".join(stages),
    }


def _trend(runs: Sequence["RunStatus"], *, ascii_only: bool) -> Iterator[str]:
    """Seconds and rows of the runs with the same stages as the last full run, oldest first; needs two such runs."""
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
