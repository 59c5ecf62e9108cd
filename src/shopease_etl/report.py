"""What stages and runs report: frozen rows that the manifest, the console and `--json` share."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import Any


@dataclass(frozen=True)
class DatasetResult:
    """One file of a dataset as a stage left it: the only one, or that of a month.

    `rejected` counts rows by rule, `sha256` is of the object's bytes. `seconds` is None for datasets that are built in
    one pass with others. A file that is carried over from an earlier run has the `run_id` of the run that wrote it;
    `verified_by` is the run that last compared it with its hash. `has_unique_key`: in the source no key of these rows
    can occur twice. `made_of` is the hash of what silver was made of: bronze and the rules. `sums` are those of the
    file's rows by name. `state` has the hashes of what was derived from the rows, by key. `keys` has the first and the
    last of a month's keys, and a hash of its duplicate rows.
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
    run_id: str | None = None
    verified_by: str | None = None
    has_unique_key: bool = False
    made_of: str | None = None
    sums: Mapping[str, str] = field(default_factory=dict)
    state: Mapping[str, str] = field(default_factory=dict)
    keys: Mapping[str, str] = field(default_factory=dict)

    @property
    def rows_rejected(self) -> int:
        """Rows that went to quarantine."""
        return sum(self.rejected.values())


def by_dataset(results: Iterable[DatasetResult]) -> list[DatasetResult]:
    """One result for each dataset: its only file's, or the sums of its files, with the dataset's folder as `key`.

    Sums have no hashes and no `sums`; their `run_id` is None if any of the files is the run's own. Files of a dataset
    are written side by side: their `seconds` are those of the slowest.
    """
    found: dict[str, list[DatasetResult]] = {}
    for item in results:
        found.setdefault("/".join(item.key.split("/")[:2]), []).append(item)
    return [files[0] if len(files) == 1 else _sum(folder, files) for folder, files in found.items()]


def _sum(folder: str, files: Sequence[DatasetResult]) -> DatasetResult:
    rejected: Counter[str] = Counter()
    for item in files:
        rejected.update(item.rejected)
    seconds = [item.seconds for item in files if item.seconds is not None and item.run_id is None]
    run_ids = [item.run_id for item in files]
    return DatasetResult(
        files[0].layer,
        files[0].name,
        folder,
        rows_in=sum(item.rows_in for item in files),
        rows_out=sum(item.rows_out for item in files),
        bytes=sum(item.bytes for item in files),
        sha256="",
        rejected=dict(rejected),
        seconds=max(seconds, default=None),
        run_id=None if None in run_ids else max(filter(None, run_ids)),
    )


@dataclass(frozen=True)
class ObjectRecord:
    """What the run that wrote an object recorded of it.

    `sha256` is None if it need not be compared: no hash was recorded, or it is the current run's and not bronze.
    `result` is the entry in the manifest.
    """

    bytes: int
    rows: int
    rejected: int
    run_id: str
    sha256: str | None = None
    result: DatasetResult | None = None


@dataclass(frozen=True)
class StageResult:
    """What one stage did; `skipped` has by table or view the reason why it cannot be queried.

    An extract by month has a `watermark`, from which the next one knows what has changed, and if it copied all months,
    the reason, `full`; `removed` are the months that had files before and have none now. `lifetime_value` has the
    models of customer_lifetime_value: their parameters, how well they fit, and warnings.
    """

    name: str
    seconds: float
    datasets: tuple[DatasetResult, ...] = ()
    reconciliation: Mapping[str, object] = field(default_factory=dict)
    tables: tuple["CatalogEntry", ...] = ()
    skipped: Mapping[str, str] = field(default_factory=dict)
    crawlers: tuple["CrawlerRun", ...] = ()
    scan: "Scan | None" = None
    watermark: Mapping[str, Any] | None = None
    full: str | None = None
    removed: tuple[str, ...] = ()
    lifetime_value: Mapping[str, object] | None = None


@dataclass(frozen=True)
class CatalogEntry:
    """A table or view that was registered and can be queried.

    `change` is created, updated, replaced or unchanged, or None if the complete catalog is rewritten.
    """

    name: str
    kind: str
    columns: int
    rows: int
    change: str | None = None


@dataclass(frozen=True)
class CrawlerRun:
    """A Glue crawler's successful run; `attached` if it was running already."""

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
    """The database that a run read, the rows that COPY reported for each table, and each table's columns and types."""

    host: str
    database: str
    server_version: str
    snapshot_id: str
    tables: Mapping[str, int]
    columns: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


@dataclass(frozen=True)
class PreviousVersions:
    """What a run replaced when it published: by key the name of the former object in the store (None if it keeps none),
    and the keys that were new.
    """

    objects: Mapping[str, str | None]
    new: tuple[str, ...]


class Status(StrEnum):
    """How far a run is, or how it ended; a manifest has the value."""

    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    INTERRUPTED = "interrupted"
    DIED = "died"
    ROLLED_BACK = "rolled back"


@dataclass(frozen=True)
class RunResult:
    """A run and how it ended, as its manifest has it.

    `published`: readers see what its stages wrote; `attempt` counts the run and its retries.
    """

    run_id: str
    status: Status
    started_at: str
    finished_at: str
    shopease_version: str
    stages: tuple[StageResult, ...]
    reconciliation: Mapping[str, object]
    source: SourceInfo | None = None
    error: str | None = None
    published: bool = True
    plan: Mapping[str, object] = field(default_factory=dict)
    replaced: PreviousVersions | None = None
    attempt: int = 1
    schema_version: int = 1


@dataclass(frozen=True)
class ObjectChange:
    """What a rollback does to an object: its rows before and after, None if no manifest has them."""

    key: str
    rows: int | None
    rows_after: int | None
    is_deleted: bool


@dataclass(frozen=True)
class RollbackPlan:
    """What a rollback would do: the ids of the runs to undo, the last one first, and what becomes of their objects.

    The lake is then as the run `to` left it, which ended at `to_time`; None if no manifest has it.
    """

    location: str
    undoes: tuple[str, ...]
    to: str | None
    to_time: str | None
    objects: tuple[ObjectChange, ...]
    leaves_nothing: bool


@dataclass(frozen=True)
class RollbackResult:
    """The last of the runs that were undone, and all of them, the last first.

    Also the keys of the restored and of the deleted objects, and the crawl that updated the catalog, if there was one.
    """

    run_id: str
    restored: tuple[str, ...]
    deleted: tuple[str, ...]
    crawl: RunResult | None = None
    undone: tuple[str, ...] = ()


def stage_of(document: Mapping[str, Any]) -> StageResult:
    """A stage from its manifest entry, without what only a crawl reports.

    Raises:
        ValueError, LookupError, TypeError, AttributeError, ArithmeticError: it is not such an entry.
    """
    sums = document["reconciliation"].items()
    return StageResult(
        str(document["name"]),
        float(document["seconds"]),
        tuple(DatasetResult(**item) for item in document["datasets"]),
        {str(name): Decimal(value) if isinstance(value, str) else value for name, value in sums},
        watermark=document.get("watermark"),
        full=document.get("full"),
        removed=tuple(document.get("removed", ())),
        lifetime_value=document.get("lifetime_value"),
    )


@dataclass(frozen=True)
class RunSummary:
    """A run from its manifest; `status` is a `Status`, or what another version wrote."""

    run_id: str
    status: str
    stages: tuple[str, ...]
    seconds: float
    error: str | None
