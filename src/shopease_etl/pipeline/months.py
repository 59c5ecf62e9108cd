"""What an extract by month needs of the last one: its watermark, its files, and whether all months are due again."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from shopease_etl.contract.layout import BRONZE, dataset_of, month_of
from shopease_etl.contract.tables import TRANSACTIONS
from shopease_etl.lake.manifests import manifests
from shopease_etl.pipeline.wiring import Pipeline
from shopease_etl.report import StageResult
from shopease_etl.stages.extract import ByMonth
from shopease_etl.wording import counted

_FULL_AT: Final = "full_at"
_DATASET: Final = f"{BRONZE}/{TRANSACTIONS.name}"


def former_months(shop: Pipeline, *, full: str | None) -> ByMonth | None:
    """What the last published extract of sales recorded; None if sales are not kept by month.

    `full` is a reason to copy all months; another is that the last full copy is `full_every` days old.
    """
    if not shop.by_month:
        return None
    last = next((found for found in manifests(shop.lake) if _DATASET in map(dataset_of, found.recorded)), None)
    if last is None:
        return ByMonth(None, {}, full)
    files = {
        month: replace(record.result, run_id=record.run_id, seconds=None)
        for key, record in last.recorded.items()
        if dataset_of(key) == _DATASET and record.result and (month := month_of(key))
    }
    watermark = next((stage.get("watermark") for stage in last.document["stages"] if stage["name"] == "extract"), None)
    return ByMonth(watermark, files, full or _overdue(watermark or {}, shop.full_every))


def _overdue(watermark: Mapping[str, Any], days: float) -> str | None:
    """Why all months are due again: the last full copy is too old, or its time is not known."""
    try:
        age = datetime.now(UTC) - datetime.fromisoformat(watermark[_FULL_AT])
    except (LookupError, TypeError, ValueError):
        return None  # then the watermark is not valid for the extract either
    if age < timedelta(days=days):
        return None
    return f"the last full copy is {counted(age.days, 'day')} old (SHOPEASE_FULL_EVERY)"


def dated(result: StageResult, former: ByMonth | None) -> StageResult:
    """The result of an extract with the time of the last full copy in its watermark."""
    if result.watermark is None:
        return result
    last = (former.watermark if former and not result.full else None) or {}
    at = last.get(_FULL_AT) or datetime.now(UTC).isoformat(timespec="seconds")
    return replace(result, watermark={**result.watermark, _FULL_AT: at})
