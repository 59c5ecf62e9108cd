"""The sample: a believable ShopEase database as a plain-text dump, the same bytes for the same arguments anywhere."""

import gzip
import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, cast

import polars as pl

from shopease_etl.atomic import replacing
from shopease_etl.contract import tables
from shopease_etl.errors import ConfigurationError, UnreachableError
from shopease_etl.progress import SILENT, Progress
from shopease_etl.sample import dump, goods, people
from shopease_etl.sample.dirt import ROW, copying_rows, soil, strew
from shopease_etl.sample.dirt_kinds import CUSTOMER_DIRT, PRODUCT_DIRT, SALE_DIRT
from shopease_etl.sample.draws import Draws
from shopease_etl.sample.sales import sales
from shopease_etl.wording import counted

DEFAULT_SEED: Final = 2024
_CUSTOMERS: Final = 7_500
_FEWEST_CUSTOMERS: Final = 60
_SALES: Final = 1_020_500
_FEWEST_SALES: Final = 1_000
_GZIP_LEVEL: Final = 3
_LARGEST_SCALE: Final = 1_000
"""Beyond it, ids would come near the end of PostgreSQL's integer."""


@dataclass(frozen=True)
class SampleResult:
    """A written dump: where, how many bytes, and each table's rows in order."""

    path: Path
    bytes: int
    tables: tuple[tuple[str, int], ...]


def write_sample(
    path: Path,
    *,
    scale: float = 1.0,
    seed: int = DEFAULT_SEED,
    dirty: float = 0.01,
    progress: Progress = SILENT,
) -> SampleResult:
    """Write the dump whole or not at all, gzipped where `path` ends in `.gz`; its tables bear no keys as ids repeat.

    Customers and sales grow with `scale`; `dirty` is the share of rows that have something wrong, 0 for none.
    """
    _check(scale, dirty)
    origin = f"Written by shopease sample --scale {scale:g} --seed {seed} --dirty {dirty:g}"
    with _whole(path) as sink:
        sink.write(dump.header(origin))
        counts = tuple((table.source, _write(sink, table, rows, progress)) for table, rows in _all(scale, seed, dirty))
        sink.write(dump.TRAILER)
    return SampleResult(path, path.stat().st_size, counts)


def _check(scale: float, dirty: float) -> None:
    """Refuse numbers that make no sample."""
    if not (math.isfinite(scale) and 0 < scale <= _LARGEST_SCALE):
        raise ConfigurationError(f"scale must be more than 0 and at most {_LARGEST_SCALE}, not {scale:g}")
    if not 0 <= dirty < 1:
        raise ConfigurationError(f"dirty must be at least 0 and less than 1, not {dirty:g}")


def _all(scale: float, seed: int, dirty: float) -> Iterator[tuple[tables.Table, Iterable[pl.DataFrame]]]:
    """The tables in the contract's order, each with its rows in batches."""
    crowd = people.lives(max(_FEWEST_CUSTOMERS, round(_CUSTOMERS * scale)), seed)
    things = goods.catalogue(seed)
    total = max(_FEWEST_SALES, round(_SALES * scale))
    crowd_dirt = strew(len(crowd), CUSTOMER_DIRT, dirty, Draws(seed, "customer dirt"))
    thing_dirt = strew(len(things), PRODUCT_DIRT, dirty, Draws(seed, "product dirt"))
    sale_dirt = strew(total, SALE_DIRT, dirty, Draws(seed, "sale dirt"))
    buyers = _without(crowd, copying_rows(CUSTOMER_DIRT, crowd_dirt))
    bought = _without(things, copying_rows(PRODUCT_DIRT, thing_dirt))
    yield tables.CUSTOMERS, (soil(batch, CUSTOMER_DIRT, crowd_dirt) for batch in people.customers(crowd, seed))
    yield tables.PRODUCTS, [soil(goods.products(things), PRODUCT_DIRT, thing_dirt)]
    yield tables.STORES, [goods.stores(seed)]
    yield tables.INVENTORY, [goods.inventory(seed)]
    yield tables.SALES_MANAGERS, [goods.sales_managers(seed)]
    yield tables.TRANSACTIONS, (soil(batch, SALE_DIRT, sale_dirt) for batch in sales(total, seed, buyers, bought))


def _without(frame: pl.DataFrame, rows: pl.Series) -> pl.DataFrame:
    """The frame with no weight on rows whose ids never occur, so that no sale names them."""
    gone = pl.col(ROW).is_in(rows.implode())
    return frame.with_columns(pl.when(gone).then(0).otherwise(pl.col("weight")).alias("weight"))


def _write(sink: BinaryIO, table: tables.Table, batches: Iterable[pl.DataFrame], progress: Progress) -> int:
    """Write one table and count its rows."""
    progress.start(table.source)
    sink.write(dump.start_of_rows(table))
    rows = 0
    for batch in batches:
        before = sink.tell()
        dump.write_rows(sink, table, batch)
        rows += len(batch)
        progress.advance(table.source, size=sink.tell() - before, rows=len(batch))
    sink.write(dump.END_OF_ROWS)
    progress.finish(table.source, counted(rows, "row"))
    return rows


@contextmanager
def _whole(path: Path) -> Iterator[BinaryIO]:
    """A file that appears under its name when all is written, and leaves nothing where anything goes wrong."""
    try:
        if path.exists() and not path.is_file():
            raise ConfigurationError(f"cannot write the sample to {path}: it exists and is not a file")
        with replacing(path) as file, _packed(file, path.suffix) as sink:
            yield sink
    except OSError as error:
        raise UnreachableError(f"cannot write the sample to {path}: {error.strerror or error}") from error


@contextmanager
def _packed(file: BinaryIO, suffix: str) -> Iterator[BinaryIO]:
    """The file, or a gzip stream into it."""
    if suffix != ".gz":
        yield file
        return
    with gzip.GzipFile("", "wb", _GZIP_LEVEL, file, mtime=0) as packed:
        yield cast("BinaryIO", packed)
