"""Verification reads back what a run wrote: it sums what agrees, and refuses the rest with both numbers."""

import csv
import io
import shutil
import threading
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import IO, Any, cast

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from commands import copy_of, execute
from lakes import extracted, given_pipeline
from shopease_etl.contract import layout, tables
from shopease_etl.contract.gold import DAILY_SALES_SUMMARY
from shopease_etl.contract.tables import CUSTOMERS, PRODUCTS, STORES, TRANSACTIONS
from shopease_etl.errors import DataRefusedError
from shopease_etl.lake import reread
from shopease_etl.lake.local import LocalStore
from shopease_etl.lake.staging import Transaction
from shopease_etl.lake.store import Store, Writer, put_stream
from shopease_etl.pipeline import plan
from shopease_etl.pipeline import run as pipeline
from shopease_etl.pipeline.verify import Verifier
from shopease_etl.pipeline.verify import verify as verify_stages
from shopease_etl.report import DatasetResult, StageResult

Stages = tuple[StageResult, ...]


@pytest.fixture(scope="module")
def made(sales: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Stages]:
    """A whole lake, and what the stages recorded of it."""
    folder = tmp_path_factory.mktemp("made")
    result = pipeline.run(plan.plan_all(skip_crawl=True), given_pipeline(sales, folder))
    return folder / "lake", result.stages


@pytest.fixture
def lake(made: tuple[Path, Stages], tmp_path: Path) -> LocalStore:
    """A copy of the lake that a test may change."""
    return LocalStore(Path(shutil.copytree(made[0], tmp_path / "lake")))


@pytest.fixture
def stages(made: tuple[Path, Stages]) -> Stages:
    return made[1]


def with_item(stages: Stages, key: str, change: Callable[[DatasetResult], DatasetResult]) -> Stages:
    """The stages with another record of one object."""
    return tuple(
        replace(stage, datasets=tuple(change(item) if item.key == key else item for item in stage.datasets))
        for stage in stages
    )


def of_upload(upload: Writer, rows: int) -> Callable[[DatasetResult], DatasetResult]:
    """A record that agrees with an object's bytes."""
    return lambda item: replace(item, rows_out=rows, bytes=upload.bytes, sha256=upload.sha256)


def refused(store: Store, stages: Sequence[StageResult], *words: str) -> None:
    with pytest.raises(DataRefusedError) as caught:
        verify_stages(store, stages)
    message = str(caught.value)
    assert [word for word in words if word not in message] == [], message
    assert "\n" not in message


def python_rows(store: LocalStore, key: str) -> list[dict[str, str]]:
    with (store.root / key).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_rows_and_sums_of_a_run_are_verified(lake: LocalStore, stages: Stages) -> None:
    told = verify_stages(lake, stages)["reread"]
    assert isinstance(told, dict)
    items = [item for stage in stages for item in stage.datasets]
    assert (told["objects"], set(told["rows"])) == (len(items), {item.key for item in items})
    for key in (key for key in told["rows"] if key.endswith(".csv")):
        assert told["rows"][key] == len(python_rows(lake, key)), key
    sales = python_rows(lake, TRANSACTIONS.silver_key)
    assert told["silver_revenue"] == sum(Decimal(row["total_amount"]) for row in sales)
    assert told["daily_sales_summary_transactions"] == len(sales)


@pytest.mark.parametrize("layer", layout.LAYERS)
def test_a_changed_object_is_refused(lake: LocalStore, stages: Stages, layer: str) -> None:
    item = next(item for stage in stages for item in stage.datasets if item.layer == layer)
    path = lake.root / item.key
    whole = path.read_bytes()
    path.write_bytes(whole[:-1].replace(b"0", b"1", 1) + whole[-1:])
    refused(lake, stages, item.key, *([item.sha256] if path.suffix == ".csv" else []))
    path.write_bytes(whole + whole.splitlines(keepends=True)[-1])
    refused(lake, stages, item.key, *([f"{item.bytes:,}"] if path.suffix == ".csv" else []))
    path.write_bytes(whole)
    verify_stages(lake, stages)


def clean_stage(stages: Stages) -> tuple[StageResult, DatasetResult]:
    """What the stage clean recorded, and of silver's sales."""
    (stage,) = (stage for stage in stages if stage.name == "clean")
    return stage, next(item for item in stage.datasets if item.key == TRANSACTIONS.silver_key)


