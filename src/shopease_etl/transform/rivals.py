"""Rows of one key in several months: which of them lose it, found on the machines that worked on the months."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Final, Generic, Protocol, TypeVar

import polars as pl

from shopease_etl.transform.executor import Executor, Item, Result
from shopease_etl.transform.rules import KEY

Kept = TypeVar("Kept", covariant=True)

# The moments are microseconds since 1970 in UTC; NULL counts as the earliest.
RIVALS: Final = pl.Schema({"key": pl.Int64, "updated": pl.Int64, "created": pl.Int64})


@dataclass(frozen=True)
class Keyed(Generic[Kept]):
    """The result of the work on a month, and the month's rows, each with a key of its own: pieces of `pack_rivals`."""

    result: Kept
    month: str
    rows: Sequence[bytes]


class RivalSearch(Protocol):
    """Does work on months, and compares their keys."""

    def map(self, work: Callable[[Item], Keyed[Result]], items: Iterable[Item]) -> list[Result]:
        """What `work` returns for each item, in the items' order; its rows stay where they are."""

    def lost_keys(self) -> Mapping[str, pl.Series]:
        """By month, the keys of rows that are older than a row with the same key in another month, in order.

        Of two months' rows that are equally old, which does not happen, that of the later month wins.
        """

    def __enter__(self) -> "RivalSearch": ...

    def __exit__(self, *error: object) -> None: ...


class Cluster(Executor, Protocol):
    """An executor on other machines, which keep the rows of their results."""

    def search(self) -> RivalSearch:
        """A new search; when it ends, its rows are forgotten."""


def pack_rivals(rows: pl.DataFrame) -> bytes:
    """Rows of `RIVALS` as a Parquet file."""
    file = BytesIO()
    rows.cast(RIVALS).write_parquet(file, compression="zstd")
    return file.getvalue()


def unpack_rivals(data: bytes) -> pl.DataFrame:
    """Rows of `RIVALS`."""
    return pl.read_parquet(BytesIO(data))


def losers(rivals: pl.DataFrame) -> pl.DataFrame:
    """The months and keys of rows that are older than another of their key in another month.

    `rivals` have a `month` besides `RIVALS`.
    """
    ordered = rivals["key"].sort()
    repeated = ordered.filter(ordered == ordered.shift(1)).unique()
    shared = rivals.filter(pl.col("key").is_in(repeated.implode()))
    best = pl.col("month").sort_by("updated", "created", "month").last().over("key")
    return shared.filter(pl.col("month") != best).select("month", "key").unique()


def by_month(lost: pl.DataFrame) -> Mapping[str, pl.Series]:
    """The keys of each month, in order."""
    months = lost.sort("key").partition_by("month", as_dict=True)
    return {str(month): rows["key"].alias(KEY) for (month,), rows in months.items()}
