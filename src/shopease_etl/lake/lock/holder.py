"""The holder of a lake's lock, as the lock file and the lease on S3 record it."""

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

LOCKED_HINT: Final = "wait until it has ended, as with --wait SECONDS, then try again"


@dataclass(frozen=True)
class Holder:
    """A run or command that holds a lake's lock; its `token` is unique."""

    run_id: str
    host: str
    pid: int
    since: str
    token: str = ""

    @property
    def description(self) -> str:
        """The message for another run that wants the lock."""
        return f"another run holds the lake: {self.run_id} on {self.host}, process {self.pid}, since {self.since}"


@dataclass(frozen=True)
class LockStatus:
    """A lock that exists: its holder, and whether the holder is still running."""

    holder: Holder
    is_alive: bool


def this_process(run_id: str, token: str) -> Holder:
    """This process as a holder, from now on."""
    since = datetime.now(UTC).isoformat(timespec="seconds")
    return Holder(run_id, socket.gethostname(), os.getpid(), since, token)


def holder_in(document: object) -> Holder | None:
    """The holder in a JSON document; None if there is none that can be shown."""
    if not isinstance(document, Mapping):
        return None
    texts = [document.get(name) for name in ("run_id", "host", "since")] + [document.get("token", "")]
    pid = document.get("pid")
    if type(pid) is not int or not all(isinstance(text, str) and text.isprintable() for text in texts):
        return None
    run_id, host, since, token = map(str, texts)
    return Holder(run_id, host, pid, since, token)
