"""`shopease rollback`: restore an earlier version of the lake."""

from collections.abc import Sequence
from typing import Annotated

import typer
from rich.console import Group, RenderableType

from shopease_etl.cli import options
from shopease_etl.cli.context import CommandContext
from shopease_etl.cli.tabular import Grid
from shopease_etl.contract.layout import dataset_of, month_of
from shopease_etl.report import ObjectChange, RollbackPlan
from shopease_etl.wording import counted


def rollback(
    context: CommandContext,
    to: Annotated[
        str | None, typer.Option("--to", metavar="RUN_ID", help="Restore the lake as this run left it.")
    ] = None,
    to_nothing: Annotated[
        bool, typer.Option("--to-nothing", help="Allow a rollback that leaves the lake empty.")
    ] = False,
    dry_run: options.DryRun = False,
    yes: options.Yes = False,
    skip_crawl: options.SkipCrawl = False,
    wait: options.Wait = 0,
) -> None:
    """Undo the last run, or return to an earlier one with --to (shows the changes and asks first).

    Example: shopease rollback --dry-run
    """
    from shopease_etl.pipeline import rollback as pipeline

    shop, console = context.pipeline, context.console
    plan = pipeline.find_rollback(shop, to=to, to_nothing=to_nothing, is_dry_run=dry_run, wait=wait)
    if not console.json:
        console.result(plan, lambda: _plan(plan))
    hint = "add --yes to roll back without asking, or --dry-run to show the changes"
    if dry_run or not (yes or console.confirm("Roll back?", refusal="Nothing changed", hint=hint)):
        if console.json:
            console.result(plan, lambda: "")
        console.message("Nothing changed.")
        return
    result = pipeline.rollback(shop, plan, skip_crawl=skip_crawl, wait=wait)
    undone = f"{counted(len(result.undone), 'run')}: {', '.join(result.undone)}"
    if console.json:
        console.result(result, lambda: "", f"rolled back {undone}")
    console.message(
        f"Rolled back {undone}. The source database was not changed: the next run brings the lake up to date with it."
    )
    if skip_crawl:
        following = "the next run" if plan.leaves_nothing else "`shopease crawl`"
        console.message(f"The catalog was not updated: queries may fail until {following}.")


def _plan(plan: RollbackPlan) -> RenderableType:
    """What is restored or removed, the months of a table in one line; the runs that are undone, and the run that the
    lake returns to.
    """

    def shown(counts: Sequence[int | None]) -> object:
        known = [rows for rows in counts if rows is not None]
        return sum(known) if len(known) == len(counts) else "?"

    changes: dict[tuple[str, bool], list[ObjectChange]] = {}
    for item in plan.objects:
        changes.setdefault((dataset_of(item.key) if month_of(item.key) else item.key, item.is_deleted), []).append(item)
    rows = [
        (
            f"{name} ({counted(len(items), 'month')})" if month_of(items[0].key) else name,
            shown([item.rows for item in items]),
            "removed" if is_deleted else shown([item.rows_after for item in items]),
        )
        for (name, is_deleted), items in changes.items()
    ]
    to = f"The lake will be as run {plan.to} left it at {plan.to_time}." if plan.to else ""
    nothing = "The lake will be empty." if plan.leaves_nothing else ""
    return Group(
        Grid(("object", "rows", "rows after"), rows, title=f"Rollback of {plan.location}"),
        *(f"Undoes run {run_id}." for run_id in plan.undoes),
        *(line for line in (to, nothing) if line),
    )
