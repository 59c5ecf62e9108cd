"""Where the log goes: to stderr as text or JSON, and to a rotated file."""

import fcntl
import json
import logging
import os
import sys
import threading
from datetime import UTC, datetime
from io import TextIOWrapper
from logging.handlers import RotatingFileHandler, WatchedFileHandler
from pathlib import Path
from typing import Any, Final

from shopease_etl.errors import ConfigurationError
from shopease_etl.escaping import escaped
from shopease_etl.pipeline.events import Event
from shopease_etl.redaction import Secrets

log = logging.getLogger(__name__)

JSON: Final = "json"
LARGEST_BYTES: Final = 10_000_000
OLD_FILES: Final = 5

# A message that was already printed to stderr goes only to the file; a JSON log has it on stderr too.
PRINTED: Final = {"printed": True}

_EXTRA: Final = ("error", "hint", "exit_code")


class Logs:
    """The log of one command."""

    def __init__(self, secrets: Secrets, *, quiet: bool = False, verbose: bool = False, debug: bool = False) -> None:
        self._secrets = secrets
        self._quiet = quiet
        self._verbose = verbose
        self._debug = debug
        self._goes_to: tuple[str, Path | None] | None = None

    @property
    def is_json(self) -> bool:
        """Whether each line on stderr is a JSON object."""
        return self._goes_to is not None and self._goes_to[0] == JSON

    def send(self, form: str, file: Path | None) -> None:
        """From now on, write the log as `text` or as `json`, also to the file.

        Raises:
            ConfigurationError: the file cannot be opened.
        """
        if self._goes_to == (form, file):
            return
        self._goes_to = (form, None)
        # debug messages of other libraries show the headers of requests, with session tokens
        level = logging.INFO if self._debug else logging.WARNING
        logging.basicConfig(level=level, handlers=[self._stderr(form)], force=True)
        logging.getLogger("shopease_etl").setLevel(logging.DEBUG if self._debug else logging.INFO)
        if file:
            logging.getLogger().addHandler(self._file(form, file))
        self._goes_to = (form, file)
        logging.captureWarnings(form == JSON or file is not None)
        if form == JSON:
            threading.excepthook = sys.unraisablehook = self._uncaught

    def _stderr(self, form: str) -> logging.Handler:
        handler = logging.StreamHandler(sys.stderr)
        default = logging.INFO if self._verbose or form == JSON else logging.WARNING
        handler.setLevel(logging.DEBUG if self._debug else logging.ERROR if self._quiet else default)
        if form == JSON:
            handler.setFormatter(JsonFormatter(self._secrets))
        else:
            handler.setFormatter(TextFormatter("%(levelname)s %(name)s: %(message)s", self._secrets))
            handler.addFilter(lambda record: not getattr(record, "printed", False))
        return handler

    def _file(self, form: str, file: Path) -> logging.Handler:
        handler = LogFile(file)
        handler.setLevel(logging.DEBUG if self._debug else logging.INFO)
        text = TextFormatter("%(asctime)s %(levelname)s %(name)s: %(message)s", self._secrets)
        handler.setFormatter(JsonFormatter(self._secrets) if form == JSON else text)
        return handler

    def _uncaught(self, failure: Any) -> None:
        """Log an uncaught exception, such as one of a thread, that Python would print."""
        error = failure.exc_value
        if not isinstance(error, SystemExit):
            log.error("%s: %s", type(error).__name__, error, exc_info=error if self._debug else None)


class TextFormatter(logging.Formatter):
    """A line for people, escaped and without secrets; times are in UTC."""

    def __init__(self, form: str, secrets: Secrets) -> None:
        super().__init__(form)
        self._secrets = secrets

    def format(self, record: logging.LogRecord) -> str:
        """The line, its hint, and its traceback if it has one."""
        hint = getattr(record, "hint", None)
        line = super().format(record) + (f"\n  hint: {hint}" if hint else "")
        return escaped(self._secrets.redacted(line), keep="\n")

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: ARG002, N802
        """The time to the millisecond."""
        return _time(record)


class JsonFormatter(logging.Formatter):
    """One JSON object per line, without secrets: fields of every record, and those of an event or an error."""

    def __init__(self, secrets: Secrets) -> None:
        super().__init__()
        self._secrets = secrets

    def format(self, record: logging.LogRecord) -> str:
        """The object, in ASCII."""
        level = record.levelname.lower()
        common = {"time": _time(record), "level": level, "logger": record.name, "message": record.getMessage()}
        event = getattr(record, "event", None)
        fields: dict[str, object] = {**common, **(event.fields if isinstance(event, Event) else {})}
        extra = {name: getattr(record, name, None) for name in _EXTRA}
        fields |= {name: value for name, value in extra.items() if value is not None}
        if record.exc_info:
            fields["traceback"] = self.formatException(record.exc_info)
        shown = {name: self._secrets.redacted(item) if isinstance(item, str) else item for name, item in fields.items()}
        return json.dumps(shown, default=str)


class LogFile(WatchedFileHandler):
    """A file that several processes may append to; one that another process has rotated is opened again.

    It is rotated only when it is opened: logging's `RotatingFileHandler` loses lines if two processes rotate at once.
    A disk without space is reported once and does not end the command.

    Raises:
        ConfigurationError: the file cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        path = path.expanduser()
        self._has_warned = False
        try:
            # rotate the file, not a link to it; /dev/stderr is not a file and keeps its name
            target = path.resolve() if path.is_file() else path
            if target.is_file():
                _rotate_if_large(target)
            super().__init__(target, encoding="utf-8", errors="backslashreplace")
        except OSError as error:
            raise ConfigurationError(
                f"cannot open the log file {path}: {error.strerror}",
                hint="set --log-file or SHOPEASE_LOG_FILE to a file in a writable folder",
            ) from error

    def emit(self, record: logging.LogRecord) -> None:
        """Append the record, to a new file if this one was moved or deleted."""
        try:
            super().emit(record)
        except OSError:
            self.handleError(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging names it
        """Warn once if the file cannot be written."""
        error = sys.exception()
        if not isinstance(error, OSError):
            super().handleError(record)
        elif not self._has_warned:
            self._has_warned = True
            log.warning("cannot write to the log file %s: %s", self.baseFilename, error.strerror)

    def _open(self) -> TextIOWrapper:
        # mode 0600; without waiting for the reader of a named pipe
        def private(name: str, flags: int) -> int:
            return os.open(name, flags | os.O_NONBLOCK, 0o600)

        return open(self.baseFilename, "a", encoding=self.encoding, errors=self.errors, opener=private)


def _rotate_if_large(path: Path) -> None:
    """Rename the file, unless another process is renaming it or has just done so."""
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            found = os.fstat(file.fileno())
            if found.st_size >= LARGEST_BYTES and os.path.samestat(found, path.stat()):
                RotatingFileHandler(path, backupCount=OLD_FILES, encoding="utf-8", delay=True).doRollover()
    except (BlockingIOError, FileNotFoundError):
        return
    except OSError as error:
        # a large log file is better than none
        log.warning("cannot rotate the log file %s: %s", path, error.strerror)


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
