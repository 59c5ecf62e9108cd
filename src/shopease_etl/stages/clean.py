"""Bronze to silver and quarantine: every row ends in one of the two."""

import time
from collections import Counter, deque
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain, groupby
from operator import attrgetter, itemgetter
from typing import Final

import polars as pl

from shopease_etl.contract import column_names, layout
from shopease_etl.contract.gold import GOLD, GoldDataset
from shopease_etl.contract.gold.dataset import TOTALS, Frames
from shopease_etl.contract.layout import BRONZE, QUARANTINE, SILVER
from shopease_etl.contract.tables import Table
from shopease_etl.errors import DataRefusedError
from shopease_etl.lake.manifests import WriteGroup, write_group
from shopease_etl.lake.store import Store, Writer
from shopease_etl.progress import SILENT, Progress
from shopease_etl.report import DatasetResult, ObjectRecord, StageResult
from shopease_etl.stages.carry_over import Months, Pair, parts_of
from shopease_etl.transform.chunks import CsvObject, translate_read_errors
from shopease_etl.transform.clean import CleanedChunk, clean_chunk
from shopease_etl.transform.deduplicate import ChunkRows, DuplicateSearch
from shopease_etl.transform.executor import LOCAL, Executor
from shopease_etl.transform.memory import Memory
from shopease_etl.transform.month_state import KEYS, SUMS, pack_keys, pack_sums, united
from shopease_etl.transform.partials import PartialSums, add_up
from shopease_etl.wording import counted

MEMORY: Final = Memory()


def clean(
    store: Store,
    tables: Sequence[Table],
    run_id: str,
    *,
    recorded: Mapping[str, ObjectRecord],
    zone: str = "UTC",
    memory: Memory = MEMORY,
    partial_sums: PartialSums | None = None,
    progress: Progress = SILENT,
    executor: Executor = LOCAL,
    full: bool = False,
) -> StageResult:
    """Clean the tables; silver and quarantine change together, when every table is done.

    `recorded` has by key what earlier stages and runs wrote. Timestamps without an offset are in the time zone `zone`.
    `partial_sums` gets what gold needs, so that `aggregate` need not read silver again.
    A month whose bronze and rules have not changed is carried over, unless the cleaning is `full`.

    Raises:
        DataRefusedError: bronze is missing, cut short or lacks a column, or rows in ≠ rows out + rejected.
        ShopeaseError: `memory` does not suffice.
    """
    started = time.monotonic()
    with write_group(store) as written:
        job = _Cleaning(store, run_id, recorded, zone, written, executor, memory, partial_sums, progress)
        plans = [job.plan(table, full=full) for table in tables if table.required or store.find(table.bronze_key)]
        pairs = [pair for plan in plans for pair in job.clean(plan)]
    datasets = tuple(dataset for pair in pairs for dataset in pair)
    return StageResult("clean", round(time.monotonic() - started, 3), datasets)


def _bronze(store: Store, table: Table, recorded: Mapping[str, ObjectRecord], batch_bytes: int) -> CsvObject:
    file = CsvObject(store, table.bronze_key, recorded, batch_bytes=batch_bytes, known=table.known)
    file.require_columns(table)
    _require_usable_names(file.names, table)
    return file


def _require_usable_names(source: Sequence[str], table: Table) -> None:
    """Athena reads a header of one line only."""
    bad = next((name for name in source if "\n" in name or "\r" in name), None)
    if bad is not None:
        message = f"{table.bronze_key}: the name of the column {bad!r} has a line break"
        raise DataRefusedError(message, hint=f"rename the column in the source table {table.source}")


@dataclass(frozen=True)
class _Plan:
    """The files of a table: those to clean, opened, and the months that are carried over.

    Months in `again` are cleaned because of the keys that they share with others: what they were is `again`'s value.
    `keys` has the keys of the other cleaned months, if any month may be carried over, and `state` the hashes of what is
    kept of each cleaned month.
    """

    months: Months
    cleaned: dict[Table, CsvObject]
    carried: dict[Table, Pair]
    again: dict[Table, Pair] = field(default_factory=dict)
    keys: dict[Table, pl.Series] = field(default_factory=dict)
    state: dict[Table, dict[str, str]] = field(default_factory=dict)


