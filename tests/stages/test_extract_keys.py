"""Whether a key can occur twice in the source, as its unique indexes say, in both layouts."""

from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Final

import psycopg
import pytest

from commands import CONTRACT_TABLES, execute
from month_extracts import SALES, Months
from shopease_etl.contract.tables import STORES, TRANSACTIONS
from shopease_etl.lake.local import LocalStore
from shopease_etl.source.postgres import snapshot
from shopease_etl.stages.extract import extract

ON: Final = "CREATE UNIQUE INDEX ON sale_transactions"
INDEXES: Final = {
    "none": ([], False),
    "unique": ([f"{ON} (transaction_id)"], True),
    "descending": ([f"{ON} (transaction_id DESC)"], True),
    "primary key": (["ALTER TABLE sale_transactions ADD PRIMARY KEY (transaction_id)"], True),
    "with more columns in it": ([f"{ON} (transaction_id) INCLUDE (quantity)"], True),
    "a second one": ([f"{ON} (transaction_id, quantity)", f"{ON} (transaction_id)"], True),
    "bigint": (["ALTER TABLE sale_transactions ALTER transaction_id TYPE bigint", f"{ON} (transaction_id)"], True),
    "not unique": (["CREATE INDEX ON sale_transactions (transaction_id)"], False),
    "of two columns": ([f"{ON} (transaction_id, store_id)"], False),
    "of another column": ([f"{ON} (created_at)"], False),
    "of some rows": ([f"{ON} (transaction_id) WHERE transaction_id > 0"], False),
    "of an expression": ([f"{ON} ((transaction_id + 0))"], False),
    "deferrable": (["ALTER TABLE sale_transactions ADD UNIQUE (transaction_id) DEFERRABLE"], False),
    "text": (["ALTER TABLE sale_transactions ALTER transaction_id TYPE text", f"{ON} (transaction_id)"], False),
    "numeric": (["ALTER TABLE sale_transactions ALTER transaction_id TYPE numeric", f"{ON} (transaction_id)"], False),
    "child tables": ([f"{ON} (transaction_id)", "CREATE TABLE more () INHERITS (sale_transactions)"], False),
    "partitions": (
        [
            "DROP TABLE sale_transactions",
            CONTRACT_TABLES[-1] + " PARTITION BY RANGE (transaction_id)",
            "CREATE TABLE one PARTITION OF sale_transactions DEFAULT",
            f"{ON} (transaction_id)",
        ],
        True,
    ),
}


@pytest.mark.parametrize("name", INDEXES)
def test_an_index_says_whether_a_key_can_occur_twice(bare: str, tmp_path: Path, name: str) -> None:
    statements, is_unique = INDEXES[name]
    execute(bare, *(SALES.format(n, n) for n in (1, 2) if name != "of another column"), *statements)
    with snapshot(bare, "UTC", "public", lock=["sale_transactions", "stores"]) as moment:
        whole = extract(moment, LocalStore(tmp_path / "whole"), (TRANSACTIONS, STORES)).datasets
    assert [file.has_unique_key for file in whole] == [is_unique, False]
    months = Months(bare, tmp_path)
    assert {file.has_unique_key for file in months.extract().datasets} == {is_unique}


def test_an_index_that_could_not_be_made_says_nothing(bare: str, tmp_path: Path) -> None:
    execute(bare, SALES.format(1, 9), SALES.format(9, 9))
    with suppress(psycopg.errors.UniqueViolation):
        execute(bare, "CREATE UNIQUE INDEX CONCURRENTLY ON sale_transactions (transaction_id)")
    assert {file.has_unique_key for file in Months(bare, tmp_path).extract().datasets} == {False}


def test_an_index_that_is_newer_than_the_snapshot_says_nothing(bare: str, tmp_path: Path) -> None:
    execute(bare, SALES.format(1, 9), SALES.format(9, 9))
    with snapshot(bare, "UTC", "public", lock=["sale_transactions"]) as moment:
        execute(bare, "DELETE FROM sale_transactions WHERE transaction_id = 9", f"{ON} (transaction_id)")
        (file,) = extract(moment, LocalStore(tmp_path / "lake"), (TRANSACTIONS,)).datasets
    assert (file.rows_out, file.has_unique_key) == (10, False)


def test_files_that_are_carried_over_follow_the_index(bare: str, tmp_path: Path) -> None:
    execute(bare, SALES.format(1, 9))
    months = Months(bare, tmp_path)
    first = months.extract()
    execute(bare, f"{ON} (transaction_id)")
    assert months.copied() == set()
    assert months.last
    assert months.last.datasets == tuple(replace(file, has_unique_key=True, run_id="run 1") for file in first.datasets)
    execute(bare, "DROP INDEX sale_transactions_transaction_id_idx")
    assert {file.has_unique_key for file in months.extract().datasets} == {False}
