"""The commands of operators: check what runs need, see how they went, schedule them."""

from typing import Annotated, Literal

import typer

from shopease_etl.cli.context import CommandContext
from shopease_etl.cli.program import Commands, command

commands = Commands()

_PANEL = "Operations"

Runs = Annotated[int, typer.Option("--runs", metavar="N", min=1, help="Show the last N runs.")]
MaxAge = Annotated[
    str | None,
    typer.Option("--max-age", metavar="AGE", help="Exit code 1 if the last data is older, such as 90m, 26h or 2d."),
]


@commands.command(rich_help_panel=_PANEL, epilog="Example: shopease check")
@command
def check(
    context: CommandContext,
    test_alert: Annotated[bool, typer.Option("--test-alert", help="Also send a test to SHOPEASE_ALERTS.")] = False,
    verify: Annotated[bool, typer.Option("--verify", help="Also read the whole lake and compare its hashes.")] = False,
) -> None:
    """Diagnose settings, connections, permissions, disk space and clocks, and suggest fixes."""
    from shopease_etl.operations.checking import check_lines

    progress = context.console.progress
    context.show_checks(
        check_lines(context.settings, context.flags, test_alert=test_alert, verify=verify, progress=progress)
    )


@commands.command(rich_help_panel=_PANEL, epilog="Example: shopease status --max-age 26h")
@command
def status(context: CommandContext, *, runs: Runs = 10, max_age: MaxAge = None) -> None:
    """Show the lake as it is: datasets, rows, rejects, last runs; exit code 1 if the last run failed."""
    from shopease_etl import units
    from shopease_etl.operations.checking import lake_status

    seconds = units.seconds_in(max_age) if max_age is not None else None
    context.show_status(lake_status(context.settings, runs=runs, max_age=seconds))


Kind = Annotated[Literal["cron", "systemd", "airflow"], typer.Argument(help="What starts the runs.")]
At = Annotated[str, typer.Option("--at", metavar="HH:MM", help="The time of day.")]
Zone = Annotated[
    str | None,
    typer.Option("--timezone", metavar="ZONE", help="Its time zone.", show_default="the business time zone"),
]
Retry = Annotated[bool, typer.Option("--retry", help="Retry a failed run once, five minutes later.")]
Install = Annotated[bool, typer.Option("--install", help="Install it on this machine; asks first.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


@commands.command(rich_help_panel=_PANEL, epilog="Example: shopease schedule systemd --at 03:30 --retry")
@command
def schedule(
    context: CommandContext,
    kind: Kind,
    at: At = "03:30",
    timezone: Zone = None,
    retry: Retry = False,
    install: Install = False,
    yes: Yes = False,
) -> None:
    """Generate a daily schedule: a crontab, systemd units, or Airflow DAGs."""
    from shopease_etl.operations import schedule as scheduling

    wanted = scheduling.requested(at, timezone, context.flags, context.settings, retry=retry)
    made = scheduling.schedule(kind, wanted)
    context.show_schedule(made, (lambda: scheduling.install(made)) if install else None, yes=yes)
