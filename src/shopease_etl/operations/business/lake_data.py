"""Reads what the report is made from: gold's Parquet files and the manifests of one and the same state of the lake."""

import io
import logging
import time
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from shopease_etl.contract import layout
from shopease_etl.errors import DataRefusedError, ShopeaseError
from shopease_etl.lake.manifests import Manifest, manifests, missing_objects, newer_datasets, own_objects
from shopease_etl.lake.publish import unfinished_publications
from shopease_etl.lake.store import Store
from shopease_etl.report import ObjectRecord

if TYPE_CHECKING:
    import polars as pl

log = logging.getLogger(__name__)

DATASETS: Final = (
    "daily_sales_summary",
    "monthly_product_sales",
    "monthly_channel_sales",
    "store_performance",
    "inventory_status",
    "customer_analytics",
    "cohort_retention",
    "customer_lifetime_value",
)
RUNS: Final = 30  # the last runs that the report shows
_TRIES: Final = 5
_PAUSE_SECONDS: Final = 0.5


@dataclass(frozen=True)
class LakeData:
    """The gold files by dataset, what the manifests record of all datasets by key, and the manifests
    of at least the last 30 runs, latest first."""

    location: str
    files: Mapping[str, bytes]
    recorded: Mapping[str, ObjectRecord]
    manifests: Sequence[Manifest]

    def frame(self, dataset: str, *columns: str) -> "pl.DataFrame | None":
        """These columns of a gold dataset, None if the lake does not have it.

        Raises:
            DataRefusedError: the file is not Parquet or lacks a column, as one of another version does.
        """
        import polars as pl

        if dataset not in self.files:
            return None
        try:
            return pl.read_parquet(io.BytesIO(self.files[dataset]), columns=list(columns))
        except pl.exceptions.PolarsError as error:
            message = f"the report cannot read {_key(dataset)}: {str(error).splitlines()[0]}"
            raise DataRefusedError(message, hint="run `shopease aggregate` to rebuild it") from error

    def record(self, dataset: str) -> ObjectRecord | None:
        """What is recorded of a gold dataset."""
        return self.recorded.get(_key(dataset))


def read_lake(store: Store) -> LakeData:
    """The gold files as the manifests record them.

    All files are of one state of the lake, also while a run publishes: each has the size and hash that the same set of
    manifests records. If one has not, everything is read again for some seconds. A file that no manifest records, such
    as one that was copied by hand, is taken as it is.

    Raises:
        ShopeaseError: the lake has no gold yet.
        DataRefusedError: a file is still not what its run recorded.
    """
    for last_try in (*[False] * (_TRIES - 1), True):
        there = {item.key for item in own_objects(store)}
        history, recorded = _history(store, {layout.dataset_of(key) for key in there})
        files = {name: store.read(_key(name)) for name in DATASETS if _key(name) in there}
        lost = [key for key in missing_objects(recorded, there) if key in map(_key, DATASETS)]
        wrong = lost + [_key(name) for name, data in files.items() if not _is_recorded(data, recorded.get(_key(name)))]
        if not wrong:
            return LakeData(store.location, _require_any(files, store), recorded, history)
        if not last_try:
            time.sleep(_PAUSE_SECONDS)
    raise _changed(store, wrong[0], recorded[wrong[0]])


def _history(store: Store, folders: Set[str]) -> tuple[list[Manifest], dict[str, ObjectRecord]]:
    """The manifests of the last runs, of more if the datasets in these folders need them, and what they record."""
    history: list[Manifest] = []
    recorded: dict[str, ObjectRecord] = {}
    for manifest in manifests(store):
        history.append(manifest)
        recorded = newer_datasets(manifest.recorded, recorded)
        if len(history) >= RUNS and folders <= {*map(layout.dataset_of, recorded)}:
            break
    return history, recorded


def _is_recorded(data: bytes, record: ObjectRecord | None) -> bool:
    if record is None:
        return True
    expected = record.result.sha256 if record.result else record.sha256
    return len(data) == record.bytes and expected in {None, "", sha256(data).hexdigest()}


def _require_any(files: Mapping[str, bytes], store: Store) -> Mapping[str, bytes]:
    if "daily_sales_summary" not in files:
        message = f"the lake {store.location} has no {_key('daily_sales_summary')} yet, which the report is made from"
        raise ShopeaseError(message, hint="run `shopease run-all` first")
    return files


def _changed(store: Store, key: str, record: ObjectRecord) -> DataRefusedError:
    message = f"{key} is not what the run {record.run_id} wrote"
    if publishing := unfinished_publications(store):
        message += f"; the run {', '.join(publishing)} is publishing, or died while it did"
        return DataRefusedError(message, hint="try again when it has ended, or run `shopease crawl` to finish it")
    return DataRefusedError(message, hint="run `shopease aggregate` to rebuild it")


def _key(dataset: str) -> str:
    return f"{layout.GOLD}/{dataset}/data.parquet"
