"""What stages and runs report: frozen rows that the manifest, the console and `--json` share."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class DatasetResult:
    """One dataset as a stage left it; `rejected` counts rows by rule, `sha256` is of the object's bytes."""

    layer: str
    name: str
    key: str
    rows_in: int
    rows_out: int
    bytes: int
    sha256: str
    rejected: Mapping[str, int] = field(default_factory=dict)

    @property
    def rows_rejected(self) -> int:
        """Rows that went to quarantine."""
        return sum(self.rejected.values())


@dataclass(frozen=True)
class Recorded:
    """What the run that wrote an object recorded of it."""

    bytes: int
    rows: int
    run_id: str


@dataclass(frozen=True)
class StageResult:
    """What one stage did, in the order it did it."""

    name: str
    seconds: float
    datasets: tuple[DatasetResult, ...] = ()
    reconciliation: Mapping[str, object] = field(default_factory=dict)
    tables: tuple["CatalogEntry", ...] = ()


@dataclass(frozen=True)
class CatalogEntry:
    """A table or view that was made queryable and answered."""

    name: str
    kind: str
    columns: int
    rows: int


@dataclass(frozen=True)
class SourceInfo:
    """The database that a run read, and the rows that COPY reported for each table."""

    host: str
    database: str
    server_version: str
    snapshot_id: str
    tables: Mapping[str, int]


@dataclass(frozen=True)
class RunResult:
    """A run and how it ended; the manifest is this, written down."""

    run_id: str
    status: str
    started_at: str
    finished_at: str
    shopease_version: str
    stages: tuple[StageResult, ...]
    reconciliation: Mapping[str, object]
    source: SourceInfo | None = None
    error: str | None = None
    schema_version: int = 1
