"""The lake's objects, all of them read: are they as their runs recorded them."""

from collections.abc import Iterator, Mapping, Sequence, Set

from shopease_etl.contract import layout
from shopease_etl.errors import DataRefusedError, ShopeaseError
from shopease_etl.lake.manifests import (
    missing_objects,
    own_objects,
    recorded_datasets,
    require_unchanged,
    rerun_hint,
)
from shopease_etl.lake.publish import unfinished_publications
from shopease_etl.lake.store import Store
from shopease_etl.operations.check.lines import CheckLine, failure, warning
from shopease_etl.progress import Progress
from shopease_etl.report import ObjectRecord
from shopease_etl.wording import counted


def lake_contents(store: Store, progress: Progress) -> Iterator[CheckLine]:
    """A failure for each object that is missing, unlisted, unreadable or not of its recorded SHA-256; then a summary.

    The progress reports one task, `verify`, in bytes.
    """
    try:
        recorded = recorded_datasets(store, {*map(layout.dataset_of, layout.all_keys())})
        found = own_objects(store)
    except ShopeaseError as error:
        yield failure("lake contents", error)
        return
    if not unfinished_publications(store):  # a rollback deletes objects before its manifest says so
        yield from _missing(store, recorded, {item.key for item in found})
        yield from _unlisted(store, recorded, [item.key for item in found])
    progress.start("verify", sum(item.bytes for item in found))
    hashed = [item for item in found if (entry := recorded.get(item.key)) and entry.sha256]
    unchanged = 0
    for item in hashed:
        try:
            require_unchanged(store, item.key, recorded[item.key])
            unchanged += 1
        except ShopeaseError as error:
            if unfinished_publications(store):
                yield warning("lake contents", "a run is publishing now", "check again when it has finished")
                return
            yield failure(f"object {item.key}", error)
        progress.advance("verify", size=item.bytes)
    progress.finish("verify", f"{unchanged} objects")
    unhashed = len(found) - len(hashed)
    detail = f"{unchanged} of {len(found)} objects are as their runs wrote them"
    yield CheckLine("lake contents", detail + (f"; {unhashed} have no recorded hash" if unhashed else ""))


def _unlisted(store: Store, recorded: Mapping[str, ObjectRecord], present: Sequence[str]) -> Iterator[CheckLine]:
    """A failure for each file that is not one of its dataset, such as a month that a run has deleted."""
    last = {layout.dataset_of(key): record.run_id for key, record in recorded.items()}
    for key in (key for key in present if key not in recorded):
        if run_id := last.get(layout.dataset_of(key)):
            message = f"{store.uri(key)} is not one of the files that the run {run_id} left, but queries read it"
            yield failure(f"object {key}", DataRefusedError(message, hint=rerun_hint(key)))


def _missing(store: Store, recorded: Mapping[str, ObjectRecord], present: Set[str]) -> Iterator[CheckLine]:
    """A failure for each missing object, and a warning for each layer that has none left, as after `cleanup`."""
    for key, record in missing_objects(recorded, present).items():
        message = f"{store.uri(key)}, which the run {record.run_id} wrote, is missing"
        yield failure(f"object {key}", DataRefusedError(message, hint=rerun_hint(key)))
    for layer in layout.LAYERS:
        keys = [key for key in recorded if key.startswith(f"{layer}/")]
        if keys and not any(key.startswith(f"{layer}/") for key in present):
            detail = f"it is empty, but run {recorded[keys[0]].run_id} wrote {counted(len(keys), 'object')}"
            yield warning(f"layer {layer}", detail, f"unless `shopease cleanup` emptied it, {rerun_hint(keys[0])}")
