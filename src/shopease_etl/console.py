"""Everything a person or a script sees: results on stdout; messages, progress and logs on stderr."""

import io
import json
import logging
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, is_dataclass
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self, TextIO

from shopease_etl.errors import INTERRUPTED_EXIT_CODE, ShopeaseError, UnreachableError
from shopease_etl.events import readable_bytes
from shopease_etl.logs import PRINTED, Logs
from shopease_etl.progress import SILENT, Progress
from shopease_etl.redaction import Secrets

if TYPE_CHECKING:
    import rich.console
    import rich.progress

log = logging.getLogger(__name__)

PLAIN_LINE_SECONDS: Final = 10.0
PIPED_WIDTH: Final = 10_000


class Console:
    """The two streams of one command."""

    def __init__(
        self,
        *,
        json: bool = False,
        quiet: bool = False,
        verbose: bool = False,
        debug: bool = False,
        log_format: str = "text",
    ) -> None:
        self.json = json
        self.quiet = quiet
        self.secrets = Secrets()
        self._debug = debug
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(errors="backslashreplace")
        self._logs = Logs(self.secrets, quiet=quiet, verbose=verbose, debug=debug)
        self._logs.send(log_format, None)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._settle()

    def _settle(self) -> None:
        """Let the live display come to rest, so that what is printed next stands below it."""
        if isinstance(self.progress, LiveProgress):
            self.progress.stop()

    def log_to(self, log_format: str, log_file: Path | None) -> None:
        """Write the log as `text` or as `json`, and to the file as well.

        Raises:
            ConfigurationError: the file cannot be opened.
        """
        self._logs.send(log_format, log_file)

    @cached_property
    def progress(self) -> Progress:
        """Where stages tell how far they are: a live display on a terminal, plain lines elsewhere, none in JSON."""
        if self.quiet or self._logs.is_json:
            return SILENT
        return LiveProgress(self._stderr) if self._stderr.is_terminal else PlainProgress()

    @cached_property
    def _stdout(self) -> "rich.console.Console":
        import rich.console

        piped = None if sys.stdout.isatty() else PIPED_WIDTH
        return rich.console.Console(width=piped, highlight=False, markup=False, emoji=False)

    @cached_property
    def _stderr(self) -> "rich.console.Console":
        import rich.console

        piped = None if sys.stderr.isatty() else PIPED_WIDTH
        return rich.console.Console(stderr=True, width=piped, highlight=False, markup=False, emoji=False)

    def result(self, document: object, render: Callable[[], Any]) -> None:
        """Put a result on stdout: as one line of JSON under `--json`, else as `render` draws it."""
        self._settle()
        with self.results() as stdout:
            if self.json:
                print(json.dumps(_plain(document), default=str, ensure_ascii=False), file=stdout)
            else:
                self._stdout.print(render())

    @contextmanager
    def results(self) -> Iterator[TextIO]:
        """Stdout, for results.

        Raises:
            UnreachableError: there is no room for them; nothing more is written.
        """
        try:
            yield sys.stdout
            sys.stdout.flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            self.abandon_stdout()
            message = f"cannot write to stdout: {error.strerror}"
            raise UnreachableError(message) from error

    def abandon_stdout(self) -> None:
        """Let what is still to be written go nowhere: nobody can read it."""
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)

    def line(self, text: str) -> None:
        """Put a finished line on stdout."""
        with self.results() as stdout:
            print(text, file=stdout)

    def message(self, text: str) -> None:
        """Tell a person something that is not a result."""
        if not (self.quiet or self._logs.is_json):
            print(self.secrets.redacted(text), file=sys.stderr)
        log.info(text, extra=PRINTED)

    def asks(self, question: str) -> bool:
        """Whether the person answers yes; the end of the input is no."""
        # what Polars sets for SIGINT lets a read go on, and Ctrl-C would be seen only after the answer
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.siginterrupt(number, True)  # noqa: FBT003 - it takes no keyword
        print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
        return sys.stdin.readline().strip().lower() in {"y", "yes"}

    def failure(self, error: ShopeaseError) -> None:
        """Tell what failed and the way out; under `--json` also as the document."""
        if self._debug and not self._logs.is_json:
            print(self.secrets.redacted("".join(traceback.format_exception(error))), end="", file=sys.stderr)
        self._failed("failed", str(error), error.exit_code, error.hint, error.details, error if self._debug else None)

    def interrupted(self) -> None:
        """Tell that the command was interrupted."""
        self._failed("interrupted", "interrupted", INTERRUPTED_EXIT_CODE)

    def _failed(
        self,
        status: str,
        error: str,
        exit_code: int,
        hint: str | None = None,
        details: Sequence[str] = (),
        cause: ShopeaseError | None = None,
    ) -> None:
        """Details may show rows of customers' data: they are for who sits there, and for no log."""
        told, way_out = self.secrets.redacted(error), hint and self.secrets.redacted(hint)
        if not self._logs.is_json:
            print(f"shopease: {'error: ' if status == 'failed' else ''}{told}", file=sys.stderr)
            for line in details:
                print(f"  {self.secrets.redacted(line)}", file=sys.stderr)
            if way_out:
                print(f"  hint: {way_out}", file=sys.stderr)
        log.error(error, exc_info=cause, extra={**PRINTED, "error": error, "hint": hint, "exit_code": exit_code})
        if self.json:
            document = {"status": status, "error": told, "hint": way_out, "exit_code": exit_code}
            with suppress(UnreachableError, BrokenPipeError), self.results() as stdout:
                print(json.dumps(document), file=stdout)


