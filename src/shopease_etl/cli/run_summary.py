"""The summary that is printed after a run."""

from collections.abc import Iterator, Sequence
from typing import Final

from rich.console import Group, RenderableType
from rich.text import Text

from shopease_etl.cli.tabular import Grid, Paragraph
from shopease_etl.contract.gold import DAILY_SALES_SUMMARY
from shopease_etl.contract.layout import QUARANTINE, month_of
from shopease_etl.pipeline.costs import Prices, dollars
from shopease_etl.report import DatasetResult, RunResult, StageResult, by_dataset
from shopease_etl.wording import counted

_MOST_MONTHS: Final = 6


def run_summary(run: RunResult, location: str, prices: Prices | None) -> RenderableType:
    """Datasets, catalog, reconciliation, cost (if `prices` are given), times, and the path of the manifest."""
    datasets = [dataset for stage in run.stages for dataset in by_dataset(stage.datasets)]
    parts: list[RenderableType] = []
    if datasets:
        headings = ("layer", "dataset", "rows in", "rows out", "rejected", "MB", "seconds")
        rows = [_dataset(dataset) for dataset in datasets]
        parts += [Grid(headings, rows, droppable=("seconds", "MB", "rows in")), ""]
    for dataset in datasets:
        if dataset.rejected:
            rules = ", ".join(f"{rule} {count:,}" for rule, count in sorted(dataset.rejected.items()))
            parts.append(f"Rejected from {dataset.name}: {rules}")
    parts += [Paragraph(line) for line in map(_months, run.stages) if line]
    parts += [part for stage in run.stages if stage.tables for part in _catalog(stage, listed=not datasets)]
    if run.reconciliation:
        parts += ["", _reconciliation(run)]
    if prices:
        parts.append(_cost(run, prices))
    times = ", ".join(f"{stage.name} {stage.seconds:.1f} s" for stage in run.stages)
    parts += [f"Run {run.run_id} {run.status}: {times}", Paragraph(f"Manifest: {location}/_runs/{run.run_id}.json")]
    return Group(*parts)


def next_steps(run: RunResult) -> str:
    """The commands that a user may want to run next."""
    queryable = any(entry.name == DAILY_SALES_SUMMARY.name for stage in run.stages for entry in stage.tables)
    return "Next: " + ("shopease query --name revenue-days, shopease report, " if queryable else "") + "shopease status"


def _dataset(dataset: DatasetResult) -> tuple[object, ...]:
    return (
        dataset.layer,
        dataset.name,
        dataset.rows_in,
        dataset.rows_out,
        dataset.rows_rejected if dataset.layer == "silver" else "",
        dataset.bytes / 1e6,
        "" if dataset.seconds is None else dataset.seconds,
    )


def _months(stage: StageResult) -> str:
    """Which months a stage worked on, and why; empty if its tables are not kept by month."""
    months = {month: item for item in stage.datasets if (month := month_of(item.key)) and item.layer != QUARANTINE}
    done = sorted(month for month, item in months.items() if item.run_id is None)
    if not months:
        return ""
    verb = "Copied" if stage.name == "extract" else "Cleaned"
    removed = f", {counted(len(stage.removed), 'month')} removed ({_named(stage.removed)})" if stage.removed else ""
    if len(done) == len(months):
        every = f"all {len(done):,} months" if len(done) > 1 else f"the only month ({done[0]})"
        return f"{verb} {every}{removed}" + (f": {stage.full}" if stage.full else "")
    named = f" ({_named(done)})" if done else ""
    return f"{verb} {len(done):,} of {len(months):,} months{named}, {len(months) - len(done):,} unchanged{removed}"


def _named(months: Sequence[str]) -> str:
    """The months; of many only the first ones."""
    more = len(months) - _MOST_MONTHS
    return ", ".join(months) if more <= 1 else f"{', '.join(months[:_MOST_MONTHS])} and {more:,} more"


def _catalog(stage: StageResult, *, listed: bool) -> Iterator[RenderableType]:
    if listed and any(entry.change for entry in stage.tables):
        changes = [(entry.name, entry.kind, entry.columns, entry.rows, entry.change) for entry in stage.tables]
        yield Grid(("name", "kind", "columns", "rows", "in Glue"), changes, droppable=("columns", "kind"))
    elif listed:
        entries = [(entry.name, entry.kind, entry.columns, entry.rows) for entry in stage.tables]
        yield Grid(("name", "kind", "columns", "rows"), entries, droppable=("columns", "kind"))
    yield f"{counted(len(stage.tables), 'table or view', 'tables and views')} can be queried"
    yield from (f"Skipped: {name}: {reason}" for name, reason in stage.skipped.items())


def _reconciliation(run: RunResult) -> Text:
    sums = run.reconciliation
    words = "Reconciled: every row is accounted for"
    if "silver_revenue" in sums:
        sales, revenue = sums["silver_transactions"], sums["silver_revenue"]
        words += f", {sales:,} {'sale' if sales == 1 else 'sales'} for {revenue:,}: silver and gold match"
    return Text(words, "green") if sums["agrees"] else Text("NOT RECONCILED", "red")


def _cost(run: RunResult, prices: Prices) -> str:
    sizes = [dataset.bytes for stage in run.stages for dataset in stage.datasets if dataset.run_id is None]
    scanned = sum(stage.scan.charged for stage in run.stages if stage.scan)
    parts = [f"{dollars(prices.uploads(sizes))} for uploads"] if sizes else []
    parts += [f"{dollars(prices.scan(scanned))} for queries"] if scanned else []
    parts += [f"{dollars(prices.storage(sum(sizes)))} a month to store what it wrote"] if sizes else []
    crawls = sum(len(stage.crawlers) for stage in run.stages)
    parts += [f"at least {dollars(crawls * prices.crawl())} for {counted(crawls, 'crawler')}"] if crawls else []
    return f"Cost of this run: {', '.join(parts) or 'nothing'}; `shopease cost` estimates a month"
