"""The commands that run the pipeline, one of its stages, or a retry."""

from contextlib import closing
from pathlib import Path
from typing import Annotated, Literal

import typer

from shopease_etl.cli import options
from shopease_etl.cli.context import CommandContext
from shopease_etl.cli.report_command import written_afterwards
from shopease_etl.cli.run_summary import next_steps, run_summary
from shopease_etl.cli.tabular import Grid
from shopease_etl.contract.gold import GOLD, USUAL, GoldDataset
from shopease_etl.contract.tables import CLEANED_TABLES, TABLES
from shopease_etl.pipeline.plan import Overrides, Plan, plan_all, plan_datasets, plan_tables
from shopease_etl.report import RunResult


def run_all(
    context: CommandContext,
    dry_run: options.DryRun = False,
    skip_crawl: options.SkipCrawl = False,
    first: Annotated[
        Literal["extract", "clean", "aggregate", "crawl"], typer.Option("--from", help="The first stage to run.")
    ] = "extract",
    full: options.Full = False,
    engine: options.Engine = None,
    accept_drift: options.AcceptDrift = False,
    allow_shrink: options.AllowShrink = False,
    allow_rejects: options.AllowRejects = False,
    wait: options.Wait = 0,
    report: Annotated[
        Path | None, typer.Option("--report", help="Also write `shopease report` to this file, even if the run fails.")
    ] = None,
) -> None:
    """Extract, clean, aggregate and crawl, and check that all totals match to the cent.

    Example: shopease run-all --lake /data/lake --json
    """
    context.use(engine=engine)
    plan = plan_all(first, datasets=_datasets(context), skip_crawl=skip_crawl, full=full)
    consent = Overrides(accept_drift, allow_shrink, allow_rejects)
    if dry_run:
        _check_and_show(context, plan, consent)
    else:
        with written_afterwards(context, report):
            _run_plan(context, plan, consent, wait)


def retry(
    context: CommandContext,
    engine: options.Engine = None,
    accept_drift: options.AcceptDrift = False,
    allow_shrink: options.AllowShrink = False,
    allow_rejects: options.AllowRejects = False,
    wait: options.Wait = 0,
) -> None:
    """Resume the last failed run from the first stage that did not finish.

    Example: shopease run-all || shopease retry
    """
    from shopease_etl.pipeline.resume import resume

    context.use(engine=engine)
    overrides = Overrides(accept_drift, allow_shrink, allow_rejects)
    with closing(context.pipeline) as shop:
        result = resume(shop, overrides=overrides, wait=wait)
    _show(context, result)


def extract(
    context: CommandContext,
    table: Annotated[
        list[str] | None,
        typer.Option(
            "--table",
            metavar="NAME",
            help="Only this table; repeatable.",
            autocompletion=options.completion(table.name for table in TABLES),
        ),
    ] = None,
    fail_fast: Annotated[bool, typer.Option("--fail-fast", help="Stop at the first table that fails.")] = False,
    full: options.Full = False,
    engine: options.Engine = None,
    accept_drift: options.AcceptDrift = False,
    allow_shrink: options.AllowShrink = False,
    wait: options.Wait = 0,
) -> None:
    """Copy the source tables to bronze: all from one snapshot, all or none.

    Example: shopease extract --table customers --table transactions
    """
    context.use(engine=engine)
    plan = plan_tables("extract", table or (), datasets=_datasets(context), fail_fast=fail_fast, full=full)
    _run_plan(context, plan, Overrides(accept_drift, allow_shrink), wait)


def clean(
    context: CommandContext,
    table: Annotated[
        list[str] | None,
        typer.Option(
            "--table",
            metavar="NAME",
            help="Only this table; repeatable.",
            autocompletion=options.completion(table.name for table in CLEANED_TABLES),
        ),
    ] = None,
    full: options.Full = False,
    engine: options.Engine = None,
    allow_shrink: options.AllowShrink = False,
    allow_rejects: options.AllowRejects = False,
    wait: options.Wait = 0,
) -> None:
    """Clean bronze into silver; rejected rows go to quarantine with the reason.

    Example: shopease clean --table products
    """
    context.use(engine=engine)
    consent = Overrides(allow_shrink=allow_shrink, allow_rejects=allow_rejects)
    _run_plan(context, plan_tables("clean", table or (), datasets=_datasets(context), full=full), consent, wait)


def aggregate(
    context: CommandContext,
    dataset: Annotated[
        list[str] | None,
        typer.Option(
            "--dataset",
            metavar="NAME",
            help="Only this dataset; repeatable.",
            autocompletion=options.completion(dataset.name for dataset in GOLD),
        ),
    ] = None,
    engine: options.Engine = None,
    allow_shrink: options.AllowShrink = False,
    wait: options.Wait = 0,
) -> None:
    """Build gold from silver as Parquet, and check that their totals match.

    Example: shopease aggregate --dataset customer_analytics
    """
    context.use(engine=engine)
    _run_plan(context, plan_datasets(dataset or (), _datasets(context)), Overrides(allow_shrink=allow_shrink), wait)


def crawl(
    context: CommandContext,
    crawlers: Annotated[
        bool, typer.Option("--crawlers", help="Also run the Glue crawlers and wait for them (S3 lakes only).")
    ] = False,
    wait: options.Wait = 0,
) -> None:
    """Register the lake's tables and views in Glue or in a local catalog, and query each once.

    Example: shopease crawl --crawlers
    """
    _run_plan(context, Plan(("crawl",), crawlers=crawlers), Overrides(), wait)


def _datasets(context: CommandContext) -> tuple[GoldDataset, ...]:
    """The gold datasets that the settings ask for."""
    return GOLD if context.settings.clv == "on" else USUAL


def _check_and_show(context: CommandContext, plan: Plan, consent: Overrides) -> None:
    """Check what a run needs at its start, and show what it would read and write."""
    from shopease_etl.pipeline.preflight import check_plan

    check_plan(plan, context.pipeline, consent)
    steps = plan.steps(by_month=context.pipeline.by_month)
    rows = [(step.stage, step.dataset, "\n".join(step.reads), "\n".join(step.writes)) for step in steps]
    context.console.result(steps, lambda: Grid(("stage", "dataset", "reads", "writes"), rows, droppable=("reads",)))


def _run_plan(context: CommandContext, plan: Plan, consent: Overrides, wait: float) -> None:
    from shopease_etl.pipeline.run import run

    with closing(context.pipeline) as shop:
        result = run(plan, shop, overrides=consent, wait=wait)
    _show(context, result)


def _show(context: CommandContext, run: RunResult) -> None:
    """Show what a run did, and what to do next.

    With `--quiet` a run that succeeds prints nothing: cron mails only failures.
    """
    from shopease_etl.pipeline import wiring

    settings, console = context.settings, context.console
    if console.json or not console.quiet:
        prices = wiring.prices(settings) if wiring.lake_store(settings).is_on_aws else None
        location = settings.lake.rstrip("/")
        console.result(run, lambda: run_summary(run, location, prices), f"run {run.run_id} {run.status}")
    if not console.json:
        console.message(next_steps(run))
