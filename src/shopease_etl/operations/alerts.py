"""Alerts: who is named in the settings is told when runs begin to fail, and when they are well again.

A failure is told once, until another one comes or what failed is done well. What was told is remembered below
`SHOPEASE_HOME`, and where that is new, the lake's last manifest tells how the last run ended. Nothing that goes wrong
here is a failure of the run.
"""

import json
import logging
import re
import socket
from collections.abc import Iterator, Sequence, Set
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Self

from shopease_etl import cancel, extras, file_locks
from shopease_etl.atomic import replacing
from shopease_etl.errors import (
    ConfigurationError,
    DataRefusedError,
    LakeLockedError,
    NothingToRetryError,
    ShopeaseError,
    UnreachableError,
)
from shopease_etl.lake.manifests import Manifest, manifests
from shopease_etl.lake.store import private_path
from shopease_etl.nofollow import make_folder, open_file
from shopease_etl.operations import alerts_sending
from shopease_etl.operations.alerts_sending import Alert
from shopease_etl.operations.pings import Pings
from shopease_etl.operations.status import brought_data
from shopease_etl.pipeline.wiring import lake_store
from shopease_etl.redaction import Secrets
from shopease_etl.report import Status
from shopease_etl.settings import Settings
from shopease_etl.wording import counted

log = logging.getLogger(__name__)

_UNHURT: Final[Set[str]] = {Status.SUCCEEDED, Status.ROLLED_BACK, Status.RUNNING}
_VARYING: Final = re.compile(r"\b\d{8}T\S+|\d+")  # ids of runs, and numbers


@dataclass(frozen=True)
class Failure:
    """How a command that was to do these stages failed, since when, and whether anybody was told."""

    kind: str
    message: str
    since: str
    stages: tuple[str, ...] = ()
    hint: str | None = None
    told: bool = False

    @classmethod
    def of(cls, error: BaseException, stages: Sequence[str]) -> Self:
        """What there is to tell of an error that ended a command.

        Its details are not among it: they may show a row of the source, which is nobody's who reads alerts.
        """
        message = "it was interrupted" if isinstance(error, KeyboardInterrupt) else str(error) or type(error).__name__
        hint = error.hint if isinstance(error, ShopeaseError) else None
        return cls(f"{type(error).__name__}: {_VARYING.sub('#', message)}", message, _now(), tuple(stages), hint)

    def is_over(self, stages: Sequence[str]) -> bool:
        """Whether a command that did these stages well has done what failed; none stands for all."""
        return not stages or set(self.stages) <= set(stages)


@contextmanager
def watched(settings: Settings, command: str, stages: Sequence[str] = ()) -> Iterator[None]:
    """Tell whom the settings name how the block ends: by alerts if that has changed, by a ping each time.

    `stages` are those that the command does; none stands for all that is left, as of a retry.

    Raises:
        ConfigurationError: alerts are set and their packages are not installed; the block has not begun.
    """
    if settings.alerts:
        extras.require("alerts", "SHOPEASE_ALERTS")
    watch = _Watch(settings, command, stages)
    try:
        yield
    except NothingToRetryError:
        raise
    except BaseException as error:
        watch.end(error)
        raise
    watch.end(None)


