"""The standard streams of the process, also if they are closed, full or not read; and a pager."""

import io
import os
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterable
from contextlib import suppress
from typing import TextIO


def discard(stream: TextIO) -> None:
    """Redirect the stream to /dev/null, so that the rest of the output is dropped without an error."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def terminal_size(stream: TextIO) -> os.terminal_size | None:
    """Columns and lines of the stream's terminal (or COLUMNS and LINES if set); None if it is not a terminal."""
    if not stream.isatty():
        return None
    found = os.get_terminal_size(stream.fileno())
    given = [os.environ.get(name, "") for name in ("COLUMNS", "LINES")]
    sizes = [int(text) if text.isdigit() else size for text, size in zip(given, found, strict=True)]
    return os.terminal_size((sizes[0] or 80, sizes[1] or 24))


def pager() -> list[str]:
    """The words of the pager ($PAGER or `less`); none if it is `cat` or not there, or there is no terminal for it."""
    words = shlex.split(os.environ.get("PAGER", "less"))
    if not words or words[0] == "cat" or not shutil.which(words[0]) or os.environ.get("TERM", "dumb") == "dumb":
        return []
    return words if sys.stdin.isatty() and sys.stdout.isatty() else []


def page(lines: Iterable[str]) -> bool:
    """Show the lines in the pager; False if there is none."""
    if not (words := pager()):
        return False
    previous = signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the pager
    try:
        # options of less: quit if all fits, show colours, leave the text on the screen
        with subprocess.Popen(
            words, stdin=subprocess.PIPE, env={"LESS": "FRX"} | os.environ, encoding="utf-8"
        ) as process:
            if process.stdin:
                with suppress(BrokenPipeError):  # the user has quit the pager
                    process.stdin.writelines(f"{line}\n" for line in lines)
            with suppress(BrokenPipeError):
                process.communicate()
    finally:
        signal.signal(signal.SIGINT, previous)
    return True


def prepare_streams() -> None:
    """Make streams of those that were closed, and let stderr drop what fails.

    A closed stdin is empty, writing to a closed stdout is an error, and to a closed stderr is ignored.
    """
    sys.stdin = sys.stdin or os.fdopen(0)
    sys.stdout = sys.stdout or io.TextIOWrapper(io.FileIO(1, "w"), encoding="utf-8")
    encoding = sys.stderr.encoding if sys.stderr else "utf-8"
    descriptor = io.BufferedWriter(io.FileIO(2, "w", closefd=False))
    sys.stderr = _Messages(descriptor, encoding, "backslashreplace", line_buffering=True)


class _Messages(io.TextIOWrapper):
    """Stderr that drops what cannot be written: a command does not fail because of a message."""

    def write(self, text: str, /) -> int:
        """Write the text, or drop it and everything after it."""
        try:
            return super().write(text)
        except OSError:
            discard(self)
            return len(text)

    def flush(self) -> None:
        """Flush, or drop the rest."""
        try:
            super().flush()
        except OSError:
            discard(self)
