"""What is to be scheduled, and what a schedule is."""

import os
import shlex
import sys
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from datetime import date, datetime, time
from pathlib import Path
from typing import Any, Final, Literal
from zoneinfo import ZoneInfo

from shopease_etl.errors import ConfigurationError
from shopease_etl.operations.schedule.times import clock, named_zone
from shopease_etl.settings import DOTENV, PREFIX, Settings, dotenv_variables

Kind = Literal["cron", "systemd", "airflow"]

WAIT_SECONDS: Final = 600  # for a run that holds the lake
RETRY_SECONDS: Final = 300  # time for what failed for a moment, such as a source that starts again
MARGIN_SECONDS: Final = 60  # what starting and tidying up take beyond a run's own limit
_FOREIGN: Final = ("AWS_", "PG", "OPENLINEAGE_")


@dataclass(frozen=True)
class ScheduledFile:
    """A file of a schedule; the path is `crontab` for lines of a crontab."""

    path: str
    text: str


@dataclass(frozen=True)
class Schedule:
    """What an orchestrator reads, the commands that make it valid, those that are left to a person, what to know.

    `folders` are those that must be there before the first run.
    """

    kind: Kind
    files: tuple[ScheduledFile, ...]
    commands: tuple[str, ...]
    afterwards: tuple[str, ...]
    notes: tuple[str, ...]
    folders: tuple[Path, ...] = ()

    @property
    def text(self) -> str:
        """All files, one after the other; where there are several, each below a comment with its path."""
        if len(self.files) == 1:
            return self.files[0].text.rstrip("\n")
        return "\n\n".join(f"# {file.path}\n{file.text}".rstrip("\n") for file in self.files)

    def next(self, *, is_installed: bool) -> tuple[str, ...]:
        """The commands that are left to a person."""
        return self.afterwards if is_installed else (*self.commands, *self.afterwards)

    def document(self, *, is_installed: bool) -> dict[str, Any]:
        """The schedule as `--json` tells it."""
        files = [asdict(file) for file in self.files]
        following = self.next(is_installed=is_installed)
        return {
            "kind": self.kind,
            "files": files,
            "next": following,
            "notes": self.notes,
            "installed": is_installed,
        }


@dataclass(frozen=True)
class Request:
    """The pipeline, every day at a time in a zone, in a folder that has its settings."""

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
        """The words of a command of shopease, with the flags that were given to this one."""
        return (str(self.executable), *command, *self.flags)

    def run(self, command: str) -> tuple[str, ...]:
        """The words of a run that says nothing when all goes well, and that waits for another one."""
        return self.words(command, "--quiet", "--wait", str(WAIT_SECONDS))

    @property
    def told(self) -> str:
        """When it runs, as a person says it."""
        return f"every day at {self.at:%H:%M} in {self.zone.key}"

    @property
    def environment_notes(self) -> tuple[str, ...]:
        """What the shell has now and a scheduled run will not have."""
        if not self.unseen:
            return ()
        dotenv = self.folder / DOTENV
        return (
            f"A scheduled run does not see this shell's {', '.join(self.unseen)}: write shopease's into {dotenv}, "
            "AWS's into ~/.aws/config or ~/.aws/credentials, PostgreSQL's into the URL or ~/.pgpass.",
        )


def requested(at: str, timezone: str | None, flags: Collection[str], settings: Settings, *, retry: bool) -> Request:
    """What was asked for, for the working folder; `flags` are the settings that flags gave.

    Raises:
        ConfigurationError: no time of day, no time zone, a flag that may be secret, or a path that no line can hold.
    """
    zone = named_zone(timezone or settings.business_timezone)
    executable, folder, given = _executable(), Path.cwd(), _flags(flags, settings)
    for word in (str(executable), str(folder), *given):
        if "\n" in word or "{{" in word or "{%" in word:
            message = f"a schedule cannot hold the path {word!r}"
            raise ConfigurationError(message, hint="use paths without line ends and doubled braces")
    today = datetime.now(zone).date()
    unseen = _unseen(os.environ, dotenv_variables())
    return Request(clock(at), zone, today, executable, folder, given, settings, retry, unseen)


def shell(words: tuple[str, ...]) -> str:
    """The words as a shell reads them."""
    return shlex.join(words)


def _flags(names: Collection[str], settings: Settings) -> tuple[str, ...]:
    if "database_url" in names:
        message = "a schedule does not hold --database-url, which may have a password in it"
        raise ConfigurationError(message, hint="write SHOPEASE_DATABASE_URL into .env in this folder")
    pairs = ((f"--{name.replace('_', '-')}", str(getattr(settings, name))) for name in names)
    return tuple(word for pair in pairs for word in pair)


def _executable() -> Path:
    """The console script in use, or else the one beside the interpreter; links stay, for an update moves their aim."""
    called = Path(sys.argv[0])
    is_script = called.is_file() and called.name != "__main__.py"  # of python -m
    return called.absolute() if is_script else Path(sys.executable).with_name("shopease")


def _unseen(environment: Mapping[str, str], dotenv: Mapping[str, str | None]) -> tuple[str, ...]:
    """The variables that matter to a run and are only in the environment, by name: values may be secrets."""
    settings = (name for name in environment if name.upper().startswith(PREFIX))
    ours = {name for name in settings if dotenv.get(name) != environment[name]}
    return tuple(sorted(ours | {name for name in environment if name.startswith(_FOREIGN)}))
