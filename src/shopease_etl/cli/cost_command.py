"""`shopease cost`: the monthly cost of a lake on AWS."""

from typing import Annotated

import typer
from rich.console import Group

from shopease_etl.cli.context import CommandContext
from shopease_etl.cli.tabular import Grid
from shopease_etl.pipeline.costs import PRICE_SOURCES, dollars


def cost(
    context: CommandContext,
    runs: Annotated[int, typer.Option("--runs", metavar="N", min=0, help="Runs per month.")] = 30,
    crawls: Annotated[
        int, typer.Option("--crawls", metavar="N", min=0, help="Crawls per month, each by all Glue crawlers.")
    ] = 0,
    queries: Annotated[
        int,
        typer.Option("--queries", metavar="N", min=0, help="Queries per month and layer; each reads the whole layer."),
    ] = 100,
) -> None:
    """Estimate the monthly cost of the lake on AWS: storage, uploads, crawlers, queries.

    Example: shopease cost --runs 30 --crawls 30
    """
    from shopease_etl.operations.cost import monthly_cost
    from shopease_etl.pipeline import wiring

    settings = context.settings
    store, prices = wiring.lake_store(settings), wiring.prices(settings)
    month = monthly_cost(store, prices, runs=runs, crawlers=len(settings.crawlers), crawls=crawls, queries=queries)
    rows = [(line.name, line.basis, dollars(line.dollars)) for line in month.lines]
    grid = Grid(("what", "basis", "per month"), rows, title=f"Lake {month.location}", prose=("what", "basis"))
    context.console.result(month, lambda: Group(grid, "", f"Total: {dollars(month.dollars)} per month"))
    where = "" if store.is_on_aws else "This is a local lake; estimated cost if it were on S3. "
    context.console.message(f"{where}Previous versions of objects are not included. {PRICE_SOURCES}")
