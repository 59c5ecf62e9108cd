"""Dirty sources made from seeds: the lake has what the plain implementation of the contract computes.

Three seeds are tried; `--fault-rounds 20` tries fifty.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

import plain_gold
import psycopg
import pyarrow.parquet as pq
import pytest
from dirty_sources import RAW, SOURCES, DirtySource, dirty_source
from plain_silver import Cleaned, clean
from plain_values import read_csv
from psycopg import sql
from test_oracle import PARQUET_TYPES, SCHEMAS

from commands import database
from lakes import given_pipeline
from shopease_etl.errors import DataRefusedError
from shopease_etl.pipeline import plan
from shopease_etl.pipeline import run as pipeline
from shopease_etl.report import RunResult
from shopease_etl.transform import memory
from tally import Tally

SEEDS_A_ROUND: Final = 2.5
BATCH_BYTES: Final = 700


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    rounds = metafunc.config.getoption("--fault-rounds")
    if "seed" in metafunc.fixturenames:
        metafunc.parametrize("seed", range(max(3, int(rounds * SEEDS_A_ROUND))))


@dataclass(frozen=True)
class Expected:
    """What the contract makes of a source: cleaned tables, and gold with the sums that agree."""

    cleaned: dict[str, Cleaned]
    gold: dict[str, plain_gold.Rows]
    reconciliation: dict[str, Any]


def bronze_of(url: str, zone: str) -> dict[str, bytes]:
    with psycopg.connect(url) as connection:
        connection.execute(sql.SQL("SET TimeZone = {}").format(zone))
        return {table: _copied(connection, source) for table, source in (*SOURCES.items(), *RAW.items())}


def _copied(connection: psycopg.Connection, source: str) -> bytes:
    # of a table alone COPY leaves out columns that are calculated
    statement = sql.SQL("COPY (SELECT * FROM {}) TO STDOUT (FORMAT csv, HEADER)").format(sql.Identifier(source))
    with connection.cursor().copy(statement) as copy:
        return b"".join(bytes(chunk) for chunk in copy)


def expected_of(bronze: dict[str, bytes], zone: str, run_id: str) -> Expected:
    """What the contract makes of bronze, whether its sums fit or not."""
    cleaned = {table: clean(table, bronze[table], ZoneInfo(zone), run_id) for table in SOURCES}
    sales = plain_gold.sales_of(cleaned["transactions"].rows)
    tables = {table: found.rows for table, found in cleaned.items()}
    for table in RAW:
        names, *rows = read_csv(bronze[table])
        tables[table] = [{str(name): cell for name, cell in zip(names, row, strict=True)} for row in rows]
    gold = plain_gold.all_gold(sales, tables)
    return Expected(cleaned, gold, plain_gold.reconciliation(sales))


def run(source: DirtySource, url: str, folder: Path) -> RunResult:
    return pipeline.run(plan.plan_all(skip_crawl=True), given_pipeline(url, folder, business_timezone=source.zone))


def assert_same_csv(found: bytes, expected: bytes) -> None:
    """Equal bytes; what differs is shown by record and column."""
    if found == expected:
        return
    (header, *records), (names, *others) = read_csv(found), read_csv(expected)
    assert header == names
    for number, (was, should) in enumerate(zip(records, others, strict=False), 1):
        cells = zip(names, was, should, strict=True)
        assert [cell for cell in cells if cell[1] != cell[2]] == [], f"record {number} of {len(others)}: {was}"
    assert len(records) == len(others)
    assert found == expected


@pytest.fixture
def filled(seed: int, database_url: str) -> Iterator[tuple[DirtySource, str]]:
    source = dirty_source(seed)
    with database(database_url) as url:
        source.fill(url)
        yield source, url


@pytest.fixture
def memory_of_a_seed(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every second source is worked on in many small pieces, and rows with one key wait for each other on disk."""
    if seed % 2:
        monkeypatch.setattr(memory, "SMALLEST_BATCH", BATCH_BYTES)
        monkeypatch.setattr(memory, "USUAL", BATCH_BYTES)


@pytest.mark.usefixtures("memory_of_a_seed")
def test_the_lake_of_a_dirty_source_follows_the_contract(
    filled: tuple[DirtySource, str], tmp_path: Path, tally: Tally
) -> None:
    source, url = filled
    bronze = bronze_of(url, source.zone)
    if too_large := plain_gold.too_large(expected_of(bronze, source.zone, "").gold):
        with pytest.raises(DataRefusedError) as refused:
            run(source, url, tmp_path)
        told = str(refused.value)
        assert any(dataset in told and key in told for dataset, key in too_large), told
        tally.count("a dirty source", "a sum that does not fit", "none, as it was", DataRefusedError.exit_code)
        return
    result = run(source, url, tmp_path)
    expected = expected_of(bronze, source.zone, result.run_id)
    assert_same_silver(result, tmp_path / "lake", bronze, expected)
    assert_same_gold(tmp_path / "lake", expected)
    assert {name: result.reconciliation[name] for name in expected.reconciliation} == expected.reconciliation
    tally.count("a dirty source", "odd values, names, types and ties", "as the contract has it", 0)


def assert_same_silver(result: RunResult, lake: Path, bronze: dict[str, bytes], expected: Expected) -> None:
    datasets = {(item.layer, item.name): item for stage in result.stages for item in stage.datasets}
    for table, cleaned in expected.cleaned.items():
        assert (lake / f"bronze/{table}/{SOURCES[table]}.csv").read_bytes() == bronze[table]
        assert_same_csv((lake / f"silver/{table}/{table}_cleaned.csv").read_bytes(), cleaned.silver)
        assert_same_csv((lake / f"quarantine/{table}/{table}_rejected.csv").read_bytes(), cleaned.quarantine)
        dataset = datasets["silver", table]
        assert {rule: count for rule, count in dataset.rejected.items() if count} == cleaned.rejected
        assert (dataset.rows_in, dataset.rows_out) == (len(read_csv(bronze[table])) - 1, len(cleaned.rows))


def assert_same_gold(lake: Path, expected: Expected) -> None:
    for name, rows in expected.gold.items():
        file = pq.ParquetFile(lake / f"gold/{name}/data.parquet")
        columns = [file.schema.column(index) for index in range(len(file.schema))]
        types = [PARQUET_TYPES[column.physical_type, str(column.logical_type)] for column in columns]
        named = [f"{column.name}:{type_name}" for column, type_name in zip(columns, types, strict=True)]
        assert named == SCHEMAS[name].split()
        found = list(zip(*(column.to_pylist() for column in file.read().columns), strict=True))
        assert [pair for pair in zip(found, rows, strict=False) if pair[0] != pair[1]] == []
        assert len(found) == len(rows)
