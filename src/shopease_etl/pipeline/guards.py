"""What a run must not do unless the user allows it: accept a changed source schema, lose many rows or much revenue, or
reject many rows of a table.

A run is compared with its baseline: what readers see, as recorded in the manifests of the runs that published it.
"""

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Final

from shopease_etl.contract.layout import BRONZE, GOLD, SILVER, dataset_of
from shopease_etl.contract.tables import TABLES, TRANSACTIONS
from shopease_etl.errors import DataRefusedError
from shopease_etl.lake.manifests import Manifest, manifests, own_objects
from shopease_etl.lake.store import Store
from shopease_etl.pipeline.plan import Overrides
from shopease_etl.report import DatasetResult, StageResult, by_dataset
from shopease_etl.source.postgres import SourceTable
from shopease_etl.wording import counted

if TYPE_CHECKING:
    from shopease_etl.pipeline.wiring import RunLimits

Columns = Mapping[str, str]
"""Types by column name."""

REVENUE: Final = "silver_revenue"
BRONZE_OF: Final = {table.source: dataset_of(table.bronze_key) for table in TABLES}


@dataclass(frozen=True)
class Baseline:
    """The id of the latest run that published each thing, and what it recorded.

    `columns` are by source table, `rows` by the folder of a dataset; `revenue` is that of silver.
    """

    columns: Mapping[str, tuple[str, Columns]] = field(default_factory=dict)
    rows: Mapping[str, tuple[str, int]] = field(default_factory=dict)
    revenue: tuple[str, Decimal] | None = None

    @property
    def run_ids(self) -> set[str]:
        """The runs that recorded any of it."""
        entries = (*self.columns.values(), *self.rows.values(), *([self.revenue] if self.revenue else []))
        return {run_id for run_id, _ in entries}


@dataclass(frozen=True)
class Drift:
    """How a source table differs from what a run recorded; `retyped` has the old type and the new one."""

    table: str
    run_id: str
    added: Columns
    dropped: Columns
    retyped: Mapping[str, tuple[str, str]]

    def changes(self) -> tuple[str, ...]:
        """One phrase for each column."""
        return (
            *(_one_line(f"{name} {kind} added") for name, kind in self.added.items()),
            *(_one_line(f"{name} {kind} dropped") for name, kind in self.dropped.items()),
            *(_one_line(f"{name} {before} is now {now}") for name, (before, now) in self.retyped.items()),
        )


def read_baseline(store: Store, *, without: Collection[str] = ()) -> Baseline:
    """The baseline of the datasets that readers see; parts of a manifest that cannot be understood are ignored.

    Runs whose ids are in `without` are skipped, as if they were rolled back.
    """
    datasets = {dataset_of(item.key) for item in own_objects(store)}
    sources = {name for name, folder in BRONZE_OF.items() if folder in datasets}
    columns: dict[str, tuple[str, Columns]] = {}
    rows: dict[str, tuple[str, int]] = {}
    revenue = None
    for manifest in (found for found in manifests(store) if found.run.run_id not in without):
        found = _recorded(manifest, datasets)
        columns, rows = {**found.columns, **columns}, {**found.rows, **rows}
        revenue = revenue or found.revenue
        if datasets <= rows.keys() and sources <= columns.keys() and (revenue or not _has_gold(datasets)):
            break
    return Baseline(columns, rows, revenue)


def _recorded(manifest: Manifest, datasets: Collection[str]) -> Baseline:
    """What one run recorded of these datasets, which it published."""
    run_id, document = manifest.run.run_id, manifest.document
    counts: Counter[str] = Counter()
    for key, found in manifest.recorded.items():
        counts[dataset_of(key)] += found.rows
    rows = {folder: (run_id, count) for folder, count in counts.items() if folder in datasets}
    source, sums = document.get("source"), document.get("reconciliation")
    tables = source.get("columns") if isinstance(source, dict) else None
    columns = {
        name: (run_id, found)
        for name, found in (tables.items() if isinstance(tables, dict) else ())
        if isinstance(found, dict) and all(isinstance(kind, str) for kind in found.values())
    }
    amount = str(sums.get(REVENUE)) if isinstance(sums, dict) and _has_gold(rows) else ""
    # no exponents: such a number might have any number of digits
    is_amount = re.fullmatch(r"-?[0-9]{1,36}(?:\.[0-9]{1,4})?", amount)
    return Baseline(
        {name: found for name, found in columns.items() if BRONZE_OF.get(name) in rows},
        rows,
        (run_id, Decimal(amount)) if is_amount else None,
    )


def _has_gold(datasets: Collection[str]) -> bool:
    return any(folder.startswith(f"{GOLD}/") for folder in datasets)


def drift(baseline: Baseline, sources: Mapping[str, SourceTable]) -> tuple[Drift, ...]:
    """The source tables whose columns or types are not those recorded; the order of columns does not matter."""
    found = []
    for table in (table for table in sources.values() if table.name in baseline.columns):
        run_id, before = baseline.columns[table.name]
        now = dict(zip(table.columns, table.types, strict=True))
        added = {name: kind for name, kind in now.items() if name not in before}
        dropped = {name: kind for name, kind in before.items() if name not in now}
        retyped = {name: (before[name], kind) for name, kind in now.items() if before.get(name, kind) != kind}
        if added or dropped or retyped:
            found.append(Drift(table.name, run_id, added, dropped, retyped))
    return tuple(found)


