"""All output of a command: results on stdout; messages, progress and logs on stderr."""

import io
import json
import logging
import signal
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, is_dataclass
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, TextIO, cast

import rich.console
from rich.segment import Segment

from shopease_etl.cli.logs import PRINTED, Logs
from shopease_etl.cli.progress_displays import LiveProgress, PlainProgress
from shopease_etl.cli.streams import discard, page, pager, terminal_size
from shopease_etl.cli.tabular import wrapped
from shopease_etl.errors import INTERRUPTED_EXIT_CODE, ConfigurationError, ShopeaseError, UnreachableError
from shopease_etl.escaping import EscapingStream, escaped, escaped_lines, json_escaped
from shopease_etl.progress import SILENT, Progress
from shopease_etl.redaction import Secrets
from shopease_etl.wording import reason

log = logging.getLogger(__name__)

PIPED_WIDTH: Final = 10_000


class Console:
    """Stdout and stderr of one command."""

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
        self._stop_display()

    def _stop_display(self) -> None:
        """Stop the live display, so that what is printed next comes below it."""
        if isinstance(self.progress, LiveProgress):
            self.progress.stop()

    def log_to(self, log_format: str, log_file: Path | None) -> None:
        """Write the log as `text` or `json`, to stderr and to the file.

        Raises:
            ConfigurationError: the file cannot be opened.
        """
        self._logs.send(log_format, log_file)

    @cached_property
    def progress(self) -> Progress:
        """The display of progress: live on a terminal, plain lines elsewhere, none if stderr is JSON."""
        if self.quiet or self._logs.is_json:
            return SILENT
        is_live = self._stderr.is_terminal and not self._stderr.is_dumb_terminal
        return LiveProgress(self._stderr) if is_live and LiveProgress.fits(self._stderr) else PlainProgress()

    @cached_property
    def _stdout(self) -> rich.console.Console:
        """Draws for stdout but does not write: Rich would end the process if the reader has left."""
        return rich.console.Console(
            file=_Buffer(),
            force_terminal=sys.stdout.isatty() or None,
            width=self.width or PIPED_WIDTH,
            height=24,  # Rich needs one; results do not
            highlight=False,
            markup=False,
            emoji=False,
        )

    @cached_property
    def _stderr(self) -> rich.console.Console:
        piped = None if sys.stderr.isatty() else PIPED_WIDTH
        return rich.console.Console(stderr=True, width=piped, highlight=False, markup=False, emoji=False)

    def result(self, document: object, render: Callable[[], Any], done: str | None = None) -> None:
        """Print a result: one line of JSON with `--json`, else what `render` returns.

        `done` says what the command did; it is part of the error if the result cannot be written.
        """
        self._stop_display()
        if self.json:
            self.json_line(json.dumps(_jsonable(document), default=str, ensure_ascii=False), done)
        else:
            self._stdout.file = drawn = _Buffer()
            self._stdout.print(_Escaped(render()), crop=False)
            with self.results(done, str) as stdout:
                stdout.write(drawn.getvalue())

    @contextmanager
    def results(self, done: str | None = None, escape: Callable[[str], str] = escaped_lines) -> Iterator[TextIO]:
        """Stdout for results; on a terminal, `escape` replaces control characters.

        If the reader leaves early, that is not an error: the rest is discarded.

        Raises:
            UnreachableError: stdout cannot be written; the message says what was `done` nevertheless.
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
        """Print a JSON document as one line."""
        with self.results(done, json_escaped) as stdout:
            print(text, file=stdout)

    def line(self, text: str) -> None:
        """Print a text."""
        with self.results() as stdout:
            print(text, file=stdout)

    def lines(self, lines: Iterable[str], count: int) -> None:
        """Print `count` escaped lines; through a pager if the terminal has fewer lines."""
        self._stop_display()
        size = terminal_size(sys.stdout)
        if not (size and count >= size.lines and page(lines)):
            with self.results(escape=str) as stdout:
                stdout.writelines(f"{line}\n" for line in lines)

    @property
    def has_pager(self) -> bool:
        """Whether long results go through a pager."""
        return bool(pager())

    @property
    def width(self) -> int | None:
        """The columns of stdout, None if it is not a terminal."""
        size = terminal_size(sys.stdout)
        return size and size.columns

    @property
    def has_styles(self) -> bool:
        """Whether stdout is a terminal that supports bold and dim text."""
        return sys.stdout.isatty() and self._stdout.color_system is not None

    def message(self, text: str) -> None:
        """Print on stderr what is not a result, and log it."""
        if not (self.quiet or self._logs.is_json):
            self._print_message(escaped_lines(self.secrets.redacted(text)))
        log.info(text, extra=PRINTED)

    def _print_message(self, text: str) -> None:
        """Print a text on stderr, wrapped between words on a terminal."""
        if size := terminal_size(sys.stderr):
            text = "\n".join(part for line in text.split("\n") for part in wrapped(line, size.columns))
        print(text, file=sys.stderr)

    def confirm(self, question: str, *, refusal: str, hint: str) -> bool:
        """Ask a question: whether the answer is y or yes; the end of the input means no.

        Raises:
            ConfigurationError: there is no terminal, or `--json` was given; the message begins with `refusal`.
        """
        if self.json or not sys.stdin.isatty():
            why = "with --json" if self.json else "without a terminal"
            raise ConfigurationError(f"{refusal}: cannot ask for confirmation {why}", hint=hint)
        # Polars sets SIGINT to restart reads: without this, Ctrl-C would take effect only after the answer
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.siginterrupt(number, True)  # noqa: FBT003 - it takes no keyword
        print(f"{escaped(question)} [y/N] ", end="", file=sys.stderr, flush=True)
        return sys.stdin.readline().strip().lower() in {"y", "yes"}

    def failure(self, error: ShopeaseError) -> None:
        """Print what failed and the hint; with `--json` also a document on stdout."""
        if self._debug and not self._logs.is_json:
            trace = self.secrets.redacted("".join(traceback.format_exception(error)))
            print(escaped_lines(trace), end="", file=sys.stderr)
        self._print_failure("failed", str(error), error.exit_code, error.hint, error)

    def interrupted(self, hint: str | None = None) -> None:
        """Print that the command was interrupted, and what to do next."""
        self._print_failure("interrupted", "interrupted", INTERRUPTED_EXIT_CODE, hint)

    def _print_failure(
        self,
        status: str,
        error: str,
        exit_code: int,
        hint: str | None = None,
        cause: ShopeaseError | None = None,
    ) -> None:
        """Details may contain customers' data: they are printed, but never logged."""
        message, shown_hint = self.secrets.redacted(error), hint and self.secrets.redacted(hint)
        if not self._logs.is_json:
            self._print_message(f"shopease: {'error: ' if status == 'failed' else ''}{escaped(message)}")
            for line in cause.details if cause else ():
                self._print_message(f"  {escaped(self.secrets.redacted(line))}")
            if shown_hint:
                self._print_message(f"  hint: {escaped(shown_hint)}")
        log.error(
            error,
            exc_info=cause if self._debug else None,
            extra={**PRINTED, "error": error, "hint": hint, "exit_code": exit_code},
        )
        if self.json:
            document = {"status": status, "error": message, "hint": shown_hint, "exit_code": exit_code}
            with suppress(UnreachableError):
                self.json_line(json.dumps({**document, **(cause.facts if cause else {})}))


class _Buffer(io.StringIO):
    """A buffer with the encoding of stdout: Rich draws in ASCII if that is all it can encode."""

    @property
    def encoding(self) -> str:  # type: ignore[override] # typeshed has it writable, Python does not
        return sys.stdout.encoding


class _Escaped:
    """Escapes control characters in what Rich draws; the styles, which are Rich's own, stay."""

    def __init__(self, drawn: rich.console.RenderableType) -> None:
        self._drawn = drawn

    def __rich_console__(
        self, console: rich.console.Console, options: rich.console.ConsoleOptions
    ) -> Iterator[Segment]:
        for text, style, control in console.render(self._drawn, options):
            yield Segment(text if control else escaped_lines(text), style, control)


def _jsonable(document: object) -> object:
    if is_dataclass(document) and not isinstance(document, type):
        return asdict(document)
    return [_jsonable(item) for item in document] if isinstance(document, list | tuple) else document