@dataclass
class _Task:
    started: float
    told: float
    size: int = 0
    rows: int = 0


class PlainProgress:
    """A line for each thing done, and one now and then for what takes long; for logs and pipes."""

    def __init__(self) -> None:
        self._tasks: dict[str, _Task] = {}

    def stage(self, name: str) -> None:
        """A line with the stage's name."""
        _whole_line(name)

    def start(self, task: str, total_bytes: int | None = None) -> None:  # noqa: ARG002 - a live display needs it
        """Nothing is printed yet."""
        now = time.monotonic()
        self._tasks[task] = _Task(now, now)

    def advance(self, task: str, *, size: int = 0, rows: int = 0) -> None:
        """A line, if the last one of this task was long ago."""
        at = self._tasks[task]
        at.size += size
        at.rows += rows
        now = time.monotonic()
        if now - at.told >= PLAIN_LINE_SECONDS:
            at.told = now
            amount = _amount(at) if at.size or at.rows else f"{now - at.started:.0f} s"
            _whole_line(f"  {task}: {amount} so far")

    def finish(self, task: str, note: str = "") -> None:
        """A line with what was done and how long it took."""
        at = self._tasks[task]
        done = ", ".join(part for part in (note, _amount(at) if at.size else "") if part)
        _whole_line(f"  {task}: {done}, {time.monotonic() - at.started:.1f} s")


class LiveProgress:
    """A display that moves, for each stage one, with a line for each task under way or done."""

    def __init__(self, console: "rich.console.Console") -> None:
        self._console = console
        self._display = self._new_display()
        self._tasks: dict[str, rich.progress.TaskID] = {}
        self._guard = threading.Lock()

    def stage(self, name: str) -> None:
        """A heading, and a new display below it."""
        self.stop()
        self._console.print(name, style="bold")

    def start(self, task: str, total_bytes: int | None = None) -> None:
        """A line with a bar; it pulses where the size is not known."""
        with self._guard:
            self._display.start()
            self._tasks[task] = self._display.add_task(task, total=total_bytes or None, note="")

    def advance(self, task: str, *, size: int = 0, rows: int = 0) -> None:
        """Move the bar; a guessed total that proves too small grows."""
        with self._guard:
            at = self._display.tasks[self._display.task_ids.index(self._tasks[task])]
            done = at.completed + size
            total = max(at.total, done + 1) if at.total else None
            note = readable_bytes(int(done)) if size else f"{rows:,} rows" if rows else at.fields["note"]
            self._display.update(self._tasks[task], completed=done, total=total, note=note)

    def finish(self, task: str, note: str = "") -> None:
        """Fill the bar."""
        with self._guard:
            self._display.update(self._tasks[task], total=1, completed=1, note=note)

    def stop(self) -> None:
        """Leave the lines as they are; what comes next begins below them."""
        self._display.stop()
        self._display = self._new_display()
        self._tasks.clear()

    def _new_display(self) -> "rich.progress.Progress":
        from rich import progress

        columns = (
            progress.SpinnerColumn(finished_text="✓" if _can_encode("✓") else "*"),
            progress.TextColumn("{task.description}"),
            progress.BarColumn(bar_width=20),
            progress.TextColumn("{task.fields[note]}"),
            progress.TimeElapsedColumn(),
        )
        return progress.Progress(*columns, console=self._console)


def _whole_line(text: str) -> None:
    """Line and line end in one write: tasks run in several threads."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


def _amount(task: _Task) -> str:
    return readable_bytes(task.size) if task.size else f"{task.rows:,} rows"


def _can_encode(text: str) -> bool:
    try:
        text.encode(sys.stderr.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return os.environ.get("TERM") != "dumb"


def _plain(document: object) -> object:
    if is_dataclass(document) and not isinstance(document, type):
        return asdict(document)
    return [_plain(item) for item in document] if isinstance(document, list | tuple) else document
