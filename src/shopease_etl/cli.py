"""The commands: options, help, one call, one rendering."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from shopease_etl import __version__, options
from shopease_etl.program import command, root, run_program
from shopease_etl.session import Session
from shopease_etl.signals import end_process

app = typer.Typer(
    name="shopease",
    epilog="First steps: `shopease sample sales.sql`, `shopease restore sales.sql`, `shopease run-all`.",
    invoke_without_command=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

_PIPELINE = "Pipeline"
_SOURCE = "Source database"
_LAKE = "Lake"


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"shopease {__version__}")
        raise typer.Exit


@app.callback()
@root
def shopease(
    context: typer.Context,
    _shown: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Take a ShopEase PostgreSQL to a bronze, silver and gold data lake, and answer SQL about it."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


@app.command("run-all", rich_help_panel=_PIPELINE, epilog="Example: shopease run-all --lake /data/lake --json")
@command
def run_all(
    session: Session,
    dry_run: options.DryRun = False,
    skip_crawl: options.SkipCrawl = False,
    first: options.FirstStage = "extract",
    accept_drift: options.AcceptDrift = False,
    allow_shrink: options.AllowShrink = False,
    wait: options.Wait = 0,
) -> None:
    """Extract, clean, aggregate and crawl, reconciled to the cent, with a manifest."""
    from shopease_etl import pipeline
    from shopease_etl.plan import Consent, plan_all

    plan = plan_all(first, skip_crawl=skip_crawl)
    if dry_run:
        pipeline.check_plan(plan, session.settings, Consent(accept_drift, allow_shrink))
        session.show_plan(plan)
    else:
        session.run(plan, wait=wait, accept_drift=accept_drift, allow_shrink=allow_shrink)


@app.command(rich_help_panel=_PIPELINE, epilog="Example: shopease run-all || shopease retry")
@command
def retry(
    session: Session,
    accept_drift: options.AcceptDrift = False,
    allow_shrink: options.AllowShrink = False,
    wait: options.Wait = 0,
) -> None:
    """Go on with the last run, which failed, after the last of its stages whose outputs are whole."""
    from shopease_etl import pipeline
    from shopease_etl.plan import Consent

    consent = Consent(accept_drift, allow_shrink)
    session.show_run(pipeline.retry(session.settings, session.console.progress, consent=consent, wait=wait))


@app.command(rich_help_panel=_PIPELINE, epilog="Example: shopease extract --table customers --table transactions")
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
    from shopease_etl.plan import plan_tables

    plan = plan_tables("extract", table or (), fail_fast=fail_fast)
    session.run(plan, wait=wait, accept_drift=accept_drift, allow_shrink=allow_shrink)


@app.command(rich_help_panel=_PIPELINE, epilog="Example: shopease clean --table products")
@command
def clean(
    session: Session, table: options.Names = None, allow_shrink: options.AllowShrink = False, wait: options.Wait = 0
) -> None:
    """Clean bronze into silver; rejected rows go to quarantine with their reason."""
    from shopease_etl.plan import plan_tables

    session.run(plan_tables("clean", table or ()), wait=wait, allow_shrink=allow_shrink)


@app.command(rich_help_panel=_PIPELINE, epilog="Example: shopease aggregate --dataset customer_analytics")
@command
def aggregate(
    session: Session,
    dataset: Annotated[
        list[str] | None, typer.Option("--dataset", metavar="NAME", help="Only this dataset; repeatable.")
    ] = None,
    allow_shrink: options.AllowShrink = False,
    wait: options.Wait = 0,
) -> None:
    """Build gold from silver as Parquet, and reconcile the two."""
    from shopease_etl.plan import plan_datasets

    session.run(plan_datasets(dataset or ()), wait=wait, allow_shrink=allow_shrink)


@app.command(rich_help_panel=_PIPELINE, epilog="Example: shopease crawl --crawlers")
@command
def crawl(
    session: Session,
    crawlers: Annotated[
        bool, typer.Option("--crawlers", help="Also run the Glue crawlers, and wait for them (lakes on S3).")
    ] = False,
    wait: options.Wait = 0,
) -> None:
    """Make the lake's tables and views queryable, in Glue or locally, and check each by a query."""
    from shopease_etl.plan import Plan

    session.run(Plan(("crawl",), crawlers=crawlers), wait=wait)


@app.command(rich_help_panel=_LAKE, epilog="Example: shopease rollback && shopease status")
@command
def rollback(
    session: Session,
    skip_crawl: options.SkipCrawl = False,
    wait: options.Wait = 0,
) -> None:
    """Bring back the lake as it was before the last run that published, and crawl it."""
    from shopease_etl import pipeline

    session.show_rollback(
        pipeline.rollback(session.settings, session.console.progress, skip_crawl=skip_crawl, wait=wait)
    )


