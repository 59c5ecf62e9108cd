"""The commands: options, help, one call, one rendering."""

import os
import sys
from contextlib import suppress
from typing import Annotated

import typer

from shopease_etl import __version__, cancel
from shopease_etl.cli import lake, operations, pipeline, source
from shopease_etl.cli.program import Program, root, run_program
from shopease_etl.cli.streams import prepare_streams

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


for group in (pipeline, lake, source, operations):
    app.add_typer(group.commands)


def main() -> None:
    """The console script."""
    prepare_streams()
    cancel.install()
    code = run_program(app)
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)  # threads left behind in a call that hangs would hold up any other end
