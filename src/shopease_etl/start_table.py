"""Makes `start.json`, the table of `start.py`, of what Typer knows; `python -m` writes it to stdout."""

import json
import sys
from typing import Any

import typer.main

from shopease_etl.cli import app


def table() -> str:
    """A line for every page of help, first the program's own with no name: its options and commands."""
    program: Any = typer.main.get_command(app)
    context = program.make_context("shopease", [], resilient_parsing=True)
    pages = {"": _page(program, context)}
    for name, command in program.commands.items():
        pages[name] = _page(command, command.make_context(name, [], parent=context, resilient_parsing=True))
    return "".join(f"{json.dumps(page)}\n" for page in pages.items())


def _page(command: Any, context: Any) -> dict[str, Any]:
    commands = [[name, each.get_short_help_str()] for name, each in getattr(command, "commands", {}).items()]
    options = [each for each in command.get_params(context) if each.opts[0].startswith("-")]
    return {"commands": commands, "options": [_option(each) for each in options]}


def _option(option: Any) -> dict[str, Any]:
    choices = [str(value) for value in option.type_descriptor.choices or ()]
    return {
        "names": sorted(option.opts, key=len, reverse=True),  # Typer has those of --help in a set
        "help": option.help,
        "values": None if option.is_flag else choices,
        "is_multiple": option.multiple,
        "is_eager": option.is_eager,
    }


if __name__ == "__main__":
    sys.stdout.write(table())
