"""What stages and runs report: frozen rows that the manifest, the console and `--json` share."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class DatasetResult:
    """One dataset as a stage left it; `rejected` counts rows by rule, `sha256` is of the object's bytes.

    `seconds` is None for datasets that are made in one pass with others.
    """

    layer: str
    name: str
    key: str
    rows_in: int
    rows_out: int
    bytes: int
    sha256: str
    rejected: Mapping[str, int] = field(default_factory=dict)
    seconds: float | None = None

    @property
    def rows_rejected(self) -> int:
        """Rows that went to quarantine."""
        return sum(self.rejected.values())


@dataclass(frozen=True)
class Recorded:
    """What the run that wrote an object recorded of it."""

    bytes: int
    rows: int
    rejected: int
    run_id: str


@dataclass(frozen=True)
class StageResult:
    """What one stage did; `skipped` tells by name what a table or view has no file for."""

    name: str
    seconds: float
    datasets: tuple[DatasetResult, ...] = ()
    reconciliation: Mapping[str, object] = field(default_factory=dict)
    tables: tuple["CatalogEntry", ...] = ()
    skipped: Mapping[str, str] = field(default_factory=dict)
    crawlers: tuple["CrawlerRun", ...] = ()
    scan: "Scan | None" = None


@dataclass(frozen=True)
class CatalogEntry:
    """A table or view that was made queryable and answered.

    `change` is created, updated, replaced or unchanged, and None where the whole catalog is written anew.
    """

    name: str
    kind: str
    columns: int
    rows: int
    change: str | None = None


@dataclass(frozen=True)
class CrawlerRun:
    """A Glue crawler's run that ended well; `attached` where it was running already."""

    name: str
    seconds: float
    attached: bool


@dataclass(frozen=True)
class Scan:
    """What statements scanned on Athena, in bytes, and the bytes that are charged for it."""

    bytes: int
    charged: int


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
    """A run and how it ended; the manifest is this, written down.

    `published` tells whether readers see what its stages wrote.
    """

    run_id: str
    status: str
    started_at: str
    finished_at: str
    shopease_version: str
    stages: tuple[StageResult, ...]
    reconciliation: Mapping[str, object]
    source: SourceInfo | None = None
    error: str | None = None
    published: bool = True
    schema_version: int = 1


@dataclass(frozen=True)
class DatasetStatus:
    """An object of the lake as it is now; `rows` is None where no manifest tells, `modified` is seconds since 1970."""

    layer: str
    name: str
    key: str
    rows: int | None
    rejected: int | None
    bytes: int
    modified: float
    run_id: str | None


@dataclass(frozen=True)
class RunSummary:
    """A run as its manifest tells it."""

    run_id: str
    status: str
    stages: tuple[str, ...]
    seconds: float
    error: str | None


@dataclass(frozen=True)
class LakeStatus:
    """The lake as it is: its datasets by layer, and its last runs, latest first."""

    location: str
    datasets: tuple[DatasetStatus, ...]
    runs: tuple[RunSummary, ...]


@dataclass(frozen=True)
class CheckLine:
    """One thing that was checked; `exit_code` is 0 where it is in order, `fix` says what to do where not."""

    name: str
    detail: str
    exit_code: int = 0
    fix: str | None = None
    warning: bool = False
