"""What a run has done so far: its manifest, which is written at every step, and its events."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from shopease_etl import __version__
from shopease_etl.contract.layout import BRONZE
from shopease_etl.lake.publish import write_manifest
from shopease_etl.lake.store import LakeStore
from shopease_etl.pipeline.events import Events, now
from shopease_etl.pipeline.plan import Plan
from shopease_etl.pipeline.reconciliation import reconciled
from shopease_etl.report import ObjectRecord, PreviousVersions, RunResult, SourceInfo, StageResult, Status


@dataclass
class RunLog:
    """The state of a run, which its manifest records.

    `verified` are the sums of what was read back, `is_published` says whether readers see what the stages wrote.
    """

    run_id: str
    plan: Plan
    lake: LakeStore
    events: Events
    started_at: str = field(default_factory=now)
    attempt: int = 1
    stages: list[StageResult] = field(default_factory=list)
    source: SourceInfo | None = None
    is_published: bool = False
    replaced: PreviousVersions | None = None
    verified: Mapping[str, object] = field(default_factory=dict)

    @property
    def recorded(self) -> dict[str, ObjectRecord]:
        """The objects of the datasets that the stages so far wrote, by key; also those that they carried over."""
        return {
            item.key: ObjectRecord(
                item.bytes,
                item.rows_out,
                item.rows_rejected,
                item.run_id or self.run_id,
                item.sha256 if item.run_id or item.layer == BRONZE else None,
                item,
            )
            for stage in self.stages
            for item in stage.datasets
        }

    def find(self, stage: str) -> StageResult | None:
        """What the stage did, if it is done."""
        return next((result for result in self.stages if result.name == stage), None)

    def start(self) -> None:
        """The run begins."""
        self.events.run_started(self.run_id, self.plan, self.attempt)
        self.write(Status.RUNNING)

    def stage_done(self, result: StageResult) -> None:
        """A stage is done."""
        self.stages.append(result)
        self.write(Status.RUNNING)
        self.events.stage_done(result)

    def write(self, status: Status, error: str | None = None) -> RunResult:
        """Write the manifest."""
        result = self.result(status, error)
        write_manifest(self.lake, asdict(result))
        return result

    def result(self, status: Status, error: str | None = None) -> RunResult:
        """The run as it is now; one that has written nothing counts as published."""
        has_written = any(stage.datasets for stage in self.stages)
        return RunResult(
            run_id=self.run_id,
            status=status,
            started_at=self.started_at,
            finished_at=now(),
            shopease_version=__version__,
            source=self.source,
            stages=tuple(self.stages),
            reconciliation=reconciled(self.stages, self.verified),
            error=error,
            published=self.is_published or not has_written,
            plan=self.plan.document(),
            replaced=self.replaced,
            attempt=self.attempt,
        )
