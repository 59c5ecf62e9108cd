"""The work on one month, from COPY to silver, quarantine, keys and sums: a function that may run on another machine."""

import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from threading import Event
from typing import Final

import polars as pl

from shopease_etl.contract.gold import GoldDataset
from shopease_etl.contract.tables import Table
from shopease_etl.lake.csv_bytes import record_end
from shopease_etl.lake.foreign_uploads import ForeignUpload
from shopease_etl.lake.manifests import write_group
from shopease_etl.lake.reread import Content, read_again
from shopease_etl.lake.staging import Transaction
from shopease_etl.lake.store import LakeStore, Store
from shopease_etl.progress import SILENT
from shopease_etl.report import DatasetResult, ObjectRecord
from shopease_etl.source.postgres import JoinedSnapshot
from shopease_etl.stages.carry_over import Pair
from shopease_etl.stages.clean import clean
from shopease_etl.stages.month_files import MonthFiles
from shopease_etl.stages.months import MonthPlan
from shopease_etl.stages.readers import Readers
from shopease_etl.stages.table_copy import TableCopy
from shopease_etl.transform.chunks import CsvObject
from shopease_etl.transform.executor import LocalExecutor
from shopease_etl.transform.instants import instant
from shopease_etl.transform.memory import Memory
from shopease_etl.transform.month_state import KEYS, SUMS, unpack_keys
from shopease_etl.transform.rivals import Keyed, pack_rivals

_HEAD_BYTES: Final = 1 << 16
_THREADS: Final = 2


@dataclass(frozen=True)
class MonthJob:
    """What the work on all months of a table has in common.

    `snapshot` is the source, if months are copied. Without `cleans` they are only copied. `memory` is the limit in
    bytes of a task.
    """

    store: LakeStore
    table: Table
    run_id: str
    zone: str
    datasets: tuple[GoldDataset, ...]
    memory: int | None
    cleans: bool
    snapshot: JoinedSnapshot | None = None


@dataclass(frozen=True)
class MonthTask:
    """The work on one month: it is copied by the `plan`, or its bronze is in the lake, as `bronze` says.

    `lost_keys` are those of rows that lose their key to rows of other months, packed.
    """

    month: str
    plan: MonthPlan | None = None
    bronze: ObjectRecord | None = None
    lost_keys: bytes | None = None


@dataclass(frozen=True)
class MonthDone:
    """What became of a month: what is to publish, what is recorded of it, and what was read back.

    `copied` is its file of bronze, if it was copied; `cleaned` are silver and quarantine; `keys` and `sums` the state
    that was kept, packed. `contents` has by key what the uploaded objects hold, read again.
    """

    month: str
    uploads: tuple[ForeignUpload, ...]
    copied: DatasetResult | None = None
    cleaned: Pair | None = None
    keys: bytes = b""
    sums: bytes = b""
    contents: Mapping[str, Content] = field(default_factory=dict)

    def only_bronze(self, lake: LakeStore) -> "MonthDone":
        """The same without what was cleaned, which is discarded: its bronze is as it was."""
        kept = tuple(upload for upload in self.uploads if self.copied and upload.key == self.copied.key)
        for upload in self.uploads:
            if upload not in kept:
                upload.discard(lake)
        return MonthDone(self.month, kept, self.copied, contents=self.contents)


def work_on_month(job: MonthJob, task: MonthTask) -> Keyed[MonthDone]:
    """Do a task; its uploads are complete then, but not published. If it fails, they are aborted.

    The rows that silver has of the month, with what decides between rows of one key, come with the result.

    Raises:
        ShopeaseError: as `extract` and `clean` do.
    """
    with tempfile.TemporaryDirectory(prefix="shopease-") as folder:
        staged = Transaction(job.store, Path(folder) / "spool")
        try:
            return _work(job, task, staged, Memory(job.memory, Path(folder)))
        except BaseException:
            staged.discard()
            raise


