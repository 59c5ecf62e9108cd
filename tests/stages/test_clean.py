"""Cleaning refuses what it cannot take, before it changes anything."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from shopease_etl.contract.tables import PRODUCTS
from shopease_etl.errors import DataRefusedError, ShopeaseError
from shopease_etl.lake.open import open_store
from shopease_etl.lake.store import Store, put_stream
from shopease_etl.report import ObjectRecord
from shopease_etl.stages.clean import clean

HEADER = b"product_id,product_name,category,price,created_at,updated_at"
ROW = b"1,Tea,food,2.50,2024-01-01,2024-01-01"
NOTHING: Mapping[str, ObjectRecord] = {}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A lake whose silver must stay as it is."""
    store = open_store(str(tmp_path))
    put_stream(store, PRODUCTS.silver_key, [b"former\n"])
    yield store
    assert store.read(PRODUCTS.silver_key) == b"former\n"


@pytest.mark.parametrize(
    ("bronze", "reason"),
    [
        (b"", "cut short"),
        (HEADER, "cut short"),
        (HEADER + b"\n" + ROW, "cut short"),
        (HEADER + b"\n" + ROW + b',"x\n', "cannot be read"),
        (HEADER + b"\n" + ROW + b",surplus\n", "more fields"),
        (HEADER.replace(b",price", b"") + b"\n", "lacks the column price"),
        (HEADER.replace(b"price", b"prize").replace(b"category,", b"") + b"\n", "lacks the columns category, price"),
        (HEADER + b",x,x\n", "names a column twice"),
        (HEADER + b',"a\nb"\n', "has a line break"),
        (HEADER + b"\n" + ROW.replace(b"Tea", b"T\xffea") + b"\n", "utf-8"),
    ],
)
def test_bronze_that_cannot_be_cleaned_is_refused(store: Store, bronze: bytes, reason: str) -> None:
    put_stream(store, PRODUCTS.bronze_key, [bronze])
    with pytest.raises(DataRefusedError, match=reason) as caught:
        clean(store, [PRODUCTS], "run", recorded=NOTHING)
    assert PRODUCTS.bronze_key in str(caught.value)


def test_bronze_that_is_missing_is_told(store: Store) -> None:
    with pytest.raises(ShopeaseError, match="is not in the lake") as caught:
        clean(store, [PRODUCTS], "run", recorded=NOTHING)
    assert (caught.value.exit_code, caught.value.hint) == (1, "run `shopease extract` first")


def test_bronze_of_another_size_than_recorded_is_refused(store: Store) -> None:
    upload = put_stream(store, PRODUCTS.bronze_key, [HEADER + b"\n" + ROW + b"\n"])
    recorded = {PRODUCTS.bronze_key: ObjectRecord(upload.bytes + 40, 2, 0, "earlier")}
    with pytest.raises(DataRefusedError, match="the run earlier wrote"):
        clean(store, [PRODUCTS], "run", recorded=recorded)


def test_bronze_with_other_rows_than_recorded_is_refused(store: Store) -> None:
    upload = put_stream(store, PRODUCTS.bronze_key, [HEADER + b"\n" + ROW + b"\n"])
    recorded = {PRODUCTS.bronze_key: ObjectRecord(upload.bytes, 2, 0, "earlier")}
    with pytest.raises(DataRefusedError, match="1 row in bronze, but the run earlier wrote 2"):
        clean(store, [PRODUCTS], "run", recorded=recorded)
