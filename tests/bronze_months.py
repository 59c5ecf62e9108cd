"""A lake with sales by month: bronze made by hand, as an extract would leave it, then cleaned and added up."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256

import polars as pl

from hand_made_lake import CUSTOMER_ROWS, PRODUCT_ROWS, csv_text, names_of
from memory_store import MemoryStore
from shopease_etl.contract import layout
from shopease_etl.contract.gold import USUAL
from shopease_etl.contract.layout import BRONZE
from shopease_etl.contract.tables import CUSTOMERS, INVENTORY, PRODUCTS, SALES_MANAGERS, STORES, TRANSACTIONS, Table
from shopease_etl.lake.store import put_stream
from shopease_etl.report import DatasetResult, ObjectRecord, StageResult
from shopease_etl.stages.aggregate import aggregate
from shopease_etl.stages.clean import clean
from shopease_etl.transform.executor import LOCAL, Executor
from shopease_etl.transform.memory import Memory
from shopease_etl.transform.partials import PartialSums

Sale = tuple[str | None, ...]
HEADER = tuple(column.name for column in TRANSACTIONS.columns)
CREATED = HEADER.index("created_at")


def month_of(sale: Sale) -> str:
    created = sale[CREATED]
    return created[:7] if created and created[0].isdigit() else layout.NO_MONTH


@dataclass
class MonthlyLake:
    """A lake, and what its last runs recorded, as the pipeline hands it to stages.

    All runs have the same id, so that quarantine can be compared.
    """

    by_month: bool = True
    executor: Executor = LOCAL
    store: MemoryStore = field(default_factory=MemoryStore)
    recorded: dict[str, ObjectRecord] = field(default_factory=dict)

    def run(
        self,
        sales: Sequence[Sale],
        *,
        run_id: str = "run",
        zone: str = "UTC",
        full: bool = False,
        has_unique_key: bool = False,
        only_clean: bool = False,
    ) -> StageResult:
        """Extract by hand, clean and aggregate; returns what cleaning reports."""
        months = defaultdict(list)
        for sale in sales:
            months[month_of(sale)].append(sale)
        parts = [(TRANSACTIONS.in_month(month), months[month]) for month in months or [layout.NO_MONTH]]
        bronze = [(table, csv_text(HEADER, list[tuple[object, ...]](rows))) for table, rows in parts]
        bronze = bronze if self.by_month else [(TRANSACTIONS, csv_text(HEADER, [*sales]))]
        bronze += [(CUSTOMERS, csv_text(names_of(CUSTOMERS), CUSTOMER_ROWS))]
        bronze += [(PRODUCTS, csv_text(names_of(PRODUCTS), PRODUCT_ROWS))]
        bronze += [(table, csv_text(names_of(table), [])) for table in (STORES, INVENTORY, SALES_MANAGERS)]
        results = [self._put(table, text, has_unique_key=has_unique_key) for table, text in bronze]
        self._record(StageResult("extract", 0, tuple(results)), run_id)
        if only_clean:
            return self.clean(run_id, zone=zone, full=full)
        with PartialSums(Memory()) as sums:
            cleaned = self.clean(run_id, zone=zone, full=full, sums=sums)
            self.aggregate(sums)
        return cleaned

    def clean(
        self, run_id: str = "run", *, zone: str = "UTC", full: bool = False, sums: PartialSums | None = None
    ) -> StageResult:
        """Clean what is in bronze."""
        tables = (CUSTOMERS, PRODUCTS, TRANSACTIONS)
        cleaned = clean(
            self.store,
            tables,
            run_id,
            recorded=self.recorded,
            zone=zone,
            partial_sums=sums,
            executor=self.executor,
            full=full,
        )
        self._record(cleaned, run_id)
        return cleaned

    def aggregate(self, sums: PartialSums | None = None) -> None:
        """Make gold, without sums from what the lake has."""
        self._record(
            aggregate(self.store, USUAL, recorded=self.recorded, partial_sums=sums, executor=self.executor), "run"
        )

    def rewritten(self, sales: Sequence[Sale], *, full: bool = False, has_unique_key: bool = False) -> list[str]:
        """Run again; returns the months whose silver is written."""
        cleaned = self.run(sales, full=full, has_unique_key=has_unique_key)
        found = [item for item in cleaned.datasets if item.key.startswith("silver/transactions")]
        return [month for item in found if item.run_id is None and (month := layout.month_of(item.key))]

    def _put(self, table: Table, text: str, *, has_unique_key: bool) -> DatasetResult:
        data, key = text.encode(), table.bronze_key
        former = self.recorded.get(key)
        if former and former.result and former.result.sha256 == sha256(data).hexdigest():
            return replace(former.result, run_id=former.run_id, has_unique_key=has_unique_key)
        put_stream(self.store, key, [data])
        rows = len(pl.read_csv(data, infer_schema=False))
        hashed = sha256(data).hexdigest()
        return DatasetResult(
            BRONZE,
            table.name,
            key,
            rows,
            rows,
            len(data),
            hashed,
            has_unique_key=has_unique_key,
        )

    def _record(self, stage: StageResult, run_id: str) -> None:
        """As a manifest does, by dataset; other files of these datasets are deleted."""
        written = {layout.dataset_of(item.key) for item in stage.datasets}
        self.recorded = {
            key: record for key, record in self.recorded.items() if layout.dataset_of(key) not in written
        } | {
            item.key: ObjectRecord(
                item.bytes, item.rows_out, item.rows_rejected, item.run_id or run_id, item.sha256, item
            )
            for item in stage.datasets
        }
        gone = [key for key in self.store.objects if layout.dataset_of(key) in written and key not in self.recorded]
        self.store.delete(gone)

    def contents(self) -> dict[str, bytes]:
        """Silver and quarantine, byte for byte."""
        return {key: item.data for key, item in self.store.objects.items() if key.startswith(("silver", "quarantine"))}

    def gold(self) -> dict[str, bytes]:
        """Gold, byte for byte."""
        return {dataset.name: self.store.read(dataset.key) for dataset in USUAL}

    def rows(self) -> dict[str, list[bytes]]:
        """The rows of silver and quarantine by dataset, in the order of their bytes, whichever file has them."""
        found: dict[str, list[bytes]] = defaultdict(list)
        for key, data in self.contents().items():
            found[layout.dataset_of(key)] += data.split(b"\n")[1:-1]
        return {name: sorted(lines) for name, lines in found.items()}
