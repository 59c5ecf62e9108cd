"""Numbers and errors as text, in messages and results."""

import errno
import shlex
from pathlib import Path


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """`1 row`, `2 rows`, `1,000 rows`."""
    return f"{number:,} {noun if number == 1 else plural or f'{noun}s'}"


def room_hint(error: OSError, folder: Path) -> str | None:
    """A hint if the error says that the folder's disk, or the user's quota on it, is full."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        there = next(place for place in (folder, *folder.parents) if place.exists())
        return f"make room on its disk: df -h {shlex.quote(str(there))}"
    return None


def reason(error: BaseException) -> str:
    """An error's message in one line, without the number that an OSError begins with."""
    if isinstance(error, OSError) and error.errno == errno.EBADF:
        return "it is closed"
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return one_line(error)


def one_line(text: object) -> str:
    """A text or an error's message in one line, each run of white space one space."""
    return " ".join(str(text).split())
