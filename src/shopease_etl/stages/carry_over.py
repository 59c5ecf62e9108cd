"""Which months are carried over as an earlier run left them, because what they are made of has not changed."""

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from importlib import metadata

import polars as pl

from shopease_etl.contract import layout
from shopease_etl.contract.gold import GoldDataset
from shopease_etl.contract.gold.dataset import Frames
from shopease_etl.contract.layout import SILVER
from shopease_etl.contract.tables import Table
from shopease_etl.errors import DataRefusedError
from shopease_etl.lake.manifests import rerun_hint
from shopease_etl.lake.store import Store
from shopease_etl.report import DatasetResult, ObjectRecord
from shopease_etl.transform.month_state import KEYS, SUMS, definition, united, unpack_keys, unpack_sums
from shopease_etl.transform.rules import KEY

Pair = tuple[DatasetResult, DatasetResult]
"""Silver and quarantine of a file."""


def parts_of(store: Store, table: Table, layer: str, recorded: Mapping[str, ObjectRecord]) -> list[Table]:
    """The table as its files of a layer have it: whole, or its months in order.

    Its files are those that are recorded, whether they are there or not; without records those that are there.
    """
    folder = f"{layer}/{table.name}"
    keys = [key for key in recorded if layout.dataset_of(key) == folder]
    keys = keys or [item.key for item in store.list(f"{folder}/") if layout.owns(item.key)]
    months = sorted(filter(None, map(layout.month_of, keys)))
    return [table.in_month(month) for month in months] if table.month_column and months else [table]


def read_state(store: Store, key: str, silver: ObjectRecord | None) -> bytes | None:
    """What was derived from a month's rows; None if it is missing or not what the month's run recorded."""
    expected = silver.result.state.get(key) if silver and silver.result else None
    if expected is None or store.find(key) is None:
        return None
    data = store.read(key)
    return data if hashlib.sha256(data).hexdigest() == expected else None


@dataclass(frozen=True)
class Months:
    """The files of a table in bronze, months or the whole, and what the last run recorded of them."""

    store: Store
    table: Table
    parts: Sequence[Table]
    recorded: Mapping[str, ObjectRecord]
    zone: str
    datasets: Sequence[GoldDataset]

    @cached_property
    def has_unique_key(self) -> bool:
        """Whether the source guarantees that no key occurs twice, in all files."""
        found = [self.recorded.get(part.bronze_key) for part in self.parts]
        return all(record and record.result and record.result.has_unique_key for record in found)

    def made_of(self, part: Table) -> str | None:
        """A hash of all that silver of a month depends on, but for other months with the same keys; None if it is not
        known.
        """
        record = self.recorded.get(part.bronze_key)
        if not (part.month and record and record.result):
            return None
        versions = (metadata.version("shopease"), pl.__version__, definition(self.datasets))
        rules = json.dumps(asdict(part), default=lambda function: f"{function.__module__}.{function.__qualname__}")
        known = (record.result.sha256, rules, self.zone, str(self.has_unique_key), *versions)
        return hashlib.sha256("\n".join(known).encode()).hexdigest()

    def intact(self) -> dict[Table, Pair]:
        """The months whose silver is made of what it would be made of now, with all that was kept of them."""
        prefixes = {layout.dataset_of(key) for part in self.parts for key in (part.silver_key, part.quarantine_key)}
        sizes = {item.key: item.bytes for prefix in prefixes for item in self.store.list(f"{prefix}/")}
        found = {part: self._intact(part, sizes) for part in self.parts}
        return {part: pair for part, pair in found.items() if pair}

    def _intact(self, part: Table, sizes: Mapping[str, int]) -> Pair | None:
        silver, quarantine = (self.recorded.get(key) for key in (part.silver_key, part.quarantine_key))
        if not (silver and silver.result and quarantine and quarantine.result):
            return None
        if not self._is_as_recorded(part):
            return None
        if any(sizes.get(record.result.key) != record.bytes for record in (silver, quarantine) if record.result):
            return None
        files = (SUMS,) if self.has_unique_key else (SUMS, KEYS)
        if any(read_state(self.store, part.state_key(file), silver) is None for file in files):
            return None
        return replace(silver.result, run_id=silver.run_id), replace(quarantine.result, run_id=quarantine.run_id)

    def _is_as_recorded(self, part: Table) -> bool:
        silver = self.recorded.get(part.silver_key)
        made_of = silver.result.made_of if silver and silver.result else None
        return made_of is not None and made_of == self.made_of(part)

    def former_keys(self, changed: Collection[Table]) -> list[pl.Series] | None:
        """The keys of the changed months, and of those that have vanished, as the last run left them; None if they are
        not known. Keys of months that are in bronze as they were are left out.
        """
        same = {part.silver_key for part in self.parts if part not in changed or self._is_as_recorded(part)}
        folder = f"{SILVER}/{self.table.name}"
        found = []
        for key in self.recorded:
            if layout.dataset_of(key) != folder or key in same:
                continue
            data = read_state(self.store, self.table.in_month(layout.month_of(key)).state_key(KEYS), self.recorded[key])
            if data is None:
                return None
            found.append(unpack_keys(data))
        return found

    def sharing(self, parts: Iterable[Table], keys: Sequence[pl.Series]) -> list[Table]:
        """Those of some intact months that have one of the keys."""
        others = united(keys)
        return [part for part in parts if _meet(self.keys(part), others)]

    def keys(self, part: Table) -> pl.Series:
        """The keys of an intact month."""
        return unpack_keys(self._kept(part, KEYS))

    def sums(self, part: Table) -> Frames:
        """The sums of an intact month."""
        return unpack_sums(self._kept(part, SUMS))

    def _kept(self, part: Table, file: str) -> bytes:
        key = part.state_key(file)
        data = read_state(self.store, key, self.recorded[part.silver_key])
        if data is None:
            message = f"{key} was changed during the run"
            raise DataRefusedError(message, hint=rerun_hint(part.silver_key))
        return data


def _meet(keys: pl.Series, others: pl.Series) -> bool:
    """Whether two series of different keys, in order, have one in common."""
    merged = keys.to_frame().merge_sorted(others.to_frame(), key=KEY).to_series()
    return bool((merged == merged.shift(1)).any())
