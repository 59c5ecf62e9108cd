"""The pipeline as a systemd service and its timer: of the user, or of the machine where root asks."""

import os
import pwd
from pathlib import Path
from typing import Final

from shopease_etl.errors import ConfigurationError
from shopease_etl.operations.schedule.request import (
    MARGIN_SECONDS,
    RETRY_SECONDS,
    WAIT_SECONDS,
    Request,
    Schedule,
    ScheduledFile,
)
from shopease_etl.operations.schedule.times import irregular
from shopease_etl.pipeline.wiring import lake_store
from shopease_etl.source.embedded.folders import EXTERNAL

SYSTEM_UNITS: Final = Path("/etc/systemd/system")
_SERVICE: Final = "shopease.service"
_TIMER: Final = "shopease.timer"
_RETRY: Final = "shopease-retry.service"
_FAILURE: Final = "shopease-failure@{}.service"
_SPREAD_SECONDS: Final = 120  # machines with the same schedule do not meet at the source in the same second
_EVERYWHERE: Final = ("NoNewPrivileges=true", "LockPersonality=true", "RestrictRealtime=true", "RestrictSUIDSGID=true")
_OF_SYSTEM: Final = (
    "PrivateDevices=true",
    "ProtectClock=true",
    "ProtectControlGroups=true",
    "ProtectHostname=true",
    "ProtectKernelLogs=true",
    "ProtectKernelModules=true",
    "ProtectKernelTunables=true",
    "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK",
    "RestrictNamespaces=true",
    "SystemCallArchitectures=native",
)


def systemd_schedule(request: Request, *, is_system: bool | None = None) -> Schedule:
    """Service, timer, the unit that logs a failure, and that of the retry where one is wanted."""
    system = os.geteuid() == 0 if is_system is None else is_system
    texts = {_SERVICE: _service(request, "run-all", system=system), _TIMER: _timer(request)}
    if request.retry:
        texts[_RETRY] = _service(request, "retry", system=system)
    texts[_FAILURE.format("")] = _failure(system=system)
    folder = SYSTEM_UNITS if system else _user_units()
    files = tuple(ScheduledFile(str(folder / name), text) for name, text in texts.items())
    systemctl = "systemctl" if system else "systemctl --user"
    missing = tuple(path for path in _written(request) if not path.exists())
    linger = () if system else ("loginctl enable-linger  # or the timer stops when you log out",)
    return Schedule(
        "systemd",
        files,
        (f"{systemctl} daemon-reload", f"{systemctl} enable --now {_TIMER}"),
        (*linger, f"{systemctl} list-timers {_TIMER}"),
        (*_notes(request, system=system), *request.environment_notes),
        missing,
    )


def _service(request: Request, command: str, *, system: bool) -> str:
    is_retry = command == "retry"
    failure = _RETRY if request.retry and not is_retry else _FAILURE.format("%n")
    network = ("Wants=network-online.target", "After=network-online.target") if system else ()
    user = (f"User={_owner(request.folder)}",) if system else ()
    pause = (f"ExecStartPre=sleep {RETRY_SECONDS}",) if is_retry else ()
    return _unit(
        "[Unit]",
        f"Description=shopease {command}: the source database to the lake",
        *network,
        f"OnFailure={failure}",
        "",
        "[Service]",
        "Type=oneshot",
        *user,
        f"WorkingDirectory={_literal(request.folder)}",
        *pause,
        f"ExecStart={' '.join(_word(word) for word in request.run(command))}",
        f"TimeoutStartSec={_limit(request, RETRY_SECONDS if is_retry else 0)}",
        "# The first SIGTERM undoes the run, which takes a moment.",
        "KillSignal=SIGTERM",
        "TimeoutStopSec=90",
        *_EVERYWHERE,
        *(_sandbox(request) if system else ()),
    )


def _sandbox(request: Request) -> tuple[str, ...]:
    """Only in units of the machine: in a user's, many kernels refuse the namespaces that these need."""
    return (
        *_OF_SYSTEM,
        *_private_tmp(request),
        "# All of the machine is there to be read; only this may be written.",
        "ProtectSystem=strict",
        f"ReadWritePaths={' '.join(_word(str(path)) for path in _written(request))}",
        *((f"ReadWritePaths=-{EXTERNAL}",) if request.settings.is_embedded else ()),
    )


def _private_tmp(request: Request) -> tuple[str, ...]:
    if not request.settings.is_embedded:
        return ("PrivateTmp=true",)
    return (
        "# The embedded PostgreSQL's socket may be in /tmp, where a command in a terminal must find it.",
        "ReadWritePaths=/tmp /var/tmp",
    )


def _timer(request: Request) -> str:
    return _unit(
        "[Unit]",
        f"Description=shopease {request.told}",
        "",
        "[Timer]",
        f"OnCalendar=*-*-* {request.at:%H:%M}:00 {request.zone.key}",
        "# A run that was missed while the machine was off is made up for.",
        "Persistent=true",
        f"RandomizedDelaySec={_SPREAD_SECONDS}",
        "",
        "[Install]",
        "WantedBy=timers.target",
    )


def _failure(*, system: bool) -> str:
    systemctl = "systemctl" if system else "systemctl --user"
    return _unit(
        "[Unit]",
        "Description=Log how %i failed",
        "",
        "[Service]",
        "Type=oneshot",
        "SyslogIdentifier=shopease-failure",
        "SyslogLevel=err",
        "# systemctl tells a failed unit by an exit code of its own, which is no failure here.",
        f"ExecStart=-{systemctl} status --no-pager --full --lines=50 %i",
    )


def _written(request: Request) -> tuple[Path, ...]:
    """The folders that a run writes to on this machine, as absolute paths."""
    settings = request.settings
    lake = lake_store(settings).folder
    log = (settings.log_file.parent,) if settings.log_file else ()
    lineage = () if settings.lineage is None or "://" in settings.lineage else (Path(settings.lineage).parent,)
    folders = (lake, settings.home) if lake else (settings.home,)
    return tuple(dict.fromkeys((request.folder / path).resolve() for path in (*folders, *log, *lineage)))


def _limit(request: Request, pause: int) -> str:
    limit = request.settings.run_timeout
    return "infinity" if limit is None else str(int(limit) + WAIT_SECONDS + MARGIN_SECONDS + pause)


def _owner(folder: Path) -> str:
    """The account whose folder it is, which the service runs as.

    Raises:
        ConfigurationError: it has no name.
    """
    user = folder.stat().st_uid
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        message = f"the owner of {folder} (id {user}) has no name on this machine"
        raise ConfigurationError(message, hint="let an account own it, for the service runs as that") from None


def _notes(request: Request, *, system: bool) -> tuple[str, ...]:
    days = irregular(request.at, request.zone, request.today)
    told = f"The clock of {request.zone.key} skips {request.at:%H:%M}"
    root = f"The service runs as root, who owns {request.folder}. It is safer in a folder of an account of its own."
    skipped = (f"{told} on {day}: no run that day. Another --at avoids it." for day in days.skipped[:1])
    return (*skipped, *((root,) if system and _owner(request.folder) == "root" else ()))


def _user_units() -> Path:
    config = os.environ.get("XDG_CONFIG_HOME")
    return (Path(config) if config else Path.home() / ".config") / "systemd" / "user"


def _literal(path: Path) -> str:
    return str(path).replace("%", "%%")


def _word(text: str) -> str:
    """A word of a command line or a list as systemd reads it."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{escaped}"' if escaped != text or any(letter in text for letter in " \t';#") else text


def _unit(*lines: str) -> str:
    return "".join(f"{line}\n" for line in lines)
