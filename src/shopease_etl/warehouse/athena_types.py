"""What GetQueryResults answers, all of it text, as Arrow values: exact, NULL apart from ''.

Text stays text for what Arrow has no like of: times, zoned timestamps (each value names its zone), arrays, maps, rows.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import pyarrow as pa

from shopease_etl.errors import DataRefusedError
from shopease_etl.wording import one_line

Row = Sequence[str | None]

_TYPES: Final[Mapping[str, Any]] = {
    "boolean": pa.bool_(),
    "tinyint": pa.int8(),
    "smallint": pa.int16(),
    "int": pa.int32(),
    "integer": pa.int32(),
    "bigint": pa.int64(),
    "float": pa.float32(),
    "real": pa.float32(),
    "double": pa.float64(),
    "date": pa.date32(),
    # Athena prints milliseconds mostly; microseconds hold them too, and are what the local engine gives
    "timestamp": pa.timestamp("us"),
    "varbinary": pa.binary(),
    "binary": pa.binary(),
}
_DECIMAL: Final = re.compile(r"decimal(?:\((\d+),\s*(\d+)\))?")
_DIGITS: Final = 38


def arrow_type(info: Mapping[str, Any]) -> pa.DataType:
    """The type of a column by its ColumnInfo; string for all that is not known."""
    kind = str(info["Type"]).lower()
    if (size := _DECIMAL.fullmatch(kind)) is not None:
        precision = int(size[1] or info.get("Precision") or 0)
        scale = int(size[2] or info.get("Scale") or 0)
        return pa.decimal128(precision, scale) if 0 < precision <= _DIGITS and scale <= precision else pa.string()
    return _TYPES.get(kind, pa.string())


def rows_of(result_set: Mapping[str, Any], width: int, *, is_metadata: bool) -> list[Row]:
    """The rows of a page; those of SHOW and DESCRIBE as columns, where Hive answers padded lines with tabs."""
    rows: list[Row] = []
    for row in result_set.get("Rows", ()):
        values = [datum.get("VarCharValue") for datum in row.get("Data", ())]
        if is_metadata:
            if len(values) == 1 < width and values[0] is not None:
                values = values[0].split("\t", width - 1)
            values = [value and value.rstrip() for value in values]
        rows.append([*values, *[None] * (width - len(values))][:width])
    return rows


def first_batch(infos: Sequence[Mapping[str, Any]], rows: Sequence[Row]) -> pa.RecordBatch:
    """The first page; its types are the result's. A column that does not read as its type, such as a year 10000,
    is text, as Athena prints it: nothing is rounded or lost."""
    columns = _columns(rows, len(infos))
    arrays = [_read_or_text(values, arrow_type(info)) for info, values in zip(infos, columns, strict=True)]
    fields = [pa.field(info["Name"], array.type) for info, array in zip(infos, arrays, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=pa.schema(fields))


def next_batch(schema: pa.Schema, rows: Sequence[Row]) -> pa.RecordBatch:
    """A later page in the types of the first; DataRefusedError for a value that does not read as its type."""
    arrays = []
    for field, values in zip(schema, _columns(rows, len(schema)), strict=True):
        try:
            arrays.append(_read(values, field.type))
        except ValueError as error:
            raise DataRefusedError(
                f"Athena's column {field.name} holds what is no {field.type}, unlike its first rows: {one_line(error)}",
                hint=f"have it as text: CAST({field.name} AS varchar)",
            ) from error
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _columns(rows: Sequence[Row], width: int) -> list[list[str | None]]:
    return [[row[index] for row in rows] for index in range(width)]


def _read_or_text(values: Sequence[str | None], kind: pa.DataType) -> "pa.Array[Any]":
    try:
        return _read(values, kind)
    except ValueError:
        return pa.array(values, pa.string())


def _read(values: Sequence[str | None], kind: pa.DataType) -> "pa.Array[Any]":
    """ValueError (Arrow's are such) where a value is out of the type's range or would lose a digit."""
    if pa.types.is_binary(kind):
        return pa.array([None if value is None else bytes.fromhex(value) for value in values], kind)
    return pa.array(values, pa.string()).cast(kind)
