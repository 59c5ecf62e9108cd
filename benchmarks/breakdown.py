"""Shows where the CPU time of `clean` and `aggregate` goes, beside that of CSV in = CSV out: `make bench-breakdown`.

The work is done in one thread, so that each part's time is its own and that of the engine's threads below it; the
medians are of a few rounds, in one process, after one that does not count.
"""

import argparse
import datetime
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from functools import wraps
from pathlib import Path
from typing import Any, Final, TypeVar
from unittest.mock import patch

from benchmarks import csv_floor, machine
from benchmarks.rounds import prepared
from benchmarks.table import machine_line, table
from shopease_etl.contract import gold, layout, tables
from shopease_etl.lake import manifests
from shopease_etl.lake.open import open_store
from shopease_etl.lake.store import Writer
from shopease_etl.stages import aggregate, clean
from shopease_etl.transform import clean as chunk_cleaning
from shopease_etl.transform import deduplicate, rules
from shopease_etl.transform.chunks import Chunk
from shopease_etl.transform.executor import Item, Result
from shopease_etl.transform.memory import Memory
from shopease_etl.transform.partials import PartialSums

_T = TypeVar("_T")

_ROUNDS: Final = 5
_FLOOR: Final = "CSV in = CSV out, for comparison"
_REST: Final = "all else"
_PARTS: Final = (
    (Chunk, "_bytes", "bytes of bronze read, the second time"),
    (Chunk, "_parsed", "CSV taken apart: all columns, and before that the keys"),
    (deduplicate, "_rows_sharing_keys", "keys sorted, those that stand twice found"),
    (deduplicate, "_candidates", "rows that share a key compared"),
    (rules, "already_clean", "rows found that silver has as they are: a regular expression a column"),
    (rules, "apply_rules", "odd rows parsed, rules applied"),
    (rules, "silver", "silver's own columns calculated"),
    (rules, "quarantine", "quarantine's columns"),
    (chunk_cleaning, "split_rows", "odd rows and good ones put together again"),
    (chunk_cleaning, "_csv", "silver and quarantine written as CSV"),
    (clean, "add_up", "sums and pairs for gold, types of their columns"),
    (PartialSums, "add", "sums and pairs of chunks put together"),
    (Writer, "write", "bytes hashed and written"),
    (aggregate, "aggregate", "gold from its parts, as Parquet"),
)


class Clock:
    """CPU seconds by part; what a part calls that is a part itself counts only there."""

    def __init__(self) -> None:
        self.seconds: Counter[str] = Counter()
        self._inner: list[float] = []

    def timed(self, part: str, function: Callable[..., _T]) -> Callable[..., _T]:
        """The function, its time counted for the part."""

        @wraps(function)
        def run(*arguments: Any, **named: Any) -> _T:
            began = time.process_time()
            self._inner.append(0.0)
            try:
                return function(*arguments, **named)
            finally:
                spent = time.process_time() - began
                self.seconds[part] += spent - self._inner.pop()
                if self._inner:
                    self._inner[-1] += spent

        return run


class AtOnce:
    """Does the work on an item when its result is taken."""

    def map(self, work: Callable[[Item], Result], items: Iterable[Item]) -> Generator[Result]:
        """One after the other."""
        return (work(item) for item in items)


@contextmanager
def watched(clock: Clock) -> Iterator[None]:
    """Every part tells the clock."""
    with ExitStack() as stack:
        for owner, name, part in _PARTS:
            stack.enter_context(patch.object(owner, name, clock.timed(part, getattr(owner, name))))
        yield


def one_round(bronze: Path, folder: Path) -> Counter[str]:
    """The CPU seconds of every part of cleaning and aggregating this bronze into the folder."""
    lake_folder = folder / "lake"
    lake_folder.mkdir()
    (lake_folder / layout.BRONZE).symlink_to(bronze)
    store, memory, clock = open_store(str(lake_folder)), Memory(folder=folder), Clock()

    def both() -> None:
        recorded = manifests.recorded_datasets(store)
        sums, executor = PartialSums(memory), AtOnce()
        clean.clean(
            store,
            tables.CLEANED_TABLES,
            "breakdown",
            recorded=recorded,
            memory=memory,
            partial_sums=sums,
            executor=executor,
        )
        aggregate.aggregate(store, gold.GOLD, recorded=recorded, memory=memory, partial_sums=sums, executor=executor)

    with watched(clock):
        clock.timed(_REST, both)()
    clock.timed(_FLOOR, csv_floor.stream)(bronze, folder)
    return clock.seconds


def measured(bronze: Path, rounds: int) -> dict[str, float]:
    """The medians by part, the largest first, all else and the comparison last."""
    found = []
    for _ in range(rounds + 1):
        with tempfile.TemporaryDirectory(dir=bronze.parent) as folder:
            found.append(one_round(bronze, Path(folder)))
    medians = {part: statistics.median(one[part] for one in found[1:]) for part in found[0]}
    last = {part: medians.pop(part) for part in (_REST, _FLOOR)}
    return dict(sorted(medians.items(), key=lambda item: -item[1])) | last


def markdown(seconds: dict[str, float], scale: float, rounds: int) -> str:
    """The table."""
    floor = seconds[_FLOOR]
    ours = sum(seconds.values()) - floor
    rows = [(part, f"{spent:.3f}", f"{spent / ours:.0%}" if part != _FLOOR else "") for part, spent in seconds.items()]
    rows.insert(-1, ("**all of clean and aggregate**", f"{ours:.3f}", f"{ours / floor:.1f} × CSV in = CSV out"))
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    return (
        f"# Where the CPU time of clean and aggregate goes, at scale {scale:g}\n\n"
        f"{today}; {machine_line(machine.described())}. Medians of {rounds} rounds in one process, in one thread of "
        f"ours.\n\n{table(('part', 'CPU s', 'share'), rows)}"
    )


def main() -> None:
    """Measure, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--rounds", type=int, default=_ROUNDS)
    parser.add_argument("--folder", type=Path, default=Path(".bench"), help="what is made for measuring, kept")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    arguments = parser.parse_args()
    with prepared(arguments.folder.resolve(), arguments.scale) as bench:
        bench.write_bronze()
        text = markdown(measured(bench.bronze, arguments.rounds), arguments.scale, arguments.rounds)
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "breakdown.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
