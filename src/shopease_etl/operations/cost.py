"""What the lake costs a month on AWS, at its present sizes."""

from dataclasses import dataclass

from shopease_etl.contract import layout
from shopease_etl.lake.store import Store
from shopease_etl.pipeline.costs import MIN_CHARGED_BYTES, SMALL_OBJECTS, Prices, dollars
from shopease_etl.wording import counted


@dataclass(frozen=True)
class CostLine:
    """One part of a month's cost; `basis` says from what it was calculated."""

    name: str
    basis: str
    dollars: float


@dataclass(frozen=True)
class MonthlyCost:
    """What a lake costs in a month: the parts and their sum."""

    location: str
    lines: tuple[CostLine, ...]
    dollars: float


def monthly_cost(store: Store, prices: Prices, *, runs: int, crawlers: int, crawls: int, queries: int) -> MonthlyCost:
    """Estimate a month with this many runs, crawls by each crawler, and queries that read a complete layer.

    Each run is estimated as one that writes all objects: of a lake by month, most write less. Previous versions of
    objects, which a bucket may keep for a while, are not included.
    """
    folders = (*layout.LAYERS, layout.STATE, layout.RUNS, layout.RESULTS)
    sizes = {folder: [item.bytes for item in store.list(f"{folder}/")] for folder in folders}
    lines = [
        CostLine(f"storage {folder}", f"{sum(found) / 1e6:,.1f} MB", prices.storage(sum(found)))
        for folder, found in sizes.items()
        if found or folder != layout.STATE
    ]
    written = [size for folder in (*layout.LAYERS, layout.STATE) for size in sizes[folder]]
    basis = f"{counted(len(written) + SMALL_OBJECTS, 'object')}, {counted(runs, 'run')}"
    lines.append(CostLine("uploads", basis, runs * prices.uploads(written)))
    each = crawlers * prices.crawl()
    basis = f"{counted(crawls, 'crawl')} of {counted(crawlers, 'crawler')}, {dollars(each)} each time"
    lines.append(CostLine("crawlers", basis, crawls * each))
    for layer in layout.LAYERS:
        charged = max(sum(sizes[layer]), MIN_CHARGED_BYTES)
        basis = f"{counted(queries, 'query', 'queries')} of {charged / 1e6:,.1f} MB each"
        lines.append(CostLine(f"queries {layer}", basis, queries * prices.scan(charged)))
    return MonthlyCost(store.location, tuple(lines), sum(line.dollars for line in lines))
