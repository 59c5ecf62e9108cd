"""Alerts: a listener that sends a message when commands begin to fail, and when they succeed again.

A failure is sent once, until another one comes or what failed succeeds. What was sent is remembered below
`SHOPEASE_HOME`; if nothing is remembered, the lake's last manifest says how the last run ended.
"""

import json
import logging
import re
import socket
from collections.abc import Callable, Iterator, Sequence, Set
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from shopease_etl import cancel, extras, file_locks
from shopease_etl.atomic import replacing
from shopease_etl.errors import (
    ConfigurationError,
    DataRefusedError,
    LakeLockedError,
    ShopeaseError,
    UnreachableError,
)
from shopease_etl.lake.manifests import Manifest, manifests
from shopease_etl.lake.store import LakeStore, state_path
from shopease_etl.nofollow import make_folder, open_file
from shopease_etl.operations import alerts_sending
from shopease_etl.operations.alerts_sending import Alert
from shopease_etl.operations.status import brought_data
from shopease_etl.pipeline.events import Event, described
from shopease_etl.redaction import Secrets
from shopease_etl.report import Status
from shopease_etl.wording import counted

if TYPE_CHECKING:
    from pydantic import SecretStr

log = logging.getLogger(__name__)

_UNHURT: Final[Set[str]] = {Status.SUCCEEDED, Status.ROLLED_BACK, Status.RUNNING}
_VARYING: Final = re.compile(r"\b\d{8}T\S+|\d+")  # ids of runs, and numbers


@dataclass(frozen=True)
class Failure:
    """How a command of these stages failed, since when, and whether an alert of it has arrived."""

    kind: str
    message: str
    since: str
    stages: tuple[str, ...] = ()
    hint: str | None = None
    told: bool = False

    @classmethod
    def of(cls, error: BaseException, stages: Sequence[str]) -> Self:
        """What an alert says of an error that ended a command.

        Its details are left out: they may show a row of the source, which readers of alerts must not see.
        """
        message = described(error)
        hint = error.hint if isinstance(error, ShopeaseError) else None
        return cls(f"{type(error).__name__}: {_VARYING.sub('#', message)}", message, _now(), tuple(stages), hint)

    def is_over(self, stages: Sequence[str]) -> bool:
        """Whether the success of a command with these stages covers what failed; none means all."""
        return not stages or set(self.stages) <= set(stages)


class Alerts:
    """Sends an alert to `addresses` when the commands on a lake begin to fail, and when they succeed again.

    What was sent is remembered below `home`; alerts never contain the `secrets`. `attachment` makes the file to
    attach to the alert of a failure.
    """

    def __init__(
        self,
        addresses: Sequence["SecretStr"],
        lake: LakeStore,
        home: Path,
        secrets: Secrets,
        attachment: Callable[[], Path | None] | None = None,
    ) -> None:
        self._addresses = addresses
        self._lake = lake
        self._place = lake.location if "://" in lake.location else str(Path(lake.location).absolute())
        self._memory = state_path(home, "alerts", self._place).with_suffix(".json")
        self._secrets = secrets
        self._attachment = attachment

    def check(self) -> None:
        """Raise ConfigurationError if the packages for alerts are not installed."""
        extras.require("alerts", "SHOPEASE_ALERTS")

    def __call__(self, event: Event) -> None:
        """Handle a command's start and end; takes seconds if a service does not answer."""
        if event.kind == "command_started":
            self._start = event
            self._before = next(self._manifests(), None)
        elif event.kind == "command_ended":
            # the person at the terminal knows about Ctrl-C
            if isinstance(event.failure, KeyboardInterrupt) and cancel.is_by_hand():
                return
            with self._alone():
                self._tell(Failure.of(event.failure, event.stages) if event.failure else None, event.failure)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Commands that end at the same time send one after the other, each knowing what the others have sent."""
        try:
            make_folder(self._memory.parent)
            lock = open_file(self._memory.with_suffix(".lock"), "wb")
        except (OSError, UnreachableError):  # `_remember` says that nothing can be remembered
            yield
            return
        with lock:
            file_locks.lock(lock, wait=True)
            yield

    def _tell(self, failure: Failure | None, error: BaseException | None) -> None:
        former = self._recalled()
        if failure is None:
            if former is None or not former.is_over(self._start.stages):
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
        title, text = self._secrets.redacted(alert.title), self._secrets.redacted(alert.text)
        return alerts_sending.send(self._addresses, replace(alert, title=title, text=text))

    def _failure(self, failure: Failure, error: BaseException | None) -> Alert:
        verb = "was refused" if isinstance(error, DataRefusedError) else "failed"
        has_run = not isinstance(error, LakeLockedError | ConfigurationError)
        lines = [failure.message]
        lines += [f"Hint: {failure.hint}"] if failure.hint else []
        lines += ["", *self._conditions(self._own() if has_run else None)]
        if good := next((one for one in self._manifests() if brought_data(one)), None):
            lines.append(f"Last success: run {good.run.run_id}, ended {good.document['finished_at']}")
        else:
            lines.append("Last success: none is recorded")
        lines += ["", "See: shopease status", *(["Then: shopease retry, or shopease run-all"] if has_run else [])]
        title = f"shopease: {self._start.command} {verb}: {self._place}"
        file = self._attachment() if self._attachment and isinstance(error, ShopeaseError) else None
        return Alert(title, "\n".join(lines), is_failure=True, attachment=file)

    def _recovery(self, former: Failure) -> Alert:
        latest = self._own()
        lines = [f"It had failed since {former.since}: {former.message}", "", *self._conditions(latest)]
        if latest:
            rows = {item["key"]: item["rows_out"] for stage in latest.document["stages"] for item in stage["datasets"]}
            lines += [f"{key}: {counted(number, 'row')}" for key, number in rows.items()]
        title = f"shopease: {self._start.command} works again: {self._place}"
        return Alert(title, "\n".join(lines), is_failure=False)

    def _conditions(self, own: Manifest | None) -> Iterator[str]:
        yield f"Command: shopease {self._start.command}"
        yield f"Lake: {self._place}"
        if own:
            yield f"Run: {own.run.run_id}"
        yield f"Machine: {socket.gethostname()}"
        yield f"Time: {self._start.time.isoformat(timespec='seconds')} to {_now()}"

    def _own(self) -> Manifest | None:
        """The manifest that this command has written, if it could."""
        latest = next(self._manifests(), None)
        return latest if latest != self._before else None

    def _manifests(self) -> Iterator[Manifest]:
        with suppress(ShopeaseError):
            yield from manifests(self._lake)

    def _recalled(self) -> Failure | None:
        """How the last command on the lake failed, if it did."""
        with suppress(OSError, ValueError, TypeError):
            found = json.loads(self._memory.read_text(encoding="utf-8"))
            return Failure(**{**found, "stages": tuple(found["stages"])}) if found else None
        return self._last_run()

    def _last_run(self) -> Failure | None:
        """How the lake's last run failed, if it did; used if nothing is remembered."""
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
            text = "alerts cannot be remembered in %s, and will be sent again: %s; see SHOPEASE_HOME"
            log.error(text, self._memory.parent, error)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
