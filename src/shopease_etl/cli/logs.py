"""Where the log goes: stderr, as text or as JSON, and a file as well, with rotation."""

import errno
import fcntl
import json
import logging
import os
import stat
import sys
import threading
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from shopease_etl.errors import ConfigurationError
from shopease_etl.escaping import escaped
from shopease_etl.pipeline.events import Event
from shopease_etl.redaction import Secrets

log = logging.getLogger(__name__)

JSON: Final = "json"
LARGEST_BYTES: Final = 10_000_000
FORMER_FILES: Final = 5

# What a person has been told on stderr already is for the file only; a log of JSON has it on stderr too.
PRINTED: Final = {"printed": True}

_OURS: Final = "shopease_etl"
_EXTRA: Final = ("error", "hint", "exit_code")
_FLAGS: Final = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK | os.O_CLOEXEC


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
        """Write the log as `text` or as `json` from now on, and to the file as well.

        Raises:
            ConfigurationError: the file cannot be opened.
        """
        if self._goes_to == (form, file):
            return
        self._goes_to = (form, None)
        # other libraries' debugging shows every header of every request, session tokens among them
        theirs = logging.INFO if self._debug else logging.WARNING
        logging.basicConfig(level=theirs, handlers=[self._stderr(form)], force=True)
        logging.getLogger(_OURS).setLevel(logging.DEBUG if self._debug else logging.INFO)
        if file:
            logging.getLogger().addHandler(self._file(form, file))
        self._goes_to = (form, file)
        logging.captureWarnings(form == JSON or file is not None)
        if form == JSON:
            threading.excepthook = sys.unraisablehook = self._uncaught

    def _stderr(self, form: str) -> logging.Handler:
        handler = logging.StreamHandler(sys.stderr)
        usual = logging.INFO if self._verbose or form == JSON else logging.WARNING
        handler.setLevel(logging.DEBUG if self._debug else logging.ERROR if self._quiet else usual)
        if form == JSON:
            handler.setFormatter(JsonFormatter(self._secrets))
        else:
            handler.setFormatter(TextFormatter("%(levelname)s %(name)s: %(message)s", self._secrets))
            handler.addFilter(lambda record: not getattr(record, "printed", False))
        return handler

    def _file(self, form: str, file: Path) -> logging.Handler:
        handler = LogFile(file)
        handler.setLevel(logging.DEBUG if self._debug else logging.INFO)
        timed = TextFormatter("%(asctime)s %(levelname)s %(name)s: %(message)s", self._secrets)
        handler.setFormatter(JsonFormatter(self._secrets) if form == JSON else timed)
        return handler

    def _uncaught(self, failure: Any) -> None:
        """Log what Python would print of an exception that nobody can catch any more, as that of a thread."""
        error = failure.exc_value
        if not isinstance(error, SystemExit):
            log.error("%s: %s", type(error).__name__, error, exc_info=error if self._debug else None)


class TextFormatter(logging.Formatter):
    """A line for people, without secrets and escaped, with its time in UTC where the format has it."""

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
    """One JSON object a line, without secrets: what every record has, and what an event or an error has besides."""

    def __init__(self, secrets: Secrets) -> None:
        super().__init__()
        self._secrets = secrets

    def format(self, record: logging.LogRecord) -> str:
        """The object; it is in ASCII, whatever the stream's encoding."""
        level = record.levelname.lower()
        usual = {"time": _time(record), "level": level, "logger": record.name, "message": record.getMessage()}
        event = getattr(record, "event", None)
        fields: dict[str, object] = {**usual, **(event.fields if isinstance(event, Event) else {})}
        extra = {name: getattr(record, name, None) for name in _EXTRA}
        fields |= {name: value for name, value in extra.items() if value is not None}
        if record.exc_info:
            fields["traceback"] = self.formatException(record.exc_info)
        shown = {name: self._secrets.redacted(item) if isinstance(item, str) else item for name, item in fields.items()}
        return json.dumps(shown, default=str)


class LogFile(logging.Handler):
    """A file that several processes may append to, each line in one write; one that is full is told of once.

    A file that has grown too large is put aside when it is opened, never while it is written to.

    Raises:
        ConfigurationError: it cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path.expanduser()
        self._is_torn = self._is_told = False
        try:
            # a link is followed, so that it is not the link that is put aside; /dev/stderr has no other name
            self._file = _opened(self._path.resolve() if self._path.is_file() else self._path)
        except OSError as error:
            message = f"cannot open the log file {self._path}: {error.strerror}"
            raise ConfigurationError(
                message, hint="set --log-file or SHOPEASE_LOG_FILE to a file in a writable folder"
            ) from error

    def emit(self, record: logging.LogRecord) -> None:
        """Append the record."""
        try:
            self._append(self.format(record))
        except OSError as error:
            if not self._is_told:
                self._is_told = True
                log.warning("cannot write to the log file %s: %s", self._path, error.strerror)
        except Exception:  # noqa: BLE001 - a record that cannot be formatted: logging tells, and goes on
            self.handleError(record)

    def _append(self, line: str) -> None:
        before = "\n" if self._is_torn else ""
        data = f"{before}{line}\n".encode(errors="backslashreplace")
        written = os.write(self._file, data)
        self._is_torn = written < len(data)
        if self._is_torn:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)
        super().close()


def _opened(path: Path) -> int:
    """The file to append to, after the one that was too large has been put aside."""
    while True:
        file = os.open(path, _FLAGS, 0o600)
        try:
            is_put_aside = _is_large(file) and _is_ours_to_rotate(file, path) and _put_aside(path)
        except OSError as error:
            # to go on with a large file is better than to have none
            log.warning("the log file %s cannot be put aside: %s", path, error.strerror)
            return file
        except BaseException:
            os.close(file)
            raise
        if not is_put_aside and _is_at(file, path):
            return file
        os.close(file)


def _is_large(file: int) -> bool:
    found = os.fstat(file)
    return stat.S_ISREG(found.st_mode) and found.st_size >= LARGEST_BYTES


def _is_ours_to_rotate(file: int, path: Path) -> bool:
    """Whether no other process is putting the file aside at this moment, or has just done it."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return _is_at(file, path)


def _put_aside(path: Path) -> bool:
    names = [path, *(path.with_name(f"{path.name}.{number}") for number in range(1, FORMER_FILES + 1))]
    for name, next_name in reversed(list(pairwise(names))):
        if name.exists():
            name.replace(next_name)
    return True


def _is_at(file: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file), path.stat())
    except FileNotFoundError:
        return False


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
