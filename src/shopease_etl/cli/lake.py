"""The commands on a lake that is there: roll back, query, clean up, cost."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from shopease_etl.cli import options
from shopease_etl.cli.program import Commands, command
from shopease_etl.cli.session import Session

commands = Commands()

_PANEL = "Lake"


@commands.command(rich_help_panel=_PANEL, epilog="Example: shopease rollback --dry-run")
@command
def rollback(
    session: Session,
    to: Annotated[
        str | None, typer.Option("--to", metavar="RUN_ID", help="Go back to the lake as this run left it.")
    ] = None,
    to_nothing: Annotated[bool, typer.Option("--to-nothing", help="Allow it to leave the lake empty.")] = False,
    dry_run: options.DryRun = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    skip_crawl: options.SkipCrawl = False,
    wait: options.Wait = 0,
) -> None:
    """Restore the lake as it was before the last run, or as --to left it; shows the changes first, and asks."""
    from shopease_etl.cli import render
    from shopease_etl.pipeline import rollback as pipeline
    from shopease_etl.wording import counted

    shop, console = session.pipeline, session.console
    plan = pipeline.find_rollback(shop, to=to, to_nothing=to_nothing, is_dry_run=dry_run, wait=wait)
    if not console.json:
        console.result(plan, lambda: render.rollback_plan(plan))
    if dry_run or not (yes or session.confirms_rollback()):
        if console.json:
            console.result(plan, lambda: "")
        console.message("Nothing changed.")
        return
    result = pipeline.rollback(shop, plan, skip_crawl=skip_crawl, wait=wait)
    undone = f"{counted(len(result.undone), 'run')}: {', '.join(result.undone)}"
    if console.json:
        console.result(result, lambda: "", f"rolled back {undone}")
    console.message(
        f"Rolled back {undone}. The source database was not changed; the next run will rebuild the lake from it."
    )
    if skip_crawl:
        following = "the next run" if plan.leaves_nothing else "`shopease crawl`"
        console.message(f"The catalog was left as it is: queries may fail until {following}.")


@commands.command(
    rich_help_panel=_PANEL, epilog="Example: shopease query 'SELECT * FROM shopease_catalog.products LIMIT 5'"
)
@command
def query(
    session: Session,
    sql: Annotated[
        str | None, typer.Argument(metavar="SQL", help="A read-only SQL statement; - for stdin.", show_default=False)
    ] = None,
    file: Annotated[
        Path | None, typer.Option("--file", "-f", help="Read the statement from a file; - for stdin.")
    ] = None,
    name: options.QueryName = None,
    listing: Annotated[bool, typer.Option("--list", help="List the queries that ship with shopease.")] = False,
    output_format: Annotated[
        Literal["table", "csv", "json", "parquet"], typer.Option("--format", help="How to write the result.")
    ] = "table",
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write the result to a file.")] = None,
    vertical: Annotated[
        bool, typer.Option("--vertical", help="Show one line per value, as for tables wider than the terminal.")
    ] = False,
    max_scan: options.MaxScan = None,
    timeout: options.Timeout = None,
) -> None:
    """Run a SQL query (Athena dialect): Athena for S3 lakes, DuckDB for local ones."""
    if listing:
        session.show_shipped_queries()
    else:
        statement = session.statement(sql, file, name)
        session.show_answer(statement, output_format, output, max_scan, timeout, vertical=vertical)


@commands.command(rich_help_panel=_PANEL, epilog="Example: shopease cleanup --uploads --dry-run")
@command
def cleanup(
    session: Session,
    uploads: Annotated[
        bool, typer.Option("--uploads", help="Abort unfinished uploads that killed runs left behind.")
    ] = False,
    older_than: options.OlderThan = 24.0,
    layer: options.Layers = None,
    everything: Annotated[bool, typer.Option("--all", help="Delete all layers and the manifests.")] = False,
    dry_run: options.DryRun = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    wait: options.Wait = 0,
) -> None:
    """Delete unfinished uploads, layers or the whole lake (shows the list and asks first)."""
    from shopease_etl.pipeline import cleanup

    chosen = cleanup.find_garbage(
        session.pipeline,
        uploads=uploads,
        older_than=older_than * 3600,
        layers=layer or (),
        everything=everything,
        dry_run=dry_run,
        wait=wait,
    )

    def delete() -> None:
        cleanup.delete_garbage(session.pipeline, chosen, wait=wait)

    session.clean_up(chosen, delete, dry_run=dry_run, yes=yes)


@commands.command(rich_help_panel=_PANEL, epilog="Example: shopease cost --runs 30 --crawls 30")
@command
def cost(
    session: Session,
    runs: Annotated[int, typer.Option("--runs", min=0, help="Runs per month.")] = 30,
    crawls: Annotated[int, typer.Option("--crawls", min=0, help="Crawls of all Glue crawlers per month.")] = 0,
    queries: Annotated[
        int, typer.Option("--queries", min=0, help="Queries per month on each layer, each reading all of it.")
    ] = 100,
) -> None:
    """Estimate what the lake costs per month on AWS: storage, uploads, crawlers, queries."""
    from shopease_etl.cli import render
    from shopease_etl.operations.cost import cost
    from shopease_etl.pipeline import wiring
    from shopease_etl.pipeline.costs import PRICES_TOLD

    settings = session.settings
    store, prices = wiring.lake_store(settings), wiring.prices(settings)
    estimate = cost(store, prices, runs=runs, crawlers=len(settings.crawlers), crawls=crawls, queries=queries)
    session.console.result(estimate, lambda: render.monthly_cost(estimate))
    where = "" if store.is_on_aws else "This is a local lake; estimated cost if it were on S3. "
    session.console.message(f"{where}Former versions of objects are not counted. {PRICES_TOLD}")
