"""Which months are carried over as an earlier run left them, because what they are made of has not changed."""

import hashlib
import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property, partial
from typing import Final

import polars as pl

from shopease_etl import __version__
from shopease_etl.contract import layout
from shopease_etl.contract.gold import GoldDataset
from shopease_etl.contract.gold.dataset import Frames
from shopease_etl.contract.layout import BRONZE, SILVER
from shopease_etl.contract.tables import Table
from shopease_etl.errors import DataRefusedError
from shopease_etl.lake.manifests import rerun_hint
from shopease_etl.lake.store import Store
from shopease_etl.report import DatasetResult, ObjectRecord
from shopease_etl.transform.executor import LocalExecutor
from shopease_etl.transform.month_state import (
    KEYS,
    SUMS,
    definition,
    have_common,
    united,
    unpack_keys,
    unpack_sums,
)

FIRST_KEY: Final = "first"
LAST_KEY: Final = "last"
DUPLICATES: Final = "duplicates"
# on S3 every request takes its time
_READERS: Final = LocalExecutor(8)

Pair = tuple[DatasetResult, DatasetResult]
"""Silver and quarantine of a file."""


@dataclass
class CleanedMonths:
    """All months of a table that other machines cleaned or that were carried over, in order, and the sums of each."""

    pairs: dict[Table, Pair] = field(default_factory=dict)
    sums: list[Frames] = field(default_factory=list)


def parts_of(store: Store, table: Table, layer: str, recorded: Mapping[str, ObjectRecord]) -> list[Table]:
    """The table as its files of a layer have it: whole, or its months in order.

    Its files are those that are recorded, whether they are there or not; without records those that are there.
    """
    folder = f"{layer}/{table.name}"
    keys = [key for key in recorded if layout.dataset_of(key) == folder]
    keys = keys or [item.key for item in store.list(f"{folder}/") if layout.owns(item.key)]
    months = sorted(filter(None, map(layout.month_of, keys)))
    return [table.in_month(month) for month in months] if table.month_column and months else [table]


def read_state(store: Store, key: str, silver: DatasetResult | None) -> bytes | None:
    """What was derived from a month's rows; None if it is missing or not what the month's run recorded."""
    expected = silver.state.get(key) if silver else None
    if expected is None or store.find(key) is None:
        return None
    data = store.read(key)
    return data if hashlib.sha256(data).hexdigest() == expected else None


