"""What needs the lake's lock besides runs: finishing what a dead run began, and cleaning up."""

import logging
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from hashlib import sha256
from pathlib import Path
from random import SystemRandom
from typing import TYPE_CHECKING, Final, TypeVar, cast
from uuid import uuid4

from shopease_etl.contract import tables
from shopease_etl.errors import ConfigurationError, LakeLockedError, UnreachableError
from shopease_etl.lake.cleanup import (
    Garbage,
    OrphanedUploads,
    abort_uploads,
    delete_objects,
    is_own,
    orphaned_uploads,
    owned_objects,
)
from shopease_etl.lake.local import LocalStore
from shopease_etl.lake.lock import file as lock
from shopease_etl.lake.lock.holder import this_process
from shopease_etl.lake.publish import recover
from shopease_etl.lake.store import LakeStore, Store
from shopease_etl.pipeline import history
from shopease_etl.pipeline.wiring import lake_store
from shopease_etl.settings import Settings

if TYPE_CHECKING:
    from shopease_etl.lake.lock.lease import Lease
    from shopease_etl.lake.s3 import S3Store

log = logging.getLogger(__name__)

T = TypeVar("T")

SPOOL: Final = "spool"
FILE_PAUSE: Final = 0.2
LEASE_PAUSE: Final = 2.0


class Hold:
    """The lake's lock, held."""

    def __init__(self, lease: "Lease | None" = None) -> None:
        self._lease = lease

    def require(self) -> None:
        """Raise unless it is still held; a local lake's lock cannot be lost.

        Raises:
            LakeLockedError: another machine has taken the lake over, for this one did not answer.
            UnreachableError: S3 could not be asked for longer than the lock lasts.
        """
        if self._lease:
            self._lease.require()


@contextmanager
def holding(store: LakeStore, settings: Settings, who: str, *, wait: float = 0) -> Iterator[Hold]:
    """Hold the lake's lock, on S3 among all machines; `who` is a run's id or a command's name.

    `wait` is how many seconds to go on trying while another holds it.

    Raises:
        LakeLockedError: another run holds the lake; the message names it.
        UnreachableError: the lock cannot be made, or S3 not be asked.
    """
    token, patience = uuid4().hex, _Patience(wait)
    with ExitStack() as stack:
        path = lock_path(store, settings)
        former = patience.enter(stack, lambda: lock.held(path, who, token), FILE_PAUSE)
        if isinstance(store, LocalStore):
            yield Hold()
            return
        # boto3 is slow to import: only lakes on S3 pay
        from shopease_etl.lake.lock.lease import leased

        me, bucket = this_process(who, token), cast("S3Store", store)
        # on this machine only the file's lock tells that its holder has died
        dead = former.token if former and former.host == me.host else ""
        yield Hold(patience.enter(stack, lambda: leased(bucket, me, settings.lease_seconds, dead), LEASE_PAUSE))


class _Patience:
    """Tries again until the time is over; a person is told once what it waits for."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._until = time.monotonic() + seconds
        self._has_told = False

    def enter(self, stack: ExitStack, lock: Callable[[], AbstractContextManager[T]], pause: float) -> T:
        while True:
            try:
                return stack.enter_context(lock())
            except LakeLockedError as error:
                if time.monotonic() >= self._until:
                    raise
                self._tell(error)
            self._rest(pause)

    def _tell(self, error: LakeLockedError) -> None:
        if not self._has_told:
            log.warning("waiting up to %g s: %s", self._seconds, error)
        self._has_told = True

    def _rest(self, pause: float) -> None:
        """Wait, not always as long, lest all who wait come at once; in slices, for Ctrl-C does not end a sleep."""
        end = min(time.monotonic() + SystemRandom().uniform(pause / 2, pause), self._until)
        while (left := end - time.monotonic()) > 0:
            time.sleep(min(left, FILE_PAUSE))


def tidy(store: LakeStore, settings: Settings, *, keep_outputs: bool = False) -> None:
    """Finish or clear away what a command left that died; the lake's lock is held.

    With `keep_outputs` what the stages of a run that ended wrote stays, for a retry.
    """
    _settle(store, settings)
    if not isinstance(store, LocalStore):
        _abort_dead_uploads(store)
    if not keep_outputs:
        _delete_outputs(store, settings)


def _delete_outputs(store: LakeStore, settings: Settings) -> None:
    store.sweep()
    shutil.rmtree(private_path(store, settings, SPOOL), ignore_errors=True)


def _settle(store: LakeStore, settings: Settings) -> None:
    """Finish what dead commands had begun to publish, record the death of a run, and delete what is kept no longer."""
    if recover(store):
        _delete_outputs(store, settings)  # what else they wrote is of no use any more
    history.record_death(store)
    history.prune(store, settings)


def _abort_dead_uploads(store: LakeStore) -> None:
    """Abort every upload to the lake's own keys: all are of runs that hold the lake no more.

    One that was only suspended, and comes back, can then publish nothing.
    """
    from shopease_etl.aws import code_of

    try:
        abort_uploads(store, [upload for upload in store.unfinished_uploads() if is_own(upload.key)])
    except UnreachableError as error:
        if code_of(error.__cause__) not in {"AccessDenied", "403"}:
            raise
        log.warning("unfinished uploads of runs that died stay behind: %s", error)


def find_garbage(
    settings: Settings,
    *,
    uploads: bool,
    older_than: float,
    layers: Sequence[str],
    everything: bool,
    dry_run: bool,
    wait: float = 0,
) -> Garbage:
    """What `cleanup` was asked to delete, listed; `older_than` is in seconds.

    Unless it is a `dry_run`, what a run that died had begun to publish is finished before.

    Raises:
        ConfigurationError: nothing was asked for.
        LakeLockedError: a run holds the lake.
    """
    if not (uploads or layers or everything):
        message = "say what to clean up: --uploads, --layer NAME or --all"
        raise ConfigurationError(message, hint="--dry-run only lists it")
    store = lake_store(settings)
    store.check()
    if not dry_run:
        with holding(store, settings, "cleanup", wait=wait):
            _settle(store, settings)
    orphans = orphaned_uploads(store, older_than=older_than) if uploads else OrphanedUploads((), 0, 0)
    chosen = tables.LAYERS if everything else layers
    return Garbage(store.location, orphans, owned_objects(store, chosen, everything=everything))


def delete_garbage(settings: Settings, garbage: Garbage, *, wait: float = 0) -> None:
    """Delete what was listed, and what dead runs left half written, while no run has the lake.

    Raises:
        LakeLockedError: a run holds the lake.
    """
    store = lake_store(settings)
    with holding(store, settings, "cleanup", wait=wait) as hold:
        tidy(store, settings)
        abort_uploads(store, garbage.uploads.uploads)
        hold.require()
        delete_objects(store, garbage.datasets.objects)


def lock_path(store: Store, settings: Settings) -> Path:
    """In a local lake itself; for a lake elsewhere in the home, where it parts the runs of this machine."""
    if isinstance(store, LocalStore):
        return store.root / tables.RUNS / ".lock"
    return private_path(store, settings, "locks").with_suffix(".lock")


def private_path(store: Store, settings: Settings, folder: str) -> Path:
    """The lake's own path in a folder of the home."""
    return settings.home / folder / sha256(store.location.encode()).hexdigest()[:16]
