"""Extracts by month, one after the other, of a source that tests change in between."""

from collections import defaultdict
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import psycopg

from shopease_etl.contract import layout
from shopease_etl.contract.tables import TRANSACTIONS
from shopease_etl.lake.local import LocalStore
from shopease_etl.report import StageResult
from shopease_etl.source.postgres import snapshot
from shopease_etl.stages.extract import ByMonth, extract

SALES: Final = (
    "INSERT INTO sale_transactions SELECT n, n % 5, n % 7, n % 11, n % 3 + 1, n / 100.0, 'card', "
    "'say \"web\",' || chr(10) || '2024-01,', timestamp '2024-01-15' + n % 5 * interval '1 month', now() "
    "FROM generate_series({}, {}) n"
)
FIVE: Final = {"2024-01", "2024-02", "2024-03", "2024-04", "2024-05"}
_PLAIN: Final = "COPY (SELECT * FROM sale_transactions) TO STDOUT (FORMAT csv, HEADER)"
_MONTHS: Final = """
SELECT CASE WHEN isfinite(created_at) AND created_at::date BETWEEN '0001-01-01' AND '9999-12-31'
            THEN to_char(created_at, 'YYYY-MM') ELSE 'none' END
FROM sale_transactions
"""


@dataclass
class Months:
    """A source and its lake; each extract knows what the last one left, and is checked."""

    url: str
    folder: Path
    zone: str = "UTC"
    last: StageResult | None = None
    runs: int = 0

    @property
    def store(self) -> LocalStore:
        return LocalStore(self.folder / "lake")

    def extract(self, *, full: str | None = None, connections: int = 2, range_bytes: int = 16384) -> StageResult:
        files = {str(layout.month_of(file.key)): file for file in (self.last.datasets if self.last else ())}
        by_month = ByMonth(self.last.watermark if self.last else None, files, full)
        with snapshot(self.url, self.zone, "public", lock=[TRANSACTIONS.source]) as moment:
            result = extract(
                moment,
                self.store,
                [TRANSACTIONS],
                connections=connections,
                range_bytes=range_bytes,
                by_month=by_month,
            )
        self.store.delete([key for key in files_in(self.store) if key not in {file.key for file in result.datasets}])
        self.runs += 1
        datasets = (file if file.run_id else replace(file, run_id=f"run {self.runs}") for file in result.datasets)
        self.last = replace(result, datasets=tuple(datasets))
        expected = self.expected()
        assert files_in(self.store) == expected
        assert {file.key: file.bytes for file in result.datasets} == {key: len(text) for key, text in expected.items()}
        return result

    def copied(self, *, connections: int = 2, range_bytes: int = 16384) -> set[str]:
        """The months that an incremental extract copies."""
        result = self.extract(connections=connections, range_bytes=range_bytes)
        assert result.full is None
        return copied(result)

    def expected(self) -> dict[str, bytes]:
        """The files that the source as it is should give: the rows of a COPY of it, in its order, by month."""
        with psycopg.connect(self.url) as connection:
            for name, value in {
                "TimeZone": self.zone,
                "synchronize_seqscans": "off",
                "enable_indexscan": "off",
            }.items():
                connection.execute("SELECT set_config(%s, %s, true)", [name, value])
            months = [month for (month,) in connection.execute(_MONTHS).fetchall()]
            with connection.cursor().copy(_PLAIN) as copy:
                header, *rows = (bytes(row) for row in copy)
        files = defaultdict(list)
        for month, row in zip(months, rows, strict=True):
            files[month].append(row)
        return {
            TRANSACTIONS.in_month(month).bronze_key: b"".join((header, *rows))
            for month, rows in (files or {"none": []}).items()
        }


def files_in(store: LocalStore) -> dict[str, bytes]:
    """The files of bronze by key."""
    return {item.key: store.read(item.key) for item in store.list("bronze/")}


def copied(result: StageResult) -> set[str]:
    """The months of the files that this extract wrote."""
    return {str(layout.month_of(file.key)) for file in result.datasets if file.run_id is None}