@dataclass(frozen=True)
class _Cleaning:
    """What cleaning a table takes, besides the table."""

    store: Store
    run_id: str
    recorded: Mapping[str, ObjectRecord]
    zone: str
    written: WriteGroup
    executor: Executor
    memory: Memory
    partial_sums: PartialSums | None
    progress: Progress

    @property
    def datasets(self) -> Sequence[GoldDataset]:
        """The datasets whose sums are made and kept."""
        return self.partial_sums.datasets if self.partial_sums else GOLD

    def plan(self, table: Table, *, full: bool) -> _Plan:
        """What is to be done with each file of a table; the ones to clean are there and whole."""
        parts = parts_of(self.store, table, BRONZE, self.recorded)
        months = Months(self.store, table, parts, self.recorded, self.zone, self.datasets)
        carried = {} if full else months.intact()
        return _Plan(months, {part: self._open(part) for part in parts if part not in carried}, carried)

    def _open(self, part: Table) -> CsvObject:
        return _bronze(self.store, part, self.recorded, self.memory.batch_bytes)

    def clean(self, plan: _Plan) -> list[Pair]:
        """Write silver and quarantine of a table; returns what they are, file by file, and of months carried over."""
        table = plan.months.table
        started = time.monotonic()
        self.progress.start(table.name, sum(file.bytes for file in plan.cleaned.values()))
        pairs = {}
        files = {file.key: part for part, file in plan.cleaned.items()}
        source = layout.dataset_of(table.bronze_key) if len(plan.months.parts) > 1 else plan.months.parts[0].bronze_key
        with translate_read_errors(source, self.written), closing(self._cleaned(plan)) as chunks:
            for key, of_part in groupby(chunks, attrgetter("key")):
                part = files.get(key) or next(part for part in plan.cleaned if part.bronze_key == key)
                pairs[part] = self._write(plan, part, of_part)
        for part, pair in plan.carried.items():
            pairs[part] = pair
            if self.partial_sums:
                self.partial_sums.add_month(plan.months.sums(part))
        if not plan.months.parts[0].month:
            seconds = round(time.monotonic() - started, 3)
            pairs = {part: (replace(silver, seconds=seconds), rejects) for part, (silver, rejects) in pairs.items()}
        rows = sum(silver.rows_out for silver, _ in pairs.values())
        rejected = sum(silver.rows_rejected for silver, _ in pairs.values())
        self.progress.finish(table.name, f"{counted(rows, 'row')}, {rejected:,} rejected")
        return [pairs[part] for part in plan.months.parts]

    def _cleaned(self, plan: _Plan) -> Generator[CleanedChunk]:
        is_kept = plan.months.parts[0].month is not None
        sum_up = partial(add_up, datasets=self.datasets) if is_kept or self.partial_sums else None
        work = partial(clean_chunk, table=plan.months.table, run_id=self.run_id, sum_up=sum_up)
        return self.executor.map(work, self._with_duplicates(plan))

    def _with_duplicates(self, plan: _Plan) -> Iterable[ChunkRows]:
        """The chunks to clean, each with its duplicate rows."""
        if plan.months.has_unique_key:
            none = pl.Series([], dtype=pl.UInt32)
            return ((chunk, none) for file in plan.cleaned.values() for chunk in file.chunks())
        with DuplicateSearch(plan.months.table, self.executor, self.memory.spill) as search:
            self._read_keys(search, plan, plan.cleaned)
            if plan.carried:
                compared = self._look_again(plan)
                self._read_keys(search, plan, {**{part: plan.cleaned[part] for part in plan.again}, **compared})
            found = search.duplicates(self.zone)
        cleaned = {file.key for file in plan.cleaned.values()}
        return [of_chunk for of_chunk in found if of_chunk[0].key in cleaned]

    def _read_keys(self, search: DuplicateSearch, plan: _Plan, files: Mapping[Table, CsvObject]) -> None:
        parts = {file.key: part for part, file in files.items()}
        chunks = chain.from_iterable(file.chunks() for file in files.values())
        with closing(search.read(chunks)) as read:
            for key, pieces in groupby(read, itemgetter(0)):
                part = parts[key]
                if not part.month or part not in plan.cleaned or part in plan.state:
                    deque(pieces, maxlen=0)
                    continue
                keys = united(keys for _, keys in pieces)
                plan.state[part] = {part.state_key(KEYS): self._put(part.state_key(KEYS), pack_keys(keys))}
                if plan.carried:
                    plan.keys[part] = keys

    def _look_again(self, plan: _Plan) -> dict[Table, CsvObject]:
        """Decide which of the carried months are cleaned again; returns further ones that are only compared with."""
        months, carried = plan.months, plan.carried
        former = months.former_keys(plan.cleaned)
        changed = [*plan.keys.values()]
        again = list(carried) if former is None else months.sharing(carried, changed + former)
        plan.again.update({part: carried.pop(part) for part in again})
        plan.cleaned.update({part: self._open(part) for part in again})
        plan.state.update(
            {part: {key: plan.again[part][0].state[key]} for part in again if (key := part.state_key(KEYS))}
        )
        beside = months.sharing(carried, changed + [months.keys(part) for part in again])
        return {part: self._open(part) for part in beside}

    def _write(self, plan: _Plan, part: Table, chunks: Iterable[CleanedChunk]) -> Pair:
        silver, quarantine = self.written.writer(part.silver_key), self.written.writer(part.quarantine_key)
        # counted by the frames here, and by another engine when they are read again
        silver.counts_rows = quarantine.counts_rows = False
        names, table = plan.cleaned[part].names, plan.months.table
        silver.write(_header(column_names.silver_columns(table, names)))
        quarantine.write(_header(column_names.quarantine_columns(table, names)))
        rows: Counter[str] = Counter()
        rejected: Counter[str] = Counter()
        with PartialSums(self.memory, self.datasets) if part.month else nullcontext(self.partial_sums) as sums:
            for chunk in chunks:
                self.memory.require_room()
                silver.write(chunk.silver)
                quarantine.write(chunk.quarantine)
                rows.update({BRONZE: chunk.bronze_rows, SILVER: chunk.silver_rows, QUARANTINE: chunk.quarantine_rows})
                rejected.update(chunk.rejected)
                if sums and chunk.sums is not None:
                    sums.add(table, chunk.sums)
                self.progress.advance(table.name, size=chunk.bronze_bytes)
            kept = _result(silver, table.name, rows[BRONZE], rows[SILVER], dict(sorted(rejected.items())))
            rejects = _result(quarantine, table.name, rejected.total(), rows[QUARANTINE])
            _require_every_row(kept, rejects, self.recorded.get(part.bronze_key))
            if not (part.month and sums):
                return kept, rejects
            found = sums.of_month()
        if self.partial_sums:
            self.partial_sums.add_month(found)
        former = plan.again.get(part)
        if former and (former[0].sha256, former[0].rejected) == (kept.sha256, kept.rejected):
            self.written.drop(silver)
            self.written.drop(quarantine)
            return former
        silver.complete()
        quarantine.complete()
        return self._with_state(plan, part, kept, found), rejects

    def _with_state(self, plan: _Plan, part: Table, silver: DatasetResult, sums: Frames) -> DatasetResult:
        sums_key = part.state_key(SUMS)
        totals = sums[TOTALS].row(0, named=True)
        return replace(
            silver,
            made_of=plan.months.made_of(part),
            sums={f"silver_{name}": str(totals[name]) for name in ("revenue", "transactions")},
            state={**plan.state.get(part, {}), sums_key: self._put(sums_key, pack_sums(sums, self.datasets))},
        )

    def _put(self, key: str, data: bytes) -> str:
        upload = self.written.writer(key)
        upload.counts_rows = False
        upload.write(data)
        upload.complete()
        return upload.sha256


