"""What a command does first under the lake's lock: finish what dead commands began, and delete what is old."""

import itertools
import logging
import shutil

from shopease_etl.contract.layout import RUNS
from shopease_etl.errors import UnreachableError
from shopease_etl.lake import generations, publish
from shopease_etl.lake.manifests import manifests, run_keys, time_of_run
from shopease_etl.lake.store import LakeStore
from shopease_etl.pipeline.wiring import Pipeline, Retention
from shopease_etl.report import Status

log = logging.getLogger(__name__)


def recover(shop: Pipeline, *, keep_outputs: bool = False) -> None:
    """Finish what dead commands began to publish, and delete what else they left; call it under the lake's lock.

    `keep_outputs` keeps what the stages of an ended run wrote, for a retry.
    """
    finish(shop)
    shop.lake.abort_stale_uploads()
    if not keep_outputs:
        _sweep(shop)


def finish(shop: Pipeline) -> None:
    """Finish what dead commands began to publish, record the death of a run, and delete what is no longer kept."""
    if publish.recover(shop.lake):
        _sweep(shop)  # what else they wrote is of no use any more
    record_death(shop.lake)
    prune(shop.lake, shop.retention)


def _sweep(shop: Pipeline) -> None:
    shop.lake.sweep()
    shutil.rmtree(shop.spool, ignore_errors=True)


def record_death(lake: LakeStore) -> None:
    """Record in the last run's manifest that it died, if it says that it is running; call it under the lake's lock.

    A run is recorded as running until its end. Earlier runs need no check: each command that takes the lock checks the
    last one.
    """
    last = next(manifests(lake), None)
    if last and last.run.status == Status.RUNNING:
        log.warning("the run %s died before it ended", last.run.run_id)
        error = "its process ended without a trace: killed, out of memory, or the machine stopped"
        publish.write_manifest(lake, {**last.document, "status": Status.DIED, "error": error})


def prune(lake: LakeStore, retention: Retention) -> None:
    """Delete the former lakes and manifests that are too many; call it under the lake's lock.

    What the store does not delete stays, with a warning.
    """
    try:
        generations.prune(lake, retention.generations)
        keys = [key for key in run_keys(lake) if time_of_run(key)]
        if old := keys[: -retention.manifests]:
            needed = _needed(lake, retention.generations)
            lake.delete([key for key in old if key not in needed])
    except UnreachableError as error:
        log.warning("old manifests or former lakes stay behind: %s", error)


def _needed(lake: LakeStore, count: int) -> set[str]:
    """The keys of manifests that record an object which readers see, or will see after that many rollbacks."""
    from shopease_etl.pipeline import guards  # psycopg comes with it, which is slow to import

    undoable = [found.run.run_id for found in itertools.islice(generations.undoable(lake), count)]
    states = [guards.read_baseline(lake, without=undoable[:undone]) for undone in range(len(undoable) + 1)]
    recorders = itertools.chain(*(state.run_ids for state in states))
    return {f"{RUNS}/{run_id}.json" for run_id in {*undoable, *recorders}}
