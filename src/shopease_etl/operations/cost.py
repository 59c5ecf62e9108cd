"""What the lake costs a month on AWS, at the sizes that it has now."""

from shopease_etl.contract import layout
from shopease_etl.lake.store import Store
from shopease_etl.pipeline.costs import MonthlyCost, Prices, monthly

_FOLDERS = (*layout.LAYERS, layout.RUNS, layout.RESULTS)


def cost(store: Store, prices: Prices, *, runs: int, crawlers: int, crawls: int, queries: int) -> MonthlyCost:
    """Reckon a month of the lake with so many runs, crawls, and queries of each layer.

    Former versions of objects, which a bucket may keep for a while, are not in it.
    """
    sizes = {folder: tuple(item.bytes for item in store.list(f"{folder}/")) for folder in _FOLDERS}
    return monthly(
        store.location,
        sizes,
        prices,
        layers=layout.LAYERS,
        runs=runs,
        crawlers=crawlers,
        crawls=crawls,
        queries=queries,
    )
