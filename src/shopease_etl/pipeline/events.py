"""What happens in a run, told to whoever listens: the log, lineage."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Final, Literal

from shopease_etl.report import DatasetResult, RunResult, StageResult, Status
from shopease_etl.wording import counted

log = logging.getLogger(__name__)

Kind = Literal[
    "run_started",
    "stage_started",
    "dataset_done",
    "stage_done",
    "run_succeeded",
    "run_failed",
    "run_interrupted",
]

_ENDS: Final[Mapping[str, Kind]] = {
    Status.SUCCEEDED: "run_succeeded",
    Status.FAILED: "run_failed",
    Status.INTERRUPTED: "run_interrupted",
}
_WRITTEN: Final = ("run_id", "stage", "dataset", "layer", "rows", "rejected", "bytes", "seconds", "error")


@dataclass(frozen=True)
class Event:
    """Something that happened in a run, which a retry takes up in another attempt; what does not apply is None.

    `result` is of a stage that is done, `run` of a run that has ended.
    """

    kind: Kind
    run_id: str
    stage: str | None = None
    dataset: str | None = None
    layer: str | None = None
    rows: int | None = None
    rejected: int | None = None
    bytes: int | None = None
    seconds: float | None = None
    error: str | None = None
    attempt: int = 1
    result: StageResult | None = None
    run: RunResult | None = None
    time: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def fields(self) -> dict[str, object]:
        """What a log for machines has of it, by name."""
        named = {name: getattr(self, name) for name in _WRITTEN}
        return {"event": self.kind, **{name: value for name, value in named.items() if value is not None}}

    @property
    def told(self) -> str:
        """The event as a person reads it."""
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


Listener = Callable[[Event], None]


def log_event(event: Event) -> None:
    """Tell the log; a run's failure is told there by the command that ends with it, as an error."""
    log.info(event.told, extra={"event": event})


class Events:
    """Tells a run's listeners what happens; one that raises is told no more, and the run goes on."""

    def __init__(self, run_id: str, *listeners: Listener) -> None:
        self._new = partial(Event, run_id=run_id)
        self._listeners = list(listeners)

    def run_started(self, attempt: int = 1) -> None:
        """A run begins, or is taken up in another attempt."""
        self._new = partial(self._new, attempt=attempt)
        self._tell(self._new("run_started"))

    def stage_started(self, name: str) -> None:
        """A stage begins."""
        self._tell(self._new("stage_started", stage=name))

    def stage_done(self, result: StageResult) -> None:
        """A stage is done, and all of its datasets."""
        for dataset in result.datasets:
            self._tell(self._done(result.name, dataset))
        self._tell(self._new("stage_done", stage=result.name, seconds=result.seconds, result=result))

    def run_ended(self, run: RunResult) -> None:
        """A run has ended, well or not."""
        lasted = datetime.fromisoformat(run.finished_at) - datetime.fromisoformat(run.started_at)
        kind = _ENDS[run.status]
        self._tell(self._new(kind, seconds=lasted.total_seconds(), error=run.error, run=run))

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

    def _tell(self, event: Event) -> None:
        for listener in tuple(self._listeners):
            try:
                listener(event)
            except Exception as error:  # noqa: BLE001 - a run does not end because somebody cannot listen
                self._listeners.remove(listener)
                name = getattr(listener, "__name__", type(listener).__name__)
                log.warning("%s is told no more of this run: %s: %s", name, type(error).__name__, error)


def readable_bytes(size: int) -> str:
    """A size as a person reads it."""
    return f"{size / 1e6:,.1f} MB" if size >= 100_000 else f"{size / 1e3:,.1f} kB"


def now() -> str:
    """The time in UTC, to the millisecond."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")