@app.command(rich_help_panel=_LAKE, epilog="Example: shopease query 'SELECT * FROM shopease_catalog.products LIMIT 5'")
@command
def query(
    session: Session,
    sql: Annotated[str | None, typer.Argument(metavar="SQL", help="One reading statement.", show_default=False)] = None,
    file: Annotated[
        Path | None, typer.Option("--file", "-f", help="Read the statement from a file; - for stdin.")
    ] = None,
    name: Annotated[str | None, typer.Option("--name", "-n", help="A query that ships with shopease.")] = None,
    listing: Annotated[bool, typer.Option("--list", help="List the queries that ship with shopease.")] = False,
    output_format: Annotated[
        Literal["table", "csv", "json", "parquet"], typer.Option("--format", help="How to write the result.")
    ] = "table",
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write the result to a file.")] = None,
    max_scan: options.MaxScan = None,
    timeout: options.Timeout = None,
) -> None:
    """Answer one SQL statement of Athena's dialect: through Athena (lakes on S3) or DuckDB."""
    if listing:
        session.show_shipped_queries()
    else:
        session.show_answer(session.statement(sql, file, name), output_format, output, max_scan, timeout)


@app.command(rich_help_panel=_LAKE, epilog="Example: shopease cleanup --uploads --dry-run")
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
    """Delete unfinished uploads, layers, or all that is the lake's own; lists it first, and asks."""
    from shopease_etl import housekeeping

    chosen = housekeeping.find_garbage(
        session.settings,
        uploads=uploads,
        older_than=older_than * 3600,
        layers=layer or (),
        everything=everything,
        dry_run=dry_run,
        wait=wait,
    )

    def delete() -> None:
        housekeeping.delete_garbage(session.settings, chosen, wait=wait)

    session.clean_up(chosen, delete, dry_run=dry_run, yes=yes)


@app.command(rich_help_panel=_LAKE, epilog="Example: shopease cost --runs 30 --crawls 30")
@command
def cost(
    session: Session,
    runs: Annotated[int, typer.Option("--runs", min=0, help="Runs in a month.")] = 30,
    crawls: Annotated[int, typer.Option("--crawls", min=0, help="Crawls of all Glue crawlers in a month.")] = 0,
    queries: Annotated[int, typer.Option("--queries", min=0, help="Queries that read all of a layer, each.")] = 100,
) -> None:
    """Show what the lake costs a month on AWS: storage, uploads, crawlers, queries."""
    from shopease_etl import resources
    from shopease_etl.stages.cost import cost

    settings = session.settings
    store = resources.lake_store(settings)
    session.show_cost(
        cost(
            store,
            resources.prices(settings),
            runs=runs,
            crawlers=len(settings.crawlers),
            crawls=crawls,
            queries=queries,
        )
    )


@app.command(rich_help_panel=_LAKE, epilog="Example: shopease status --json")
@command
def status(session: Session) -> None:
    """Show the lake as it is: datasets, rows, bytes, last runs."""
    from shopease_etl.resources import lake_store
    from shopease_etl.stages.status import status

    session.show_status(status(lake_store(session.settings)))


@app.command(rich_help_panel=_SOURCE, epilog="Example: shopease sample sales.sql --scale 0.1 --dirty 0.02")
@command
def sample(
    session: Session,
    dump: options.Dump,
    scale: Annotated[float, typer.Option(help="1 is ShopEase's size; sales and customers grow with it.")] = 1.0,
    seed: Annotated[int, typer.Option(help="The same seed gives the same bytes.")] = 2024,
    dirty: Annotated[float, typer.Option(help="Share of wrong rows; above 0 each kind occurs.")] = 0.01,
) -> None:
    """Write a realistic ShopEase database as a plain-text dump, dirty rows included."""
    from shopease_etl.sample import write_sample

    session.show_sample(
        write_sample(Path(dump), scale=scale, seed=seed, dirty=dirty, progress=session.console.progress)
    )


@app.command(rich_help_panel=_SOURCE, epilog="Example: shopease restore sales_db.dump --clean")
@command
def restore(
    session: Session,
    dump: options.Dump,
    clean: Annotated[bool, typer.Option("--clean", help="Drop what the dump would create, first.")] = False,
    jobs: Annotated[int, typer.Option("--jobs", "-j", min=1, help="Connections for custom and directory dumps.")] = 1,
    force: Annotated[bool, typer.Option("--force", help="Also into a database that is not on this machine.")] = False,
) -> None:
    """Load a dump (plain, gzip, zstd, custom, directory, tar; local or s3://) into the source database."""
    from shopease_etl.source import source_url
    from shopease_etl.stages.restore import restore

    settings, progress = session.settings, session.console.progress
    with source_url(settings) as url:
        session.show_restore(
            restore(dump, url, clean=clean, jobs=jobs, force=force, schema=settings.source_schema, progress=progress)
        )


@app.command(rich_help_panel=_SOURCE, epilog="Example: shopease check")
@command
def check(session: Session) -> None:
    """Check settings, connections, rights, versions and disk: each line is ok, or says the fix."""
    from shopease_etl import resources
    from shopease_etl.source import existing_source
    from shopease_etl.stages.check import check

    settings = session.settings
    store = resources.lake_store(settings)
    warehouse = resources.warehouse(settings, store)
    session.show_checks(check(store, warehouse, settings.home, lambda: existing_source(settings)))


def main() -> None:
    """The console script."""
    end_process(run_program(app))
