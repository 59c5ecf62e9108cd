"""Everything a person or a script sees: results on stdout; messages, progress and logs on stderr."""

import io
import json
import logging
import signal
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, is_dataclass
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self, TextIO, cast

from shopease_etl.cli.logs import PRINTED, Logs
from shopease_etl.cli.progress_displays import LiveProgress, PlainProgress
from shopease_etl.cli.streams import discard, page, terminal_size
from shopease_etl.errors import INTERRUPTED_EXIT_CODE, ConfigurationError, ShopeaseError, UnreachableError
from shopease_etl.escaping import EscapingStream, escaped, escaped_lines, json_escaped
from shopease_etl.progress import SILENT, Progress
from shopease_etl.redaction import Secrets
from shopease_etl.wording import reason

if TYPE_CHECKING:
    import rich.console
    import rich.segment

log = logging.getLogger(__name__)

PIPED_WIDTH: Final = 10_000
_LINES: Final = 24  # what Rich asks for, and results do not need


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
        is_live = self._stderr.is_terminal and not self._stderr.is_dumb_terminal
        return LiveProgress(self._stderr) if is_live and LiveProgress.fits(self._stderr) else PlainProgress()

    @cached_property
    def _stdout(self) -> "rich.console.Console":
        """Draws for stdout and writes nothing itself, for it would end the process where the reader has left."""
        import rich.console

        return rich.console.Console(
            file=_Drawing(),
            force_terminal=sys.stdout.isatty() or None,
            width=self.width or PIPED_WIDTH,
            height=_LINES,
            highlight=False,
            markup=False,
            emoji=False,
        )

    @cached_property
    def _stderr(self) -> "rich.console.Console":
        import rich.console

        piped = None if sys.stderr.isatty() else PIPED_WIDTH
        return rich.console.Console(stderr=True, width=piped, highlight=False, markup=False, emoji=False)

    def result(self, document: object, render: Callable[[], Any], done: str | None = None) -> None:
        """Put a result on stdout: as one line of JSON under `--json`, else as `render` draws it.

        `done` says what the command has done, for the message that the result cannot be written.
        """
        self._settle()
        if self.json:
            self.json_line(json.dumps(_plain(document), default=str, ensure_ascii=False), done)
        else:
            self._stdout.file = drawn = _Drawing()
            self._stdout.print(_Escaped(render()), crop=False)
            with self.results(done, str) as stdout:
                stdout.write(drawn.getvalue())

    @contextmanager
    def results(self, done: str | None = None, escape: Callable[[str], str] = escaped_lines) -> Iterator[TextIO]:
        """Stdout, for results; on a terminal `escape` makes visible what the terminal would obey.

        A reader who leaves early is no failure: what is still to be written is discarded.

        Raises:
            UnreachableError: they cannot be written; nothing more is. The message says what is `done` all the same.
        """
        stream = cast("TextIO", EscapingStream(sys.stdout, escape)) if sys.stdout.isatty() else sys.stdout
        try:
            yield stream
            sys.stdout.flush()
        except BrokenPipeError:
            discard(sys.stdout)
        except OSError as error:
            discard(sys.stdout)
            message = f"cannot write to stdout: {reason(error)}"
            raise UnreachableError(f"{done}, but {message}" if done else message) from error

    def json_line(self, text: str, done: str | None = None) -> None:
        """Put a JSON document on stdout, as a line."""
        with self.results(done, json_escaped) as stdout:
            print(text, file=stdout)

    def line(self, text: str) -> None:
        """Put a finished text on stdout."""
        with self.results() as stdout:
            print(text, file=stdout)

    def lines(self, lines: Iterable[str], count: int) -> None:
        """Put `count` finished and escaped lines on stdout; on a terminal with fewer lines, through a pager."""
        self._settle()
        size = terminal_size(sys.stdout)
        if not (size and count >= size.lines and page(lines)):
            with self.results(escape=str) as stdout:
                stdout.writelines(f"{line}\n" for line in lines)

    @property
    def width(self) -> int | None:
        """How many columns stdout has, if it is a terminal."""
        size = terminal_size(sys.stdout)
        return size and size.columns

    @property
    def has_styles(self) -> bool:
        """Whether stdout is a terminal that knows bold and dim."""
        return sys.stdout.isatty() and self._stdout.color_system is not None

    def message(self, text: str) -> None:
        """Tell a person something that is not a result."""
        if not (self.quiet or self._logs.is_json):
            self._say(escaped_lines(self.secrets.redacted(text)))
        log.info(text, extra=PRINTED)

    def _say(self, text: str) -> None:
        """Put a text on stderr, wrapped between words on a terminal."""
        if size := terminal_size(sys.stderr):
            from shopease_etl.cli.tabular import wrapped

            text = "\n".join(part for line in text.split("\n") for part in wrapped(line, size.columns))
        print(text, file=sys.stderr)

    def confirm(self, question: str, *, refusal: str, hint: str) -> bool:
        """Whether a person answers the question with yes; the end of the input is no.

        Raises:
            ConfigurationError: nobody can be asked, for want of a terminal or under `--json`; `refusal` says what
                is not done then.
        """
        if self.json or not sys.stdin.isatty():
            where = "under --json" if self.json else "without a terminal"
            raise ConfigurationError(f"{refusal}: cannot ask for confirmation {where}", hint=hint)
        # what Polars sets for SIGINT lets a read go on, and Ctrl-C would be seen only after the answer
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.siginterrupt(number, True)  # noqa: FBT003 - it takes no keyword
        print(f"{escaped(question)} [y/N] ", end="", file=sys.stderr, flush=True)
        return sys.stdin.readline().strip().lower() in {"y", "yes"}

    def failure(self, error: ShopeaseError) -> None:
        """Tell what failed and the way out; under `--json` also as the document."""
        if self._debug and not self._logs.is_json:
            trace = self.secrets.redacted("".join(traceback.format_exception(error)))
            print(escaped_lines(trace), end="", file=sys.stderr)
        self._failed("failed", str(error), error.exit_code, error.hint, error.details, error if self._debug else None)

    def interrupted(self, hint: str | None = None) -> None:
        """Tell that the command was interrupted, and what may be done next."""
        self._failed("interrupted", "interrupted", INTERRUPTED_EXIT_CODE, hint)

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
            self._say(f"shopease: {'error: ' if status == 'failed' else ''}{escaped(told)}")
            for line in details:
                self._say(f"  {escaped(self.secrets.redacted(line))}")
            if way_out:
                self._say(f"  hint: {escaped(way_out)}")
        log.error(error, exc_info=cause, extra={**PRINTED, "error": error, "hint": hint, "exit_code": exit_code})
        if self.json:
            document = {"status": status, "error": told, "hint": way_out, "exit_code": exit_code}
            with suppress(UnreachableError):
                self.json_line(json.dumps(document))


class _Drawing(io.StringIO):
    """What Rich draws for stdout; Rich asks for the encoding, and draws in ASCII where that can do no more."""

    @property
    def encoding(self) -> str:  # type: ignore[override] # typeshed has it writable, Python does not
        return sys.stdout.encoding


class _Escaped:
    """What Rich draws, without what a terminal would obey: styles are Rich's own, and stay."""

    def __init__(self, drawn: "rich.console.RenderableType") -> None:
        self._drawn = drawn

    def __rich_console__(
        self, console: "rich.console.Console", options: "rich.console.ConsoleOptions"
    ) -> "Iterator[rich.segment.Segment]":
        from rich.segment import Segment

        for text, style, control in console.render(self._drawn, options):
            yield Segment(text if control else escaped_lines(text), style, control)


def _plain(document: object) -> object:
    if is_dataclass(document) and not isinstance(document, type):
        return asdict(document)
    return [_plain(item) for item in document] if isinstance(document, list | tuple) else document
