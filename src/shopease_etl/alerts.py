"""Alerts: who is named in the settings is told when runs begin to fail, and when they are well again.

A failure is told once, until another kind of failure comes or a run succeeds. What was told is remembered below
`SHOPEASE_HOME`, and where that is new, the lake's last manifest tells how the last run ended. Nothing that goes wrong
here is a failure of the run.
"""

import json
import logging
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Final, Self

from shopease_etl import alerts_sending, signals
from shopease_etl.alerts_sending import Alert
from shopease_etl.errors import DataRefusedError, ShopeaseError
from shopease_etl.lake import Manifest, manifests
from shopease_etl.pings import Pings
from shopease_etl.redaction import Secrets
from shopease_etl.resources import lake_store
from shopease_etl.settings import Settings

log = logging.getLogger(__name__)

SUCCEEDED: Final = "succeeded"
_UNHURT: Final = {SUCCEEDED, "rolled back", "running"}


@dataclass(frozen=True)
class Failure:
    """How a command failed, since when, and whether anybody was told."""

    kind: str
    message: str
    since: str
    hint: str | None = None
    details: tuple[str, ...] = ()
    is_refusal: bool = False
    told: bool = False

    @classmethod
    def of(cls, error: BaseException) -> Self:
        """What there is to tell of an error that ended a command."""
        message = "it was interrupted" if isinstance(error, KeyboardInterrupt) else str(error) or type(error).__name__
        hint, details = (error.hint, tuple(error.details)) if isinstance(error, ShopeaseError) else (None, ())
        return cls(type(error).__name__, message, _now(), hint, details, isinstance(error, DataRefusedError))


@contextmanager
def watched(settings: Settings, command: str) -> Iterator[None]:
    """Tell whom the settings name how the block ends: by alerts if that has changed, by a ping each time."""
    watch = _Watch(settings, command)
    try:
        yield
    except BaseException as error:
        # who interrupts it at a terminal knows
        if not (isinstance(error, KeyboardInterrupt) and sys.stderr.isatty()):
            watch.end(Failure.of(error))
        raise
    watch.end(None)


class _Watch:
    """One command from its start to its end."""

    def __init__(self, settings: Settings, command: str) -> None:
        self._settings = settings
        self._command = command
        self._began = _now()
        self._secrets = Secrets()
        for address in (settings.database_url, *settings.alerts):
            self._secrets.learn(address)
        self._pings = Pings(settings.ping_url) if settings.ping_url else None
        if self._pings:
            self._pings.start()
        self._memory = _memory(settings)
        self._former = self._recalled() if settings.alerts else None

    def end(self, failure: Failure | None) -> None:
        """Tell how it ended, and remember that; takes seconds where somebody does not answer."""
        with signals.held_back("telling how it ended"):
            try:
                if self._pings:
                    self._pings.end(self._secrets.redacted(failure.message) if failure else None)
                if self._settings.alerts:
                    self._tell(failure)
            except Exception as error:  # noqa: BLE001 - an alert that fails is no failure of the run
                reason = self._secrets.redacted(f"{type(error).__name__}: {error}")
                log.warning("nobody could be alerted: %s", reason)

    def _tell(self, failure: Failure | None) -> None:
        former = self._former
        if failure is None:
            if former and not self._send(self._recovery(former)):
                return  # the next success tries again
            self._remember(None)
        else:
            is_known = former and former.told and former.kind == failure.kind
            told = bool(is_known) or self._send(self._failure(failure))
            since = former.since if former else failure.since
            message = self._secrets.redacted(failure.message)
            self._remember(Failure(failure.kind, message, since, told=told))

    def _send(self, alert: Alert) -> bool:
        redacted = Alert(self._secrets.redacted(alert.title), self._secrets.redacted(alert.text), alert.is_failure)
        return alerts_sending.send(self._settings.alerts, redacted)

    def _failure(self, failure: Failure) -> Alert:
        verb = "was refused" if failure.is_refusal else "failed"
        lines = [failure.message, *failure.details]
        lines += [f"Way out: {failure.hint}"] if failure.hint else []
        lines += ["", *self._conditions()]
        if good := next((one for one in self._manifests() if one.run.status == SUCCEEDED), None):
            lines.append(f"Last success: run {good.run.run_id}, ended {good.document['finished_at']}")
        else:
            lines.append("Last success: none is recorded")
        lines += ["", "Look: shopease status", "Then: shopease retry, or shopease run-all"]
        return Alert(f"shopease: {self._command} {verb}: {_place(self._settings)}", "\n".join(lines), is_failure=True)

    def _recovery(self, former: Failure) -> Alert:
        lines = [f"It had failed since {former.since}: {former.message}", "", *self._conditions()]
        if latest := self._own():
            rows = {item["key"]: item["rows_out"] for stage in latest.document["stages"] for item in stage["datasets"]}
            lines += [f"{key}: {number:,} rows" for key, number in rows.items()]
        title = f"shopease: {self._command} is well again: {_place(self._settings)}"
        return Alert(title, "\n".join(lines), is_failure=False)

    def _conditions(self) -> Iterator[str]:
        yield f"Command: shopease {self._command}"
        yield f"Lake: {_place(self._settings)}"
        if own := self._own():
            yield f"Run: {own.run.run_id}"
        yield f"Machine: {socket.gethostname()}"
        yield f"Time: {self._began} to {_now()}"

    def _own(self) -> Manifest | None:
        """The manifest that this command has written, if it could."""
        latest = next(self._manifests(), None)
        return latest if latest and str(latest.document["finished_at"]) >= self._began else None

    def _manifests(self) -> Iterator[Manifest]:
        with suppress(ShopeaseError):
            yield from manifests(lake_store(self._settings))

    def _recalled(self) -> Failure | None:
        """How the lake's last command failed, if it did."""
        with suppress(OSError, ValueError, TypeError):
            found = json.loads(self._memory.read_text(encoding="utf-8"))
            return Failure(**found) if found else None
        last = next(self._manifests(), None)
        if last is None or last.run.status in _UNHURT:
            return None
        return Failure("", str(last.run.error), str(last.document["finished_at"]))

    def _remember(self, failure: Failure | None) -> None:
        self._memory.parent.mkdir(parents=True, exist_ok=True)
        self._memory.write_text(json.dumps(failure and asdict(failure)), encoding="utf-8")


def _memory(settings: Settings) -> Path:
    """Where it is remembered how the last command on the lake ended."""
    return settings.home / "alerts" / f"{sha256(_place(settings).encode()).hexdigest()[:16]}.json"


def _place(settings: Settings) -> str:
    return settings.lake if "://" in settings.lake else str(Path(settings.lake).absolute())


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
