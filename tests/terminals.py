"""A command on a terminal of its own, at which a test types and reads as a person does."""

import os
import pty
import re
import select
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Final

from commands import Shop

ENTER: Final = "\r"
TAB: Final = "\t"
UP: Final = "\x1b[A"
CTRL_C: Final = "\x03"
CTRL_D: Final = "\x04"
_SEQUENCE: Final = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b[()][A-Z0-9]|\x1b[=>78]|[\r\x07]")

# As a shell starts a program: Ctrl-C at its terminal is a signal for it.
_CONTROLLED: Final = """
import fcntl, os, sys, termios
os.setsid()
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""


@dataclass
class Terminal:
    """A terminal and the command on it; `written` is all that it wrote, and `seen` how much of it a test has read."""

    process: "subprocess.Popen[str]"
    descriptor: int
    written: bytes = b""
    seen: int = 0

    def type(self, *texts: str) -> None:
        """Press keys."""
        os.write(self.descriptor, "".join(texts).encode())

    def expect(self, pattern: str, seconds: float = 60) -> str:
        """The text up to the next place of a pattern, without control sequences; wait until it is written."""
        deadline = time.monotonic() + seconds
        while not (found := re.compile(pattern, re.MULTILINE).search(self.text, self.seen)):
            assert time.monotonic() < deadline, self.text[self.seen :]
            assert self._read(), self.text[self.seen :]
        start, self.seen = self.seen, found.end()
        return self.text[start : self.seen]

    def wait_until_busy(self, seconds: float = 30) -> None:
        """Wait until the command no longer reads keys, so that Ctrl-C is a signal, and a moment more."""
        deadline = time.monotonic() + seconds
        while not termios.tcgetattr(self.descriptor)[3] & termios.ISIG:
            assert time.monotonic() < deadline, self.text
            self._read()
        time.sleep(0.7)

    def end(self) -> int:
        """The exit code, when the command has ended."""
        while self._read():
            pass
        return self.process.wait(60)

    @property
    def text(self) -> str:
        """All that was written, without control sequences."""
        return _SEQUENCE.sub("", self.written.decode(errors="replace"))

    def _read(self) -> bool:
        """Read what there is, within a moment; False at the end."""
        if select.select([self.descriptor], [], [], 0.2)[0]:
            with suppress(OSError):  # Linux's way to tell that the other side is closed
                data = os.read(self.descriptor, 65_536)
                self.written += data
                return bool(data)
            return False
        return self.process.poll() is None


@contextmanager
def terminal(shop: Shop, *arguments: str, **more: str) -> Iterator[Terminal]:
    """A command whose controlling terminal is a new one, which has no cursor to ask for and no pager."""
    variables = {"TERM": "xterm", "PROMPT_TOOLKIT_NO_CPR": "1", "PAGER": "cat", **more}
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (50, 100))

    own = replace(shop, wrapper=(sys.executable, "-c", _CONTROLLED), more={**shop.more, **variables})
    with own.start(*arguments, stdin=theirs, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        opened = Terminal(process, ours)
        try:
            yield opened
        finally:
            process.kill()
            os.close(opened.descriptor)
