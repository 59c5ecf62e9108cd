"""The lake's objects, read whole: are they what their runs recorded."""

from collections.abc import Iterator

from shopease_etl.contract import tables
from shopease_etl.errors import ShopeaseError
from shopease_etl.lake.manifests import recorded_datasets, require_unchanged
from shopease_etl.lake.publish import publishing
from shopease_etl.lake.store import Store
from shopease_etl.operations.check.lines import failed, warned
from shopease_etl.progress import Progress
from shopease_etl.report import CheckLine

_TASK = "verify"


def contents(store: Store, progress: Progress) -> Iterator[CheckLine]:
    """A line for each object whose SHA-256 is not the recorded one or that cannot be read, and one on all of them."""
    try:
        recorded = recorded_datasets(store)
        found = [item for layer in tables.LAYERS for item in store.list(f"{layer}/") if item.key in tables.KEYS]
    except ShopeaseError as error:
        yield failed("lake contents", error)
        return
    progress.start(_TASK, sum(item.bytes for item in found))
    verified = [item for item in found if (entry := recorded.get(item.key)) and entry.sha256]
    count = 0
    for item in verified:
        try:
            require_unchanged(store, item.key, recorded[item.key])
            count += 1
        except ShopeaseError as error:
            if publishing(store):
                yield warned("lake contents", "a run is publishing now", "check again when it has finished")
                return
            yield failed(f"object {item.key}", error)
        progress.advance(_TASK, size=item.bytes)
    progress.finish(_TASK, f"{count} objects")
    rest = len(found) - len(verified)
    told = f"{count} of {len(found)} objects are what their runs wrote"
    yield CheckLine("lake contents", told + (f"; for {rest} no hash is recorded" if rest else ""))
