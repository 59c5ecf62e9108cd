"""Values come back from the text that Athena prints of them: exact, NULL apart from ''."""

import math
from datetime import date, datetime
from decimal import Decimal

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shopease_etl.errors import DataRefusedError
from shopease_etl.warehouse.athena_types import arrow_type, first_batch, next_batch, rows_of


def info(kind: str, precision: int = 0, scale: int = 0) -> dict[str, object]:
    return {"Name": "x", "Type": kind, "Precision": precision, "Scale": scale}


def read(kind: dict[str, object], *texts: str | None) -> tuple[pa.DataType, list[object]]:
    batch = first_batch([kind], [[text] for text in texts])
    return batch.schema.field(0).type, batch.column(0).to_pylist()


@given(st.lists(st.none() | st.decimals(allow_nan=False, allow_infinity=False, places=2, min_value=-(10**15))))
def test_decimals_keep_every_digit(values: list[Decimal | None]) -> None:
    texts = [None if value is None else f"{value:f}" for value in values if value is None or value < 10**36]
    kind, answers = read(info("decimal", 38, 2), *texts)
    assert kind == pa.decimal128(38, 2)
    assert [answer if answer is None else str(answer) for answer in answers] == texts


@given(st.lists(st.none() | st.dates()))
def test_dates_are_exact(values: list[date | None]) -> None:
    texts = [None if value is None else value.isoformat() for value in values]
    assert read(info("date"), *texts) == (pa.date32(), values)


@given(st.lists(st.datetimes()), st.sampled_from(["seconds", "milliseconds", "microseconds"]))
def test_timestamps_are_exact(values: list[datetime], precision: str) -> None:
    texts = [value.isoformat(" ", precision) for value in values]
    assert read(info("timestamp"), *texts) == (pa.timestamp("us"), [datetime.fromisoformat(text) for text in texts])


@given(st.lists(st.none() | st.floats(allow_nan=False)))
def test_doubles_are_exact(values: list[float | None]) -> None:
    texts = [None if value is None else repr(value).replace("inf", "Infinity").replace("e", "E") for value in values]
    assert read(info("double"), *texts) == (pa.float64(), values)


@given(st.lists(st.none() | st.binary()))
def test_bytes_are_exact(values: list[bytes | None]) -> None:
    texts = [None if value is None else value.hex(" ") for value in values]
    assert read(info("varbinary"), *texts) == (pa.binary(), values)


@given(st.lists(st.none() | st.text()), st.sampled_from(["varchar", "char", "json", "row", "time", "never heard of"]))
def test_text_is_exact_and_null_is_not_empty_text(values: list[str | None], kind: str) -> None:
    assert read(info(kind), *values) == (pa.string(), values)


@pytest.mark.parametrize(
    ("kind", "text", "expected", "value"),
    [
        ("boolean", "true", pa.bool_(), True),
        ("tinyint", "-128", pa.int8(), -128),
        ("smallint", "32767", pa.int16(), 32767),
        ("integer", "-2147483648", pa.int32(), -(2**31)),
        ("int", "1", pa.int32(), 1),
        ("bigint", "9223372036854775807", pa.int64(), 2**63 - 1),
        ("float", "1.5", pa.float32(), 1.5),
        ("real", "-Infinity", pa.float32(), -math.inf),
        ("decimal(5,3)", "12.345", pa.decimal128(5, 3), Decimal("12.345")),
        ("decimal", "12.345", pa.string(), "12.345"),
        ("varbinary", "", pa.binary(), b""),
        ("timestamp with time zone", "2024-01-01 10:00:00.000 Europe/Berlin", pa.string(), None),
        ("array", "[1, 2]", pa.string(), "[1, 2]"),
        ("timestamp", "2024-01-01 10:00:00.123456789", pa.string(), None),
        ("date", "10000-01-01", pa.string(), None),
    ],
)
def test_each_type_has_an_arrow_type_and_values_that_do_not_fit_stay_text(
    kind: str, text: str, expected: pa.DataType, value: object
) -> None:
    assert read(info(kind), text, None) == (expected, [text if value is None else value, None])


def test_not_a_number() -> None:
    _, (answer,) = read(info("double"), "NaN")
    assert isinstance(answer, float)
    assert math.isnan(answer)


def test_a_result_without_rows_has_types() -> None:
    assert read(info("decimal", 18, 2)) == (pa.decimal128(18, 2), [])
    assert arrow_type(info("decimal", 39, 2)) == pa.string()


def test_an_unreadable_later_page_names_its_column() -> None:
    schema = pa.schema([("d", pa.date32())])
    with pytest.raises(DataRefusedError, match=r"column d .*10000-01-01") as raised:
        next_batch(schema, [["2024-01-01"], ["10000-01-01"]])
    assert raised.value.hint == "have it as text: CAST(d AS varchar)"


def test_hives_padded_lines_are_split_into_columns() -> None:
    lines = [f"{'n':20}\t{'int':20}\t{'the number':20}", "# Partition Information\t \t ", "x"]
    page = {"Rows": [{"Data": [{"VarCharValue": line}]} for line in lines]}
    assert rows_of(page, 3, is_metadata=True) == [
        ["n", "int", "the number"],
        ["# Partition Information", "", ""],
        ["x", None, None],
    ]
    assert rows_of(page, 1, is_metadata=False)[0] == [lines[0]]
