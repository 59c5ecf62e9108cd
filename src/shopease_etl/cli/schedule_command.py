"""`shopease schedule`: run the pipeline every day."""

from typing import Annotated, Literal

import typer

from shopease_etl.cli import options
from shopease_etl.cli.context import CommandContext


def schedule(
    context: CommandContext,
    kind: Annotated[Literal["cron", "systemd", "airflow"], typer.Argument(help="What starts the runs.")],
    at: Annotated[str, typer.Option("--at", metavar="HH:MM", help="Time of day.")] = "03:30",
    timezone: Annotated[
        str | None,
        typer.Option("--timezone", metavar="ZONE", help="Time zone of --at.", show_default="the business time zone"),
    ] = None,
    retry: Annotated[bool, typer.Option("--retry", help="Retry a failed run once, five minutes later.")] = False,
    install: Annotated[bool, typer.Option("--install", help="Install it on this machine (asks first).")] = False,
    yes: options.Yes = False,
) -> None:
    """Generate a daily schedule: a crontab, systemd units, or Airflow DAGs.

    Example: shopease schedule systemd --at 03:30 --retry
    """
    from shopease_etl.operations import schedule as scheduling

    console = context.console
    request = scheduling.requested(at, timezone, context.flags, context.settings, retry=retry)
    planned = scheduling.schedule(kind, request)
    if not console.json:
        console.line(planned.text)
    for note in planned.notes:
        console.message(f"Note: {note}")
    question = f"Write {', '.join(file.path for file in planned.files)}?"
    hint = "add --yes to install without asking"
    is_installed = install and (yes or console.confirm(question, refusal="nothing installed", hint=hint))
    if is_installed:
        scheduling.install(planned)
    if console.json:
        done = "installed the schedule" if is_installed else None
        console.result(planned.document(is_installed=is_installed), lambda: "", done)
    commands = "".join(f"\n  {command}" for command in planned.next(is_installed=is_installed))
    following = f" Next:{commands}" if commands else ""
    console.message(
        f"Installed.{following}" if is_installed else f"Not installed yet. Add --install, or run:{commands}"
    )
