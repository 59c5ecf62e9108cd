"""The commands on the source database: make a sample, restore a dump."""

from pathlib import Path
from typing import Annotated

import typer

from shopease_etl.cli import options
from shopease_etl.cli.program import Commands, command
from shopease_etl.cli.session import Session

commands = Commands()

_PANEL = "Source database"


@commands.command(rich_help_panel=_PANEL, epilog="Example: shopease sample sales.sql --scale 0.1 --dirty 0.02")
@command
def sample(
    session: Session,
    dump: options.Dump,
    scale: Annotated[float, typer.Option(help="Size factor; 1 = about 1 million sales.")] = 1.0,
    seed: Annotated[int, typer.Option(help="The same seed gives the same bytes.")] = 2024,
    dirty: Annotated[float, typer.Option(help="Share of wrong rows; above 0 each kind occurs.")] = 0.01,
) -> None:
    """Write a realistic ShopEase database as a plain-text dump, dirty rows included."""
    from shopease_etl.sample import write_sample

    session.show_sample(
        write_sample(Path(dump), scale=scale, seed=seed, dirty=dirty, progress=session.console.progress)
    )


@commands.command(rich_help_panel=_PANEL, epilog="Example: shopease restore sales_db.dump --clean")
@command
def restore(
    session: Session,
    dump: options.Dump,
    clean: Annotated[bool, typer.Option("--clean", help="Replace what the dump creates, and nothing else.")] = False,
    jobs: Annotated[int, typer.Option("--jobs", "-j", min=1, help="Connections for custom and directory dumps.")] = 1,
    force: Annotated[bool, typer.Option("--force", help="Allow restoring into a remote database.")] = False,
) -> None:
    """Load a dump (plain, custom, directory or tar, compressed or not; local or s3://) into the source database."""
    from shopease_etl.pipeline import wiring
    from shopease_etl.source.session import source_url
    from shopease_etl.stages.restore import restore

    settings, progress = session.settings, session.console.progress
    with source_url(wiring.source(settings)) as url:
        session.show_restore(
            restore(dump, url, clean=clean, jobs=jobs, force=force, schema=settings.source_schema, progress=progress)
        )
