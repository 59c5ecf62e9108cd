"""A temporary folder that its process holds locked, so that the next one can delete it if that process was killed."""

import fcntl
import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Final

PREFIX: Final = "shopease-query-"


class ScratchFolder:
    """A new temporary folder in `parent`, or in the system's; those that killed processes left are deleted first."""

    def __init__(self, parent: Path | None = None) -> None:
        place = parent or Path(tempfile.gettempdir())
        for folder in place.glob(f"{PREFIX}*"):
            _delete_if_dead(folder)
        while True:
            self.path = Path(tempfile.mkdtemp(prefix=PREFIX, dir=place))
            with suppress(FileNotFoundError, BlockingIOError):  # another process takes it for dead: not locked yet
                self._lock: int | None = _locked(self.path)
                return

    def delete(self) -> None:
        """Delete the folder and what is in it; harmless where that was done."""
        shutil.rmtree(self.path, ignore_errors=True)
        if self._lock is not None:
            os.close(self._lock)
        self._lock = None


def _delete_if_dead(folder: Path) -> None:
    with suppress(OSError):  # it is held, or another user's, or gone
        lock = _locked(folder)
        try:
            if os.fstat(lock).st_uid == os.geteuid():
                shutil.rmtree(folder)
        finally:
            os.close(lock)


def _locked(folder: Path) -> int:
    """The folder, open and locked for as long as that descriptor is; OSError where it is gone or another holds it."""
    lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        folder.stat()
    except BaseException:
        os.close(lock)
        raise
    return lock
