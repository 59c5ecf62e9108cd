"""Results as a person reads them on a terminal."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any, Final

from rich.console import Group, RenderableType
from rich.text import Text

from shopease_etl.cli.tabular import Grid, Paragraph
from shopease_etl.contract.gold import DAILY_SALES_SUMMARY
from shopease_etl.lake.cleanup import Garbage
from shopease_etl.pipeline.costs import MonthlyCost, Prices, dollars
from shopease_etl.report import CheckLine, DatasetResult, ObjectChange, RollbackPlan, RunResult, StageResult, Status
from shopease_etl.wording import counted

_VERDICT_WIDTH: Final = 9
_STYLES = {
    Status.SUCCEEDED: "green",
    Status.FAILED: "red",
    Status.DIED: "red",
    Status.INTERRUPTED: "yellow",
    Status.ROLLED_BACK: "yellow",
    "ok": "green",
    "FAILED": "red",
    "warning": "yellow",
}


def run_summary(run: RunResult, location: str, prices: Prices | None) -> RenderableType:
    """What a run did: datasets, catalog, reconciliation, cost if there are `prices`, and where to look next."""
    datasets = [dataset for stage in run.stages for dataset in stage.datasets]
    parts: list[RenderableType] = []
    if datasets:
        headings = ("layer", "dataset", "rows in", "rows out", "rejected", "MB", "seconds")
        rows = [_dataset(dataset) for dataset in datasets]
        parts += [Grid(headings, rows, droppable=("seconds", "MB", "rows in")), ""]
    parts += [_rejects(dataset) for dataset in datasets if dataset.rejected]
    parts += [part for stage in run.stages if stage.tables for part in _catalogued(stage, listed=not datasets)]
    if run.reconciliation:
        parts += ["", _reconciled(run)]
    if prices:
        parts.append(_run_cost(run, prices))
    times = ", ".join(f"{stage.name} {stage.seconds:.1f} s" for stage in run.stages)
    parts += [f"Run {run.run_id} {run.status}: {times}", Paragraph(f"Manifest: {location}/_runs/{run.run_id}.json")]
    return Group(*parts)


def rollback_plan(plan: RollbackPlan) -> RenderableType:
    """The objects that a rollback restores or removes, the runs that it undoes, and what it goes back to."""
    rows = [
        (item.key, "?" if item.rows is None else item.rows, "removed" if item.is_deleted else _rows_after(item))
        for item in plan.objects
    ]
    to = f"The lake will be as the run {plan.to} left it at {plan.to_time}." if plan.to else ""
    nothing = "Nothing will be left in the lake." if plan.leaves_nothing else ""
    return Group(
        Grid(("object", "rows", "rows after"), rows, title=f"Rollback of {plan.location}"),
        *(f"Undoes the run {run_id}." for run_id in plan.undoes),
        *(line for line in (to, nothing) if line),
    )


def _rows_after(item: ObjectChange) -> object:
    return "?" if item.rows_after is None else item.rows_after


def next_steps(run: RunResult) -> str:
    """The commands a person may want after a run."""
    queryable = any(entry.name == DAILY_SALES_SUMMARY.name for stage in run.stages for entry in stage.tables)
    return "Next: " + ("shopease query --name revenue-days, " if queryable else "") + "shopease status"


def rows_by_table(tables: Iterable[tuple[str, int]]) -> RenderableType:
    """Tables and how many rows each has."""
    return Grid(("table", "rows"), tuple(tables))


def query_list(queries: Iterable[tuple[str, str]]) -> RenderableType:
    """The queries that ship with the tool, each with what it answers."""
    return Grid(("name", "description"), tuple(queries), prose=("description",))


def plan_steps(steps: Iterable[Any]) -> RenderableType:
    """What a run would read and write."""
    headings = ("stage", "dataset", "reads", "writes")
    rows = [(s.stage, s.dataset, "\n".join(s.reads), "\n".join(s.writes)) for s in steps]
    return Grid(headings, rows, droppable=("reads",))


def monthly_cost(cost: MonthlyCost) -> RenderableType:
    """What each part of a lake costs, and all of it."""
    rows = [(line.name, line.basis, dollars(line.dollars)) for line in cost.lines]
    grid = Grid(("what", "basis", "per month"), rows, title=f"Lake {cost.location}", prose=("what", "basis"))
    return Group(grid, "", f"Total: {dollars(cost.dollars)} per month")


def garbage(found: Garbage) -> RenderableType:
    """What a cleanup would delete."""
    uploads = (("upload", upload.key, "", _age(upload.started)) for upload in found.uploads.uploads)
    objects = (("object", item.key, item.bytes, _age(item.modified)) for item in found.datasets.objects)
    if not found.count:
        return f"Nothing to delete in {found.location}"
    headings = ("what", "key", "bytes", "since (UTC)")
    return Grid(headings, (*objects, *uploads), title=f"Lake {found.location}", droppable=("since (UTC)", "what"))


def left_alone(found: Garbage) -> str:
    """What a cleanup leaves where it is."""
    strays = found.uploads.strays + found.datasets.strays
    younger = found.uploads.younger
    told = [f"{counted(younger, 'younger upload')}, which the next run aborts"] if younger else []
    told += [f"{counted(strays, 'object')} not of the lake's layout"] if strays else []
    return f"Left alone: {'; '.join(told)}" if told else ""


def check_lines(lines: Iterable[CheckLine]) -> RenderableType:
    """Each thing checked, with the fix where it needs one."""
    return Group(*(part for line in lines for part in _checked(line)))


def _checked(line: CheckLine) -> Iterator[RenderableType]:
    label = verdict("FAILED" if line.exit_code else "warning" if line.warning else "ok")
    label.pad_right(_VERDICT_WIDTH - len(label))
    yield Paragraph(f"{line.name}: {line.detail}", label)
    if line.fix:
        yield Paragraph(f"fix: {line.fix}", Text(" " * _VERDICT_WIDTH))


def verdict(word: str) -> Text:
    """A word such as failed or ok in its colour, if it has one."""
    return Text(word, _STYLES.get(word, ""))


def _dataset(dataset: DatasetResult) -> tuple[object, ...]:
    seconds = "" if dataset.seconds is None else dataset.seconds
    rejected = dataset.rows_rejected if dataset.layer == "silver" else ""
    return (
        dataset.layer,
        dataset.name,
        dataset.rows_in,
        dataset.rows_out,
        rejected,
        dataset.bytes / 1e6,
        seconds,
    )


def _rejects(dataset: DatasetResult) -> str:
    rules = ", ".join(f"{rule} {count:,}" for rule, count in sorted(dataset.rejected.items()))
    return f"Rejected from {dataset.name}: {rules}"


def _catalogued(stage: StageResult, *, listed: bool) -> Iterator[RenderableType]:
    if listed and any(entry.change for entry in stage.tables):
        changes = [(entry.name, entry.kind, entry.columns, entry.rows, entry.change) for entry in stage.tables]
        yield Grid(("name", "kind", "columns", "rows", "in Glue"), changes, droppable=("columns", "kind"))
    elif listed:
        entries = [(entry.name, entry.kind, entry.columns, entry.rows) for entry in stage.tables]
        yield Grid(("name", "kind", "columns", "rows"), entries, droppable=("columns", "kind"))
    yield f"{counted(len(stage.tables), 'table or view', 'tables and views')} can be queried"
    yield from (f"Left out: {name}: {reason}" for name, reason in stage.skipped.items())


def _reconciled(run: RunResult) -> Text:
    sums = run.reconciliation
    words = "Reconciled: every row is accounted for"
    if "silver_revenue" in sums:
        sales, revenue = sums["silver_transactions"], sums["silver_revenue"]
        words += f", {sales:,} {'sale' if sales == 1 else 'sales'} for {revenue:,}: silver and gold match"
    return Text(words, "green") if sums["agrees"] else Text("NOT RECONCILED", "red")


def _run_cost(run: RunResult, prices: Prices) -> str:
    sizes = [dataset.bytes for stage in run.stages for dataset in stage.datasets]
    scanned = sum(stage.scan.charged for stage in run.stages if stage.scan)
    parts = [f"{dollars(prices.uploads(sizes))} for uploads"] if sizes else []
    parts += [f"{dollars(prices.scan(scanned))} for queries"] if scanned else []
    parts += [f"{dollars(prices.storage(sum(sizes)))} a month to store what it wrote"] if sizes else []
    crawls = sum(len(stage.crawlers) for stage in run.stages)
    parts += [f"{dollars(crawls * prices.crawl())} at least for {counted(crawls, 'crawler')}"] if crawls else []
    return f"Cost of this run: {', '.join(parts) or 'nothing'}; `shopease cost` shows a month"


def _age(modified: float) -> str:
    return datetime.fromtimestamp(modified, UTC).strftime("%Y-%m-%d %H:%M")