class _Watch:
    """One command from its start to its end."""

    def __init__(self, settings: Settings, command: str, stages: Sequence[str]) -> None:
        self._settings = settings
        self._command = command
        self._stages = stages
        self._began = _now()
        self._secrets = Secrets()
        for address in (settings.database_url, *settings.alerts):
            self._secrets.learn(address.get_secret_value())
        self._pings = Pings(settings.ping_url.get_secret_value()) if settings.ping_url else None
        if self._pings and stages:  # whether there is anything to retry is not known yet
            self._pings.start()
        self._memory = _memory(settings)
        self._before = next(self._manifests(), None) if settings.alerts else None
        self._at_start = self._last_run()

    def end(self, error: BaseException | None) -> None:
        """Tell how it ended, and remember that; takes seconds where somebody does not answer."""
        failure = Failure.of(error, self._stages) if error else None
        with cancel.deferred("telling how it ended"):
            try:
                if self._pings:
                    self._pings.end(self._secrets.redacted(failure.message) if failure else None)
                # who presses Ctrl-C at a terminal knows
                if self._settings.alerts and not (isinstance(error, KeyboardInterrupt) and cancel.is_by_hand()):
                    with self._alone():
                        self._tell(failure, error)
            except Exception as problem:  # noqa: BLE001 - an alert that fails is no failure of the run
                log.error("alerts failed: %s", self._secrets.redacted(f"{type(problem).__name__}: {problem}"))
            if self._pings:
                self._pings.wait()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Commands that end at the same time tell one after the other, each knowing what the others told."""
        try:
            make_folder(self._memory.parent)
            lock = open_file(self._memory.with_suffix(".lock"), "wb")
        except (OSError, UnreachableError):  # what cannot be remembered is told of later
            yield
            return
        with lock:
            file_locks.lock(lock, wait=True)
            yield

    def _tell(self, failure: Failure | None, error: BaseException | None) -> None:
        former = self._recalled()
        if failure is None:
            if former is None or not former.is_over(self._stages):
                return
            if self._send(self._recovery(former)):  # or else the next success tries again
                self._remember(None)
            return
        is_known = former is not None and former.told and former.kind == failure.kind
        told = is_known or self._send(self._failure(failure, error))
        since = former.since if former else failure.since
        message, kind = self._secrets.redacted(failure.message), self._secrets.redacted(failure.kind)
        self._remember(replace(failure, kind=kind, message=message, since=since, told=told))

    def _send(self, alert: Alert) -> bool:
        redacted = Alert(self._secrets.redacted(alert.title), self._secrets.redacted(alert.text), alert.is_failure)
        return alerts_sending.send(self._settings.alerts, redacted)

    def _failure(self, failure: Failure, error: BaseException | None) -> Alert:
        verb = "was refused" if isinstance(error, DataRefusedError) else "failed"
        has_run = not isinstance(error, LakeLockedError | ConfigurationError)
        lines = [failure.message]
        lines += [f"Way out: {failure.hint}"] if failure.hint else []
        lines += ["", *self._conditions(self._own() if has_run else None)]
        if good := next((one for one in self._manifests() if brought_data(one)), None):
            lines.append(f"Last success: run {good.run.run_id}, ended {good.document['finished_at']}")
        else:
            lines.append("Last success: none is recorded")
        lines += ["", "Look: shopease status", *(["Then: shopease retry, or shopease run-all"] if has_run else [])]
        return Alert(f"shopease: {self._command} {verb}: {_place(self._settings)}", "\n".join(lines), is_failure=True)

    def _recovery(self, former: Failure) -> Alert:
        latest = self._own()
        lines = [f"It had failed since {former.since}: {former.message}", "", *self._conditions(latest)]
        if latest:
            rows = {item["key"]: item["rows_out"] for stage in latest.document["stages"] for item in stage["datasets"]}
            lines += [f"{key}: {counted(number, 'row')}" for key, number in rows.items()]
        title = f"shopease: {self._command} is well again: {_place(self._settings)}"
        return Alert(title, "\n".join(lines), is_failure=False)

    def _conditions(self, own: Manifest | None) -> Iterator[str]:
        yield f"Command: shopease {self._command}"
        yield f"Lake: {_place(self._settings)}"
        if own:
            yield f"Run: {own.run.run_id}"
        yield f"Machine: {socket.gethostname()}"
        yield f"Time: {self._began} to {_now()}"

    def _own(self) -> Manifest | None:
        """The manifest that this command has written, if it could."""
        latest = next(self._manifests(), None)
        return latest if latest != self._before else None

    def _manifests(self) -> Iterator[Manifest]:
        with suppress(ShopeaseError):
            yield from manifests(lake_store(self._settings))

    def _recalled(self) -> Failure | None:
        """How the last command on the lake failed, if it did."""
        with suppress(OSError, ValueError, TypeError):
            found = json.loads(self._memory.read_text(encoding="utf-8"))
            return Failure(**{**found, "stages": tuple(found["stages"])}) if found else None
        return self._at_start

    def _last_run(self) -> Failure | None:
        """How the lake's last run failed, if it did; for where nothing is remembered."""
        last = self._before
        if last is None or last.run.status in _UNHURT:
            return None
        stages = tuple(map(str, last.document.get("plan", {}).get("stages", ())))
        return Failure("", str(last.run.error), str(last.document["finished_at"]), stages)

    def _remember(self, failure: Failure | None) -> None:
        try:
            make_folder(self._memory.parent)
            with replacing(self._memory) as file:
                file.write(json.dumps(failure and asdict(failure)).encode())
        except (OSError, UnreachableError) as error:
            told = "what was told cannot be remembered in %s, and will be told again: %s; see SHOPEASE_HOME"
            log.error(told, self._memory.parent, error)


def _memory(settings: Settings) -> Path:
    """Where it is remembered how the last command on the lake ended."""
    return private_path(settings.home, "alerts", _place(settings)).with_suffix(".json")


def _place(settings: Settings) -> str:
    return settings.lake if "://" in settings.lake else str(Path(settings.lake).absolute())


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
