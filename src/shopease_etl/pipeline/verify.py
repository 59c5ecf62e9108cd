"""Verifies what a run wrote before it is published: reads it back with another engine than those that wrote it."""

import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from decimal import Decimal, localcontext
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Final, TypeVar

from shopease_etl import cancel
from shopease_etl.contract import layout
from shopease_etl.contract.gold import GOLD
from shopease_etl.contract.layout import BRONZE, QUARANTINE, SILVER
from shopease_etl.contract.tables import TABLES
from shopease_etl.errors import DataRefusedError
from shopease_etl.lake.manifests import sha256_of
from shopease_etl.lake.reread import EXACT_DIGITS, Content, GrowingFile, read_again, summed
from shopease_etl.lake.store import Store
from shopease_etl.progress import SILENT, Progress
from shopease_etl.report import DatasetResult, StageResult
from shopease_etl.transform.executor import CORES
from shopease_etl.wording import counted

_Result = TypeVar("_Result")

THREADS: Final = max(1, min(4, CORES // 2))  # the stages are at work beside them
CLEANED: Final = frozenset(table.name for table in TABLES if table.key)
NOTHING: Final[Mapping[str, int]] = MappingProxyType({})
RUN_HINT: Final = "nothing was published; run it again, and check the disk if it fails again"
FULL_HINT: Final = "nothing was published; `shopease run-all --full` makes all months again"


class Verifier:
    """Verifies what the stages of a run wrote, while later stages are running.

    Bronze waits for the next stage, as cleaning it reads it too. Of the files that are carried over from earlier runs
    it reads one, in turn, and takes the others as recorded; `compared` are the keys of those that were read.
    """

    def __init__(self, store: Store) -> None:
        self.compared: frozenset[str] = frozenset()
        self._store = store
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="verify")
        self._stopped = threading.Event()
        self._stages: list[StageResult] = []
        self._contents: list[tuple[DatasetResult, Future[Content]]] = []
        self._bronze: list[DatasetResult] = []
        self._carried_over: dict[str, tuple[DatasetResult, Content]] = {}
        self._state: list[tuple[str, str, Future[str]]] = []
        self._growing: dict[str, tuple[GrowingFile, Future[Content]]] = {}
        self._elsewhere: dict[str, Content] = {}

    def take(self, contents: Mapping[str, Content]) -> None:
        """Take what other machines found in objects that they wrote, and read again."""
        self._elsewhere |= contents

    def follow(self, key: str, path: Path) -> Callable[[], None]:
        """Begin to read a CSV file that the current stage has begun to write; call the result when it is complete."""
        file = GrowingFile(path, self._stopped)
        self._growing[key] = file, self._pool.submit(read_again, key, file.read, self._stopped)
        return file.is_complete.set

    def add(self, stage: StageResult, cleaned: Mapping[str, int] = NOTHING) -> None:
        """Begin to read what the stage wrote, and add up what it holds.

        `cleaned` has by key the rows of each file of bronze that the stage read and compared with its hash.
        """
        for file, _ in self._growing.values():
            file.is_complete.set()
        self._read_bronze(cleaned)
        self._stages.append(stage)
        for item in sorted(stage.datasets, key=lambda item: -item.bytes):
            if recorded := _recorded(item):
                self._carried_over[item.key] = item, recorded
            elif item.name in CLEANED and item.layer == BRONZE:
                self._bronze.append(item)
            else:
                self._read(item)
            for key, hashed in item.state.items() if item.run_id is None else ():
                self._state.append((key, hashed, self._hash(key)))

    def _read_bronze(self, cleaned: Mapping[str, int] = NOTHING) -> None:
        """Read the files of bronze that wait, except those that were cleaned."""
        for item in self._bronze:
            if item.key in cleaned:
                content = Content(item.bytes, item.sha256, cleaned[item.key], {})
                self._contents.append((item, _done(content)))
            else:
                self._read(item)
        self._bronze.clear()

    def _read(self, item: DatasetResult) -> None:
        _, content = self._growing.pop(item.key, (None, None))
        if found := self._elsewhere.get(item.key) if item.run_id is None else None:
            content = _done(found)
        if content is None:
            content = self._pool.submit(read_again, item.key, partial(self._store.read, item.key), self._stopped)
        self._contents.append((item, content))

    def _hash(self, key: str) -> Future[str]:
        if key in self._elsewhere:
            return _done(self._elsewhere[key].sha256)
        return self._pool.submit(sha256_of, partial(self._store.read, key))

    def result(self, progress: Progress = SILENT) -> dict[str, object]:
        """Wait for the end; returns the sums for the manifest.

        Raises:
            DataRefusedError: an object is not what its stage recorded, or silver and quarantine are not bronze's rows;
                the message names key and both numbers.
        """
        self._read_bronze()
        self._read_next_in_turn()
        items = [item for item, _ in self._contents]
        contents = {key: recorded for key, (_, recorded) in self._carried_over.items()}
        progress.start("verify", sum(item.bytes for item in items))
        for item, future in self._contents:
            contents[item.key] = content = cancel.result(future)
            _require_recorded(item, content)
            progress.advance("verify", size=content.bytes)
        for key, hashed, read in self._state:
            _require(key, "the hash", cancel.result(read), hashed)
        self.compared = frozenset(item.key for item in items if item.run_id)
        progress.finish("verify", counted(len(items), "object"))
        return {"reread": {"objects": len(items), **_agreed(self._stages, contents)}}

    def _read_next_in_turn(self) -> None:
        """Read the carried-over file that was compared with its hash the longest time ago."""
        if self._carried_over:
            items = (item for item, _ in self._carried_over.values())
            oldest = min(items, key=lambda item: (item.verified_by or item.run_id, item.key))
            del self._carried_over[oldest.key]
            self._read(oldest)

    def stop(self) -> None:
        """Read no more."""
        self._stopped.set()
        self._pool.shutdown(cancel_futures=True)


def _done(result: _Result) -> Future[_Result]:
    future: Future[_Result] = Future()
    future.set_result(result)
    return future


def verify(store: Store, stages: Sequence[StageResult], *, progress: Progress = SILENT) -> dict[str, object]:
    """Read every object that the stages wrote, and add up what it holds, as `Verifier` does."""
    verifier = Verifier(store)
    try:
        for stage in stages:
            verifier.add(stage)
        return verifier.result(progress)
    finally:
        verifier.stop()


def _recorded(item: DatasetResult) -> Content | None:
    """What an earlier run recorded of a file that is carried over; None if the file must be read."""
    if item.run_id is None:
        return None
    try:
        sums = {name: Decimal(item.sums[name]) for name in summed(item.key).values()}
    except (LookupError, ArithmeticError):
        return None
    return Content(item.bytes, item.sha256, item.rows_out, sums)


def _require_recorded(item: DatasetResult, content: Content) -> None:
    hint = FULL_HINT if item.run_id else RUN_HINT
    _require(item.key, "bytes", content.bytes, item.bytes, hint)
    _require(item.key, "the hash", content.sha256, item.sha256, hint)
    _require(item.key, "rows", content.rows, item.rows_out, hint)
    if item.layer == BRONZE:
        _require(item.key, "rows", content.rows, item.rows_in)
    for name, found in content.sums.items():
        if name in item.sums and item.run_id is None:  # later runs rely on them
            _require(item.key, name, found, Decimal(item.sums[name]))


def _agreed(stages: Sequence[StageResult], contents: Mapping[str, Content]) -> dict[str, object]:
    """The rows of each object, or of all months of a table, and the sums, which must agree with each other."""
    items = [item for stage in stages for item in stage.datasets]
    rows: Counter[str] = Counter()
    sums: dict[str, Decimal | int] = {}
    with localcontext(prec=EXACT_DIGITS):
        for item in items:
            rows[_shown(item.key)] += contents[item.key].rows
            for name, value in contents[item.key].sums.items():
                sums[name] = sums.get(name, 0) + value
    _require_every_row(items, contents)
    _require_sums(stages, rows, sums)
    return {"rows": dict(rows), **sums}


def _shown(key: str) -> str:
    """The key of a dataset's only object, or the folder of its months."""
    return key if layout.month_of(key) is None else layout.dataset_of(key)


def _require_every_row(items: Sequence[DatasetResult], contents: Mapping[str, Content]) -> None:
    """Silver and quarantine have the rows of bronze, which an earlier run may have written: each month, and all."""
    parts: dict[tuple[str, str | None], list[DatasetResult]] = {}
    for item in items:
        for part in {layout.month_of(item.key), "all"}:
            parts.setdefault((item.name, part), []).append(item)
    copied = {item.name for item in items if item.layer == BRONZE}
    for (name, part), files in parts.items():
        rows: Counter[str] = Counter()
        for item in files:
            rows[item.layer] += contents[item.key].rows
        if silver := [item for item in files if item.layer == SILVER]:
            key = _shown(silver[0].key) if part == "all" else silver[0].key
            bronze = rows[BRONZE] if name in copied else sum(item.rows_in for item in silver)
            _require(key, "rows together with quarantine", rows[SILVER] + rows[QUARANTINE], bronze)


def _require_sums(stages: Sequence[StageResult], rows: Mapping[str, int], sums: Mapping[str, Decimal | int]) -> None:
    """The lake has the inputs that gold was built from, and gold has what was reconciled."""
    by_dataset = {layout.dataset_of(key): count for key, count in rows.items()}
    for stage in (stage for stage in stages if stage.name == "aggregate"):
        built = {item.key for item in stage.datasets}
        for dataset in (dataset for dataset in GOLD if dataset.key in built):
            for key, column, name in dataset.recorded:
                if (count := by_dataset.get(layout.dataset_of(key))) is not None:
                    _require(key, column or "rows", sums[name] if column else count, stage.reconciliation.get(name))


def _require(key: str, what: str, found: object, expected: object, hint: str = RUN_HINT) -> None:
    if found != expected:
        message = f"{key}, read again, is not what the run recorded: {what} {_text(found)} instead of {_text(expected)}"
        raise DataRefusedError(message, hint=hint)


def _text(value: object) -> str:
    return f"{value:,}" if isinstance(value, int | Decimal) else str(value)
