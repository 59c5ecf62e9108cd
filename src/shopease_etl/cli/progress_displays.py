"""Displays of progress: plain lines for logs and pipes, a live display for terminals."""

import os
import sys
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from shopease_etl.escaping import escaped
from shopease_etl.pipeline.events import readable_bytes
from shopease_etl.wording import counted

if TYPE_CHECKING:
    import rich.console
    import rich.progress

PLAIN_LINE_SECONDS: Final = 10.0


@dataclass
class _Task:
    started: float
    last_line: float
    size: int = 0
    rows: int = 0


class PlainProgress:
    """One line per finished task, and one every ten seconds for a long task; for logs and pipes."""

    def __init__(self) -> None:
        self._tasks: dict[str, _Task] = {}

    def stage(self, name: str) -> None:
        """Print the name of the stage."""
        _print_line(name)

    def start(self, task: str, total_bytes: int | None = None) -> None:  # noqa: ARG002 - a live display needs it
        """Print nothing yet."""
        now = time.monotonic()
        self._tasks[task] = _Task(now, now)

    def advance(self, task: str, *, size: int = 0, rows: int = 0) -> None:
        """Print a line if the last one of this task is ten seconds old."""
        at = self._tasks[task]
        at.size += size
        at.rows += rows
        now = time.monotonic()
        if now - at.last_line >= PLAIN_LINE_SECONDS:
            at.last_line = now
            amount = _amount(at) if at.size or at.rows else f"{now - at.started:.0f} s"
            _print_line(f"  {task}: {amount} so far")

    def finish(self, task: str, note: str = "") -> None:
        """Print what was done and how long it took."""
        at = self._tasks[task]
        done = ", ".join(part for part in (note, _amount(at) if at.size else "") if part)
        _print_line(f"  {task}: {done}, {time.monotonic() - at.started:.1f} s")


class LiveProgress:
    """A live display for each stage, with a line for each of its tasks."""

    def __init__(self, console: "rich.console.Console") -> None:
        self._console = console
        self._display = self._new_display()
        self._tasks: dict[str, rich.progress.TaskID] = {}
        self._guard = threading.Lock()

    @staticmethod
    def fits(console: "rich.console.Console") -> bool:
        """Whether the terminal is wide enough."""
        return console.width >= 60

    def stage(self, name: str) -> None:
        """Print a heading, and begin a new display below it."""
        self.stop()
        self._console.print(name, style="bold")

    def start(self, task: str, total_bytes: int | None = None) -> None:
        """Add a line with a bar; it pulses if the total is not known."""
        with self._guard:
            self._display.start()
            self._tasks[task] = self._display.add_task(escaped(task), total=total_bytes or None, note="")

    def advance(self, task: str, *, size: int = 0, rows: int = 0) -> None:
        """Move the bar; a guessed total grows if it was too small."""
        with self._guard:
            at = self._display.tasks[self._display.task_ids.index(self._tasks[task])]
            done = at.completed + size
            total = max(at.total, done + 1) if at.total else None
            note = readable_bytes(int(done)) if size else counted(rows, "row") if rows else at.fields["note"]
            self._display.update(self._tasks[task], completed=done, total=total, note=note)

    def finish(self, task: str, note: str = "") -> None:
        """Fill the bar."""
        with self._guard:
            self._display.update(self._tasks[task], total=1, completed=1, note=escaped(note))

    def stop(self) -> None:
        """Stop updating the lines; what is printed next comes below them."""
        self._display.stop()
        self._display = self._new_display()
        self._tasks.clear()

    def _new_display(self) -> "rich.progress.Progress":
        from rich import progress

        columns = [
            progress.SpinnerColumn(finished_text="✓" if _can_encode("✓") else "*"),
            progress.TextColumn("{task.description}", markup=False),
            progress.TextColumn("{task.fields[note]}", markup=False),
            progress.TimeElapsedColumn(),
        ]
        if self._console.width >= 80:
            columns.insert(2, progress.BarColumn(bar_width=20))
        return progress.Progress(*columns, console=self._console)


def _print_line(text: str) -> None:
    """Print line and line end in one write: tasks run in several threads."""
    sys.stderr.write(f"{escaped(text)}\n")
    sys.stderr.flush()


def _amount(task: _Task) -> str:
    return readable_bytes(task.size) if task.size else counted(task.rows, "row")


def _can_encode(text: str) -> bool:
    try:
        text.encode(sys.stderr.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return os.environ.get("TERM") != "dumb"
