"""Who holds a lake at this moment, looked up without taking its lock."""

import fcntl
import json
import logging
import os
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from shopease_etl.contract import tables
from shopease_etl.lake.local import LocalStore
from shopease_etl.lake.lock.holder import Holder, holder_in
from shopease_etl.lake.store import Store
from shopease_etl.nofollow import open_file

if TYPE_CHECKING:
    from shopease_etl.lake.s3 import S3Store


log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Occupation:
    """A lock that is there: who took it, and whether that holder is still at work."""

    holder: Holder
    is_alive: bool


def occupation(store: Store, lock: Path) -> Occupation | None:
    """The lock of the lake, in its file or in its lease on S3; None where nobody took it, or it cannot be read.

    Raises:
        UnreachableError: S3 cannot be asked, or the lock or its folder is a symbolic link.
    """
    if isinstance(store, LocalStore):
        try:
            with open_file(lock, "rb") as file:
                holder = holder_in(_document(file.read()))
        except OSError:
            return None
        return Occupation(holder, _is_alive(holder, lock)) if holder else None
    # boto3 is slow to import: only lakes on S3 pay
    from shopease_etl.lake.lock.lease import SLACK

    there = cast("S3Store", store).tagged(tables.LEASE)
    document = _document(there.body) if there else None
    holder, seconds = holder_in(document), document.get("seconds") if isinstance(document, dict) else None
    if there is None or holder is None or not isinstance(seconds, int | float) or not seconds:
        return None
    return Occupation(holder, there.age <= seconds + SLACK)


def publishing(store: Store) -> tuple[str, ...]:
    """The runs whose publication has begun and is not over: under way, or broken off."""
    return tuple(sorted(item.key.removeprefix(tables.JOURNAL) for item in store.list(tables.JOURNAL)))


def warn_of_publishing(store: Store) -> tuple[str, ...]:
    """The runs that `publishing` gives, with a warning: readers may see new objects beside former ones."""
    if begun := publishing(store):
        told = (
            "the run %s is publishing, or died while it did: some objects may be older than others until the next run, "
            "`shopease clean` or `shopease crawl` finishes it"
        )
        log.warning(told, ", ".join(begun))
    return begun


def _document(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _is_alive(holder: Holder, lock: Path) -> bool:
    """On this machine its process tells, for to try the lock would keep out a run that begins in that moment."""
    if holder.host != socket.gethostname():
        return _is_locked(lock)
    try:
        os.kill(holder.pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


def _is_locked(lock: Path) -> bool:
    try:
        with lock.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False
