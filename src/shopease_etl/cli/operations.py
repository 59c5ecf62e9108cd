"""The commands of who watches over runs: check what they need, see how they went."""

import typer

from shopease_etl.program import command
from shopease_etl.session import Session

commands = typer.Typer()

_PANEL = "Operations"


@commands.command(rich_help_panel=_PANEL, epilog="Example: shopease check")
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


@commands.command(rich_help_panel=_PANEL, epilog="Example: shopease status --json")
@command
def status(session: Session) -> None:
    """Show the lake as it is: datasets, rows, bytes, last runs."""
    from shopease_etl.resources import lake_store
    from shopease_etl.stages.status import status

    session.show_status(status(lake_store(session.settings)))
