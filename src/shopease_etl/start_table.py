"""Makes `start.json`, the table of `start.py`, of what Typer and Rich tell; `python -m` writes it to stdout."""

import io
import json
import os
import re
import sys
from contextlib import redirect_stdout
from typing import Any, Final
from unittest.mock import patch

import typer.main
from typer import rich_utils

from shopease_etl.cli import app
from shopease_etl.start_help import drawn, plain

# In wider terminals nothing is wrapped, and in narrower ones more than the last column is.
_WIDTHS: Final = (300, *range(160, 100, -10), *range(100, 71, -1))
_NAME, _END = "\x1b[1;36m", "\x1b[0m"
_FRAME: Final = f"\x1b[2m│{_END} "


def table() -> str:
    """A line for every page of help, first the program's own with no name: its options, its commands, its text."""
    program: Any = typer.main.get_command(app)
    context = program.make_context("shopease", [], resilient_parsing=True)
    with patch.dict(os.environ, {"TERM": "xterm", "NO_COLOR": ""}):
        pages = {"": _page(program, context)}
        for name, command in program.commands.items():
            pages[name] = _page(command, command.make_context(name, [], parent=context, resilient_parsing=True))
    return "".join(f"{json.dumps(page, ensure_ascii=False)}\n" for page in pages.items())


def _page(command: Any, context: Any) -> dict[str, Any]:
    commands = [[name, each.get_short_help_str()] for name, each in getattr(command, "commands", {}).items()]
    options = [each for each in command.get_params(context) if each.opts[0].startswith("-")]
    helps = [each.help for each in (*command.get_params(context), *getattr(command, "commands", {}).values())]
    text = [_block(line, helps) for line in _rendered(command, context, _WIDTHS[0]).splitlines()[:-1]]
    wrong = (width for width in _WIDTHS if drawn(text, width) != _rendered(command, context, width))
    narrowest = next(wrong, _WIDTHS[-1] - 1) + 1
    return {
        "commands": commands,
        "options": [_option(each) for each in options],
        "narrowest": narrowest,
        "help": text,
    }


def _option(option: Any) -> dict[str, Any]:
    choices = [str(value) for value in option.type_descriptor.choices or ()]
    return {
        "names": sorted(option.opts, key=len, reverse=True),  # Typer has those of --help in a set
        "help": option.help,
        "values": None if option.is_flag else choices,
        "is_multiple": option.multiple,
        "is_eager": option.is_eager,
    }


def _rendered(command: Any, context: Any, width: int) -> str:
    """What Typer writes on a terminal of this width."""
    written = io.StringIO()
    with redirect_stdout(written), patch.multiple(rich_utils, MAX_WIDTH=width, FORCE_TERMINAL=True):
        typer.echo(command.get_help(context))
    return written.getvalue()


def _block(line: str, helps: list[str]) -> list[str]:
    """A line, so wide that nothing is wrapped in it, as what `start.drawn` makes lines of any width of."""
    fill = max(re.finditer(" +|─+", line), key=lambda found: len(found[0]))
    before, end = line[: fill.start()], line[fill.end() :]
    rest = text = tail = ""
    if line.startswith(_FRAME):
        text = max((each for each in helps if each in before), key=len)
        before, _, tail = before.partition(text)
        column = len(plain(before)) - 2
        is_command = before.endswith(f"{_NAME} {_END} ")
        rest = _FRAME + (f"{_NAME}{' ' * (column - 1)}{_END} " if is_command else " " * column)
        end = f" {end}"
    elif before.startswith(" "):
        before, rest, text, end = " ", " ", before[1:], " "
    return [before, rest, text, tail.strip(), fill[0][0], end]


if __name__ == "__main__":
    sys.stdout.write(table())
