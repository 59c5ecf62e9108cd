"""A lake's lock: a file for the commands of this machine, and a lease if other machines reach the lake."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from random import SystemRandom
from typing import Final, Protocol, TypeVar
from uuid import uuid4

from shopease_etl import cancel
from shopease_etl.errors import LakeLockedError
from shopease_etl.lake.lock.file import file_lock_status, locked_file
from shopease_etl.lake.lock.holder import LockStatus, this_process
from shopease_etl.lake.lock.lease import lease_status, leased
from shopease_etl.lake.lock.lease_store import LeaseStore

log = logging.getLogger(__name__)

T = TypeVar("T")

FILE_PAUSE: Final = 0.2
LEASE_PAUSE: Final = 2.0


class LockHandle(Protocol):
    """The lake's lock, as its holder sees it."""

    def require(self) -> None:
        """Raise unless it is still held.

        Raises:
            LakeLockedError: another machine has taken the lock, because this one did not renew it.
            UnreachableError: the store did not answer for longer than the lease lasts.
        """


class LakeLock:
    """The lock of a lake; `leases` is the store of its lease, None if only this machine reaches the lake."""

    def __init__(self, path: Path, leases: LeaseStore | None = None) -> None:
        self.path = path
        self._leases = leases

    @contextmanager
    def hold(self, who: str, *, lease_seconds: float, wait: float = 0) -> Iterator[LockHandle]:
        """Hold the lock during the block; `who` is a run's id or a command's name.

        `wait` is how many seconds to try while another run holds it, `lease_seconds` how long a lease is valid after
        its last renewal.

        Raises:
            LakeLockedError: another run holds the lock; the message names it.
            UnreachableError: the lock cannot be created, or the store does not answer.
        """
        token, patience = uuid4().hex, _Patience(wait)
        with cancel.cooperating(), ExitStack() as stack:
            former = patience.enter(stack, lambda: locked_file(self.path, who, token), FILE_PAUSE)
            if not (leases := self._leases):
                yield _FileHandle()
                return
            me = this_process(who, token)
            # we have its lock file, so a former holder on this machine is dead
            dead = former.token if former and former.host == me.host else ""
            yield patience.enter(stack, lambda: leased(leases, me, lease_seconds, dead), LEASE_PAUSE)

    def status(self) -> LockStatus | None:
        """The holder of the lock, without taking it; None if there is none, or it cannot be read.

        Raises:
            UnreachableError: the store does not answer, or the lock's file or its folder is a symbolic link.
        """
        return lease_status(self._leases) if self._leases else file_lock_status(self.path)


class _FileHandle:
    """A lock file without a lease, which cannot be lost."""

    def require(self) -> None:
        pass


class _Patience:
    """Tries to take a lock until the time is over; logs once what it waits for."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._until = time.monotonic() + seconds
        self._has_warned = False

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
        if not self._has_warned:
            log.warning("waiting up to %g s: %s", self._seconds, error)
        self._has_warned = True

    def _rest(self, pause: float) -> None:
        """Wait, not always as long, so that waiters do not collide."""
        cancel.wait(min(SystemRandom().uniform(pause / 2, pause), self._until - time.monotonic()))
