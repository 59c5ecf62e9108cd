"""The commands that make runs: the whole pipeline, its stages, a retry."""

from typing import Annotated

import typer

from shopease_etl.cli import options
from shopease_etl.cli.program import Commands, command
from shopease_etl.cli.session import Session
from shopease_etl.contract.tables import GOLD_TABLES

commands = Commands()

_PANEL = "Pipeline"


@commands.command("run-all", rich_help_panel=_PANEL, epilog="Example: shopease run-all --lake /data/lake --json")
@command
def run_all(
    session: Session,
    dry_run: options.DryRun = False,
    skip_crawl: options.SkipCrawl = False,
    first: options.FirstStage = "extract",
    accept_drift: options.AcceptDrift = False,
    allow_shrink: options.AllowShrink = False,
    allow_rejects: options.AllowRejects = False,
    wait: options.Wait = 0,
) -> None:
    """Extract, clean, aggregate and crawl, reconciled to the cent, with a manifest."""
    from shopease_etl.pipeline.plan import Consent, plan_all
    from shopease_etl.pipeline.preflight import check_plan

    plan = plan_all(first, skip_crawl=skip_crawl)
    if dry_run:
        check_plan(plan, session.pipeline, Consent(accept_drift, allow_shrink, allow_rejects))
        session.show_plan(plan)
    else:
        session.run(plan, wait=wait, accept_drift=accept_drift, allow_shrink=allow_shrink, allow_rejects=allow_rejects)


@commands.command(rich_help_panel=_PANEL, epilog="Example: shopease run-all || shopease retry")
@command
def retry(
    session: Session,
    accept_drift: options.AcceptDrift = False,
    allow_shrink: options.AllowShrink = False,
    allow_rejects: options.AllowRejects = False,
    wait: options.Wait = 0,
) -> None:
    """Resume the last failed run from the first stage that did not finish."""
    from shopease_etl.pipeline.plan import Consent
    from shopease_etl.pipeline.resume import resume

    overrides = Consent(accept_drift, allow_shrink, allow_rejects)
    session.show_run(resume(session.pipeline, overrides=overrides, wait=wait))


@commands.command(rich_help_panel=_PANEL, epilog="Example: shopease extract --table customers --table transactions")
@command
def extract(
    session: Session,
    table: options.Names = None,
    fail_fast: Annotated[bool, typer.Option("--fail-fast", help="Stop at the first table that fails.")] = False,
    accept_drift: options.AcceptDrift = False,
    allow_shrink: options.AllowShrink = False,
    wait: options.Wait = 0,
) -> None:
    """Copy the source's tables to bronze, all from one snapshot, all or none."""
    from shopease_etl.pipeline.plan import plan_tables

    plan = plan_tables("extract", table or (), fail_fast=fail_fast)
    session.run(plan, wait=wait, accept_drift=accept_drift, allow_shrink=allow_shrink)


@commands.command(rich_help_panel=_PANEL, epilog="Example: shopease clean --table products")
@command
def clean(
    session: Session,
    table: options.CleanedNames = None,
    allow_shrink: options.AllowShrink = False,
    allow_rejects: options.AllowRejects = False,
    wait: options.Wait = 0,
) -> None:
    """Clean bronze into silver; rejected rows go to quarantine with their reason."""
    from shopease_etl.pipeline.plan import plan_tables

    session.run(plan_tables("clean", table or ()), wait=wait, allow_shrink=allow_shrink, allow_rejects=allow_rejects)


@commands.command(rich_help_panel=_PANEL, epilog="Example: shopease aggregate --dataset customer_analytics")
@command
def aggregate(
    session: Session,
    dataset: Annotated[
        list[str] | None,
        typer.Option(
            "--dataset",
            metavar="NAME",
            help="Only this dataset; repeatable.",
            autocompletion=options.offering(dataset.name for dataset in GOLD_TABLES),
        ),
    ] = None,
    allow_shrink: options.AllowShrink = False,
    wait: options.Wait = 0,
) -> None:
    """Build gold from silver as Parquet, and reconcile the two."""
    from shopease_etl.pipeline.plan import plan_datasets

    session.run(plan_datasets(dataset or ()), wait=wait, allow_shrink=allow_shrink)


@commands.command(rich_help_panel=_PANEL, epilog="Example: shopease crawl --crawlers")
@command
def crawl(
    session: Session,
    crawlers: Annotated[
        bool, typer.Option("--crawlers", help="Also run the Glue crawlers, and wait for them (lakes on S3).")
    ] = False,
    wait: options.Wait = 0,
) -> None:
    """Register the lake's tables and views, in Glue or locally, and check each by a query."""
    from shopease_etl.pipeline.plan import Plan

    session.run(Plan(("crawl",), crawlers=crawlers), wait=wait)
