"""Chunks of a dataset are the dataset, wherever it is cut."""

import pickle
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shopease_etl.errors import DataRefusedError
from shopease_etl.lake.open import open_store
from shopease_etl.lake.store import Store, put_stream
from shopease_etl.transform import chunks
from shopease_etl.transform.chunks import CsvObject

KEY = "bronze/products/products.csv"
HEADER = b"product_id,product_name\n"

values = st.none() | st.text(st.sampled_from('ab ,"\n\ré\ufeff\x01'), max_size=8)
tables = st.lists(st.tuples(values, values), max_size=20)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return open_store(str(tmp_path_factory.mktemp("lake")))


def stored(store: Store, rows: list[tuple[str | None, str | None]]) -> pl.DataFrame:
    frame = pl.DataFrame(rows, schema={"product_id": pl.String, "product_name": pl.String}, orient="row")
    put_stream(store, KEY, [frame.write_csv(quote_style="necessary").encode()])
    return frame


@given(rows=tables, size=st.integers(1, 60))
def test_chunks_of_any_size_are_the_dataset(store: Store, rows: list[tuple[str | None, str | None]], size: int) -> None:
    frame = stored(store, rows)
    file = CsvObject(store, KEY, {}, batch_bytes=size)
    chunks = list(file.chunks())
    assert pl.concat(chunk.frame() for chunk in chunks).rows() == frame.rows()
    names = pl.concat(chunk.frame(["product_name"]) for chunk in chunks)
    assert names.to_series().to_list() == frame["product_name"].to_list()


@given(rows=tables.filter(bool), numbers=st.sets(st.integers(0, 19)), quoted=st.booleans())
def test_take_returns_the_rows_with_these_numbers(
    store: Store, rows: list[tuple[str | None, str | None]], numbers: set[int], quoted: bool
) -> None:
    if not quoted:
        rows = [(f"\ufeff{number}", "y") for number in range(len(rows))]
    frame = stored(store, rows)
    file = CsvObject(store, KEY, {})
    (chunk,) = file.chunks()
    assert chunk.may_need_quotes or not quoted or not any(c in str(rows) for c in '"\r')
    wanted = pl.Series(sorted(number for number in numbers if number < len(rows)), dtype=pl.UInt32)
    assert replace(chunk, rows=frame.height).take(wanted).rows() == frame[wanted].rows()


def test_a_value_may_contain_the_unused_separator(store: Store) -> None:
    frame = stored(store, [("1", "a"), ("2", "\x01b\x01")])
    file = CsvObject(store, KEY, {})
    (chunk,) = file.chunks()
    assert replace(chunk, rows=2).take(pl.Series([1], dtype=pl.UInt32)).rows() == frame[1:].rows()


@given(tables)
def test_values_that_were_not_quoted_are_written_without_quotes(
    store: Store, rows: list[tuple[str | None, str | None]]
) -> None:
    stored(store, rows)
    file = CsvObject(store, KEY, {}, batch_bytes=20)
    for chunk in file.chunks():
        written = [BytesIO(), BytesIO()]
        chunk.frame().write_csv(written[0], quote_style="necessary")
        chunk.frame().write_csv(written[1], quote_style="never")
        assert chunk.may_need_quotes or written[0].getvalue() == written[1].getvalue()


def test_a_pickled_chunk_contains_its_bytes(store: Store) -> None:
    stored(store, [("1", "a"), ("2", "b")])
    (chunk,) = CsvObject(store, KEY, {}).chunks()
    assert pickle.loads(pickle.dumps(replace(chunk, data=None))) == replace(chunk, store=None)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"1,a\n2,b,c\n", "more fields"),
        (b"1,a,b\n", "more fields"),
    ],
)
def test_a_record_with_too_many_fields_is_refused(store: Store, body: bytes, reason: str) -> None:
    put_stream(store, KEY, [HEADER + body])
    file = CsvObject(store, KEY, {})
    with pytest.raises((DataRefusedError, pl.exceptions.ComputeError), match=reason):
        [chunk.frame() for chunk in file.chunks()]


def test_a_byte_order_mark_is_not_part_of_a_name(tmp_path: Path) -> None:
    store = open_store(str(tmp_path))
    put_stream(store, KEY, [b"\xef\xbb\xbf" + HEADER + b"1,a\n"])
    file = CsvObject(store, KEY, {})
    assert file.names == ("product_id", "product_name")
    assert [chunk.frame().rows() for chunk in file.chunks()] == [[("1", "a")]]


def test_a_record_that_is_too_long_is_named_by_its_row(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks, "LONGEST_RECORD", 64)
    put_stream(store, KEY, [HEADER, b'1,"a\nb"\n' * 9, b"2," + 100 * b"x" + b"\n3,c\n"])
    file = CsvObject(store, KEY, {}, batch_bytes=16)
    with pytest.raises(DataRefusedError, match=f"^row 10 of {KEY} cannot be read: it has more than"):
        list(file.chunks())
