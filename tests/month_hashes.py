"""A lake by month on S3, and what lies in it, to compare it with another."""

import hashlib
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

from commands import execute
from shopease_etl.contract.layout import RUNS
from shopease_etl.pipeline import plan
from shopease_etl.pipeline.run import run
from shopease_etl.pipeline.wiring import ClusterFactory, Pipeline
from shopease_etl.report import RunResult
from shopease_etl.settings import load

SALES = "sale_transactions"
_RUN_ID = re.compile(rb"\d{8}T\d{6}\.\d{6}Z-[0-9a-f]{4}")
_OWN = {"run_id", "verified_by", "seconds"}
# Later than all of the sample's, and earlier.
LATER, EARLIER = "2030-01-01", "2001-01-01"


def monthly_shop(
    url: str, folder: Path, bucket: str, cluster: ClusterFactory | None = None, *, place: str = ""
) -> Pipeline:
    """A pipeline to a lake of its own on S3, by month."""
    place = place or ("cluster" if cluster else "local")
    settings = load(database_url=url, lake=f"s3://{bucket}/{place}", home=folder / "home", partitions="month")
    return replace(Pipeline.from_settings(settings), cluster=cluster)


def run_all(shop: Pipeline, *, full: bool = False) -> RunResult:
    overrides = plan.Overrides(accept_drift=True, allow_shrink=True, allow_rejects=True)
    return run(plan.plan_all(skip_crawl=True, full=full), shop, overrides=overrides)


def hashes(shop: Pipeline) -> dict[str, str]:
    """The hash of every object but manifests, by key; quarantine without the run's id."""
    found = {}
    for item in shop.lake.list(""):
        if not item.key.startswith(f"{RUNS}/"):
            data = _RUN_ID.sub(b"RUN", shop.lake.read(item.key))
            found[item.key] = hashlib.sha256(data).hexdigest()
    return found


def entries(result: RunResult) -> list[dict[str, Any]]:
    """What the manifest says of each file, but for what is each run's own; hashes of quarantine have the run's id."""
    found = []
    for stage in result.stages:
        for item in stage.datasets:
            known = {name: value for name, value in vars(item).items() if name not in _OWN}
            known["is_carried"] = item.run_id is not None
            found.append(known | ({"sha256": ""} if item.layer == "quarantine" else {}))
    return sorted(found, key=lambda entry: str(entry["key"]))


def add_rivals(url: str, moment: str, months: int, rows: str) -> None:
    """Copies of some sales with other prices, so many months later, changed at a moment: they share keys."""
    execute(
        url,
        f"CREATE TEMP TABLE more AS SELECT * FROM {SALES} WHERE {rows};"
        f"UPDATE more SET created_at = created_at + interval '{months} months', updated_at = '{moment}',"
        f" unit_price = unit_price + 1; INSERT INTO {SALES} SELECT * FROM more; DROP TABLE more",
    )