def _header(names: Sequence[str]) -> bytes:
    return pl.DataFrame(schema=dict.fromkeys(names, pl.String)).write_csv().encode()


def _result(
    upload: Writer,
    name: str,
    rows_in: int,
    rows_out: int,
    rejected: dict[str, int] | None = None,
    seconds: float | None = None,
) -> DatasetResult:
    layer = upload.key.partition("/")[0]
    return DatasetResult(
        layer, name, upload.key, rows_in, rows_out, upload.bytes, upload.sha256, rejected or {}, seconds
    )


def _require_every_row(silver: DatasetResult, quarantine: DatasetResult, bronze: ObjectRecord | None) -> None:
    """The counts come from three places: the manifest, the frames read and written, and the rules."""
    if bronze and bronze.rows != silver.rows_in:
        found = counted(silver.rows_in, "row")
        message = f"{silver.name}: {found} in bronze, but the run {bronze.run_id} wrote {bronze.rows:,}"
        raise DataRefusedError(message)
    if quarantine.rows_in != quarantine.rows_out or silver.rows_in != silver.rows_out + quarantine.rows_out:
        message = (
            f"{silver.name}: {silver.rows_in:,} rows in, but {silver.rows_out:,} in silver and "
            f"{quarantine.rows_out:,} in quarantine, {quarantine.rows_in:,} rejected by rules"
        )
        raise DataRefusedError(message)
