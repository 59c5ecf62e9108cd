"""Wall time, CPU time and peak memory of a command with all its children, from /proc and the kernel's own account.

`python -m benchmarks.measuring COMMAND...` tells them as JSON.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

_INTERVAL: Final = 0.02  # seconds
_OFTEN: Final = 10  # intervals
_GROWTH: Final = 1.01
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")


class CommandFailedError(Exception):
    """A measured command that did not end well; its text is the last line that it wrote."""


@dataclass(frozen=True)
class Measurement:
    """What one run of a command took; `peak` is bytes, `seconds` and `cpu` are seconds."""

    seconds: float
    cpu: float
    peak: int
    stdout: str


def measured(
    command: Sequence[str | Path], environment: Mapping[str, str], folder: Path, limit: float = 3600
) -> Measurement:
    """Run a command to its end, and no longer than `limit` seconds; CommandFailedError where it does not end well.

    CPU time is what the kernel charges to it and its children that it has waited for. A server that it only talks to
    is no child of it, and is not counted.
    """
    log = folder / "stderr.log"
    out = folder / "stdout.log"
    with log.open("wb") as errors, out.open("wb") as written:
        started = time.perf_counter()
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=written, stderr=errors, env=environment, cwd=folder
        )
        ended: list[tuple[float, int, float]] = []
        waiter = threading.Thread(target=_wait, args=(process, ended))
        waiter.start()
        peak = _peak(process.pid, waiter, limit)
    finished, status, cpu = ended[0]
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise CommandFailedError(_last_line(log) or _last_line(out) or f"exit code {process.returncode}")
    return Measurement(finished - started, cpu, peak, out.read_text(errors="replace"))


def _wait(process: subprocess.Popen[bytes], ended: list[tuple[float, int, float]]) -> None:
    _, status, usage = os.wait4(process.pid, 0)
    ended.append((time.perf_counter(), status, usage.ru_utime + usage.ru_stime))


def _peak(root: int, waiter: threading.Thread, limit: float) -> int:
    """The most memory that the tree had at once; a command that takes too long is killed.

    Resident pages are looked at all the time; only when they have grown, and now and then, is the dearer question
    asked, how much that is with pages that processes share counted once (PSS): a process that has just been forked has
    the resident pages of its parent, but not for long. PSS counts pages shared with strangers in part only, so one
    process has at least what is resident of it.
    """
    deadline = time.monotonic() + limit
    highest, peak, looks = 0.0, 0, 0
    while waiter.is_alive():
        tree = _tree(root)
        resident = sum(map(_resident, tree))
        looks += 1
        if resident > highest * _GROWTH or (resident > peak and looks % _OFTEN == 0):
            highest = max(highest, resident)
            largest = max(map(_resident, tree))
            peak = max(peak, largest, sum(map(_proportional, tree)))
        if time.monotonic() > deadline:
            for process in reversed(tree):
                with suppress(ProcessLookupError):
                    os.kill(process, 9)
        waiter.join(_INTERVAL)
    return peak


def _tree(root: int) -> list[int]:
    """A process, its children, theirs, and so on."""
    found = [root]
    for process in found:
        with suppress(OSError):
            for thread in os.listdir(f"/proc/{process}/task"):  # noqa: PTH208 - many times a second
                with suppress(OSError), open(f"/proc/{process}/task/{thread}/children", "rb") as children:  # noqa: PTH123
                    found += map(int, children.read().split())
    return found


def _resident(process: int) -> int:
    with suppress(OSError, IndexError), open(f"/proc/{process}/statm", "rb") as file:  # noqa: PTH123 - likewise
        return int(file.read().split()[1]) * _PAGE
    return 0


def _proportional(process: int) -> int:
    with suppress(OSError):
        found = re.search(r"^Pss: +(\d+) kB", Path(f"/proc/{process}/smaps_rollup").read_text(), re.MULTILINE)
        return int(found[1]) * 1024 if found else 0
    return 0


def _last_line(log: Path) -> str:
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1][:300] if lines else ""


def main() -> None:
    """Measure the command that is given."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            print(json.dumps(asdict(measured(sys.argv[1:], os.environ, Path(folder)))))
        except CommandFailedError as error:
            sys.exit(str(error))


if __name__ == "__main__":
    main()
