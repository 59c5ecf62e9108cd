"""A command on a terminal of its own, at which a test types and reads as a person does."""

import fcntl
import os
import pty
import re
import select
import subprocess
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

    def expect(self, pattern: str, seconds: float = 30) -> str:
        """The text up to the next place of a pattern, without control sequences; wait until it is written."""
        deadline = time.monotonic() + seconds
        while not (found := re.compile(pattern, re.MULTILINE).search(self.text, self.seen)):
            assert time.monotonic() < deadline, self.text[self.seen :]
            assert self._read(), self.text[self.seen :]
        start, self.seen = self.seen, found.end()
        return self.text[start : self.seen]

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

    def control() -> None:
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    cold = replace(shop, starts_cold=True, more={**shop.more, **variables})
    with cold.start(
        *arguments, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True, preexec_fn=control
    ) as process:
        os.close(theirs)
        try:
            yield Terminal(process, ours)
        finally:
            process.kill()
    os.close(ours)