class Months:
    """The files of a table in bronze, months or the whole, and which months are `carried` over: their silver is made of
    what it would be made of now, and all that was kept of them is there.

    Months in `again` are cleaned although they are like that: other rows of them are duplicates now.
    """

    def __init__(
        self,
        store: Store,
        table: Table,
        recorded: Mapping[str, ObjectRecord],
        zone: str,
        datasets: Sequence[GoldDataset],
    ) -> None:
        self.table = table
        self.parts = parts_of(store, table, BRONZE, recorded)
        self.carried: dict[Table, Pair] = {}
        self.again: dict[Table, Pair] = {}
        self._store = store
        self._recorded = recorded
        self._zone = zone
        self._versions = (__version__, pl.__version__, definition(datasets))

    @property
    def are_kept(self) -> bool:
        """Whether the table is kept by month."""
        return self.parts[0].month is not None

    @cached_property
    def has_unique_key(self) -> bool:
        """Whether the source guarantees that no key occurs twice, in all files."""
        found = [self._recorded.get(part.bronze_key) for part in self.parts]
        return all(record and record.result and record.result.has_unique_key for record in found)

    def made_of(self, part: Table) -> str | None:
        """A hash of all that silver of a month depends on, but for other months with the same keys; None if it is not
        known.
        """
        record = self._recorded.get(part.bronze_key)
        if not (part.month and record and record.result):
            return None
        rules = json.dumps(asdict(part), default=lambda function: f"{function.__module__}.{function.__qualname__}")
        known = (record.result.sha256, rules, self._zone, str(self.has_unique_key), *self._versions)
        return hashlib.sha256("\n".join(known).encode()).hexdigest()

    def carry_over(self) -> None:
        """Carry over what can be."""
        folders = {layout.dataset_of(key) for part in self.parts for key in part.keys}
        sizes = {item.key: item.bytes for folder in folders for item in self._store.list(f"{folder}/")}
        same = [part for part in self.parts if self._is_made_of_the_same(part)]
        for part, pair in zip(same, _READERS.map(partial(self._intact, sizes), same), strict=True):
            if pair:
                self.carried[part] = pair

    def _intact(self, sizes: Mapping[str, int], part: Table) -> Pair | None:
        """Silver and quarantine of a month with the runs that wrote them; None if anything of the month is missing."""
        known = [self._recorded[key] for key in part.keys if key in self._recorded]
        found = [replace(each.result, run_id=each.run_id, seconds=None) for each in known if each.result]
        if [(item.key, item.bytes) for item in found] != [(key, sizes.get(key)) for key in part.keys]:
            return None
        _, silver, quarantine = found
        if not (self.has_unique_key or DUPLICATES in silver.keys):
            return None
        state = [part.state_key(file) for file in ((SUMS,) if self.has_unique_key else (SUMS, KEYS))]
        if any(read_state(self._store, key, silver) is None for key in state):
            return None
        return silver, quarantine

    def _is_made_of_the_same(self, part: Table) -> bool:
        silver = self._recorded.get(part.silver_key)
        made_of = silver.result.made_of if silver and silver.result else None
        return made_of is not None and made_of == self.made_of(part)

    def to_compare(self, changed: Mapping[Table, pl.Series]) -> tuple[list[Table], list[Table]]:
        """The carried months that share keys with changed ones, as these were or as they are, and further ones that
        share keys with any of these: to know the duplicates in the first, all are read.

        `changed` has the keys of all months that are not carried over, different ones, in order.
        """
        former = self._former_keys(changed)
        doubtful = list(self.carried) if former is None else self._sharing([*changed.values(), *former], self.carried)
        others = [part for part in self.carried if part not in doubtful]
        beside = self._sharing([*changed.values(), *map(self._keys, doubtful)], others) if others else []
        return doubtful, beside

    def clean_again(self, part: Table) -> None:
        """Do not carry over this month."""
        self.again[part] = self.carried.pop(part)

    def _former_keys(self, changed: Collection[Table]) -> list[pl.Series] | None:
        """The keys of the changed months, and of those that have vanished, as the last run left them; None if they are
        not known. Keys of months whose bronze is as it was are not needed.
        """
        same = {part.silver_key for part in self.parts if part not in changed or self._is_made_of_the_same(part)}
        folder = f"{SILVER}/{self.table.name}"
        found = []
        for key in self._recorded:
            if layout.dataset_of(key) != folder or key in same:
                continue
            part = self.table.in_month(layout.month_of(key))
            data = read_state(self._store, part.state_key(KEYS), self._recorded[key].result)
            if data is None:
                return None
            found.append(unpack_keys(data))
        return found

    def _sharing(self, keys: Sequence[pl.Series], parts: Iterable[Table]) -> list[Table]:
        """Those of some carried months that have one of the keys; only keys that could be the same are read."""
        ordered, found = united(keys), []
        for part in parts:
            silver, _ = self.carried[part]
            if FIRST_KEY in silver.keys:
                start = ordered.search_sorted(int(silver.keys[FIRST_KEY]), "left")
                near = ordered[start : ordered.search_sorted(int(silver.keys[LAST_KEY]), "right")]
                if len(near) and have_common(self._keys(part), near):
                    found.append(part)
        return found

    def _keys(self, part: Table) -> pl.Series:
        return unpack_keys(self._kept(part, KEYS))

    def sums(self) -> Iterator[Frames]:
        """The sums of each carried month."""
        return _READERS.map(lambda part: unpack_sums(self._kept(part, SUMS)), [*self.carried])

    def _kept(self, part: Table, file: str) -> bytes:
        key = part.state_key(file)
        data = read_state(self._store, key, self.carried[part][0])
        if data is None:
            message = f"{key} was changed during the run"
            raise DataRefusedError(message, hint=rerun_hint(part.silver_key))
        return data
