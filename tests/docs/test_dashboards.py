"""What docs/DASHBOARDS.md shows: each query through `shopease query`, and the same on its DuckDB file, read-only."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from commands import Shop

DOC = (Path(__file__).parents[2] / "docs" / "DASHBOARDS.md").read_text()
QUERIES = re.findall(r"^```sql\n(.*?)\n```$", DOC, re.MULTILINE | re.DOTALL)
TABLE = re.compile(r"shopease_catalog\.(\w+)")
(PROGRAM,) = re.findall(r"^```python\n(.*?)\n```$", DOC, re.MULTILINE | re.DOTALL)
READ = """import duckdb, sys
with duckdb.connect("gold.duckdb", read_only=True) as database:
    print(database.execute(sys.argv[1]).fetchone()[0])"""


@pytest.fixture(scope="module")
def ready(sales: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """A shop with a lake, and beside it the file that the document's program makes."""
    shop = Shop(tmp_path_factory.mktemp("dashboards"), sales)
    shop.run("run-all").done()
    subprocess.run([sys.executable, "-c", PROGRAM], cwd=shop.folder, check=True)
    yield shop


def texts(rows: list[Any]) -> list[list[str]]:
    """Rows as text, with numbers in one spelling."""
    numeric = re.compile(r"-?\d+(\.\d+)?")
    found = [[str(value) for value in row] for row in rows]
    return [[f"{Decimal(text).normalize():f}" if numeric.fullmatch(text) else text for text in row] for row in found]


def test_there_are_six_queries() -> None:
    tables = {table for query in QUERIES for table in TABLE.findall(query)}
    assert len(QUERIES) == len(tables) == 6
    assert [query for query in QUERIES if ";" in query] == []


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: str(TABLE.findall(query)[0]))
def test_queries(ready: Shop, query: str) -> None:
    asked = ready.run("query", query, "--json").done().document
    rows = [list(row.values()) for row in asked["rows"]]
    assert rows != []
    with duckdb.connect(ready.folder / "gold.duckdb", read_only=True) as database:
        assert texts(database.execute(query).fetchall()) == texts(rows)


def test_other_processes_read_the_file_too_and_after_the_next_run(ready: Shop) -> None:
    total = "SELECT SUM(total_revenue) FROM shopease_catalog.daily_sales_summary"
    manifest = max((ready.folder / "lake" / "_runs").glob("*.json"))
    revenue = json.loads(manifest.read_text())["reconciliation"]
    with duckdb.connect(ready.folder / "gold.duckdb", read_only=True) as database:
        before = subprocess.run(
            [sys.executable, "-c", READ, total], cwd=ready.folder, capture_output=True, text=True, check=True
        )
        assert database.execute(total).fetchall() == [(Decimal(before.stdout.strip()),)]
        assert before.stdout.strip() in json.dumps(revenue)
        ready.run("run-all").done()
        assert database.execute(total).fetchall() == [(Decimal(before.stdout.strip()),)]
        with pytest.raises(duckdb.Error, match="read-only"):
            database.execute("CREATE TABLE written (n integer)")
