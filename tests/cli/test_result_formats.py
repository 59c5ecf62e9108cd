"""Each format keeps the values: NULL differs from '', decimals have all digits, dates are in ISO."""

import io
import json
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shopease_etl.cli.result_formats import write_csv, write_file, write_json
from shopease_etl.errors import ShopeaseError

TABLE = pa.table(
    {
        'name, "x"': pa.array(["a", "", None, 'q"u,\no', "é\\"]),
        "money": pa.array(
            [Decimal("1234.50"), None, Decimal("-0.01"), Decimal("0.00"), Decimal(10**15)], pa.decimal128(18, 2)
        ),
        "day": pa.array([date(2024, 1, 2), None, None, None, None]),
        "at": pa.array(
            [datetime.fromisoformat("2024-01-02T03:04:05.000006"), None, None, None, None], pa.timestamp("us")
        ),
        "n": pa.array([1, None, -3, 0, 2**62]),
        "yes": pa.array([True, False, None, None, None]),
    }
)


def reader(table: pa.Table = TABLE) -> pa.RecordBatchReader:
    return pa.RecordBatchReader.from_batches(table.schema, table.to_batches(max_chunksize=2))


def test_csv_distinguishes_null_from_the_empty_string() -> None:
    stream = io.StringIO()
    assert write_csv(reader(), stream) == 5
    assert stream.getvalue() == (
        '"name, ""x""",money,day,at,n,yes\n'
        "a,1234.50,2024-01-02,2024-01-02 03:04:05.000006,1,true\n"
        '"",,,,,false\n'
        ",-0.01,,,-3,\n"
        '"q""u,\no",0.00,,,0,\n'
        "é\\,1000000000000000.00,,,4611686018427387904,\n"
    )


def test_json_has_all_digits_of_a_decimal() -> None:
    stream = io.StringIO()
    assert write_json(reader(), stream) == 5
    assert '"money": 1234.50, "day": "2024-01-02", "at": "2024-01-02T03:04:05.000006"' in stream.getvalue()
    objects = json.loads(stream.getvalue(), parse_float=Decimal)
    assert [entry["money"] for entry in objects] == [
        *(Decimal("1234.50"), None, Decimal("-0.01"), Decimal("0.00"), Decimal("1000000000000000.00"))
    ]
    assert [entry['name, "x"'] for entry in objects] == TABLE.column(0).to_pylist()


@pytest.mark.parametrize("rows", [0, 1])
def test_json_and_csv_of_no_row_and_of_one(rows: int) -> None:
    csv_stream, json_stream = io.StringIO(), io.StringIO()
    write_csv(reader(TABLE.select(["n"]).slice(0, rows)), csv_stream)
    write_json(reader(TABLE.select(["n"]).slice(0, rows)), json_stream)
    assert csv_stream.getvalue() == "n\n" + "1\n" * rows
    assert json.loads(json_stream.getvalue()) == [{"n": 1}] * rows


def test_columns_with_the_same_name_are_numbered_in_json() -> None:
    stream = io.StringIO()
    write_json(reader(pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["id", "id"])), stream)
    assert json.loads(stream.getvalue()) == [{"id": 1, "id_1": 2}]


def test_json_of_nan_and_of_nested_values() -> None:
    table = pa.table(
        {"f": [float("nan"), 0.5], "list": [[Decimal("1.50"), None], []], "row": [{"a": date(2024, 1, 1)}, None]}
    )
    stream = io.StringIO()
    write_json(reader(table), stream)
    assert json.loads(stream.getvalue()) == [
        {"f": None, "list": [1.5, None], "row": {"a": "2024-01-01"}},
        {"f": 0.5, "list": [], "row": None},
    ]


def test_parquet_keeps_types_and_is_complete_or_absent(tmp_path: Path) -> None:
    assert write_file(reader(), tmp_path / "x.parquet", "parquet") == 5
    assert pq.read_table(tmp_path / "x.parquet").equals(TABLE)

    def failing() -> pa.RecordBatchReader:
        def batches() -> object:
            yield TABLE.to_batches()[0]
            raise ShopeaseError("broken off")

        return pa.RecordBatchReader.from_batches(TABLE.schema, batches())

    with pytest.raises(ShopeaseError, match="broken off"):
        write_file(failing(), tmp_path / "y.parquet", "parquet")
    with pytest.raises(ShopeaseError, match="cannot write"):
        write_file(reader(), tmp_path / "nowhere" / "z.parquet", "parquet")
    assert [path.name for path in tmp_path.iterdir()] == ["x.parquet"]
