"""What the manifests say about the data: rows by table and rule, totals that agree, and the last runs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from shopease_etl.contract import layout
from shopease_etl.lake.manifests import Manifest
from shopease_etl.operations.business.arithmetic import TENTH, percent, quotient
from shopease_etl.operations.business.lake_data import RUNS, LakeData
from shopease_etl.operations.status import brought_data, run_status
from shopease_etl.report import DatasetResult, Status, by_dataset
from shopease_etl.wording import one_line

GOLD_SUMS: Final = ("silver_transactions", "silver_revenue")


@dataclass(frozen=True)
class CleanedTable:
    """A table's rows as the last clean counted them."""

    table: str
    rows_in: int
    rows_out: int
    rows_rejected: int
    rejected: Mapping[str, int]
    rejected_percent: Decimal | None
    run_id: str


@dataclass(frozen=True)
class GoldSource:
    """A gold dataset that the report was made from; no run is known for files that no manifest has."""

    dataset: str
    rows: int
    bytes: int
    run_id: str | None


@dataclass(frozen=True)
class ReportedRun:
    """A run of the lake: how it ended, how long it took, the rows that it read, and the bytes that it wrote."""

    run_id: str
    status: str
    started_at: str
    seconds: Decimal
    rows: int | None
    bytes: int


@dataclass(frozen=True)
class Reconciliation:
    """What the run that made gold has compared to the cent; `agrees` also says that the files still have these sums."""

    run_id: str
    agrees: bool
    sums: Mapping[str, Decimal | int]


@dataclass(frozen=True)
class Trouble:
    """The last run did not succeed: how and when it ended, and the run since which the figures stand still."""

    run_id: str
    status: str
    ended_at: str
    error: str | None
    figures_run_id: str | None
    figures_since: str | None


@dataclass(frozen=True)
class Quality:
    """Cleaned tables, the gold datasets that were read, and the last runs, the latest first."""

    tables: tuple[CleanedTable, ...]
    sources: tuple[GoldSource, ...]
    runs: tuple[ReportedRun, ...]


def quality(data: LakeData, rows: Mapping[str, int], *, is_running: bool) -> Quality:
    """Cleaned tables, the gold datasets with their `rows`, and the last 30 runs; the last one may be in progress."""
    records = [record.result for record in data.recorded.values()]
    silver = [result for result in records if result and result.layer == layout.SILVER]
    run_ids = {record.result.key: record.run_id for record in data.recorded.values() if record.result}
    tables = []
    for table in by_dataset(silver):
        last = max(run_id for key, run_id in run_ids.items() if key.startswith(f"{layout.SILVER}/{table.name}/"))
        tables.append(_table(table, last))
    sources = tuple(
        GoldSource(name, rows[name], len(data.files[name]), record.run_id if (record := data.record(name)) else None)
        for name in data.files
    )
    runs = [_run(manifest, is_last=not place, is_running=is_running) for place, manifest in enumerate(data.manifests)]
    return Quality(tuple(tables), sources, tuple(runs[:RUNS]))


def _table(table: DatasetResult, run_id: str) -> CleanedTable:
    rejected = dict(sorted(table.rejected.items(), key=lambda rule: (-rule[1], rule[0])))
    share = percent(table.rows_rejected, table.rows_in)
    return CleanedTable(table.name, table.rows_in, table.rows_out, table.rows_rejected, rejected, share, run_id)


def _run(manifest: Manifest, *, is_last: bool, is_running: bool) -> ReportedRun:
    run = run_status(manifest)
    is_dead = run.status == Status.RUNNING and not (is_last and is_running)
    written = sum(
        int(item["bytes"])
        for stage in manifest.document["stages"]
        for item in stage["datasets"]
        if not item.get("run_id")
    )
    seconds = quotient(Decimal(str(run.seconds)), 1, TENTH) or Decimal(0)
    status = Status.DIED if is_dead else run.status
    return ReportedRun(run.run_id, str(status), run.started_at, seconds, run.rows, written)


def trouble(manifests: Sequence[Manifest], figures_run_id: str | None, *, is_running: bool) -> Trouble | None:
    """How the last run failed, if it did; of a run in progress nothing is known yet, so the one before it counts."""
    ended = list(manifests)
    if is_running and ended and ended[0].run.status == Status.RUNNING:
        ended = ended[1:]
    if not ended or ended[0].run.status in {Status.SUCCEEDED, Status.ROLLED_BACK}:
        return None
    last, document = ended[0].run, ended[0].document
    status = Status.DIED if last.status == Status.RUNNING else last.status
    error = None if last.error is None or last.error == status else one_line(last.error)
    since = ended_at(manifests, figures_run_id)
    return Trouble(last.run_id, str(status), str(document["finished_at"]), error, figures_run_id, since)


def ended_at(manifests: Sequence[Manifest], run_id: str | None) -> str | None:
    """When a run ended, None if its manifest is not known."""
    return next((str(found.document["finished_at"]) for found in manifests if found.run.run_id == run_id), None)


def data_run(data: LakeData, figures_run_id: str | None) -> Manifest | None:
    """The last successful run that read the source, not later than the one that made the figures."""
    return next(
        (found for found in data.manifests if brought_data(found) and found.run.run_id <= (figures_run_id or "")), None
    )


def reconciliation(data: LakeData, run_id: str | None, revenue: Decimal, transactions: int) -> Reconciliation | None:
    """What the run that made gold has compared, and whether the file of days that was read has the same sums."""
    found = next((each for each in data.manifests if each.run.run_id == run_id), None)
    if found is None or run_id is None:
        return None
    recorded = found.document.get("reconciliation") or {}
    sums = {
        name: Decimal(value) if isinstance(value, str) else value
        for name, value in recorded.items()
        if isinstance(value, str | int) and not isinstance(value, bool)
    }
    expected = tuple(sums.get(name) for name in GOLD_SUMS)
    if None in expected:
        return None
    return Reconciliation(run_id, bool(recorded.get("agrees")) and expected == (transactions, revenue), sums)
