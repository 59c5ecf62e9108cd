"""The console script: `--help` and what a shell asks for completion are told from a table, all else by the program.

To import Typer and Rich takes many times as long as to answer. `start_table.py` asks them beforehand, and what the
table does not tell exactly is left to them.
"""

import os
import sys
from typing import Any, Final

TABLE: Final = os.path.join(os.path.dirname(__file__), "start.json")  # noqa: PTH118,PTH120 - pathlib costs 4 ms
_KNOWN: Final = frozenset(("complete_bash", "complete_zsh", "complete_fish"))
_MARKS: Final = frozenset("'\"\\=")
_ZSH: Final = str.maketrans({'"': '""', "'": "''", "$": "\\$", "`": "\\`", ":": "\\\\:"})


def main() -> None:
    """Answer from the table, or else run the program."""
    if not (os.path.basename(sys.argv[0]) == "shopease" and _is_answered()):  # noqa: PTH119 - pathlib costs 4 ms
        from shopease_etl import cli

        cli.main()


def _is_answered() -> bool:
    told = _completion(instruction) if (instruction := os.environ.get("_SHOPEASE_COMPLETE")) else _help()
    if told is None:
        return False
    try:
        sys.stdout.write(told)
        sys.stdout.flush()
    except OSError:  # the program will meet it too, and tell it
        return False
    return True


def _help() -> str | None:
    if sys.argv[-1] not in {"-h", "--help"}:
        return None
    from shopease_etl import start_help

    return start_help.told(sys.argv[1:], _page)


def _page(name: str) -> Any:
    """The page of a command, and with no name the program's; None if there is none."""
    import json

    start = f'["{name}", '
    with open(TABLE, encoding="utf-8") as lines:  # noqa: PTH123 - pathlib costs 4 ms
        line = next((line for line in lines if line.startswith(start)), None)
    return line and json.loads(line)[1]


def _completion(instruction: str) -> str | None:
    """What the shell is told; None where only Typer knows it."""
    shell = instruction.removeprefix("complete_")
    typed = os.environ.get("COMP_WORDS" if shell == "bash" else "_TYPER_COMPLETE_ARGS", "").replace("\n", " ")
    if instruction not in _KNOWN or not (typed.isascii() and typed.isprintable()) or set(typed) & _MARKS:
        return None
    words = typed.split()
    cursor = os.environ.get("COMP_CWORD", "") if shell == "bash" else str(len(words) - (typed[-1:] != " "))
    if not cursor.isdigit() or cursor == "0":
        return None
    at = int(cursor)
    found = _proposals(words[1:at], "".join(words[at : at + 1]))
    return None if found is None else _worded(shell, found)


def _proposals(words: list[str], begun: str) -> list[list[str]] | None:
    """What the word begun may become, with the help of each; None where only Typer knows it."""
    page, given, values = _page(""), [], None
    for word in words:
        option = next((option for option in page["options"] if word in option["names"]), None)
        if option and values is None and not option["is_eager"]:
            given.append(option)
            values = option["values"]
        elif word[0] == "-":
            return None
        elif values is None and page["commands"]:
            page, given = _page(word), []
            if page is None:
                return None
        else:
            values = None
    if begun[:1] == "-":
        shown = [option for option in page["options"] if option["is_multiple"] or option not in given]
        found = [[name, option["help"]] for option in shown for name in option["names"]]
    else:
        found = page["commands"] if values is None else [[value, ""] for value in values]
    is_open = values is not None and begun[:1] == "-"
    return None if is_open else [each for each in found if each[0].startswith(begun)]


def _worded(shell: str, found: list[list[str]]) -> str | None:
    """What the shell's own script expects."""
    if shell == "zsh":
        lines = "\n".join(":".join(f'"{text.translate(_ZSH)}"' for text in each if text) for each in found)
        return f"_arguments '*: :(({lines}))'\n" if lines else "_files\n"
    if shell == "fish":
        action = os.environ.get("_TYPER_COMPLETE_FISH_ACTION")
        if action == "is-args":
            sys.exit(not found)
        if action != "get-args":
            return None
        return "\n".join("\t".join(text for text in each if text) for each in found) + "\n"
    return "\n".join(name for name, _ in found) + "\n"
