"""What a run must not do without being asked: change the source's schema or how much there is of everything, reject
most rows of a table.

Compared is with what readers see, as the manifests of the runs tell it that published it.
"""

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from shopease_etl.contract.layout import BRONZE, GOLD, LAYERS, SILVER, owns
from shopease_etl.contract.tables import TABLES, TRANSACTIONS
from shopease_etl.errors import DataRefusedError
from shopease_etl.lake.manifests import Manifest, manifests
from shopease_etl.lake.store import Store
from shopease_etl.pipeline.plan import Consent
from shopease_etl.report import DatasetResult, StageResult
from shopease_etl.source.postgres import SourceTable
from shopease_etl.wording import counted

if TYPE_CHECKING:
    from shopease_etl.pipeline.wiring import RunLimits

T = TypeVar("T")
Columns = Mapping[str, str]

REVENUE: Final = "silver_revenue"
SHOWN_CHARACTERS: Final = 40
SHOWN_RULES: Final = 3
_BRONZE_KEYS: Final = {table.source: table.bronze_key for table in TABLES}
# With an exponent it might be any number of digits.
_AMOUNT: Final = re.compile(r"-?[0-9]{1,36}(?:\.[0-9]{1,4})?")
_DRIFT_HINT: Final = "go on with --accept-drift"
_REJECTS_HINT: Final = "correct the source (a column of another type looks like this), or go on with --allow-rejects"
_SHRINK_HINT: Final = "go on with --allow-shrink, or, where no table is empty, raise SHOPEASE_MAX_SHRINK"


@dataclass(frozen=True)
class Known(Generic[T]):
    """What a run recorded."""

    run_id: str
    value: T


@dataclass(frozen=True)
class Previous:
    """Each thing as the latest run that published it recorded it.

    Columns with their types by source table, rows by key, the revenue of silver.
    """

    columns: Mapping[str, Known[Columns]] = field(default_factory=dict)
    rows: Mapping[str, Known[int]] = field(default_factory=dict)
    revenue: Known[Decimal] | None = None

    @property
    def run_ids(self) -> set[str]:
        """The runs that recorded any of it."""
        known = {item.run_id for item in self.columns.values()} | {item.run_id for item in self.rows.values()}
        return known | ({self.revenue.run_id} if self.revenue else set())


@dataclass(frozen=True)
class Drift:
    """How a source table differs from what a run recorded of it; `retyped` has the type before and the one now."""

    table: str
    run_id: str
    added: Columns
    gone: Columns
    retyped: Mapping[str, tuple[str, str]]

    def changes(self) -> tuple[str, ...]:
        """One phrase for each column."""
        return (
            *(_one_line(f"{name} {kind} added") for name, kind in self.added.items()),
            *(_one_line(f"{name} {kind} gone") for name, kind in self.gone.items()),
            *(_one_line(f"{name} {before} is {now} now") for name, (before, now) in self.retyped.items()),
        )


def previous(store: Store, *, without: Collection[str] = ()) -> Previous:
    """What was recorded of the objects that readers see; a manifest that cannot be understood claims nothing.

    Runs whose ids are in `without` are passed over, as if they were rolled back.
    """
    keys = {item.key for layer in LAYERS for item in store.list(f"{layer}/") if owns(item.key)}
    sources = {name for name, key in _BRONZE_KEYS.items() if key in keys}
    columns: dict[str, Known[Columns]] = {}
    rows: dict[str, Known[int]] = {}
    revenue = None
    for manifest in (found for found in manifests(store) if found.run.run_id not in without):
        found = _recorded(manifest, keys)
        columns, rows = {**found.columns, **columns}, {**found.rows, **rows}
        revenue = revenue or found.revenue
        if keys <= rows.keys() and sources <= columns.keys() and (revenue or not _has_gold(keys)):
            break
    return Previous(columns, rows, revenue)


def _recorded(manifest: Manifest, keys: Collection[str]) -> Previous:
    """What one run says of those objects that it published; what it says of others was never accepted."""
    run_id = manifest.run.run_id
    seen = {key: found.rows for key, found in manifest.recorded.items() if key in keys}
    columns = {name: found for name, found in _columns(manifest.document) if _BRONZE_KEYS.get(name) in seen}
    revenue = _revenue(manifest.document) if _has_gold(seen) else None
    return Previous(
        {name: Known(run_id, found) for name, found in columns.items()},
        {key: Known(run_id, rows) for key, rows in seen.items()},
        None if revenue is None else Known(run_id, revenue),
    )


def _has_gold(keys: Collection[str]) -> bool:
    return any(key.startswith(f"{GOLD}/") for key in keys)


def _columns(document: Mapping[str, Any]) -> Iterator[tuple[str, Columns]]:
    source = document.get("source")
    tables = source.get("columns") if isinstance(source, dict) else None
    for name, found in tables.items() if isinstance(tables, dict) else ():
        if isinstance(found, dict) and all(isinstance(kind, str) for kind in found.values()):
            yield name, found


def _revenue(document: Mapping[str, Any]) -> Decimal | None:
    sums = document.get("reconciliation")
    text = str(sums.get(REVENUE)) if isinstance(sums, dict) else ""
    return Decimal(text) if _AMOUNT.fullmatch(text) else None


def drift(before: Previous, sources: Mapping[str, SourceTable]) -> tuple[Drift, ...]:
    """The source tables whose columns or types are not those recorded; their order is no matter."""
    found = (
        _difference(table, before.columns[table.name]) for table in sources.values() if table.name in before.columns
    )
    return tuple(item for item in found if item.added or item.gone or item.retyped)


