"""Bronze to silver and quarantine: every row ends in one of the two."""

import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain, groupby
from operator import attrgetter, itemgetter
from types import MappingProxyType
from typing import Final

import polars as pl

from shopease_etl.contract import column_names, layout
from shopease_etl.contract.gold import USUAL, GoldDataset
from shopease_etl.contract.gold.dataset import TOTALS, Frames
from shopease_etl.contract.layout import BRONZE, QUARANTINE, SILVER
from shopease_etl.contract.tables import Table
from shopease_etl.errors import DataRefusedError
from shopease_etl.lake.manifests import WriteGroup, rerun_hint, write_group
from shopease_etl.lake.store import Store, Writer
from shopease_etl.progress import SILENT, Progress
from shopease_etl.report import DatasetResult, ObjectRecord, StageResult
from shopease_etl.stages.bronze_files import chunks_of, hash_of, open_bronze
from shopease_etl.stages.carry_over import DUPLICATES, FIRST_KEY, LAST_KEY, CleanedMonths, Months, Pair
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
    datasets: Sequence[GoldDataset] = USUAL,
    partial_sums: PartialSums | None = None,
    progress: Progress = SILENT,
    executor: Executor = LOCAL,
    full: bool = False,
    cleaned: dict[str, int] | None = None,
    lost_keys: pl.Series | None = None,
    elsewhere: Mapping[str, CleanedMonths] = MappingProxyType({}),
) -> StageResult:
    """Clean the tables; silver and quarantine change together, when every table is done.

    `recorded` has by key what earlier stages and runs wrote. Timestamps without an offset are in the time zone `zone`.
    `partial_sums` gets what gold's `datasets` need, so that `aggregate` need not read silver again.
    A month whose bronze and rules have not changed is carried over, unless the cleaning is `full`.
    `cleaned` gets by key the rows of each file of bronze that was compared with its hash as it was read.
    Rows with one of the `lost_keys` are duplicates of better rows in months that are not cleaned here.
    `elsewhere` has by name the tables that other machines have cleaned.

    Raises:
        DataRefusedError: bronze is missing, cut short or lacks a column, or rows in ≠ rows out + rejected.
        ShopeaseError: `memory` does not suffice.
    """
    started = time.monotonic()
    with write_group(store) as written:
        compared = {} if cleaned is None else cleaned
        job = _Cleaning(
            store,
            run_id,
            recorded,
            zone,
            written,
            executor,
            memory,
            datasets,
            partial_sums,
            progress,
            compared,
            lost_keys,
        )
        there = [table for table in tables if table.required or store.find(table.bronze_key)]
        begun = {table.name: job.begin(table, full=full) for table in there if table.name not in elsewhere}
        pairs = [
            pair
            for name in (table.name for table in there)
            for pair in (job.clean(*begun[name]) if name in begun else job.take(name, elsewhere[name]))
        ]
    return StageResult("clean", round(time.monotonic() - started, 3), tuple(item for pair in pairs for item in pair))


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
    datasets: Sequence[GoldDataset]
    partial_sums: PartialSums | None
    progress: Progress
    compared: dict[str, int]
    lost_keys: pl.Series | None
    kept_keys: dict[Table, tuple[Mapping[str, str], Mapping[str, str]]] = field(default_factory=dict)

    def begin(self, table: Table, *, full: bool) -> tuple[Months, dict[Table, CsvObject]]:
        """The files of a table, and those to clean, opened."""
        months = Months(self.store, table, self.recorded, self.zone, self.datasets)
        if months.are_kept and not full:
            months.carry_over()
        return months, self._opened(part for part in months.parts if part not in months.carried)

    def _opened(self, parts: Iterable[Table]) -> dict[Table, CsvObject]:
        return {part: open_bronze(self.store, part, self.recorded, self.memory.batch_bytes) for part in parts}

    def clean(self, months: Months, files: dict[Table, CsvObject]) -> list[Pair]:
        """Write silver and quarantine of these files; returns what they are, and those of months carried over."""
        table, started = months.table, time.monotonic()
        source = layout.dataset_of(table.bronze_key) if months.are_kept else table.bronze_key
        self.progress.start(table.name, sum(file.bytes for file in files.values()))
        with translate_read_errors(source, self.written):
            pairs = self._cleaned(months, files)
            if self.partial_sums:
                for sums in months.sums():
                    self.partial_sums.add_month(sums)
        for part, (silver, _) in pairs.items():
            if (known := self.recorded.get(part.bronze_key)) and known.sha256:
                self.compared[part.bronze_key] = silver.rows_in
        if not months.are_kept:
            seconds = round(time.monotonic() - started, 3)
            pairs = {part: (replace(silver, seconds=seconds), rejects) for part, (silver, rejects) in pairs.items()}
        pairs |= months.carried
        rows, rejected = (sum(item.rows_out for item in items) for items in zip(*pairs.values(), strict=True))
        self.progress.finish(table.name, f"{counted(rows, 'row')}, {rejected:,} rejected")
        return [pairs[part] for part in months.parts]

    def take(self, name: str, months: CleanedMonths) -> list[Pair]:
        """Silver and quarantine that other machines wrote, and their sums."""
        if self.partial_sums:
            for sums in months.sums:
                self.partial_sums.add_month(sums)
        rows, rejected = (sum(item.rows_out for item in items) for items in zip(*months.pairs.values(), strict=True))
        self.progress.start(name)
        self.progress.finish(name, f"{counted(rows, 'row')}, {rejected:,} rejected")
        return [*months.pairs.values()]

    def _cleaned(self, months: Months, files: dict[Table, CsvObject]) -> dict[Table, Pair]:
        if months.has_unique_key:
            none = pl.Series([], dtype=pl.UInt32)
            chunks: Iterable[ChunkRows] = ((chunk, none) for chunk in chunks_of(files))
        else:
            found = self._compared(months, files)
            chunks = chain.from_iterable(file.read_again(found[part.bronze_key]) for part, file in files.items())
        sum_up = partial(add_up, datasets=self.datasets) if months.are_kept or self.partial_sums else None
        work = partial(clean_chunk, table=months.table, run_id=self.run_id, sum_up=sum_up)
        parts = {file.key: (part, file.names) for part, file in files.items()}
        with closing(self.executor.map(work, chunks)) as cleaned:
            by_file = ((*parts[key], of_file) for key, of_file in groupby(cleaned, attrgetter("key")))
            return {part: self._write(months, part, names, of_file) for part, names, of_file in by_file}

    def _compared(self, months: Months, files: dict[Table, CsvObject]) -> dict[str, list[ChunkRows]]:
        """The chunks of each file, with their duplicate rows; adds months that must be cleaned again to `files`."""
        doubtful: Mapping[Table, CsvObject] = {}
        with DuplicateSearch(months.table, self.executor, self.memory.spill) as search:
            changed = self._read_keys(search, months, files)
            if months.carried:
                doubtful, beside = map(self._opened, months.to_compare(changed))
                with closing(search.read(chunks_of({**doubtful, **beside}))) as read:
                    for _ in read:
                        self.memory.require_room()
            found = search.duplicates(self.zone, self.lost_keys)
        of_files = {key: list(of_file) for key, of_file in groupby(found, lambda rows: rows[0].key)}
        hashes = {part: hash_of(of_files[part.bronze_key]) for part in (*files, *doubtful) if part.month}
        for part, file in doubtful.items():
            if hashes[part] != months.carried[part][0].keys[DUPLICATES]:
                months.clean_again(part)
                files[part] = file
        for part in filter(hashes.get, files):
            known, state = self.kept_keys.get(part) or (months.again[part][0].keys, months.again[part][0].state)
            self.kept_keys[part] = {**known, DUPLICATES: hashes[part]}, state
        return of_files

    def _read_keys(
        self, search: DuplicateSearch, months: Months, files: Mapping[Table, CsvObject]
    ) -> dict[Table, pl.Series]:
        """Read the keys of files; those of months are kept, and returned if other months are carried over."""
        parts = {file.key: part for part, file in files.items()}
        found = {}
        with closing(search.read(chunks_of(files))) as read:
            for file, pieces in groupby(read, itemgetter(0)):
                keys, part = united(keys for _, keys in pieces if months.are_kept), parts[file]
                if months.are_kept:
                    ends = {FIRST_KEY: str(keys[0]), LAST_KEY: str(keys[-1])} if len(keys) else {}
                    key = part.state_key(KEYS)
                    self.kept_keys[part] = ends, {key: self._put(key, pack_keys(keys))}
                if months.carried:
                    found[part] = keys
        return found

    def _write(self, months: Months, part: Table, names: Sequence[str], chunks: Iterable[CleanedChunk]) -> Pair:
        silver, quarantine = self.written.writer(part.silver_key), self.written.writer(part.quarantine_key)
        # counted by the frames here, and by another engine when they are read again
        silver.counts_rows = quarantine.counts_rows = False
        silver.write(_header(column_names.silver_columns(part, names)))
        quarantine.write(_header(column_names.quarantine_columns(part, names)))
        with PartialSums(self.memory, self.datasets) if part.month else nullcontext(self.partial_sums) as sums:
            kept, rejects = self._fill(months.table, silver, quarantine, chunks, sums)
            _require_every_row(kept, rejects, self.recorded.get(part.bronze_key))
            self.written.complete(silver)
            self.written.complete(quarantine)
            if not (part.month and sums):
                return kept, rejects
            found = sums.of_month()
        _require_month(part, found)
        if self.partial_sums:
            self.partial_sums.add_month(found)
        return self._with_state(months, part, kept, found), rejects

    def _fill(
        self,
        table: Table,
        silver: Writer,
        quarantine: Writer,
        chunks: Iterable[CleanedChunk],
        sums: PartialSums | None,
    ) -> Pair:
        rows, rejected = Counter[str](), Counter[str]()
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
        return kept, _result(quarantine, table.name, rejected.total(), rows[QUARANTINE])

    def _with_state(self, months: Months, part: Table, silver: DatasetResult, found: Frames) -> DatasetResult:
        key = part.state_key(SUMS)
        keys, state = self.kept_keys.get(part, ({}, {}))
        totals = found[TOTALS].row(0, named=True)
        return replace(
            silver,
            made_of=months.made_of(part),
            sums={f"silver_{name}": str(totals[name]) for name in ("revenue", "transactions")},
            keys=keys,
            state={**state, key: self._put(key, pack_sums(found, self.datasets))},
        )

    def _put(self, key: str, data: bytes) -> str:
        upload = self.written.writer(key)
        upload.counts_rows = False
        upload.write(data)
        self.written.complete(upload)
        return upload.sha256


def _require_month(part: Table, sums: Frames) -> None:
    """Days are counted by month, so each must be in one."""
    for days in (frame["transaction_date"] for frame in sums.values() if "transaction_date" in frame.columns):
        others = days.filter(days.dt.strftime("%Y-%m") != part.month)
        if len(others):
            message = f"{part.bronze_key} has sales of another month: of {others[0]}"
            raise DataRefusedError(message, hint=rerun_hint(part.bronze_key))


def _header(names: Sequence[str]) -> bytes:
    return pl.DataFrame(schema=dict.fromkeys(names, pl.String)).write_csv().encode()


def _result(
    upload: Writer, name: str, rows_in: int, rows_out: int, rejected: dict[str, int] | None = None
) -> DatasetResult:
    layer = upload.key.partition("/")[0]
    return DatasetResult(layer, name, upload.key, rows_in, rows_out, upload.bytes, upload.sha256, rejected or {})


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
