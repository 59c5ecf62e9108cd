"""The lake as it is now: its datasets and its last runs."""

import itertools
import logging
from collections.abc import Iterator

from shopease_etl import lake, tables
from shopease_etl.results import DatasetStatus, LakeStatus
from shopease_etl.storage import Store

log = logging.getLogger(__name__)


def status(store: Store, *, runs: int = 10) -> LakeStatus:
    """Look at what is in the lake and what the last `runs` manifests tell of it."""
    for item in store.list(f"{tables.RUNS}/"):
        if item.key.startswith(tables.JOURNAL):
            run_id = item.key.removeprefix(tables.JOURNAL)
            log.warning(
                "the run %s is publishing, or died at it: then the next run, clean or crawl finishes it", run_id
            )
    summaries = tuple(manifest.run for manifest in itertools.islice(lake.manifests(store), runs))
    return LakeStatus(store.location, tuple(_datasets(store)), summaries)


def _datasets(store: Store) -> Iterator[DatasetStatus]:
    recorded = lake.recorded_datasets(store)
    for layer in tables.LAYERS:
        for item in store.list(f"{layer}/"):
            known = recorded.get(item.key)
            if known and known.bytes != item.bytes:
                known = None
            yield DatasetStatus(
                layer=layer,
                name=item.key.split("/")[1],
                key=item.key,
                rows=known.rows if known else None,
                rejected=known.rejected if known else None,
                bytes=item.bytes,
                modified=item.modified,
                run_id=known.run_id if known else None,
            )
