"""Long output on a terminal, a screen at a time."""

import os
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterable
from contextlib import suppress
from typing import Final

_LESS: Final = {"LESS": "FRX"}  # leave at once if all fits, show colours, leave the text on the screen


def page(lines: Iterable[str]) -> bool:
    """Show the lines in the program that PAGER names, or `less`; False where there is none, or it is `cat`."""
    words = shlex.split(os.environ.get("PAGER", "less"))
    if not words or words[0] == "cat" or not shutil.which(words[0]) or os.environ.get("TERM", "dumb") == "dumb":
        return False
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        return False
    former = signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the pager
    try:
        with subprocess.Popen(words, stdin=subprocess.PIPE, env=_LESS | os.environ, encoding="utf-8") as pager:
            if pager.stdin:
                with suppress(BrokenPipeError):  # its user has seen enough
                    pager.stdin.writelines(f"{line}\n" for line in lines)
            with suppress(BrokenPipeError):
                pager.communicate()
    finally:
        signal.signal(signal.SIGINT, former)
    return True
