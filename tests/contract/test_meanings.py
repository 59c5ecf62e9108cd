"""Every column that people query has a meaning, and no meaning is of something that does not exist."""

import json
from typing import Final

import pytest

from shopease_etl.contract import meanings
from shopease_etl.contract.gold import GOLD, GoldDataset
from shopease_etl.contract.tables import TABLES
from shopease_etl.warehouse.schema import DATASETS

COLUMNS: Final = meanings.contract_columns()


def test_every_table_and_view_has_a_meaning_of_its_own() -> None:
    names = [*(dataset.name for dataset in DATASETS), *(table.name for table in TABLES)]
    told = [meanings.of_table(name) for name in names]
    assert all(told)
    assert len({*told}) == len(names)


@pytest.mark.parametrize("table", COLUMNS)
def test_every_column_has_a_meaning(table: str) -> None:
    assert [column for column in COLUMNS[table] if not meanings.of_column(table, column)] == []


def test_no_meaning_is_of_a_table_or_column_that_does_not_exist() -> None:
    in_tables = meanings.OF_COLUMNS_IN
    assert meanings.OF_TABLES.keys() <= COLUMNS.keys()
    assert in_tables.keys() <= COLUMNS.keys()
    for table, told in in_tables.items():
        assert told.keys() <= {*COLUMNS[table]}, table
    plain = {name for table, names in COLUMNS.items() for name in names if name not in in_tables.get(table, {})}
    assert meanings.OF_COLUMNS.keys() == plain


def test_meanings_fit_into_comments_of_glue_and_any_terminal() -> None:
    texts = [
        *(meanings.of_table(dataset.name) for dataset in DATASETS),
        *meanings.OF_TABLES.values(),
        *meanings.OF_COLUMNS.values(),
        *(text for told in meanings.OF_COLUMNS_IN.values() for text in told.values()),
    ]
    assert [text for text in texts if not text.isascii() or not text.isprintable() or len(text) > 255] == []
    assert [text for text in texts if not text.endswith(".") or text != text.strip()] == []


def test_a_column_of_the_source_does_not_borrow_a_meaning() -> None:
    assert meanings.of_column("customers", "total_spent") == ""
    assert meanings.of_column("bronze_stores", "store_id") == ""
    assert meanings.of_column("theirs", "store_id") == ""
    assert meanings.of_table("theirs") == ""
    assert meanings.of_column("quarantine_customers", "rejected_rule") == "The first rule that the row broke."


def test_an_override_is_used_only_in_its_table() -> None:
    assert meanings.of_column("transactions", "quantity") != meanings.of_column("inventory", "quantity")
    assert meanings.of_column("customers", "city") != meanings.of_column("stores", "city")


@pytest.mark.parametrize("dataset", GOLD, ids=lambda dataset: dataset.name)
def test_the_metadata_of_gold_names_its_columns(dataset: GoldDataset) -> None:
    ((key, text),) = meanings.parquet_metadata(dataset.name).items()
    assert key == "shopease.columns"
    assert list(json.loads(text)) == [column.name for column in dataset.columns]
