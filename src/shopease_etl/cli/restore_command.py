"""`shopease restore`: load a dump into the source database."""

from typing import Annotated

import typer

from shopease_etl.cli import options
from shopease_etl.cli.context import CommandContext
from shopease_etl.cli.tabular import Grid


def restore(
    context: CommandContext,
    dump: options.Dump,
    clean: Annotated[
        bool, typer.Option("--clean", help="Replace the objects that the dump creates, and no others.")
    ] = False,
    jobs: Annotated[
        int, typer.Option("--jobs", "-j", metavar="N", min=1, help="Parallel connections (custom and directory dumps).")
    ] = 1,
    force: Annotated[bool, typer.Option("--force", help="Allow restoring into a remote database.")] = False,
) -> None:
    """Load a dump (plain, custom, directory or tar, compressed or not; local or s3://) into the source database.

    Example: shopease restore sales_db.dump --clean
    """
    from shopease_etl.pipeline import wiring
    from shopease_etl.source.session import source_url
    from shopease_etl.stages import restore as stage

    settings, console = context.settings, context.console
    with source_url(wiring.source(settings, console.secrets)) as url:
        result = stage.restore(
            dump,
            url,
            clean=clean,
            jobs=jobs,
            force=force,
            schema=settings.source_schema,
            progress=console.progress,
        )
        console.result(result, lambda: Grid(("table", "rows"), result.tables), "restored the dump")
        console.message(
            f"Restored a dump ({result.format}, {result.bytes / 1e6:,.1f} MB) in {result.seconds:.1f} s. "
            "Next: shopease run-all"
        )
