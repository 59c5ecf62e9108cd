"""How much memory a run may take, and what it does so as not to take more."""

import ctypes
import tempfile
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from shopease_etl.errors import ShopeaseError
from shopease_etl.transform.spill import Spill

MEBIBYTE: Final = 1024 * 1024
USUAL: Final = 1024 * MEBIBYTE
LARGEST_BATCH: Final = 4 * MEBIBYTE
SMALLEST_BATCH: Final = 256 * 1024
_PAGES: Final = Path("/proc/self/statm")
_PAGE_BYTES: Final = 4096
_AVAILABLE: Final = Path("/proc/meminfo")
_CGROUP: Final = Path("/sys/fs/cgroup")
_RESERVE: Final = 64 * MEBIBYTE


def give_back() -> None:
    """Let the system have what this process has freed, such as buffers of uploads; glibc keeps it, others do not."""
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)


@dataclass(frozen=True)
class Memory:
    """What bounds memory: `limit` in bytes for the whole process, and `folder` for what does not fit.

    Without a limit a run plans with a gibibyte, and stops only when the machine has none left.
    """

    limit: int | None = None
    folder: Path = field(default_factory=lambda: Path(tempfile.gettempdir()))

    @property
    def batch_bytes(self) -> int:
        """How many bytes of CSV are worked on at once by one thread."""
        return max(SMALLEST_BATCH, min(LARGEST_BATCH, self._planned // 64))

    def spill(self, column: str) -> Spill:
        """A place for rows to be looked at by the values of one column, in memory up to an eighth of the limit."""
        return Spill(column, self.folder, self._planned // 8)

    def require_room(self) -> None:
        """Raise while the error can still be told, and what is half done be tidied up.

        Raises:
            ShopeaseError: the process has reached its limit, or the machine's memory is used up.
        """
        used = resident_bytes()
        if self.limit is not None and used > self.limit:
            message = f"a run needs more memory than SHOPEASE_MAX_MEMORY allows: {_told(used)} of {_told(self.limit)}"
            raise ShopeaseError(message, hint="raise SHOPEASE_MAX_MEMORY; the program alone needs about 300 MB")
        left = available_bytes()
        if left is not None and left < _RESERVE:
            message = f"memory is used up: this process has {_told(used)}, and {_told(left)} are left"
            raise ShopeaseError(message, hint="set SHOPEASE_MAX_MEMORY to less, or run it on a machine with more")

    @property
    def _planned(self) -> int:
        return min(self.limit or USUAL, USUAL)


def resident_bytes() -> int:
    """What the process holds in memory; 0 where the system does not tell."""
    try:
        return int(_PAGES.read_text().split()[1]) * _PAGE_BYTES
    except OSError:
        return 0


def available_bytes() -> int | None:
    """What the machine, or the container, has left before its kernel ends processes; None where nobody tells."""
    found = [left for left in (_machine_left(), _container_left()) if left is not None]
    return min(found, default=None)


def _machine_left() -> int | None:
    try:
        lines = _AVAILABLE.read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")), None)


def _container_left() -> int | None:
    """Of the limit of this container, as control groups (version 2) tell; pages of files can be given back."""
    try:
        most = (_CGROUP / "memory.max").read_text().strip()
        used = int((_CGROUP / "memory.current").read_text())
        kept = dict(line.split() for line in (_CGROUP / "memory.stat").read_text().splitlines())
    except (OSError, ValueError):
        return None
    return None if most == "max" else int(most) - used + int(kept.get("file", 0))


def _told(size: int) -> str:
    return f"{size / 1e6:,.0f} MB" if size >= 1e6 else f"{size:,} bytes"
