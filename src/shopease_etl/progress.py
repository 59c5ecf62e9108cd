"""How a stage reports its progress, without knowing who listens."""

from typing import Protocol


class Progress(Protocol):
    """Receives the progress of units of work by name; the console draws it, tests record it."""

    def stage(self, name: str) -> None:
        """A stage of a run begins."""

    def start(self, task: str, total_bytes: int | None = None) -> None:
        """A unit of work begins; `total_bytes` is None where the size is not known."""

    def advance(self, task: str, *, size: int = 0, rows: int = 0) -> None:
        """`size` more bytes and `rows` more rows of the task are done."""

    def finish(self, task: str, note: str = "") -> None:
        """The task is done; `note` is a few words of result."""


class Silent:
    """Progress that is not shown."""

    def stage(self, name: str) -> None:
        """Ignored."""

    def start(self, task: str, total_bytes: int | None = None) -> None:
        """Ignored."""

    def advance(self, task: str, *, size: int = 0, rows: int = 0) -> None:
        """Ignored."""

    def finish(self, task: str, note: str = "") -> None:
        """Ignored."""


SILENT: Progress = Silent()
