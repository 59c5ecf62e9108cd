"""Who holds a lake on S3 among all machines: an object that its holder renews, and that runs out when he is gone.

Only the server's clock tells how old a lease is. Every change is a conditional request, so that of several who try one
succeeds. A refusal is never taken for the truth: the answer to a request that was done may have been lost, so the
object is read, and its token tells whose it is.
"""

import json
import logging
import math
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from typing import Final

from shopease_etl import cancel
from shopease_etl.contract.layout import LEASE
from shopease_etl.errors import LakeLockedError, ShopeaseError, UnreachableError
from shopease_etl.lake.lock.holder import LOCKED_HINT, Holder, LockStatus, holder_in
from shopease_etl.lake.lock.lease_store import LeaseStore, TaggedObject

log = logging.getLogger(__name__)

VERSION: Final = 1
RENEWALS: Final = 3  # in the time that a lease lasts
SLACK: Final = 2.0  # seconds: both of the server's times are cut to whole ones
TRIES: Final = 10
_PAUSE: Final = 0.1
_LEAST_TIMEOUT: Final = 3.0
_LOST_HINT: Final = "run it again when the other has ended"


@contextmanager
def leased(store: LeaseStore, holder: Holder, seconds: float, dead: str = "") -> Iterator["Lease"]:
    """Hold the lake's lease for as long as the block lasts.

    `seconds` is how long it lasts when it is not renewed any more, `dead` the token of a holder that is known to have
    died: its lease is taken over at once.

    Raises:
        LakeLockedError: another holds it; the message names it.
        UnreachableError: S3 cannot be asked.
    """
    lease = Lease(store, holder, seconds)
    try:
        lease.take(dead)
        yield lease
    finally:
        lease.give_back()


def status(store: LeaseStore) -> LockStatus | None:
    """Who holds the lease, looked up without taking it; None where nobody does, or it cannot be read.

    Raises:
        UnreachableError: the store cannot be asked.
    """
    there = store.tagged(LEASE)
    document = _parsed(there.body) if there else None
    holder, seconds = holder_in(document), document.get("seconds") if isinstance(document, dict) else None
    if there is None or holder is None or not isinstance(seconds, int | float) or not seconds:
        return None
    return LockStatus(holder, there.age <= seconds + SLACK)


def _parsed(body: bytes) -> object:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


@dataclass(frozen=True)
class _Found:
    """The lease that is there; without `holder` it is none that this version reads."""

    etag: str
    age: float
    seconds: float
    holder: Holder | None

    @property
    def is_over(self) -> bool:
        """Whether anybody may take it; one that lasts no time was given back."""
        return not self.seconds or self.age > self.seconds + SLACK

    @property
    def left(self) -> int:
        """The seconds until it is over."""
        return max(0, math.ceil(self.seconds + SLACK - self.age)) + 1

    def is_of(self, *tokens: str) -> bool:
        """Whether it is the lease of one of these."""
        return self.holder is not None and self.holder.token in tokens


