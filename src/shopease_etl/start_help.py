"""The help as Rich draws it, from the table of `start.py`, without importing Rich.

`start_table.py` compares what is drawn here with what Rich draws, width by width, and names the narrowest terminal from
which on both are the same; what is narrower, or unusual, is left to the program.
"""

import os
import sys
from collections.abc import Callable
from typing import Any, Final

# Each has a say in what Rich writes.
_UNUSUAL: Final = frozenset(
    (
        *("FORCE_COLOR", "GITHUB_ACTIONS", "JUPYTER_COLUMNS", "JUPYTER_LINES", "PY_COLORS", "TERMINAL_WIDTH"),
        *("TTY_COMPATIBLE", "TYPER_USE_RICH", "_TYPER_FORCE_DISABLE_TERMINAL"),
    )
)


def told(arguments: list[str], page_of: Callable[[str], Any]) -> str | None:
    """The help that is asked for, for this stdout; None where only the program knows it."""
    is_asked = bool(arguments) and arguments[-1] in {"-h", "--help"} and len(arguments) <= 2
    if not is_asked or not all(arguments) or sys.stdout.encoding.lower() != "utf-8" or _UNUSUAL & os.environ.keys():
        return None
    page = page_of("".join(arguments[:-1]))
    is_terminal, is_dumb = sys.stdout.isatty(), os.environ.get("TERM", "").lower() in {"dumb", "unknown"}
    width = 80 if is_terminal and is_dumb else _width()
    if page is None or width < page["narrowest"] or (is_terminal and os.environ.get("NO_COLOR")):
        return None
    text = drawn(page["help"], width)
    return text if is_terminal and not is_dumb else plain(text)


def drawn(page: list[list[str]], width: int) -> str:
    """A page of help as Rich draws it in colour on a terminal of this width."""
    return "".join(f"{line}\n" for block in page for line in _block(*block, width=width)) + "\n"


def plain(text: str) -> str:
    """The text without its colours."""
    first, *rest = text.split("\x1b[")
    return first + "".join(part.partition("m")[2] for part in rest)


def _width() -> int:
    columns = os.environ.get("COLUMNS", "")
    if columns.isdigit():
        return int(columns) or 80
    for descriptor in range(3):
        try:
            return os.get_terminal_size(descriptor).columns or 80
        except OSError:
            pass
    return 80


def _block(first: str, rest: str, text: str, tail: str, fill: str, end: str, *, width: int) -> list[str]:
    """Lines that begin with `first` or `rest`, the text wrapped in between; without room the tail has its own."""
    room = width - len(plain(first)) - len(plain(end))
    wanted, lines = len(plain(text)), [""]
    is_beside = bool(tail) and wanted + 1 + len(plain(tail)) <= room
    for word in text.split(" "):
        if lines[-1] and len(plain(lines[-1])) + 1 + len(plain(word)) > room:
            lines.append(word)
        else:
            lines[-1] += f" {word}" if lines[-1] else word
    if is_beside:
        lines[-1] += f" {tail}"
    elif tail:
        lines.append(tail.replace("\x1b[0m", " " * (min(room, wanted) - len(plain(tail))) + "\x1b[0m"))
    starts = [first, *[rest] * (len(lines) - 1)]
    return [f"{start}{line}{fill * (room - len(plain(line)))}{end}" for start, line in zip(starts, lines, strict=True)]
