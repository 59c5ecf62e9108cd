"""The stream of events: what commands do that make runs; the log, lineage, alerts and pings listen to it.

Progress, which moves many times a second, has a protocol of its own (`progress.py`).
"""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Final, Literal, Protocol

from shopease_etl import cancel
from shopease_etl.errors import NothingToRetryError
from shopease_etl.report import DatasetResult, RunResult, StageResult, Status, by_dataset
from shopease_etl.wording import counted

if TYPE_CHECKING:
    from shopease_etl.pipeline.plan import Plan

log = logging.getLogger(__name__)

Kind = Literal[
    "command_started",
    "run_started",
    "stage_started",
    "dataset_done",
    "stage_done",
    "run_succeeded",
    "run_failed",
    "run_interrupted",
    "command_ended",
]

_ENDS: Final[Mapping[str, Kind]] = {
    Status.SUCCEEDED: "run_succeeded",
    Status.FAILED: "run_failed",
    Status.INTERRUPTED: "run_interrupted",
}
_WRITTEN: Final = ("run_id", "stage", "dataset", "layer", "rows", "rejected", "bytes", "seconds", "error")


@dataclass(frozen=True)
class Event:
    """An event; what does not apply to it is None.

    A command begins before its run does, and may fail before that: `failure` is the exception that ended it. `stages`
    are those of the command; none means all that are left, as in a retry, which is another `attempt` of a run. A run
    that begins has its `plan`, one that has ended its result in `run`, and a stage that is done in `result`.
    """

    kind: Kind
    run_id: str = ""
    stage: str | None = None
    dataset: str | None = None
    layer: str | None = None
    rows: int | None = None
    rejected: int | None = None
    bytes: int | None = None
    seconds: float | None = None
    error: str | None = None
    attempt: int = 1
    plan: "Plan | None" = None
    result: StageResult | None = None
    run: RunResult | None = None
    command: str = ""
    stages: tuple[str, ...] = ()
    failure: BaseException | None = None
    time: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def fields(self) -> dict[str, object]:
        """Its fields in a JSON log."""
        named = {name: getattr(self, name) for name in _WRITTEN}
        return {"event": self.kind, **{name: value for name, value in named.items() if value is not None}}

    @property
    def text(self) -> str:
        """The event as text."""
        if self.kind == "dataset_done":
            return (
                f"{self.stage}: {'quarantined ' if self.layer == 'quarantine' else ''}{self.dataset}: {self._amounts}"
            )
        subject = self.stage or f"run {self.run_id}"
        done = self.kind.rpartition("_")[2]
        lasted = "" if self.seconds is None else f" in {self.seconds:.1f} s"
        return f"{subject}: {done}{lasted}" + (f": {self.error}" if self.error else "")

    @property
    def _amounts(self) -> str:
        parts = [counted(self.rows or 0, "row")]
        parts += [f"{self.rejected:,} rejected"] if self.rejected else []
        parts += [readable_bytes(self.bytes or 0)]
        parts += [] if self.seconds is None else [f"{self.seconds:.1f} s"]
        return ", ".join(parts)


class Listener(Protocol):
    """Receives every event. It may take seconds at the end of a command, and should be quick before."""

    def check(self) -> None:
        """Raise, before a run begins, what would keep it from working."""

    def __call__(self, event: Event) -> None:
        """Handle an event; if this raises, it gets no more events of this command."""


class LogListener:
    """Writes the events of runs to the log; the command line prints and logs how a command ends."""

    def check(self) -> None:
        """Does nothing."""

    def __call__(self, event: Event) -> None:
        """Write the event, unless it is a command's."""
        if not event.command:
            log.info(event.text, extra={"event": event})


class Events:
    """The events of one command; a listener that raises gets no more of them, and the command continues."""

    def __init__(self, *listeners: Callable[[Event], None]) -> None:
        self._new = partial(Event)
        self._listeners = list(listeners)

    def publish(self, event: Event) -> None:
        """Send it to every listener."""
        for listener in tuple(self._listeners):
            try:
                listener(event)
            except Exception as error:  # noqa: BLE001 - a run does not end because a listener fails
                self._listeners.remove(listener)
                name = getattr(listener, "__name__", type(listener).__name__)
                log.error("%s gets no more events of this run: %s: %s", name, type(error).__name__, error)

    def run_started(self, run_id: str, plan: "Plan", attempt: int = 1) -> None:
        """A run begins, or a retry resumes it."""
        self._new = partial(Event, run_id=run_id, attempt=attempt)
        self.publish(self._new("run_started", plan=plan))

    def stage_started(self, name: str) -> None:
        """A stage begins."""
        self.publish(self._new("stage_started", stage=name))

    def stage_done(self, result: StageResult) -> None:
        """A stage is done, and all of its datasets."""
        for dataset in by_dataset(result.datasets):
            self.publish(self._done(result.name, dataset))
        self.publish(self._new("stage_done", stage=result.name, seconds=result.seconds, result=result))

    def run_ended(self, run: RunResult) -> None:
        """A run has ended."""
        lasted = datetime.fromisoformat(run.finished_at) - datetime.fromisoformat(run.started_at)
        kind = _ENDS[run.status]
        self.publish(self._new(kind, seconds=lasted.total_seconds(), error=run.error, run=run))

    def _done(self, stage: str, dataset: DatasetResult) -> Event:
        return self._new(
            "dataset_done",
            stage=stage,
            dataset=dataset.name,
            layer=dataset.layer,
            rows=dataset.rows_out,
            rejected=dataset.rows_rejected,
            bytes=dataset.bytes,
            seconds=dataset.seconds,
        )


@contextmanager
def announced(command: str, stages: Sequence[str], listeners: Sequence[Listener]) -> Iterator[Events]:
    """Send the listeners the start and end of a command, and the events between them.

    A retry that has nothing to do is no failure, and has no end.
    """
    events = Events(*listeners)
    event = partial(Event, command=command, stages=tuple(stages))
    events.publish(event("command_started"))
    try:
        yield events
    except NothingToRetryError:
        raise
    except BaseException as error:
        with cancel.deferred("reporting how it ended"):
            events.publish(event("command_ended", failure=error))
        raise
    with cancel.deferred("reporting how it ended"):
        events.publish(event("command_ended"))


def described(failure: BaseException) -> str:
    """What ended a command, in one line."""
    return "it was interrupted" if isinstance(failure, KeyboardInterrupt) else str(failure) or type(failure).__name__


def readable_bytes(size: int) -> str:
    """A size for people."""
    return f"{size / 1e6:,.1f} MB" if size >= 100_000 else f"{size / 1e3:,.1f} kB"


def now() -> str:
    """The time in UTC, to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")