@pytest.mark.parametrize("is_damaged", [False, True])
def test_what_is_compared_is_the_file_that_was_followed(
    lake: LocalStore, stages: Stages, tmp_path: Path, is_damaged: bool
) -> None:
    stage, sales = clean_stage(stages)
    whole = (lake.root / sales.key).read_bytes()
    last = whole[-2:-1].replace(b"0", b"1") if whole[-2:-1] == b"0" else b"0"
    path = tmp_path / "growing.csv"
    verifier = Verifier(lake)
    with path.open("wb", buffering=0) as file:
        completed = verifier.follow(sales.key, path)
        for start in range(0, len(whole), 4096):
            file.write(whole[start : start + 4096])
        if is_damaged:
            file.seek(len(whole) - 2)
            file.write(last)
    completed()
    verifier.add(stage)
    try:
        with pytest.raises(DataRefusedError, match=sales.sha256) if is_damaged else nullcontext():
            verifier.result()
    finally:
        verifier.stop()


def test_nothing_waits_for_a_file_that_is_not_completed(lake: LocalStore, tmp_path: Path) -> None:
    path = tmp_path / "growing.csv"
    path.write_bytes(b"id\n1\n")
    verifier = Verifier(lake)
    verifier.follow(TRANSACTIONS.silver_key, path)
    verifier.stop()
    assert [thread.name for thread in threading.enumerate() if thread.name.startswith("verify")] == []


@pytest.mark.parametrize("layer", layout.LAYERS)
def test_a_wrong_count_of_rows_is_refused(lake: LocalStore, stages: Stages, layer: str) -> None:
    item = next(item for stage in stages for item in stage.datasets if item.layer == layer)
    wrong = with_item(stages, item.key, lambda it: replace(it, rows_out=it.rows_out + 7))
    refused(lake, wrong, item.key, f"{item.rows_out:,}", f"{item.rows_out + 7:,}")


def test_bronze_that_was_cleaned_is_not_read_once_more(lake: LocalStore, stages: Stages) -> None:
    extract, clean, _ = stages
    rows = next(item.rows_out for item in extract.datasets if item.key == CUSTOMERS.bronze_key)
    (lake.root / CUSTOMERS.bronze_key).unlink()
    for counted in (rows, rows + 1):
        verifier = Verifier(lake)
        verifier.add(extract)
        verifier.add(clean, {CUSTOMERS.bronze_key: counted})
        if counted == rows:
            verifier.result()
        else:
            with pytest.raises(DataRefusedError, match=rf"{CUSTOMERS.bronze_key}.*rows"):
                verifier.result()
        verifier.stop()