def _work(job: MonthJob, task: MonthTask, staged: Transaction, memory: Memory) -> Keyed[MonthDone]:
    part = job.table.in_month(task.month)
    copied = _copied(job.snapshot, job.table, task.plan, staged) if task.plan and job.snapshot else None
    known = task.bronze if copied is None else _record(copied, job.run_id)
    if not job.cleans or known is None:
        contents = {part.bronze_key: _read_again(staged, part.bronze_key)}
        return Keyed(MonthDone(task.month, _uploads(staged), copied, contents=contents), task.month, ())
    result = clean(
        staged,
        [job.table],
        job.run_id,
        recorded={part.bronze_key: known},
        zone=job.zone,
        memory=memory,
        datasets=job.datasets,
        executor=LocalExecutor(_THREADS),
        full=True,
        lost_keys=None if task.lost_keys is None else unpack_keys(task.lost_keys),
    )
    silver, quarantine = result.datasets
    keys, sums = (_read_if_written(staged, part.state_key(name)) for name in (KEYS, SUMS))
    contents = {item.key: _read_again(staged, item.key) for item in result.datasets}
    contents |= {key: _hashed(staged.read(key)) for key in silver.state}
    if copied:  # cleaning has compared its hash
        contents[copied.key] = Content(copied.bytes, copied.sha256, silver.rows_in, {})
    done = MonthDone(task.month, _uploads(staged), copied, (silver, quarantine), keys, sums, contents)
    is_unique = known.result is not None and known.result.has_unique_key
    return Keyed(done, task.month, () if is_unique else tuple(_rivals(staged, part, job.zone, memory)))


def _copied(snapshot: JoinedSnapshot, table: Table, plan: MonthPlan, staged: Transaction) -> DatasetResult:
    """The file of bronze with the plan's only month."""
    with write_group(staged) as written:
        copy = TableCopy(table, plan.months.source, plan.ranges, MonthFiles(plan, written), SILENT)
        (file,) = Readers(snapshot, [copy], 1, fail_fast=True).run()[copy.name]
    return file


def _record(copied: DatasetResult, run_id: str) -> ObjectRecord:
    return ObjectRecord(copied.bytes, copied.rows_out, 0, run_id, copied.sha256, copied)


def _uploads(staged: Transaction) -> tuple[ForeignUpload, ...]:
    return tuple(
        ForeignUpload(pending, found.bytes, _first_line(staged, found.key))
        for pending in staged.pending_writes()
        if (found := staged.find(pending["key"]))
    )


def _first_line(staged: Store, key: str) -> bytes:
    length = _HEAD_BYTES
    while (end := record_end(head := staged.read(key, 0, length))) is None and len(head) == length:
        length *= 8
    return head[: (end or 0) + 1]


def _read_if_written(staged: Transaction, key: str) -> bytes:
    return staged.read(key) if key in staged.waiting else b""


def _read_again(staged: Store, key: str) -> Content:
    def read(start: int = 0, length: int | None = None) -> bytes:
        return staged.read(key, start, length)

    return read_again(key, read, Event())


def _hashed(data: bytes) -> Content:
    return Content(len(data), sha256(data).hexdigest(), 0, {})


def _rivals(staged: Store, part: Table, zone: str, memory: Memory) -> Iterator[bytes]:
    """Silver's keys, with the moments that decide between rows of one key, in pieces."""
    file = CsvObject(staged, part.silver_key, {}, batch_bytes=memory.batch_bytes, known=part.known)
    moments = {"updated": "updated_at", "created": "created_at"}
    for chunk in file.chunks():
        rows = chunk.frame([str(part.key), *moments.values()])
        key = pl.col(str(part.key)).cast(pl.Int64).alias("key")
        yield pack_rivals(rows.select(key, *(_moment(rows, zone, *names) for names in moments.items())))


def _moment(rows: pl.DataFrame, zone: str, name: str, column: str) -> pl.Expr:
    earliest = -(2**63)
    found = instant(pl.col(column), zone).fill_null(earliest) if column in rows.columns else pl.lit(earliest)
    return found.alias(name)


def in_month(plan: MonthPlan, month: str) -> MonthPlan:
    """The plan for one of its months alone; of a table without rows, with one of its ranges."""
    there = {blocks: months for blocks, months in plan.there.items() if month in months}
    there = there or dict([*plan.there.items()][:1])
    return replace(plan, there=there, expected={month: plan.expected[month]}, watermark=None, carried=())
