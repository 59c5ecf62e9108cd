"""A lake's lock: a file that one command of this machine holds, and a lease where other machines reach the lake."""

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
from shopease_etl.lake.lock import file, lease
from shopease_etl.lake.lock.holder import LockStatus, this_process
from shopease_etl.lake.lock.lease_store import LeaseStore

log = logging.getLogger(__name__)

T = TypeVar("T")

FILE_PAUSE: Final = 0.2
LEASE_PAUSE: Final = 2.0


class Held(Protocol):
    """The lake's lock, as its holder sees it."""

    def require(self) -> None:
        """Raise unless it is still held.

        Raises:
            LakeLockedError: another machine has taken the lake over, because this one did not answer.
            UnreachableError: the store could not be asked for longer than the lease lasts.
        """


class LakeLock:
    """The lock of a lake; `leases` is the store that keeps its lease, None where only this machine reaches the lake."""

    def __init__(self, path: Path, leases: LeaseStore | None = None) -> None:
        self.path = path
        self._leases = leases

    @contextmanager
    def hold(self, who: str, *, lease_seconds: float, wait: float = 0) -> Iterator[Held]:
        """Hold the lock for as long as the block lasts; `who` is a run's id or a command's name.

        `wait` is how many seconds to go on trying while another holds it, `lease_seconds` how long a lease lasts that
        is not renewed any more.

        Raises:
            LakeLockedError: another run holds the lake; the message names it.
            UnreachableError: the lock cannot be made, or the store not be asked.
        """
        token, patience = uuid4().hex, _Patience(wait)
        with cancel.cooperating(), ExitStack() as stack:
            former = patience.enter(stack, lambda: file.held(self.path, who, token), FILE_PAUSE)
            if not (leases := self._leases):
                yield _FileHeld()
                return
            me = this_process(who, token)
            # on this machine only the file's lock tells that its holder has died
            dead = former.token if former and former.host == me.host else ""
            yield patience.enter(stack, lambda: lease.leased(leases, me, lease_seconds, dead), LEASE_PAUSE)

    def status(self) -> LockStatus | None:
        """Who holds the lake, looked up without taking the lock; None where nobody does, or it cannot be read.

        Raises:
            UnreachableError: the store cannot be asked, or the lock's file or its folder is a symbolic link.
        """
        return lease.status(self._leases) if self._leases else file.status(self.path)


class _FileHeld:
    """A lock of this machine alone, which cannot be lost."""

    def require(self) -> None:
        pass


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
        """Wait, not always as long, so that waiters do not collide."""
        cancel.wait(min(SystemRandom().uniform(pause / 2, pause), self._until - time.monotonic()))