def test_a_run_reads_bronze_that_it_cleans_only_to_clean_it(
    sales: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []

    def noted(key: str, *more: Any) -> reread.Content:
        read.append(key)
        return reread.read_again(key, *more)

    monkeypatch.setattr("shopease_etl.pipeline.verify.read_again", noted)
    pipeline.run(plan.plan_all(skip_crawl=True), given_pipeline(sales, tmp_path))
    assert STORES.bronze_key in read
    assert {table.bronze_key for table in (CUSTOMERS, PRODUCTS, TRANSACTIONS)} & {*read} == set()


@pytest.mark.parametrize("is_later", [False, True])
def test_bronze_that_changes_while_a_run_cleans_it_is_refused(
    sales: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_later: bool
) -> None:
    """Its keys are read first, then the rows that share one, and in the end all of it."""
    passes: list[int] = []
    read = Transaction.read

    def changed(staged: Transaction, key: str, start: int = 0, length: int | None = None) -> bytes:
        data = read(staged, key, start, length)
        if key != CUSTOMERS.bronze_key or start == 0 or len(data) < 1000:
            return data
        passes.append(start)
        return data[:-3] + b"7" + data[-2:] if (len(passes) > 1) == is_later else data

    monkeypatch.setattr(Transaction, "read", changed)
    with pytest.raises(DataRefusedError, match=CUSTOMERS.bronze_key):
        pipeline.run(plan.plan_all(skip_crawl=True), given_pipeline(sales, tmp_path))
    assert passes


def test_a_wrong_count_by_copy_is_refused(lake: LocalStore, stages: Stages) -> None:
    wrong = with_item(stages, CUSTOMERS.bronze_key, lambda it: replace(it, rows_in=it.rows_in + 1))
    refused(lake, wrong, CUSTOMERS.bronze_key)


def without_last_row(lake: LocalStore, stages: Stages, key: str, *, rows_in: int) -> Stages:
    """A record of a file that lacks its last row, and agrees with that."""
    upload = put_stream(lake, key, lake.read(key).splitlines(keepends=True)[:-1])
    agree = of_upload(upload, upload.csv_rows)
    return with_item(stages, key, lambda item: replace(agree(item), rows_in=item.rows_in + rows_in))


def test_a_row_in_neither_silver_nor_quarantine_is_noticed(lake: LocalStore, stages: Stages) -> None:
    bronze = next(item.rows_in for item in stages[1].datasets if item.key == PRODUCTS.silver_key)
    changed = without_last_row(lake, stages, PRODUCTS.silver_key, rows_in=0)
    refused(lake, changed[1:2], PRODUCTS.silver_key, f"{bronze - 1:,}", f"{bronze:,}")


def test_the_count_of_bronze_is_verified_by_reading_it(lake: LocalStore, stages: Stages) -> None:
    changed = without_last_row(lake, stages, PRODUCTS.silver_key, rows_in=-1)
    verify_stages(lake, changed[1:2])
    refused(lake, changed, PRODUCTS.silver_key)


@pytest.mark.parametrize("name", ["silver_revenue", "silver_transactions", "daily_sales_summary_revenue"])
def test_sums_that_differ_from_aggregates_are_refused(lake: LocalStore, stages: Stages, name: str) -> None:
    extract, clean, aggregate = stages
    sums = dict(aggregate.reconciliation)
    value = sums[name]
    assert isinstance(value, int | Decimal)
    off = value + (Decimal("0.01") if isinstance(value, Decimal) else 1)
    for wrong in ({**sums, name: off}, {key: kept for key, kept in sums.items() if key != name}):
        refused(lake, (extract, clean, replace(aggregate, reconciliation=wrong)), f"{value:,}")


def test_gold_with_a_wrong_sum_is_refused(lake: LocalStore, stages: Stages) -> None:
    key = DAILY_SALES_SUMMARY.key
    frame = pl.read_parquet(lake.uri(key)).with_columns(pl.col("total_revenue") + Decimal("0.01"))
    file = io.BytesIO()
    frame.write_parquet(file)
    upload = put_stream(lake, key, [file.getvalue()])
    refused(lake, with_item(stages, key, of_upload(upload, frame.height)), key, "total_revenue")


def test_gold_that_cannot_be_decoded_is_refused(lake: LocalStore, stages: Stages) -> None:
    key = DAILY_SALES_SUMMARY.key
    data = bytearray(lake.read(key))
    start = pq.ParquetFile(pa.BufferReader(bytes(data))).metadata.row_group(0).column(3).data_page_offset
    data[start : start + 60] = bytes(60)
    upload = put_stream(lake, key, [bytes(data)])
    rows = len(pl.read_parquet(lake.uri(key), columns=[0]))
    refused(lake, with_item(stages, key, of_upload(upload, rows)), key, "cannot be read again")


def bronze(store: LocalStore, data: bytes, key: str = STORES.bronze_key) -> Stages:
    """One object, and the record of it that its own counting gives."""
    upload = put_stream(store, key, [data])
    rows = upload.csv_rows
    return (
        StageResult("extract", 0, (DatasetResult("bronze", "stores", key, rows, rows, upload.bytes, upload.sha256),)),
    )


def rows_read(store: LocalStore, stages: Stages) -> int:
    told = verify_stages(store, stages)["reread"]
    assert isinstance(told, dict)
    (rows,) = told["rows"].values()
    return int(rows)


fields = st.none() | st.text(st.sampled_from('ab,"\n\r\\.# 0é\ufeff'), max_size=9)
tables_of_text = st.integers(1, 4).flatmap(lambda width: st.lists(st.tuples(*[fields] * width), min_size=1, max_size=9))


def as_copy_writes(rows: Sequence[Sequence[str | None]]) -> bytes:
    """CSV in which NULL is the empty field, and '' is quoted."""
    return "".join(
        ",".join("" if v is None else '"' + v.replace('"', '""') + '"' for v in r) + "\n" for r in rows
    ).encode()


def as_polars_writes(rows: Sequence[Sequence[str | None]]) -> bytes:
    names = [f"c{number}" for number in range(len(rows[0]))]
    file = io.BytesIO()
    pl.DataFrame(rows[1:], schema=dict.fromkeys(names, pl.String), orient="row").write_csv(cast("IO[bytes]", file))
    return file.getvalue()


@settings(deadline=None)
@given(tables_of_text, st.sampled_from([as_copy_writes, as_polars_writes]), st.integers(1, 40))
def test_every_record_is_counted_wherever_a_block_ends(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[tuple[str | None, ...]],
    write: Callable[[Sequence[Sequence[str | None]]], bytes],
    block: int,
) -> None:
    header = tuple(f"c{number}" for number in range(len(rows[0])))
    store = LocalStore(tmp_path_factory.getbasetemp() / "random")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reread, "BLOCK_BYTES", block)
        assert rows_read(store, bronze(store, write([header, *rows]))) == len(rows)


