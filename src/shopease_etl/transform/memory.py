"""The memory limit of a run, and how much memory is used and left."""

import resource
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from shopease_etl.errors import ShopeaseError
from shopease_etl.transform.spill import Spill

USUAL: Final = 1 << 30
SMALLEST_BATCH: Final = 256 * 1024
_CGROUP: Final = Path("/sys/fs/cgroup")


@dataclass(frozen=True)
class Memory:
    """The memory limit in bytes for the whole process, and the folder for what does not fit.

    Without a limit a run plans with 1 GiB, and stops only if the machine has no memory left.
    """

    limit: int | None = None
    folder: Path = field(default_factory=lambda: Path(tempfile.gettempdir()))

    @property
    def batch_bytes(self) -> int:
        """How many bytes of CSV one thread processes at a time."""
        return max(SMALLEST_BATCH, min(4 << 20, self._planned // 64))

    def spill(self, column: str, stores: int = 1) -> Spill:
        """A store for rows, read by the values of one column; of all such `stores` up to a quarter of the limit is in
        memory.
        """
        return Spill(column, self.folder, self._planned // 4 // stores)

    def require_room(self) -> None:
        """Fail while there is still memory to report the error and to clean up.

        Raises:
            ShopeaseError: the process has reached its limit, or the machine's memory is used up.
        """
        used = resident_bytes()
        if self.limit is not None and used > self.limit:
            raise ShopeaseError(
                f"a run needs more memory than SHOPEASE_MAX_MEMORY allows: {_text(used)} of {_text(self.limit)}",
                hint="raise SHOPEASE_MAX_MEMORY; the program alone needs about 300 MB",
            )
        left = available_bytes()
        if left is not None and left < 64 << 20:
            raise ShopeaseError(
                f"memory is used up: this process has {_text(used)}, and {_text(left)} are left",
                hint="set SHOPEASE_MAX_MEMORY to less, or run it on a machine with more",
            )

    @property
    def _planned(self) -> int:
        return min(self.limit or USUAL, USUAL)


def resident_bytes() -> int:
    """The memory of this process; 0 if the system does not report it."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
    except OSError:
        return 0


def available_bytes() -> int | None:
    """The memory that the machine or the container has left before its kernel kills processes; None if not known."""
    return min((left for left in (_machine_left(), _container_left()) if left is not None), default=None)


def _machine_left() -> int | None:
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")), None)


def _container_left() -> int | None:
    """By control groups (version 2), which psutil does not read; cached pages of files can be freed."""
    try:
        limit = (_CGROUP / "memory.max").read_text().strip()
        used = int((_CGROUP / "memory.current").read_text())
        stat = dict(line.split() for line in (_CGROUP / "memory.stat").read_text().splitlines())
    except (OSError, ValueError):
        return None
    return None if limit == "max" else int(limit) - used + int(stat.get("file", 0))


def _text(size: int) -> str:
    return f"{size / 1e6:,.0f} MB" if size >= 1e6 else f"{size:,} bytes"
