"""A run's rows and sums side by side, for its manifest."""

from collections.abc import Mapping, Sequence

from shopease_etl.contract import layout
from shopease_etl.report import DatasetResult, StageResult, by_dataset


def reconciled(stages: Sequence[StageResult], verified: Mapping[str, object]) -> dict[str, object]:
    """The sums of revenue and sales, each table's rows from COPY to silver and quarantine, and what was read again."""
    by_name = {stage.name: stage for stage in stages}
    rows: dict[str, dict[str, int]] = {}
    for stage in (by_name[name] for name in ("extract", "clean") if name in by_name):
        for item in by_dataset(stage.datasets):
            rows.setdefault(item.name, {}).update(_row_counts(item))
    sums = dict(by_name["aggregate"].reconciliation) if "aggregate" in by_name else {}
    agrees = all(_rows_agree(counts) for counts in rows.values()) and sums.get("agrees", True)
    return {"rows": rows, **sums, **verified, "agrees": agrees} if rows or sums else {}


def _row_counts(item: DatasetResult) -> dict[str, int]:
    if item.layer == layout.BRONZE:
        return {"source": item.rows_in, "bronze": item.rows_out}
    if item.layer == layout.SILVER:
        return {"bronze": item.rows_in, "silver": item.rows_out}
    return {"quarantine": item.rows_out}


def _rows_agree(counts: dict[str, int]) -> bool:
    same_source = counts.get("source", counts["bronze"]) == counts["bronze"]
    return same_source and ("silver" not in counts or counts["bronze"] == counts["silver"] + counts["quarantine"])
