"""The sample: a realistic ShopEase database as a plain-text dump; the same arguments give the same bytes anywhere."""

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
from shopease_etl.sample import goods, people
from shopease_etl.sample.dirt import Dirtier
from shopease_etl.sample.dirt_kinds import CUSTOMER_DIRT, PRODUCT_DIRT, SALE_DIRT
from shopease_etl.sample.draws import Draws
from shopease_etl.sample.dump import DumpWriter
from shopease_etl.sample.sales import sales

DEFAULT_SEED: Final = 2024
_MAX_SCALE: Final = 1_000
"""With more, ids would come near the end of PostgreSQL's integer."""


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
    """Write the complete dump or nothing, gzipped if `path` ends in `.gz`; its tables have no keys, as ids repeat.

    Customers and sales grow with `scale`; `dirty` is the share of rows that have something wrong, 0 for none.

    Raises:
        ConfigurationError: `scale` or `dirty` is out of bounds, or `path` exists and is not a file.
        UnreachableError: the file cannot be written.
    """
    if not (math.isfinite(scale) and 0 < scale <= _MAX_SCALE):
        raise ConfigurationError(f"scale must be more than 0 and at most {_MAX_SCALE}, not {scale:g}")
    if not 0 <= dirty < 1:
        raise ConfigurationError(f"dirty must be at least 0 and less than 1, not {dirty:g}")
    with _written_at_once(path) as sink:
        dump = DumpWriter(sink, f"Written by shopease sample --scale {scale:g} --seed {seed} --dirty {dirty:g}")
        batches = _tables(scale, seed, dirty)
        counts = tuple((table.source, dump.write_table(table, rows, progress)) for table, rows in batches)
        dump.finish()
    return SampleResult(path, path.stat().st_size, counts)


def _tables(scale: float, seed: int, dirty: float) -> Iterator[tuple[tables.Table, Iterable[pl.DataFrame]]]:
    """The tables in the contract's order, each with its rows in batches."""
    population = people.population(max(60, round(7_500 * scale)), seed)
    catalogue = goods.catalogue(seed)
    total = max(1_000, round(1_020_500 * scale))
    customer_dirt = Dirtier(len(population), CUSTOMER_DIRT, dirty, Draws(seed, "customer dirt"))
    product_dirt = Dirtier(len(catalogue), PRODUCT_DIRT, dirty, Draws(seed, "product dirt"))
    sale_dirt = Dirtier(total, SALE_DIRT, dirty, Draws(seed, "sale dirt"))
    buyers, bought = customer_dirt.without_copies(population), product_dirt.without_copies(catalogue)
    yield tables.CUSTOMERS, customer_dirt.apply(people.customers(population, seed))
    yield tables.PRODUCTS, product_dirt.apply([goods.products(catalogue)])
    yield tables.STORES, [goods.stores(seed)]
    yield tables.INVENTORY, [goods.inventory(seed)]
    yield tables.SALES_MANAGERS, [goods.sales_managers(seed)]
    yield tables.TRANSACTIONS, sale_dirt.apply(sales(total, seed, buyers, bought))


@contextmanager
def _written_at_once(path: Path) -> Iterator[BinaryIO]:
    """A file that gets its name when it is complete; if anything fails, nothing is left of it."""
    try:
        if path.exists() and not path.is_file():
            raise ConfigurationError(f"cannot write the sample to {path}: it exists and is not a file")
        with replacing(path) as file:
            if path.suffix == ".gz":
                with gzip.GzipFile("", "wb", 3, file, mtime=0) as packed:
                    yield cast("BinaryIO", packed)
            else:
                yield file
    except OSError as error:
        raise UnreachableError(f"cannot write the sample to {path}: {error.strerror or error}") from error
