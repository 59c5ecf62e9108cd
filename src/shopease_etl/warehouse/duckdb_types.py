"""DuckDB's results in Athena's types."""

from collections.abc import Sequence

import pyarrow as pa


def athena_schema(schema: pa.Schema, kinds: Sequence[str]) -> pa.Schema:
    """The schema of a result in Athena's types; `kinds` are DuckDB's types of its columns."""
    # a sum of bigint is bigint in Trino and wider in DuckDB; Athena returns intervals as text
    types = {"HUGEINT": pa.int64(), "INTERVAL": pa.string()}
    return pa.schema(field.with_type(types.get(kind, field.type)) for field, kind in zip(schema, kinds, strict=True))


def athena_batch(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    """The batch in the types of the schema; ArrowInvalid for a number that does not fit."""
    columns = [
        pa.array([None if value is None else _interval(*value) for value in column.to_pylist()], pa.string())
        if pa.types.is_interval(column.type)
        else column.cast(field.type)
        for column, field in zip(batch.columns, schema, strict=True)
    ]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _interval(months: int, days: int, nanoseconds: int) -> str:
    """An interval as text: `2-7` for years and months, `4 01:30:00.000` for days and less."""
    if months:
        years, rest = divmod(abs(months), 12)
        return f"{'-' if months < 0 else ''}{years}-{rest}"
    total = days * 86_400_000_000_000 + nanoseconds
    milliseconds = abs(total) // 1_000_000
    seconds, fraction = divmod(milliseconds, 1000)
    minutes, second = divmod(seconds, 60)
    hours, minute = divmod(minutes, 60)
    day, hour = divmod(hours, 24)
    return f"{'-' if total < 0 else ''}{day} {hour:02}:{minute:02}:{second:02}.{fraction:03}"
