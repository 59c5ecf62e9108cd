"""Query results as CSV, JSON and Parquet, written batch by batch, so that memory stays bounded."""

import io
import json
import math
from collections.abc import Sequence
from datetime import date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any, BinaryIO, Final, TextIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from shopease_etl.atomic import replacing
from shopease_etl.errors import UnreachableError


def write_csv(reader: pa.RecordBatchReader, stream: TextIO) -> int:
    """Write CSV like COPY: NULL is an empty field, the empty string is `""`. Returns the number of rows."""
    stream.write(",".join(_csv_text(pa.array(reader.schema.names, pa.string())).to_pylist()) + "\n")
    rows = 0
    for batch in reader:
        rows += batch.num_rows
        fields = [_csv_text(as_text(column)) for column in batch.columns]
        lines = pc.binary_join_element_wise(*fields, ",").to_pylist()
        stream.writelines(f"{line}\n" for line in lines)
    return rows


def as_text(column: "pa.Array[Any]") -> "pa.Array[Any]":
    """Each value as it is written in CSV, without quotes; NULL stays NULL."""
    if pa.types.is_string(column.type):
        return column
    if pa.types.is_nested(column.type) or pa.types.is_binary(column.type) or pa.types.is_decimal(column.type):
        return pa.array([None if value is None else _json_text(value) for value in column.to_pylist()], pa.string())
    return column.cast(pa.string())


def _csv_text(column: "pa.Array[Any]") -> "pa.Array[Any]":
    doubled = pc.replace_substring(column, '"', '""')
    in_quotes = pc.binary_join_element_wise('"', doubled, '"', "")
    return pc.if_else(pc.match_substring_regex(column, '^$|[",\r\n]'), in_quotes, column).fill_null("")


def write_json(reader: pa.RecordBatchReader, stream: TextIO) -> int:
    """Write an array of objects, one per line; decimals are numbers with all digits. Returns the number of rows."""
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


TEXT_WRITERS: Final = {"csv": write_csv, "json": write_json}


def write_file(reader: pa.RecordBatchReader, path: Path, output_format: str) -> int:
    """Write a file (Parquet with zstd); it gets its name when it is complete. Returns the number of rows.

    Raises:
        UnreachableError: it cannot be written.
    """
    try:
        with replacing(path) as file:
            if output_format == "parquet":
                return _write_parquet(reader, file)
            stream = io.TextIOWrapper(file, encoding="utf-8", newline="")
            rows = TEXT_WRITERS[output_format](reader, stream)
            stream.detach()
            return rows
    except OSError as error:
        raise UnreachableError(f"cannot write {path}: {error.strerror or error}") from error


def _write_parquet(reader: pa.RecordBatchReader, file: BinaryIO) -> int:
    names = _distinct(reader.schema.names)
    schema = pa.schema([field.with_name(name) for field, name in zip(reader.schema, names, strict=True)])
    rows = 0
    with pq.ParquetWriter(file, schema, compression="zstd") as writer:
        for batch in reader:
            writer.write_batch(batch.rename_columns(names))
            rows += batch.num_rows
    return rows


def _distinct(names: Sequence[str]) -> list[str]:
    """The names, with a number after repeated ones: of two equal names, readers of JSON see only the last."""
    distinct: list[str] = []
    for name in names:
        candidate, number = name, 1
        while candidate in distinct:
            candidate, number = f"{name}_{number}", number + 1
        distinct.append(candidate)
    return distinct
