"""The lock of a lake on S3 among all machines: an object that its holder renews, and that expires if it does not.

Only the server's clock measures the age of a lease. Every change is a conditional request, so that only one of several
machines succeeds. A refused request may have succeeded before, with its answer lost: so the object is read after a
refusal, and its token shows who holds it.
"""

import json
import logging
import math
import threading
import time
from collections.abc import Callable, Iterator
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
SLACK: Final = 2.0  # seconds: the server's two times are rounded down to seconds
TRIES: Final = 10
_PAUSE: Final = 0.1
_LEAST_TIMEOUT: Final = 3.0
_LOST_HINT: Final = "run it again when the other run has ended"


@contextmanager
def leased(store: LeaseStore, holder: Holder, seconds: float, dead: str = "") -> Iterator["Lease"]:
    """Hold the lake's lease during the block.

    `seconds` is how long it is valid after its last renewal, `dead` the token of a holder that is known to be dead,
    whose lease is taken over at once.

    Raises:
        LakeLockedError: another run holds it; the message names it.
        UnreachableError: S3 refuses or does not answer.
    """
    lease = Lease(store, holder, seconds)
    try:
        lease.take(dead)
        yield lease
    finally:
        with cancel.deferred(None):
            lease.release()


def lease_status(store: LeaseStore) -> LockStatus | None:
    """The holder of the lease, without taking it; None if there is none, or it cannot be read.

    Raises:
        UnreachableError: the store refuses or does not answer.
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
    """The present lease; `holder` is None if this version cannot read it."""

    etag: str
    age: float
    seconds: float
    holder: Holder | None

    @property
    def is_over(self) -> bool:
        """Whether it has expired; one of 0 seconds was released."""
        return not self.seconds or self.age > self.seconds + SLACK

    @property
    def left(self) -> int:
        """The seconds until it expires."""
        return max(0, math.ceil(self.seconds + SLACK - self.age)) + 1

    def is_of(self, *tokens: str) -> bool:
        """Whether its holder has one of these tokens."""
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
            LakeLockedError: another run holds it.
            UnreachableError: S3 refuses or does not answer.
        """
        self._is_ours = True
        try:
            self._take({self._holder.token, dead} - {""})
        except ShopeaseError:
            self._is_ours = False
            raise
        self._require_conditions()
        # a call that hangs must end before the lease does
        self._store = self._store.with_timeout(max(_LEAST_TIMEOUT, self._seconds / 12))
        threading.Thread(target=self._keep_renewing, name="lease", daemon=True).start()

    def require(self) -> None:
        """Renew the lease now; if S3 does not answer, it stays valid until it expires.

        Raises:
            LakeLockedError: it was lost; the message names the new holder.
            UnreachableError: it has expired without a renewal.
        """
        with self._lock:
            try:
                self._renew()
            except UnreachableError as error:
                if self._idle > self._seconds:
                    message = f"the lock of the lake could not be renewed for {self._idle:.0f} s: {error}"
                    raise UnreachableError(message, hint=error.hint) from error
                log.info("the lock of the lake was not renewed: %s", error)

    def release(self) -> None:
        """Release the lease; a failure is only logged, as the lease expires by itself."""
        self._ended.set()
        if not self._lock.acquire(timeout=self._seconds):
            log.warning("the lock of the lake is not released: S3 does not answer; it expires by itself")
            return
        try:
            # an expired lease may belong to another run now
            if self._is_ours and self._idle < self._seconds:
                self._delete()
        except ShopeaseError as error:
            log.warning("the lock of the lake is not released, and expires in %.0f s: %s", self._seconds, error)
        finally:
            self._is_ours = False
            self._lock.release()

    @property
    def _idle(self) -> float:
        """The seconds since the last renewal began."""
        return time.monotonic() - self._renewed

    def _take(self, ours: set[str]) -> None:
        def check(found: _Found | None) -> None:
            if found and not (found.is_over or found.is_of(*ours)):
                raise self._refusal(found)
            if found and found.holder and not found.is_of(self._holder.token):
                log.info("taking over the lock of the lake: %s has died or released it", found.holder.run_id)

        if not self._write(None, check):
            message = f"other runs are taking the lock of the lake at this moment: {self._uri} keeps changing"
            raise LakeLockedError(message, hint=LOCKED_HINT)

    def _require_conditions(self) -> None:
        """Warn of a server that ignores the conditions of requests: on it a lease excludes no other run."""
        etag = None
        with suppress(UnreachableError):
            etag = self._store.put_if(LEASE, self._document(self._seconds), None)
        if etag:
            self._etag = etag
            log.warning("%s does not support conditional writes: make sure that only one run is in progress", self._uri)

    def _renew(self) -> None:
        """Renew it once; the lock is held."""

        def check(found: _Found | None) -> None:
            if found is None or not found.is_of(self._holder.token):
                self._is_ours = False
                self._loss = _lost(found)
                raise LakeLockedError(self._loss, hint=_LOST_HINT)

        if self._loss:
            raise LakeLockedError(self._loss, hint=_LOST_HINT)
        if not self._write(self._etag, check):
            raise UnreachableError(f"S3 refuses to replace {self._uri}, although its ETag is right")

    def _write(self, etag: str | None, check: Callable[[_Found | None], None]) -> bool:
        """Write the lease in place of the one with this ETag; False if that keeps changing.

        After each refusal `check` gets the present lease, and raises if it must not be replaced.
        """
        for attempt in range(TRIES):
            cancel.wait(_PAUSE if attempt else 0)
            if self._put(etag):
                return True
            found = self._look()
            check(found)
            etag = found.etag if found else None
        return False

    def _keep_renewing(self) -> None:
        """Renew it in time until it is released or lost; after a failure, try again sooner."""
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
        started = time.monotonic()
        written = self._store.put_if(LEASE, self._document(self._seconds), etag)
        if written:
            self._etag, self._renewed = written, started
        return written is not None

    def _document(self, seconds: float) -> bytes:
        """The lease's bytes; they differ each time, so that the ETag changes."""
        self._changes += 1
        document = {"version": VERSION, **asdict(self._holder), "seconds": seconds, "changes": self._changes}
        return json.dumps(document).encode()

    def _look(self) -> _Found | None:
        there = self._store.tagged(LEASE)
        return _found(there, self._seconds) if there else None

    def _delete(self) -> None:
        etag = self._etag
        # without permission to read, try to delete the version that we wrote last
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
            # a server without conditional deletes, or without permission to delete
            log.info("the lock of the lake is marked as free: %s", error)
            self._store.put_if(LEASE, self._document(0), etag)

    def _refusal(self, found: _Found) -> LakeLockedError:
        if found.holder is None:
            message = f"this version of shopease cannot read the lock {self._uri}"
            hint = f"if no other version is running, delete it; otherwise it expires in {found.left} s"
            return LakeLockedError(message, hint=hint)
        message = f"{found.holder.description}; its lock expires in {found.left} s unless it is renewed"
        return LakeLockedError(message, hint=LOCKED_HINT)


def _found(there: TaggedObject, default: float) -> _Found:
    """The present lease; one that cannot be read is taken to be valid for `default` seconds."""
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
        return f"this run has lost the lock of the lake, as it did not renew it in time: {found.holder.description}"
    return "this run has lost the lock of the lake: another run took it, or it was deleted or replaced"
