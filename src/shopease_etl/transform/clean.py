"""One chunk of bronze to silver and quarantine: functions of plain data, which may run in another process."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from io import BytesIO

import polars as pl

from shopease_etl.contract.tables import ROW, Table
from shopease_etl.transform import rules
from shopease_etl.transform.deduplicate import ChunkRows
from shopease_etl.transform.rules import DUPLICATE, RULE


@dataclass(frozen=True)
class CleanedChunk:
    """What a chunk of bronze became: CSV without headers, how many rows there are, and how many each rule rejected.

    `key` is that of the object with the chunk, `bronze_bytes` the chunk's size. `sums` are the inputs of gold by name,
    if they were requested.
    """

    key: str
    bronze_bytes: int
    bronze_rows: int
    silver: bytes
    silver_rows: int
    quarantine: bytes
    quarantine_rows: int
    rejected: Mapping[str, int]
    sums: Mapping[str, pl.DataFrame] | None


def clean_chunk(
    part: ChunkRows,
    *,
    table: Table,
    run_id: str,
    sum_up: Callable[[pl.DataFrame, Table], Mapping[str, pl.DataFrame]] | None = None,
) -> CleanedChunk:
    """Clean a chunk of a table, given the numbers of its rows that lose their key; `sum_up` makes sums of its silver.

    Raises:
        DataRefusedError, PolarsError: its bytes are not CSV with the columns of the table.
    """
    chunk, duplicates = part
    bronze = chunk.frame().with_row_index(ROW, chunk.first_row)
    silver, quarantine = split_rows(bronze, duplicates, table, run_id)
    return CleanedChunk(
        key=chunk.key,
        bronze_bytes=chunk.length,
        bronze_rows=bronze.height,
        silver=_csv(silver, may_need_quotes=chunk.may_need_quotes),
        silver_rows=silver.height,
        quarantine=_csv(quarantine, may_need_quotes=chunk.may_need_quotes),
        quarantine_rows=quarantine.height,
        rejected=dict(quarantine["rejected_rule"].value_counts().iter_rows()),
        sums=sum_up(silver, table) if sum_up else None,
    )


def split_rows(
    bronze: pl.DataFrame, duplicates: pl.Series, table: Table, run_id: str
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Silver and quarantine, in bronze's order; `ROW` has the rows' numbers, `duplicates` those to reject.

    Most rows are in bronze as silver has them. Only the others are parsed, and put back where they were: joining,
    sorting or gathering rows costs more than all the rest.
    """
    marked = bronze.with_columns(pl.col(ROW).is_in(duplicates.implode()).alias(DUPLICATE))
    is_clean = rules.already_clean(marked, table)
    if is_clean.all():
        valid, rejected = marked, marked.clear().with_columns(pl.lit(None, pl.String).alias(RULE))
    else:
        others, row_numbers = marked.filter(~is_clean), (~is_clean).arg_true()
        checked = rules.apply_rules(others, table)
        is_valid = checked[RULE].is_null()
        fixed, fixed_rows = checked.filter(is_valid), row_numbers.filter(is_valid)
        names = [name for name in bronze.columns if name != ROW]
        restored = marked.with_columns(marked[name].scatter(fixed_rows, fixed[name]) for name in names)
        valid = restored.filter(is_clean.scatter(row_numbers, is_valid))
        rejected = others.with_columns(checked[RULE]).filter(~is_valid)
    return rules.silver(valid, table), rules.quarantine(rejected, run_id)


def _csv(frame: pl.DataFrame, *, may_need_quotes: bool) -> bytes:
    """Rows without a header; looking for values that need quotes takes half of the time that writing takes."""
    rows = BytesIO()
    frame.write_csv(rows, include_header=False, quote_style="necessary" if may_need_quotes else "never")
    return rows.getvalue()
