"""A daily run to schedule, and the schedule for it."""

import os
import shlex
import sys
from collections.abc import Collection, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any, Final, Literal
from zoneinfo import ZoneInfo

from shopease_etl.dotenv_file import DOTENV, dotenv_variables
from shopease_etl.errors import ConfigurationError
from shopease_etl.settings import PREFIX, Settings

Kind = Literal["cron", "systemd", "airflow"]

WAIT_SECONDS: Final = 600  # for another run on the same lake
RETRY_SECONDS: Final = 300  # enough for a short failure, such as a restart of the source
MARGIN_SECONDS: Final = 60  # for start and cleanup, beyond the time limit of a run


@dataclass(frozen=True)
class ScheduledFile:
    """A file of a schedule; for lines of a crontab the path is `crontab`."""

    path: str
    text: str


@dataclass(frozen=True)
class Schedule:
    """Files for an orchestrator, the commands that activate them, further commands for a person, and notes.

    `folders` must exist before the first run.
    """

    kind: Kind
    files: tuple[ScheduledFile, ...]
    commands: tuple[str, ...]
    afterwards: tuple[str, ...]
    notes: tuple[str, ...]
    folders: tuple[Path, ...] = ()

    @property
    def text(self) -> str:
        """All files in one text; each of several follows a comment with its path."""
        if len(self.files) == 1:
            return self.files[0].text.rstrip("\n")
        return "\n\n".join(f"# {file.path}\n{file.text}".rstrip("\n") for file in self.files)

    def next(self, *, is_installed: bool) -> tuple[str, ...]:
        """The commands that a person still has to run."""
        return self.afterwards if is_installed else (*self.commands, *self.afterwards)

    def document(self, *, is_installed: bool) -> dict[str, Any]:
        """The schedule as `--json` shows it."""
        return {
            "kind": self.kind,
            "files": [asdict(file) for file in self.files],
            "next": self.next(is_installed=is_installed),
            "notes": self.notes,
            "installed": is_installed,
        }


@dataclass(frozen=True)
class Request:
    """The pipeline, every day at a time in a time zone, in the folder with its settings."""

    at: time
    zone: ZoneInfo
    today: date
    executable: Path
    folder: Path
    flags: tuple[str, ...]
    settings: Settings
    retry: bool
    unseen: tuple[str, ...] = ()

    def words(self, *command: str) -> tuple[str, ...]:
        """The words of a shopease command, with the flags that were given to this one."""
        return (str(self.executable), *command, *self.flags)

    def run(self, command: str) -> tuple[str, ...]:
        """The words of a run that prints nothing if it succeeds, and waits for another run."""
        return self.words(command, "--quiet", "--wait", str(WAIT_SECONDS))

    def runs(self) -> Iterator[datetime]:
        """The time of each run in the next two years."""
        return (datetime.combine(self.today + timedelta(days=day), self.at, self.zone) for day in range(2 * 366))

    def skipped_days(self) -> list[date]:
        """The days on which the zone's clock skips the time."""
        return [run.date() for run in self.runs() if self._fold(run) > timedelta(0)]

    def repeated_days(self) -> list[date]:
        """The days on which the zone's clock shows the time twice."""
        return [run.date() for run in self.runs() if self._fold(run) < timedelta(0)]

    def _fold(self, run: datetime) -> timedelta:
        """How far the clock is set forward at this time (PEP 495)."""
        before, after = run.utcoffset(), run.replace(fold=1).utcoffset()
        return (after or timedelta(0)) - (before or timedelta(0))

    def schedule(self, kind: Kind) -> tuple[str, ...]:
        """The words of the command that prints this schedule."""
        retry = ("--retry",) if self.retry else ()
        return self.words("schedule", kind, "--at", f"{self.at:%H:%M}", "--timezone", self.zone.key, *retry)

    @property
    def when(self) -> str:
        """When it runs, for a person."""
        return f"every day at {self.at:%H:%M} in {self.zone.key}"

    @property
    def environment_notes(self) -> tuple[str, ...]:
        """What this shell has, but a scheduled run will not have."""
        if not self.unseen:
            return ()
        dotenv = self.folder / DOTENV
        return (
            f"A scheduled run does not see these variables of your shell: {', '.join(self.unseen)}. "
            f"Write those of shopease into {dotenv}, those of AWS into ~/.aws/config or ~/.aws/credentials, "
            "those of PostgreSQL into the URL or ~/.pgpass.",
        )


def requested(at: str, timezone: str | None, flags: Collection[str], settings: Settings, *, retry: bool) -> Request:
    """A request for the working folder; `flags` are the settings that flags set.

    Raises:
        ConfigurationError: the time, the time zone or a path is not valid, or a flag may hold a secret.
    """
    zone, time_of_day = _zone(timezone or settings.business_timezone), _time(at)
    executable, folder, given = _executable(), Path.cwd(), _flags(flags, settings)
    for word in (str(executable), str(folder), *given):
        if "\n" in word or "{{" in word or "{%" in word:
            raise ConfigurationError(
                f"a schedule cannot hold the path {word!r}", hint="use paths without line ends and doubled braces"
            )
    today = datetime.now(zone).date()
    return Request(time_of_day, zone, today, executable, folder, given, settings, retry, _unseen())


def _time(text: str) -> time:
    try:
        return datetime.strptime(text, "%H:%M").replace(tzinfo=UTC).time()
    except ValueError:
        raise ConfigurationError(
            f"{text!r} is not a valid time", hint="write it as 03:30, from 00:00 to 23:59"
        ) from None


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ConfigurationError(f"{name!r} is not a time zone", hint="write it as in Europe/Berlin") from None


def shell(words: tuple[str, ...]) -> str:
    """The words as a shell reads them."""
    return shlex.join(words)


def _flags(names: Collection[str], settings: Settings) -> tuple[str, ...]:
    if "database_url" in names:
        raise ConfigurationError(
            "a schedule cannot hold --database-url, which may have a password in it",
            hint="write SHOPEASE_DATABASE_URL into .env in this folder",
        )
    pairs = ((f"--{name.replace('_', '-')}", str(getattr(settings, name))) for name in names)
    return tuple(word for pair in pairs for word in pair)


def _executable() -> Path:
    """This console script, else the one beside the interpreter; links are kept, as an update changes their target."""
    called = Path(sys.argv[0])
    is_script = called.is_file() and called.name != "__main__.py"  # of python -m
    return called.absolute() if is_script else Path(sys.executable).with_name("shopease")


def _unseen() -> tuple[str, ...]:
    """The names of variables that a run needs and that only the environment has; their values may be secrets."""
    dotenv = dotenv_variables()
    settings = (name for name in os.environ if name.upper().startswith(PREFIX))
    ours = {name for name in settings if dotenv.get(name) != os.environ[name]}
    return tuple(sorted(ours | {name for name in os.environ if name.startswith(("AWS_", "PG", "OPENLINEAGE_"))}))
