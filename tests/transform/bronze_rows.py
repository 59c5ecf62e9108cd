"""Rows of bronze, good and dirty, and what cleaning makes of them in this process."""

from itertools import accumulate
from pathlib import Path
from tempfile import gettempdir

import polars as pl
from hypothesis import strategies as st

from memory_store import MemoryStore
from shopease_etl.contract.tables import ROW, Table
from shopease_etl.lake.store import put_stream
from shopease_etl.transform.chunks import Chunk
from shopease_etl.transform.clean import split_rows
from shopease_etl.transform.deduplicate import ChunkRows, DuplicateSearch
from shopease_etl.transform.executor import LocalExecutor
from shopease_etl.transform.spill import Spill

texts = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=12)
dirty_texts = (
    st.none() | st.sampled_from(["", " ", "1", "2", "-1", "0", " +2 ", "1.005", "abc", "\u00a0x \n y"]) | texts
)
stamps = st.none() | st.sampled_from(
    ["2024-02-29 10:00:00", "2024-02-29T11:00:00+01", "2024-02-29 10:00:00.5", "2023-02-29", "infinity", "2024-03-01"]
)


def rows_of(table: Table) -> st.SearchStrategy[list[dict[str, str | None]]]:
    columns = {column.name: stamps if column.name.endswith("_at") else dirty_texts for column in table.columns} | {
        "extra": dirty_texts
    }
    return st.lists(st.fixed_dictionaries(columns), max_size=12)


def bronze(rows: list[dict[str, str | None]], table: Table) -> pl.DataFrame:
    schema = {column.name: pl.String for column in table.columns} | {"extra": pl.String}
    return pl.DataFrame(rows, schema=schema).with_row_index(ROW)


def chunks_of(frame: pl.DataFrame, size: int) -> list[Chunk]:
    """The rows as CSV in a store, so many in a chunk."""
    store, labels = MemoryStore(), tuple(frame.columns)
    bodies = [rows.write_csv(include_header=False).encode() for rows in frame.iter_slices(size)]
    put_stream(store, "bronze", bodies)
    starts = accumulate((len(body) for body in bodies), initial=0)
    return [Chunk("bronze", labels, start, len(body), store=store) for start, body in zip(starts, bodies, strict=False)]


def duplicates_in(frame: pl.DataFrame, table: Table, size: int, budget: int, zone: str = "UTC") -> list[ChunkRows]:
    """The chunks with their duplicates; only so many bytes of keys stay in memory."""
    chunks = chunks_of(frame.drop(ROW), size)
    with DuplicateSearch(table, LocalExecutor(2), lambda column: Spill(column, Path(gettempdir()), budget)) as search:
        for _ in search.read(chunks):
            pass
        return search.duplicates(zone)


def cleaned(
    frame: pl.DataFrame, table: Table, size: int = 5, budget: int = 1_000_000, zone: str = "UTC"
) -> tuple[pl.DataFrame, pl.DataFrame]:
    found = duplicates_in(frame, table, size, budget, zone)
    assert sum(chunk.rows for chunk, _ in found) == frame.height
    halves = [split_rows(frame.clear(), pl.Series([], dtype=pl.UInt32), table, "run")]
    for chunk, duplicates in found:
        halves.append(split_rows(chunk.frame().with_row_index(ROW, chunk.first_row), duplicates, table, "run"))
    silver, quarantine = (pl.concat(half) for half in zip(*halves, strict=True))
    assert silver.height + quarantine.height == frame.height
    return silver, quarantine


def sale(**fields: str | None) -> dict[str, str | None]:
    return {
        "transaction_id": "1",
        "store_id": "1",
        "customer_id": "1",
        "product_id": "1",
        "quantity": "1",
        "unit_price": "1.00",
        "created_at": "2024-01-01 10:00:00",
        **fields,
    }


GOOD: dict[str, dict[str, str | None]] = {
    "customers": {"customer_id": "1", "customer_name": "Ann", "email": "a@b"},
    "products": {"product_id": "1", "product_name": "Tea", "price": "1.00"},
    "transactions": sale(),
}