@pytest.mark.parametrize(
    ("data", "rows"),
    [
        (b"a,b\n", 0),
        (b"a\n\n\n", 2),
        (b"a\n\n1\n\n", 3),
        (b"a,a\n1,2\n", 1),
        (b'"a\nb","c""d"\n1,2\n', 1),
        (b'a,b\n"1\r","\r\n\n"\n', 1),
        (b"a,b\nNULL,NaN\nx,1\n", 2),
        (b"1,2\n3,4\n", 1),
        (b'a,b\n"' + b"x\n" * 1_500_000 + b'",2\n1,2\n', 2),
        (b",".join([b"n%d" % n for n in range(200_000)]) + b"\n" + b"," * 199_999 + b"\n", 1),
    ],
    ids=[
        "header",
        "NULLs",
        "NULLs in one column",
        "twice",
        "names",
        "CR",
        "words",
        "digits",
        "wide row",
        "wide header",
    ],
)
def test_rows_that_simple_readers_miscount(tmp_path: Path, data: bytes, rows: int) -> None:
    store = LocalStore(tmp_path)
    assert rows_read(store, bronze(store, data)) == rows


@pytest.mark.parametrize(
    ("data", "word"),
    [
        (b"a,b\n1,2,3\n", "Expected 2 columns, got 3"),
        (b"a,b\n1\n", "Expected 2 columns, got 1"),
        (b"a,b\n\xff,2\n", "UTF8"),
        (b"a,b\n1,2", "1 instead of 0"),
        (b'a,b\n"1,2\n', "Expected 2 columns, got 1"),
        (b"", "header"),
        (b"\n\n", "has no columns"),
    ],
)
def test_csv_that_does_not_fit_its_header_is_refused(tmp_path: Path, data: bytes, word: str) -> None:
    store = LocalStore(tmp_path)
    refused(store, bronze(store, data), STORES.bronze_key, word)


def test_sums_are_exact_beyond_what_floats_and_28_digits_hold(tmp_path: Path) -> None:
    store = LocalStore(tmp_path)
    amounts = ["9999999999999999999999999999.99"] * 3_000 + ["0.01", ""]
    (stage,) = bronze(store, b"n,total_amount\n" + "".join(f"1,{amount}\n" for amount in amounts).encode())
    upload = put_stream(store, TRANSACTIONS.silver_key, [store.read(STORES.bronze_key)])
    silver = replace(stage.datasets[0], layer="silver", name="transactions", key=upload.key)
    told = verify_stages(store, [StageResult("clean", 0, (silver,))])["reread"]
    assert isinstance(told, dict)
    assert told["silver_revenue"] == Decimal("29999999999999999999999999999970.01")


def test_awkward_rows_from_copy_are_verified(sales: str, tmp_path: Path) -> None:
    with copy_of(sales) as url:
        execute(
            url,
            "DROP TABLE inventory",
            "CREATE TABLE inventory (quantity int, inventory_id int, store_id int, product_id int, reorder_level int)",
            "INSERT INTO inventory VALUES (NULL), (1), (NULL)",
            """UPDATE stores SET store_name = E'a\\r\\n"b",\\n\\n\\\\.', city = '', state = NULL WHERE store_id = 1""",
        )
        result = extracted(url, tmp_path, "inventory", "stores")
    told = verify_stages(LocalStore(tmp_path / "lake"), result.stages)["reread"]
    assert isinstance(told, dict)
    assert told["rows"] == {STORES.bronze_key: 5, tables.INVENTORY.bronze_key: 3}
