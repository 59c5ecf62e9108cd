"""What fault tests tried, and how it ended: counted by all of a session's processes, told as a Markdown table.

`python tests/tally.py FOLDER` prints the table of a folder that pytest's option `--fault-report` filled.
"""

import json
import os
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

HEADINGS: Final = ("where", "fault", "times", "lake after it", "command ended with")
_LINE: Final = "| {} |"


REPORT: Final = "FAULT_REPORT"  # the variable that names the folder to all processes of a session


@dataclass(frozen=True)
class Tally:
    """Counts trials; without a folder nobody wants to know."""

    folder: Path | None

    @classmethod
    def asked_for(cls) -> Self:
        """The one that the session's option asks for."""
        return cls(Path(os.environ[REPORT]) if REPORT in os.environ else None)

    def count(self, where: str, fault: str, lake: str, code: int | str, times: int = 1) -> None:
        """Count trials that ended as they may: what the lake was after them, and the exit code or the exception.

        It is called when all has been checked: a trial that ends otherwise is a failed test, and no line here.
        """
        if self.folder:
            self.folder.mkdir(parents=True, exist_ok=True)
            line = json.dumps([where, fault, lake, str(code), times]) + "\n"
            with (self.folder / f"{os.getpid()}.jsonl").open("a") as file:
                file.write(line)


def table(folder: Path) -> Iterator[str]:
    """The lines of the table, a line for each fault."""
    times: Counter[tuple[str, str]] = Counter()
    lakes: dict[tuple[str, str], Counter[str]] = {}
    codes: dict[tuple[str, str], Counter[str]] = {}
    for file in sorted(folder.glob("*.jsonl")):
        for line in file.read_text().splitlines():
            where, fault, lake, code, count = json.loads(line)
            key = (where, fault)
            times[key] += count
            lakes.setdefault(key, Counter())[lake] += count
            codes.setdefault(key, Counter())[code] += count
    yield _LINE.format(" | ".join(HEADINGS))
    yield _LINE.format(" | ".join("---" for _ in HEADINGS))
    for key in sorted(times):
        cells = (*key, f"{times[key]:,}", _told(lakes[key]), _told(codes[key]))
        yield _LINE.format(" | ".join(cells))
    yield ""
    yield f"{sum(times.values()):,} trials in all."


def _told(counts: Counter[str]) -> str:
    return ", ".join(f"{name} ({count:,})" for name, count in sorted(counts.items(), key=lambda item: -item[1]))


if __name__ == "__main__":
    print("\n".join(table(Path(sys.argv[1]))))