def require_no_drift(
    baseline: Baseline,
    sources: Mapping[str, SourceTable],
    sample: Callable[[SourceTable], Mapping[str, str | None]],
) -> None:
    """Raise DataRefusedError if the source's schema is not the recorded one; `sample` returns one row of a table."""
    if found := drift(baseline, sources):
        runs = ", ".join(sorted({_one_line(item.run_id) for item in found}))
        changes = "; ".join(f"{item.table}: column {'; '.join(item.changes())}" for item in found)
        samples = tuple(f"{item.table}, a row: {_row(sample(sources[item.table]))}" for item in found)
        message = f"the source's schema has changed since run {runs}: {changes}"
        raise DataRefusedError(message, hint="to continue, use --accept-drift", details=samples)


def require_within_limits(
    baseline: Baseline,
    stage: StageResult,
    stages: Sequence[StageResult],
    overrides: Overrides,
    limits: "RunLimits",
) -> None:
    """Raise DataRefusedError if a stage rejects or loses more than the limits, and that is not allowed.

    `stages` are all of the run so far, `stage` the last of them; the limits are shares, from 0 to 1.
    """
    if not overrides.allow_rejects:
        require_few_rejected(stage, limits.rejected)
    if not overrides.allow_shrink:
        rejected = [item for each in stages for item in many_rejected(each, limits.rejected)]
        require_no_shrink(baseline, stage, limits.shrink, allowed=rejected if overrides.allow_rejects else None)


def require_no_shrink(
    baseline: Baseline, stage: StageResult, share: float, *, allowed: Collection[DatasetResult] | None = None
) -> None:
    """Raise DataRefusedError if a table became empty, or if more than `share` of rows or revenue is gone.

    If rejects are allowed, `allowed` are the run's tables with `many_rejected`. Rejected rows then do not count as
    lost; and if sales are among those tables, revenue is not compared, as the value of rejected sales is unknown.
    """
    lost = [*_lost_rows(baseline, stage, share, with_rejected=allowed is not None)]
    now = stage.reconciliation.get(REVENUE)
    are_sales_rejected = any(item.name == TRANSACTIONS.name for item in allowed or ())
    if baseline.revenue and isinstance(now, Decimal | int) and not are_sales_rejected:
        run_id, before = baseline.revenue
        if before > 0 and _is_beyond(before, now, share):
            lost.append(f"revenue is {now:,}, {before:,} in run {_one_line(run_id)}")
    if lost:
        message = f"there is much less data than before: {'; '.join(lost)}"
        limit = f"SHOPEASE_MAX_SHRINK allows {100 * share:g}% less than in the last run, and no table to become empty"
        hint = "use --allow-shrink, or, if no table is empty, raise SHOPEASE_MAX_SHRINK"
        raise DataRefusedError(message, hint=hint, details=(limit,))


def many_rejected(stage: StageResult, share: float) -> list[DatasetResult]:
    """The tables of silver with more than `share` of their rows rejected."""
    return [
        item
        for item in by_dataset(stage.datasets)
        if item.layer == SILVER and item.rows_rejected > Fraction(str(share)) * item.rows_in
    ]


def require_few_rejected(stage: StageResult, share: float) -> None:
    """Raise DataRefusedError if more than `share` of the rows of a table are rejected; it names three rules a table."""
    found = []
    for item in many_rejected(stage, share):
        most_frequent = sorted(item.rejected.items(), key=lambda rule: (-rule[1], rule[0]))[:3]
        rules = ", ".join(f"{rule} {rows:,}" for rule, rows in most_frequent)
        found.append(f"{item.name}: {item.rows_rejected:,} of {item.rows_in:,} rows ({rules})")
    if found:
        message = f"too many rows are rejected: {'; '.join(found)}"
        limit = f"SHOPEASE_MAX_REJECTED allows {100 * share:g}% of a table"
        hint = "correct the source (perhaps a column has another type), or use --allow-rejects"
        raise DataRefusedError(message, hint=hint, details=(limit,))


def _lost_rows(baseline: Baseline, stage: StageResult, share: float, *, with_rejected: bool) -> Iterator[str]:
    """A phrase for each table of bronze or silver that lost too many rows; with rejected ones those are not lost."""
    for item in by_dataset(stage.datasets):
        run_id, before = baseline.rows.get(dataset_of(item.key), ("", 0))
        now = item.rows_out + (item.rows_rejected if with_rejected else 0)
        if before > 0 and item.layer in {BRONZE, SILVER} and (not now or _is_beyond(before, now, share)):
            rows = f"{counted(item.rows_out, 'row')}, {before:,} in run {_one_line(run_id)}"
            yield f"{item.layer} {item.name} has {rows}"


def _is_beyond(before: Decimal | int, now: Decimal | int, share: float) -> bool:
    """Whether more than this share of a positive amount is gone, calculated exactly: 0.1 is a tenth."""
    return Fraction(before) - Fraction(now) > Fraction(str(share)) * Fraction(before)


def _row(values: Mapping[str, str | None]) -> str:
    """A row in one line, with long values cut."""
    cut = {name: value if not value or len(value) <= 40 else f"{value[:39]}…" for name, value in values.items()}
    texts = (f"{_one_line(name)}={'NULL' if value is None else repr(value)}" for name, value in cut.items())
    return ", ".join(texts) or "there is none"


def _one_line(text: str) -> str:
    """The text with line breaks and the like escaped: names of columns and manifests may contain anything."""
    return text if text.isprintable() else repr(text)[1:-1]
