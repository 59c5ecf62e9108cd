"""A table kept by month: an extract copies the months that changed, and no others."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import psycopg
import pytest

from commands import execute
from shopease_etl.contract import layout
from shopease_etl.contract.tables import TRANSACTIONS, Table
from shopease_etl.lake.local import LocalStore
from shopease_etl.report import DatasetResult, StageResult
from shopease_etl.source.postgres import snapshot
from shopease_etl.stages.extract import ByMonth, extract

SALE = (
    "INSERT INTO sale_transactions SELECT n, n % 5, n % 7, n % 11, n % 3 + 1, n / 100.0, 'card', "
    "'say \"web\",' || chr(10), "
    "timestamp '2024-01-15' + n % 5 * interval '1 month', now() FROM generate_series({}, {}) n"
)


@dataclass
class Months:
    """Extracts by month of a source into a lake, one after the other; each knows the last one's result."""

    url: str
    folder: Path
    zone: str = "UTC"
    last: StageResult | None = None
    table: Table = TRANSACTIONS
    runs: int = 0

    @property
    def store(self) -> LocalStore:
        return LocalStore(self.folder / "lake")

    def extract(self, *, full: str | None = None, connections: int = 2, range_bytes: int = 65536) -> StageResult:
        files = {str(layout.month_of(file.key)): file for file in (self.last.datasets if self.last else ())}
        by_month = ByMonth(self.last.watermark if self.last else None, files, full)
        with snapshot(self.url, self.zone, "public", lock=[self.table.source]) as moment:
            result = extract(
                moment,
                self.store,
                [self.table],
                connections=connections,
                range_bytes=range_bytes,
                by_month=by_month,
            )
        for key in {item.key for item in self.store.list("bronze/")} - {file.key for file in result.datasets}:
            self.store.delete([key])
        self.runs += 1
        self.last = replace(result, datasets=tuple(_of_run(file, f"run {self.runs}") for file in result.datasets))
        self.require_complete()
        return result

    def require_complete(self) -> None:
        """The months' rows are those of the table, in its order, each in its month."""
        assert self.last
        with psycopg.connect(self.url) as connection:
            connection.execute("SELECT set_config('TimeZone', %s, false)", [self.zone])
            rows = connection.execute(
                "SELECT CASE WHEN created_at::date >= '0001-01-01' AND created_at::date < '10000-01-01' "
                "THEN to_char(created_at, 'YYYY-MM') ELSE 'none' END, transaction_id::text FROM sale_transactions"
            ).fetchall()
            with connection.cursor().copy("COPY sale_transactions TO STDOUT (FORMAT csv, HEADER)") as copy:
                lines = b"".join(bytes(chunk) for chunk in copy)
        header = lines[: lines.index(b"\n") + 1]
        assert {file.key for file in self.last.datasets} == {
            TRANSACTIONS.in_month(month).bronze_key for month in {month for month, _ in rows} or {"none"}
        }
        found = {file.key: self.store.read(file.key) for file in self.last.datasets}
        assert all(text.startswith(header) for text in found.values())
        assert sum(len(text) - len(header) for text in found.values()) == len(lines) - len(header)
        for file in self.last.datasets:
            assert file.bytes == len(found[file.key])
            mine = [key for month, key in rows if month == layout.month_of(file.key)]
            assert file.rows_out == len(mine)


def _of_run(file: DatasetResult, run_id: str) -> DatasetResult:
    return file if file.run_id else replace(file, run_id=run_id)


def copied(result: StageResult) -> set[str | None]:
    return {layout.month_of(file.key) for file in result.datasets if file.run_id is None}


@pytest.fixture
def months(bare: str, tmp_path: Path) -> Iterator[Months]:
    execute(bare, SALE.format(1, 1000))
    yield Months(bare, tmp_path)


ALL = {"2024-01", "2024-02", "2024-03", "2024-04", "2024-05"}


def test_only_changed_months_are_copied(months: Months) -> None:
    first = months.extract()
    assert (copied(first), first.full) == (ALL, "the first run by month")
    again = months.extract()
    assert (copied(again), again.full) == (set(), None)
    execute(months.url, "UPDATE sale_transactions SET quantity = 9 WHERE transaction_id = 6")
    changed = months.extract()
    assert (copied(changed), changed.full) == ({"2024-02"}, None)
    execute(months.url, "DELETE FROM sale_transactions WHERE transaction_id = 7")
    assert copied(months.extract()) == {"2024-03"}
    execute(months.url, "UPDATE sale_transactions SET created_at = NULL WHERE transaction_id = 8")
    assert copied(months.extract()) == {"2024-04", "none"}
    execute(months.url, "DELETE FROM sale_transactions WHERE date_trunc('month', created_at) = '2024-05-01'")
    assert copied(months.extract()) == set()
    execute(months.url, "TRUNCATE sale_transactions")
    assert copied(months.extract()) == {"none"}
    assert copied(months.extract()) == set()
