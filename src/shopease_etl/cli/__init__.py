"""The command line: each command is a function in its own file, and listed in `COMMANDS`."""

import os
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Annotated, Final

import typer

from shopease_etl import __version__, cancel
from shopease_etl.cli.check_command import check
from shopease_etl.cli.cleanup_command import cleanup
from shopease_etl.cli.cost_command import cost
from shopease_etl.cli.program import Program, add_command, root, run_program
from shopease_etl.cli.query_command import query
from shopease_etl.cli.report_command import report
from shopease_etl.cli.restore_command import restore
from shopease_etl.cli.rollback_command import rollback
from shopease_etl.cli.run_commands import aggregate, clean, crawl, extract, retry, run_all
from shopease_etl.cli.sample_command import sample
from shopease_etl.cli.schedule_command import schedule
from shopease_etl.cli.status_command import status
from shopease_etl.cli.streams import prepare_streams
from shopease_etl.cli.submit_command import submit
from shopease_etl.cli.tables_command import tables

COMMANDS: Final[Mapping[str, tuple[Callable[..., None], ...]]] = {
    "Pipeline": (run_all, retry, extract, clean, aggregate, crawl),
    "Lake": (rollback, query, tables, report, cleanup, cost),
    "Source database": (sample, restore),
    "Operations": (check, status, schedule, submit),
}

app = typer.Typer(
    name="shopease",
    cls=Program,
    epilog="First steps: `shopease sample sales.sql`, `shopease restore sales.sql`, `shopease run-all`.",
    invoke_without_command=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


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
    """Copy a ShopEase PostgreSQL database into a bronze, silver and gold data lake, and query it with SQL."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


for panel, functions in COMMANDS.items():
    for function in functions:
        add_command(app, function, panel, takes_command=function is submit)


def main() -> None:
    """The entry point of the program `shopease`."""
    code = run_command()
    os._exit(code)  # threads left behind in a call that hangs would hold up any other end


def run_command() -> int:
    """Run the command that the process was started for, and return its exit code."""
    prepare_streams()
    cancel.install()
    code = run_program(app)
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    return code
