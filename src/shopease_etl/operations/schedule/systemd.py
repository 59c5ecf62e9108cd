"""The pipeline as a systemd service with a timer: of the machine for root, else of the user."""

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
from shopease_etl.pipeline.wiring import lake_store
from shopease_etl.source.embedded.folders import EXTERNAL

_SERVICE: Final = "shopease.service"
_TIMER: Final = "shopease.timer"
_RETRY: Final = "shopease-retry.service"
_FAILURE: Final = "shopease-failure@{}.service"


def systemd_schedule(request: Request, *, is_system: bool | None = None) -> Schedule:
    """A service, its timer, a unit that logs a failure, and one that retries if requested."""
    system = os.geteuid() == 0 if is_system is None else is_system
    texts = {_SERVICE: _service(request, "run-all", system=system), _TIMER: _timer(request)}
    if request.retry:
        texts[_RETRY] = _service(request, "retry", system=system)
    texts[_FAILURE.format("")] = _failure(system=system)
    config = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    folder = Path("/etc/systemd/system") if system else config / "systemd" / "user"
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
        "# The first SIGTERM discards the run, which takes a moment.",
        "KillSignal=SIGTERM",
        "TimeoutStopSec=90",
        "NoNewPrivileges=true",
        "LockPersonality=true",
        "RestrictRealtime=true",
        "RestrictSUIDSGID=true",
        *(_sandbox(request) if system else ()),
    )


def _sandbox(request: Request) -> tuple[str, ...]:
    """Only in units of the machine: many kernels do not allow the namespaces in those of a user."""
    embedded = (
        "# The socket of the embedded PostgreSQL may be in /tmp, for commands in a terminal too.",
        "ReadWritePaths=/tmp /var/tmp",
        f"ReadWritePaths=-{EXTERNAL}",
    )
    return (
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
        "# Everything can be read; only these folders can be written.",
        "ProtectSystem=strict",
        f"ReadWritePaths={' '.join(_word(str(path)) for path in _written(request))}",
        *(embedded if request.settings.is_embedded else ("PrivateTmp=true",)),
    )


def _timer(request: Request) -> str:
    return _unit(
        "[Unit]",
        f"Description=shopease {request.when}",
        "",
        "[Timer]",
        f"OnCalendar=*-*-* {request.at:%H:%M}:00 {request.zone.key}",
        "# A run that was missed while the machine was off starts later.",
        "Persistent=true",
        "# Machines with the same schedule do not start in the same second.",
        "RandomizedDelaySec=120",
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
        "# systemctl has an exit code for a failed unit, which is not a failure here.",
        f"ExecStart=-{systemctl} status --no-pager --full --lines=50 %i",
    )


def _written(request: Request) -> tuple[Path, ...]:
    """The folders on this machine that a run writes to, as absolute paths."""
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
    """The owner of the folder; the service runs as this account.

    Raises:
        ConfigurationError: the owner has no name.
    """
    user = folder.stat().st_uid
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        raise ConfigurationError(
            f"the owner of {folder} (id {user}) has no name on this machine",
            hint="change the owner to an account that the service can run as",
        ) from None


def _notes(request: Request, *, system: bool) -> tuple[str, ...]:
    clock = f"The clock of {request.zone.key} skips {request.at:%H:%M}"
    root = f"The service runs as root, the owner of {request.folder}. A folder of a separate account is safer."
    skipped = (f"{clock} on {day}: no run that day. Another --at avoids it." for day in request.skipped_days()[:1])
    return (*skipped, *((root,) if system and _owner(request.folder) == "root" else ()))


def _literal(path: Path) -> str:
    return str(path).replace("%", "%%")


def _word(text: str) -> str:
    """A word of a command line or a list, quoted for systemd."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{escaped}"' if escaped != text or any(letter in text for letter in " \t';#") else text


def _unit(*lines: str) -> str:
    return "".join(f"{line}\n" for line in lines)