class Lease:
    """A lease, and the thread that renews it."""

    def __init__(self, store: LeaseStore, holder: Holder, seconds: float) -> None:
        self._store = store
        self._uri = store.uri(LEASE)
        self._holder = holder
        self._seconds = seconds
        self._etag: str | None = None
        self._changes = 0
        self._renewed = time.monotonic()
        self._is_ours = False
        self._loss = ""
        self._lock = threading.Lock()
        self._ended = threading.Event()

    def take(self, dead: str = "") -> None:
        """Take the lease, and renew it from now on.

        Raises:
            LakeLockedError: another holds it.
            UnreachableError: S3 cannot be asked.
        """
        self._is_ours = True
        try:
            self._take({self._holder.token, dead} - {""})
        except ShopeaseError:
            self._is_ours = False
            raise
        self._require_conditions()
        # a call that hangs must not outlast the lease
        self._store = self._store.impatient(max(_LEAST_TIMEOUT, self._seconds / 12))
        threading.Thread(target=self._keep_renewing, name="lease", daemon=True).start()

    def require(self) -> None:
        """Renew the lease now; where S3 cannot be asked it is held for as long as it lasts.

        Raises:
            LakeLockedError: it was lost; the message names the new holder.
            UnreachableError: it could not be renewed for longer than it lasts.
        """
        with self._lock:
            try:
                self._renew()
            except UnreachableError as error:
                if self._idle > self._seconds:
                    message = f"the lock of the lake could not be renewed for {self._idle:.0f} s: {error}"
                    raise UnreachableError(message, hint=error.hint) from error
                log.info("the lock of the lake was not renewed: %s", error)

    def give_back(self) -> None:
        """Let others have the lake; a failure is only logged, for the lease runs out by itself."""
        self._ended.set()
        if not self._lock.acquire(timeout=self._seconds):
            log.warning("the lock of the lake is not given back: S3 does not answer; it runs out by itself")
            return
        try:
            # one that may have run out may be another's now, and is free in any case
            if self._is_ours and self._idle < self._seconds:
                self._delete()
        except ShopeaseError as error:
            log.warning("the lock of the lake is not given back, and is free in %.0f s: %s", self._seconds, error)
        finally:
            self._is_ours = False
            self._lock.release()

    @property
    def _idle(self) -> float:
        """The seconds since the last renewal was begun."""
        return time.monotonic() - self._renewed

    def _take(self, ours: set[str]) -> None:
        etag = None
        for attempt in range(TRIES):
            cancel.wait(_PAUSE if attempt else 0)
            if self._put(etag):
                return
            found = self._look()
            if found and not (found.is_over or found.is_of(*ours)):
                raise self._refusal(found)
            if found and found.holder and not found.is_of(self._holder.token):
                log.info("taking the lock of the lake over: %s has died or given it up", found.holder.run_id)
            etag = found.etag if found else None
        message = f"others are taking the lake at this moment: {self._uri} changes all the time"
        raise LakeLockedError(message, hint=LOCKED_HINT)

    def _require_conditions(self) -> None:
        """Warn of a server that writes what it was told to write only if nothing is there: it keeps nobody out."""
        made = None
        with suppress(UnreachableError):
            made = self._store.put_if(LEASE, self._document(self._seconds), None)
        if made:
            self._etag = made
            log.warning("%s knows no conditional writes: see to it that one run at a time is at work", self._uri)

    def _renew(self) -> None:
        """Renew it once; the lock is held."""
        if self._loss:
            raise LakeLockedError(self._loss, hint=_LOST_HINT)
        for attempt in range(TRIES):
            cancel.wait(_PAUSE if attempt else 0)
            if self._put(self._etag):
                return
            found = self._look()
            if found is None or not found.is_of(self._holder.token):
                self._is_ours = False
                self._loss = _lost(found)
                raise LakeLockedError(self._loss, hint=_LOST_HINT)
            self._etag = found.etag
        raise UnreachableError(f"S3 refuses to replace {self._uri}, though it is as it was told to be")

    def _keep_renewing(self) -> None:
        """Renew it in time until it is given back or lost; after a failure sooner."""
        interval = self._seconds / RENEWALS
        pause = interval - self._idle
        while not self._ended.wait(max(0, pause)):
            with self._lock:
                if self._ended.is_set():
                    return
                try:
                    self._renew()
                    pause = interval - self._idle
                except LakeLockedError as error:
                    log.warning("%s", error)
                    return
                except UnreachableError as error:
                    log.info("the lock of the lake was not renewed: %s", error)
                    pause = interval / 4

    def _put(self, etag: str | None) -> bool:
        begun = time.monotonic()
        made = self._store.put_if(LEASE, self._document(self._seconds), etag)
        if made:
            self._etag, self._renewed = made, begun
        return made is not None

    def _document(self, seconds: float) -> bytes:
        """What the lease says; never the same twice, so that its ETag changes."""
        self._changes += 1
        told = {"version": VERSION, **asdict(self._holder), "seconds": seconds, "changes": self._changes}
        return json.dumps(told).encode()

    def _look(self) -> _Found | None:
        there = self._store.tagged(LEASE)
        return _found(there, self._seconds) if there else None

    def _delete(self) -> None:
        etag = self._etag
        # who may not read it can still delete the version that he has written
        with suppress(UnreachableError):
            found = self._look()
            if not found or not found.is_of(self._holder.token):
                return
            etag = found.etag
        if etag is None:
            return
        try:
            self._store.delete_if(LEASE, etag)
        except UnreachableError as error:
            # a server that deletes under no conditions, or one that does not let us delete
            log.info("the lock of the lake is marked as free: %s", error)
            self._store.put_if(LEASE, self._document(0), etag)

    def _refusal(self, found: _Found) -> LakeLockedError:
        if found.holder is None:
            message = f"{self._uri} is no lock that this version of shopease reads"
            hint = f"if no other version is at work, delete it; left alone it is free in {found.left} s"
            return LakeLockedError(message, hint=hint)
        message = f"{found.holder.told}; it is free in {found.left} s unless that renews its lock"
        return LakeLockedError(message, hint=LOCKED_HINT)


def _found(there: TaggedObject, default: float) -> _Found:
    """What is there, as far as it can be read; what cannot lasts as long as a lease of ours."""
    try:
        document = json.loads(there.body)
        holder = holder_in(document)
        if holder and holder.token and document["version"] == VERSION and 0 <= document["seconds"] < math.inf:
            return _Found(there.etag, there.age, float(document["seconds"]), holder)
    except (ValueError, LookupError, TypeError, OverflowError, RecursionError):
        pass
    return _Found(there.etag, there.age, default, None)


def _lost(found: _Found | None) -> str:
    if found and found.holder:
        return f"this run has lost the lake, for it did not renew its lock in time: {found.holder.told}"
    return "this run has lost the lake: another had it meanwhile, or somebody deleted or replaced its lock"