def _difference(table: SourceTable, known: Known[Columns]) -> Drift:
    now, before = dict(zip(table.columns, table.types, strict=True)), known.value
    return Drift(
        table.name,
        known.run_id,
        added={name: kind for name, kind in now.items() if name not in before},
        gone={name: kind for name, kind in before.items() if name not in now},
        retyped={name: (before[name], kind) for name, kind in now.items() if before.get(name, kind) != kind},
    )


def require_no_drift(
    before: Previous,
    sources: Mapping[str, SourceTable],
    sample: Callable[[SourceTable], Mapping[str, str | None]],
) -> None:
    """Raise DataRefusedError if the source's schema is not the recorded one; `sample` gives one row of a table."""
    if not (found := drift(before, sources)):
        return
    changes = "; ".join(f"{item.table}: column {'; '.join(item.changes())}" for item in found)
    details = tuple(f"{item.table}, a row: {_row(sample(sources[item.table]))}" for item in found)
    message = f"the source's schema has changed since run {_runs({item.run_id for item in found})}: {changes}"
    raise DataRefusedError(message, hint=_DRIFT_HINT, details=details)


def require_consent(
    before: Previous,
    stage: StageResult,
    stages: Sequence[StageResult],
    overrides: Consent,
    limits: "RunLimits",
) -> None:
    """Raise DataRefusedError if one of a run's `stages` rejects or loses more than may be, and that is not allowed."""
    if not overrides.to_rejects:
        require_few_rejected(stage, limits.rejected)
    if not overrides.to_shrink:
        rejected = [item for each in stages for item in many_rejected(each, limits.rejected)]
        require_no_shrink(before, stage, limits.shrink, allowed=rejected if overrides.to_rejects else None)


def require_no_shrink(
    before: Previous, stage: StageResult, share: float, *, allowed: Collection[DatasetResult] | None = None
) -> None:
    """Raise DataRefusedError if a table is empty that was not, or if more than `share` of rows or revenue is gone.

    Where rejects are allowed, `allowed` are the run's tables with `many_rejected`: rejected rows are not lost ones
    then, and no revenue is missed where they are sales, for it is not known what they were worth.
    """
    lost = [*_lost_rows(before, stage, share, with_rejected=allowed is not None)]
    if TRANSACTIONS.name not in {item.name for item in allowed or ()}:
        lost += _lost_revenue(before, stage, share)
    if lost:
        message = f"much less is there than before: {'; '.join(lost)}"
        limit = f"SHOPEASE_MAX_SHRINK lets {100 * share:g}% go from one run to the next, and no table to its last row"
        raise DataRefusedError(message, hint=_SHRINK_HINT, details=(limit,))


def many_rejected(stage: StageResult, share: float) -> list[DatasetResult]:
    """The tables of silver of which more than `share` of the rows are rejected."""
    return [
        item
        for item in stage.datasets
        if item.layer == SILVER and item.rows_rejected > Fraction(str(share)) * item.rows_in
    ]


def require_few_rejected(stage: StageResult, share: float) -> None:
    """Raise DataRefusedError if more than `share` of the rows of a table are rejected."""
    found = [
        f"{item.name}: {item.rows_rejected:,} of {item.rows_in:,} rows ({_frequent(item.rejected)})"
        for item in many_rejected(stage, share)
    ]
    if found:
        message = f"too many rows are rejected: {'; '.join(found)}"
        allowed = f"SHOPEASE_MAX_REJECTED allows {100 * share:g}% of a table"
        raise DataRefusedError(message, hint=_REJECTS_HINT, details=(allowed,))


def _frequent(rejected: Mapping[str, int]) -> str:
    """The most frequent rules with their rows."""
    ordered = sorted(rejected.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{rule} {rows:,}" for rule, rows in ordered[:SHOWN_RULES])


def _lost_rows(before: Previous, stage: StageResult, share: float, *, with_rejected: bool) -> Iterator[str]:
    for item in stage.datasets:
        known = before.rows.get(item.key)
        if known is None or known.value <= 0 or item.layer not in {BRONZE, SILVER}:
            continue
        rows_there = item.rows_out + (item.rows_rejected if with_rejected else 0)
        if not rows_there or _is_beyond(known.value, rows_there, share):
            rows = f"{counted(item.rows_out, 'row')}, {known.value:,} in run {_one_line(known.run_id)}"
            yield f"{item.layer} {item.name} has {rows}"


def _lost_revenue(before: Previous, stage: StageResult, share: float) -> Iterator[str]:
    now = stage.reconciliation.get(REVENUE)
    if before.revenue is None or before.revenue.value <= 0 or not isinstance(now, Decimal | int):
        return
    if _is_beyond(before.revenue.value, now, share):
        yield f"revenue is {now:,}, {before.revenue.value:,} in run {_one_line(before.revenue.run_id)}"


def _is_beyond(before: Decimal | int, now: Decimal | int, share: float) -> bool:
    """Whether more than this share of a positive amount is gone, reckoned exactly: 0.1 is a tenth."""
    return Fraction(before) - Fraction(now) > Fraction(str(share)) * Fraction(before)


def _runs(run_ids: set[str]) -> str:
    return ", ".join(_one_line(run_id) for run_id in sorted(run_ids))


def _row(values: Mapping[str, str | None]) -> str:
    shown = (f"{_one_line(name)}={'NULL' if value is None else _shortened(value)}" for name, value in values.items())
    return ", ".join(shown) or "there is none"


def _shortened(value: str) -> str:
    return repr(value if len(value) <= SHOWN_CHARACTERS else value[: SHOWN_CHARACTERS - 1] + "…")


def _one_line(text: str) -> str:
    """Names of columns and texts of a manifest may hold anything."""
    return text if text.isprintable() else repr(text)[1:-1]
