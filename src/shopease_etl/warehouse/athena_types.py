"""Converts the texts of GetQueryResults to Arrow values: exact, with NULL different from ''.

Types that Arrow does not have stay text: times, zoned timestamps (each value has its own zone), arrays, maps, rows.
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
    # mostly printed with milliseconds; microseconds hold them too, as with the local engine
    "timestamp": pa.timestamp("us"),
    "varbinary": pa.binary(),
    "binary": pa.binary(),
}
_DECIMAL: Final = re.compile(r"decimal(?:\((\d+),\s*(\d+)\))?")


def arrow_type(info: Mapping[str, Any]) -> pa.DataType:
    """The type of a column by its ColumnInfo; string for unknown types."""
    kind = str(info["Type"]).lower()
    if (size := _DECIMAL.fullmatch(kind)) is not None:
        precision = int(size[1] or info.get("Precision") or 0)
        scale = int(size[2] or info.get("Scale") or 0)
        return pa.decimal128(precision, scale) if 0 < precision <= 38 and scale <= precision else pa.string()
    return _TYPES.get(kind, pa.string())


def rows_of(result_set: Mapping[str, Any], width: int, *, is_metadata: bool) -> list[Row]:
    """The rows of a page; for SHOW and DESCRIBE, Hive's padded lines with tabs are split into columns."""
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
    """The first page, which decides the types of the result.

    A column whose values do not fit its type, such as the year 10000, is text as Athena prints it: nothing is rounded.
    """
    columns = _columns(rows, len(infos))
    arrays = [_read_or_text(values, arrow_type(info)) for info, values in zip(infos, columns, strict=True)]
    fields = [pa.field(info["Name"], array.type) for info, array in zip(infos, arrays, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=pa.schema(fields))


def next_batch(schema: pa.Schema, rows: Sequence[Row]) -> pa.RecordBatch:
    """A later page in the types of the first; DataRefusedError for a value that does not fit its type."""
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
    """ValueError (or Arrow's, a subclass) if a value is out of range or would lose a digit."""
    if pa.types.is_binary(kind):
        return pa.array([None if value is None else bytes.fromhex(value) for value in values], kind)
    return pa.array(values, pa.string()).cast(kind)
