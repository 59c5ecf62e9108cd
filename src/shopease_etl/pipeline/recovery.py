"""The history of a lake's runs: a run that died is recorded as such, and what the settings do not keep is deleted."""

import itertools
import logging

from shopease_etl.contract.tables import RUNS
from shopease_etl.errors import UnreachableError
from shopease_etl.lake import generations as rollback
from shopease_etl.lake.manifests import manifests, moment_of, run_keys
from shopease_etl.lake.publish import write_manifest
from shopease_etl.lake.store import LakeStore
from shopease_etl.settings import Settings

log = logging.getLogger(__name__)

_RUNNING = "running"
DIED = "died"


def record_death(store: LakeStore) -> None:
    """Write into the manifest of the last run that it died, if it says that it is running; the lake's lock is held.

    A run writes that at its start and after each stage, and something else at its end. Earlier runs cannot say it: each
    command that takes the lock looks at the last one.
    """
    last = next(manifests(store), None)
    if last and last.run.status == _RUNNING:
        log.warning("the run %s died before it ended", last.run.run_id)
        error = "its process ended without a trace: killed, out of memory, or the machine stopped"
        write_manifest(store, {**last.document, "status": DIED, "error": error})


def prune(store: LakeStore, settings: Settings) -> None:
    """Delete former lakes and manifests beyond what the settings keep; the lake's lock is held.

    What the store does not delete stays, with a warning.
    """
    try:
        rollback.prune(store, settings.keep_generations)
        keys = [key for key in run_keys(store) if moment_of(key)]
        if old := keys[: -settings.keep_manifests]:
            needed = _needed(store, settings.keep_generations)
            store.delete([key for key in old if key not in needed])
    except UnreachableError as error:
        log.warning("old manifests or former lakes stay behind: %s", error)


def _needed(store: LakeStore, generations: int) -> set[str]:
    """The keys of manifests that record an object which readers see, or will see after that many rollbacks."""
    from shopease_etl.pipeline import guards  # psycopg comes with it, which is slow to import

    undoable = [found.run.run_id for found in itertools.islice(rollback.undoable(store), generations)]
    states = [guards.previous(store, without=undoable[:undone]) for undone in range(len(undoable) + 1)]
    recorders = itertools.chain(*(state.run_ids for state in states))
    return {f"{RUNS}/{run_id}.json" for run_id in {*undoable, *recorders}}
