"""What would stop a run at its start or at its end, found before anything is written."""

from collections.abc import Mapping

from shopease_etl import extras
from shopease_etl.contract.gold.customer_lifetime_value import CUSTOMER_LIFETIME_VALUE
from shopease_etl.contract.layout import dataset_of
from shopease_etl.errors import ConfigurationError
from shopease_etl.lake.manifests import own_objects, recorded_datasets, require_whole
from shopease_etl.lake.store import Store
from shopease_etl.pipeline import guards
from shopease_etl.pipeline.plan import NO_OVERRIDES, Overrides, Plan
from shopease_etl.pipeline.wiring import Pipeline
from shopease_etl.report import ObjectRecord
from shopease_etl.source.session import existing_snapshot, require_embedded
from shopease_etl.stages.extract import resolve


def preflight(plan: Plan, shop: Pipeline) -> None:
    """Raise what would stop a run of the plan, without connecting to the source."""
    if plan.crawlers and not shop.lake.is_on_aws:
        message = f"Glue's crawlers are for lakes on S3, and {shop.lake.location} is a folder"
        raise ConfigurationError(message, hint="without --crawlers, `shopease crawl` does all that a local lake needs")
    if shop.cluster:
        shop.cluster.check()
        if not shop.by_month:
            message = "the engine spark works on months, and this lake keeps sales in one file"
            raise ConfigurationError(message, hint="set SHOPEASE_PARTITIONS=month, or SHOPEASE_ENGINE=local")
    for listener in shop.listeners:
        listener.check()
    if "aggregate" in plan.stages and CUSTOMER_LIFETIME_VALUE in plan.datasets:
        extras.require("clv", CUSTOMER_LIFETIME_VALUE.name, otherwise="set SHOPEASE_CLV=off")
    if "extract" in plan.stages:
        require_embedded(shop.source)
    shop.lake.check()
    shop.lake.check_targets(plan.keys)
    if "crawl" in plan.stages:
        shop.warehouse().check()
    if plan.crawlers:
        shop.crawlers().check()


def check_plan(plan: Plan, shop: Pipeline, overrides: Overrides = NO_OVERRIDES) -> None:
    """Raise what a run of the plan would raise at its start: settings, connections, tables and columns, drift."""
    preflight(plan, shop)
    if "extract" in plan.stages:
        with existing_snapshot(shop.source) as snapshot:
            sources = resolve(snapshot, plan.tables)
            if not overrides.accept_drift:
                guards.require_no_drift(guards.read_baseline(shop.lake), sources, snapshot.sample_row)
            for table in plan.tables if shop.by_month else ():
                if table.month_column and table.source in sources:
                    snapshot.month_table(sources[table.source], table.month_column, ())
    else:
        recorded = recorded_datasets(shop.lake)
        optional = {table.bronze_key for table in plan.tables if not table.required}
        for key in (key for step in plan.steps() if step.stage == plan.stages[0] for key in step.reads):
            if key not in optional or shop.lake.find(key):
                for file in _files(key, shop.lake, recorded):
                    require_whole(shop.lake, file, recorded)


def _files(key: str, lake: Store, recorded: Mapping[str, ObjectRecord]) -> list[str]:
    """The keys of all files of an object's dataset: those recorded, or else those that are there, or else its own."""
    folder = dataset_of(key)
    files = [known for known in recorded if dataset_of(known) == folder]
    return files or [item.key for item in own_objects(lake, [folder])] or [key]
