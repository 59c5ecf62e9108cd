"""A temporary folder that its process holds locked, so that the next one can delete it if that process was killed."""

import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Final

from shopease_etl import file_locks

PREFIX: Final = "shopease-query-"


class ScratchFolder:
    """A new temporary folder in `parent`, or in the system's; those that killed processes left are deleted first."""

    def __init__(self, parent: Path | None = None) -> None:
        place = parent or Path(tempfile.gettempdir())
        for folder in place.glob(f"{PREFIX}*"):
            _delete_if_dead(folder)
        while True:
            self.path = Path(tempfile.mkdtemp(prefix=PREFIX, dir=place))
            self._lock = _locked(self.path)
            if self._lock is not None:  # else another process took it for dead, as it was not locked yet
                return

    def delete(self) -> None:
        """Delete the folder and what is in it; harmless where that was done."""
        shutil.rmtree(self.path, ignore_errors=True)
        if self._lock is not None:
            os.close(self._lock)
        self._lock = None


def _delete_if_dead(folder: Path) -> None:
    with suppress(OSError):  # another user's
        if (lock := _locked(folder)) is None:
            return
        try:
            if os.fstat(lock).st_uid == os.geteuid():
                shutil.rmtree(folder)
        finally:
            os.close(lock)


def _locked(folder: Path) -> int | None:
    """The folder, open and locked for as long as that descriptor is; None if it is gone or another holds it."""
    try:
        lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except FileNotFoundError:
        return None
    try:
        if file_locks.lock(lock) and folder.exists():
            return lock
    except BaseException:
        os.close(lock)
        raise
    os.close(lock)
    return None
