"""A temporary folder that its process locks, so that a later one can delete it if that process was killed."""

import fcntl
import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Final

PREFIX: Final = "shopease-query-"


class ScratchFolder:
    """A new temporary folder in `parent` or the system's; deletes those of killed processes first."""

    def __init__(self, parent: Path | None = None) -> None:
        place = parent or Path(tempfile.gettempdir())
        for folder in place.glob(f"{PREFIX}*"):
            _delete_if_dead(folder)
        while True:
            self.path = Path(tempfile.mkdtemp(prefix=PREFIX, dir=place))
            with suppress(FileNotFoundError, BlockingIOError):  # another process has deleted it before it was locked
                self._lock: int | None = _locked(self.path)
                return

    def delete(self) -> None:
        """Delete the folder with its files, if it still exists."""
        shutil.rmtree(self.path, ignore_errors=True)
        if self._lock is not None:
            os.close(self._lock)
        self._lock = None


def _delete_if_dead(folder: Path) -> None:
    with suppress(OSError):  # locked, of another user, or gone
        lock = _locked(folder)
        try:
            if os.fstat(lock).st_uid == os.geteuid():
                shutil.rmtree(folder)
        finally:
            os.close(lock)


def _locked(folder: Path) -> int:
    """The descriptor of the locked folder; OSError if it is gone or another process has locked it."""
    lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        folder.stat()
    except BaseException:
        os.close(lock)
        raise
    return lock
