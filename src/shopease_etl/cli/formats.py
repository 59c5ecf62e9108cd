"""Query results as CSV, JSON and Parquet, written batch by batch: a big result never is in memory whole."""

import json
import math
from collections.abc import Sequence
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any, BinaryIO, Final, TextIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

_NEEDS_QUOTES: Final = '^$|[",\r\n]'


def write_csv(reader: pa.RecordBatchReader, stream: TextIO) -> int:
    """Writes CSV as COPY does, NULL an empty field and the empty string `""`; gives the number of rows."""
    stream.write(",".join(_csv_text(pa.array(reader.schema.names, pa.string())).to_pylist()) + "\n")
    rows = 0
    for batch in reader:
        rows += batch.num_rows
        fields = [_csv_text(as_text(column)) for column in batch.columns]
        lines = pc.binary_join_element_wise(*fields, ",").to_pylist()
        stream.writelines(f"{line}\n" for line in lines)
    return rows


def as_text(column: "pa.Array[Any]") -> "pa.Array[Any]":
    """The text that CSV has for each value, without quotes; NULL stays NULL."""
    if pa.types.is_string(column.type):
        return column
    if pa.types.is_nested(column.type) or pa.types.is_binary(column.type) or pa.types.is_decimal(column.type):
        return pa.array([None if value is None else _plain(value) for value in column.to_pylist()], pa.string())
    return column.cast(pa.string())


def _plain(value: object) -> str:
    return format(value, "f") if isinstance(value, Decimal) else _json_text(value)


def _csv_text(column: "pa.Array[Any]") -> "pa.Array[Any]":
    doubled = pc.replace_substring(column, '"', '""')
    in_quotes = pc.binary_join_element_wise('"', doubled, '"', "")
    return pc.if_else(pc.match_substring_regex(column, _NEEDS_QUOTES), in_quotes, column).fill_null("")


def write_json(reader: pa.RecordBatchReader, stream: TextIO) -> int:
    """Writes an array of objects, one a line; decimals are number literals with all their digits; gives the rows."""
    names = [json.dumps(name, ensure_ascii=False) for name in _distinct(reader.schema.names)]
    rows = 0
    stream.write("[")
    for batch in reader:
        for values in zip(*(column.to_pylist() for column in batch.columns), strict=True):
            members = ", ".join(f"{name}: {_json_text(value)}" for name, value in zip(names, values, strict=True))
            stream.write(f"{',' if rows else ''}\n{{{members}}}")
            rows += 1
    stream.write("\n]\n" if rows else "]\n")
    return rows


def _json_text(value: object) -> str:
    match value:
        case Decimal():
            return format(value, "f")
        case float() if not math.isfinite(value):
            return "null"
        case datetime() | date() | time():
            return f'"{value.isoformat()}"'
        case bytes():
            return f'"{value.hex()}"'
        case list() | tuple():
            return f"[{', '.join(_json_text(item) for item in value)}]"
        case dict():
            return f"{{{', '.join(f'{json.dumps(str(key))}: {_json_text(item)}' for key, item in value.items())}}}"
    return json.dumps(value, ensure_ascii=False, default=str)


def write_parquet(reader: pa.RecordBatchReader, file: BinaryIO) -> int:
    """Writes Parquet (zstd); gives the number of rows."""
    schema = pa.schema(
        [field.with_name(name) for field, name in zip(reader.schema, _distinct(reader.schema.names), strict=True)]
    )
    rows = 0
    with pq.ParquetWriter(file, schema, compression="zstd") as writer:
        for batch in reader:
            writer.write_batch(batch.rename_columns(schema.names))
            rows += batch.num_rows
    return rows


def _distinct(names: Sequence[str]) -> list[str]:
    """The names with a number after each that has been there before: JSON and Parquet readers take the last of two."""
    distinct: list[str] = []
    for name in names:
        candidate, number = name, 1
        while candidate in distinct:
            candidate, number = f"{name}_{number}", number + 1
        distinct.append(candidate)
    return distinct
