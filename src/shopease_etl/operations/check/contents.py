"""The lake's objects, read whole: are they what their runs recorded."""

from collections.abc import Iterator, Mapping, Set

from shopease_etl.contract import layout
from shopease_etl.errors import DataRefusedError, ShopeaseError
from shopease_etl.lake.manifests import lost, recorded_datasets, remake, require_unchanged
from shopease_etl.lake.publish import publishing
from shopease_etl.lake.store import Store
from shopease_etl.operations.check.lines import failed, warned
from shopease_etl.progress import Progress
from shopease_etl.report import CheckLine, Recorded
from shopease_etl.wording import counted

_TASK = "verify"


def contents(store: Store, progress: Progress) -> Iterator[CheckLine]:
    """A line for each object that is missing, cannot be read or has another SHA-256 than recorded, and one on all."""
    try:
        recorded = recorded_datasets(store, layout.all_keys())
        found = [item for layer in layout.LAYERS for item in store.list(f"{layer}/") if layout.owns(item.key)]
    except ShopeaseError as error:
        yield failed("lake contents", error)
        return
    if not publishing(store):  # a rollback that is under way deletes before it tells it
        yield from _missing(store, recorded, {item.key for item in found})
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


def _missing(store: Store, recorded: Mapping[str, Recorded], there: Set[str]) -> Iterator[CheckLine]:
    """A failure for each object that is missing, and a warning for a layer that has none, as after `cleanup`."""
    for key, known in lost(recorded, there).items():
        message = f"{store.uri(key)}, which the run {known.run_id} wrote, is missing"
        yield failed(f"object {key}", DataRefusedError(message, hint=remake(key)))
    for layer in layout.LAYERS:
        keys = [key for key in recorded if key.startswith(f"{layer}/")]
        if keys and not any(key.startswith(f"{layer}/") for key in there):
            told = f"it is empty, and {recorded[keys[0]].run_id} wrote {counted(len(keys), 'object')}"
            yield warned(f"layer {layer}", told, f"if it was not emptied by `shopease cleanup`, {remake(keys[0])}")
