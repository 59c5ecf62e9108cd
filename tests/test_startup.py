"""What is told at once: completion and help from the table, which is what the program itself would tell."""

import os
import re
import subprocess
import sys
import termios
from contextlib import suppress
from pathlib import Path
from typing import Final

import pytest

from shopease_etl import start, start_table

LINES: Final = (
    "",
    "ex",
    "-",
    "nope ",
    "run-all ",
    "run-all --from c",
    "run-all --wait 3 --w",
    "restore sales.sql --j",
    "--lake x --log-format ",
    "--json status --",
    "aggregate --dataset a --d",
)
# What only the program knows: values that look like options, quotes, what ends a command at once, what is no option.
LEFT_TO_THE_PROGRAM: Final = ("query --format=j", "query 'a", "--version ", "run-all --wait --l", "status --bad --j")
RUN: Final = """
import sys
from shopease_etl.{module} import main
sys.argv = ["shopease", *{arguments}]
try:
    main()
finally:
    print("typer" in sys.modules, file=sys.stderr)
"""


def asked(shell: str, line: str) -> dict[str, str]:
    """The environment in which the shell's script asks for the line's completion."""
    typed = f"shopease {line}"
    bash = {"COMP_WORDS": typed.replace(" ", "\n"), "COMP_CWORD": str(typed.count(" "))}
    name, _, action = shell.partition(" ")
    other = {"_TYPER_COMPLETE_ARGS": typed, "_TYPER_COMPLETE_FISH_ACTION": action}
    return {"_SHOPEASE_COMPLETE": f"complete_{name}", **(bash if shell == "bash" else other)}


def told(module: str, environment: dict[str, str]) -> tuple[tuple[int, list[str]], str]:
    """The exit code and what the module's entry tells, in no order, and whether it had Typer for it."""
    command = [sys.executable, "-c", RUN.format(module=module, arguments=[])]
    ours = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "PYTHONHASHSEED": "0", **environment}
    done = subprocess.run(command, env=ours, capture_output=True, text=True, check=False)
    lines = done.stdout.replace("(", "\n").replace(")", "\n").splitlines()
    return (done.returncode, sorted(lines)), done.stderr.splitlines()[-1]


def test_the_table_is_what_the_program_knows() -> None:
    assert Path(start.TABLE).read_text(encoding="utf-8") == start_table.table(), (
        "make it again: python -m shopease_etl.start_table > src/shopease_etl/start.json"
    )


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish get-args", "fish is-args"])
@pytest.mark.parametrize("line", LINES)
def test_completion_is_the_programs_own_without_importing_it(shell: str, line: str) -> None:
    environment = asked(shell, line)
    quick, has_typer = told("start", environment)
    assert quick == told("cli", environment)[0]
    assert has_typer == str(line == "nope ")


@pytest.mark.parametrize("line", LEFT_TO_THE_PROGRAM)
def test_what_the_table_does_not_tell_is_left_to_the_program(line: str) -> None:
    environment = asked("bash", line)
    assert told("start", environment) == told("cli", environment)


@pytest.mark.parametrize("columns", ["80", "400"], ids=["within stdout's buffer", "more than it holds"])
@pytest.mark.parametrize("module", ["start", "cli"])
def test_help_that_cannot_be_written_is_one_line_and_no_traceback(columns: str, module: str) -> None:
    command = [sys.executable, "-c", RUN.format(module=module, arguments=["--help"])]
    ours = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "COLUMNS": columns}
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command, env=ours, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert "Traceback" not in done.stderr
    assert done.stderr.splitlines()[0] == "shopease: error: cannot write to stdout: No space left on device"
    assert done.returncode == 4


def helped(module: str, arguments: list[str], columns: int, terminal: dict[str, str]) -> tuple[str, str]:
    """What is shown on a terminal of this width, and whether the module had Typer for it."""
    command = [sys.executable, "-c", RUN.format(module=module, arguments=arguments)]
    ours = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", **terminal}
    leader, follower = os.openpty()
    termios.tcsetwinsize(follower, (50, columns))
    with subprocess.Popen(command, env=ours, stdin=follower, stdout=follower, stderr=subprocess.PIPE) as process:
        os.close(follower)
        shown = b""
        with suppress(OSError):  # at the end, in Linux's words
            while data := os.read(leader, 65_536):
                shown += data
        os.close(leader)
        told_of_typer = (process.stderr.read().decode() if process.stderr else "").splitlines()[-1]
    assert process.returncode == 0
    return shown.decode(), told_of_typer


@pytest.mark.parametrize("columns", [74, 80, 97, 150])
@pytest.mark.parametrize("terminal", [{"TERM": "xterm-256color"}, {"TERM": "dumb"}], ids=["colour", "dumb"])
@pytest.mark.parametrize("arguments", [["--help"], ["query", "-h"]], ids=" ".join)
def test_help_is_the_programs_own_without_importing_it(
    arguments: list[str], terminal: dict[str, str], columns: int
) -> None:
    quick, has_typer = helped("start", arguments, columns, terminal)
    assert quick == helped("cli", arguments, columns, terminal)[0]
    assert "Usage: shopease" in re.sub(r"\x1b\[[0-9;]*m", "", quick)
    assert has_typer == "False"


@pytest.mark.parametrize(
    ("arguments", "columns", "terminal"),
    [
        (["--help"], 50, {"TERM": "xterm"}),
        (["--help"], 80, {"TERM": "xterm", "NO_COLOR": "1"}),
        (["--help"], 80, {"TERM": "xterm", "FORCE_COLOR": "1"}),
        (["--json", "status", "--help"], 100, {"TERM": "xterm"}),
    ],
    ids=["narrow", "no colour", "colour forced", "options before"],
)
def test_unusual_help_is_left_to_the_program(arguments: list[str], columns: int, terminal: dict[str, str]) -> None:
    assert helped("start", arguments, columns, terminal) == helped("cli", arguments, columns, terminal)
