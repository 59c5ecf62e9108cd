"""Installs a schedule where its orchestrator finds it."""

import os
import re
import shlex
import subprocess
from pathlib import Path
from typing import Final

from shopease_etl.atomic import replacing
from shopease_etl.errors import ConfigurationError, ShopeaseError
from shopease_etl.operations.schedule.cron import merged
from shopease_etl.operations.schedule.request import Schedule, ScheduledFile
from shopease_etl.wording import one_line

_FOLDER: Final = re.compile(r"(?:WorkingDirectory|FOLDER *)=")


def install(schedule: Schedule) -> None:
    """Write the files, or the lines of the crontab, and run the commands that activate them.

    Raises:
        ConfigurationError: the orchestrator is not on this machine, or a file cannot be written.
        ShopeaseError: a command of the orchestrator failed; the message has its output.
    """
    if schedule.kind == "cron":
        _install_crontab(schedule.files[0].text)
        return
    if schedule.kind == "airflow":
        _require_airflow(Path(schedule.files[0].path).parent)
    for file in schedule.files:
        _require_own(file)
    for file in schedule.files:
        _write(file)
    for folder in schedule.folders:
        _make_folder(folder)
    if schedule.kind == "systemd":
        for command in schedule.commands:
            _run(shlex.split(command))


def _install_crontab(lines: str) -> None:
    listed = _called(["crontab", "-l"])
    if listed.returncode and "no crontab" not in listed.stderr:
        raise _failure("crontab -l", listed.stderr)
    _run(["crontab", "-"], merged(listed.stdout if not listed.returncode else "", lines))


def _require_airflow(dags: Path) -> None:
    if not dags.is_dir() and not dags.parent.is_dir():
        message = f"there is no Airflow in {dags.parent}"
        raise ConfigurationError(message, hint="set AIRFLOW_HOME to its folder, or install where it runs")


def _require_own(file: ScheduledFile) -> None:
    """Refuse to overwrite the schedule of another working folder."""
    try:
        there = Path(file.path).read_text(encoding="utf-8")
    except OSError:
        return
    folders = [next((line for line in text.splitlines() if _FOLDER.match(line)), "") for text in (there, file.text)]
    if folders[0] and folders[0] != folders[1]:
        message = f"{file.path} is the schedule of another folder ({folders[0].partition('=')[2].strip()})"
        raise ConfigurationError(
            message, hint="delete that file first, or print this schedule and choose other file names"
        )


def _write(file: ScheduledFile) -> None:
    """Write it completely or not at all: an orchestrator may read it at any time."""
    path = Path(file.path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as written:
            written.write(file.text.encode())
    except OSError as error:
        message = f"cannot write {path}: {error.strerror}"
        raise ConfigurationError(message) from error


def _make_folder(folder: Path) -> None:
    """Create a folder that a sandboxed service could not create, with the owner of its parent."""
    try:
        parent = next(each for each in folder.parents if each.exists())
        folder.mkdir(parents=True, exist_ok=True)
        if os.geteuid() == 0:
            owner = parent.stat()
            for each in (folder, *folder.parents[: len(folder.parents) - len(parent.parents) - 1]):
                os.chown(each, owner.st_uid, owner.st_gid)
    except OSError as error:
        message = f"cannot create {folder}: {error.strerror}"
        raise ConfigurationError(message) from error


def _run(command: list[str], text: str = "") -> None:
    done = _called(command, text)
    if done.returncode:
        raise _failure(shlex.join(command), done.stderr)


def _called(command: list[str], text: str = "") -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    except OSError as error:
        message = f"{command[0]} is not on this machine"
        raise ConfigurationError(message, hint="without --install, the schedule is printed") from error


def _failure(command: str, said: str) -> ShopeaseError:
    reason = one_line(said) or "it printed nothing"
    return ShopeaseError(f"{command} failed: {reason}", hint="correct that, then install again")
