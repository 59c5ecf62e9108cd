"""A cluster in this process: work, items and results go through pickle, as they do to other machines."""

import pickle
from collections.abc import Callable, Generator, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import polars as pl

from shopease_etl.transform.executor import Item, Result
from shopease_etl.transform.rivals import Keyed, unpack_rivals
from shopease_etl.transform.rules import KEY


def sent(value: Any) -> Any:
    return pickle.loads(pickle.dumps(value))


@dataclass
class NearCluster:
    """`done` are the months that were worked on, in order."""

    done: list[str] = field(default_factory=list)

    def check(self) -> None:
        pass

    def __call__(self) -> Self:
        return self

    def close(self) -> None:
        pass

    def map(self, work: Callable[[Item], Result], items: Iterable[Item]) -> Generator[Result]:
        for item in items:
            yield sent(sent(work)(sent(item)))

    def search(self) -> "NearSearch":
        return NearSearch(self)


@dataclass
class NearSearch:
    """Compares keys as the contract says: the latest `updated_at`, then the latest `created_at`."""

    cluster: NearCluster
    rows: list[pl.DataFrame] = field(default_factory=list)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.rows.clear()

    def map(self, work: Callable[[Item], Keyed[Result]], items: Iterable[Item]) -> list[Result]:
        results = []
        for keyed in self.cluster.map(work, items):
            month = pl.lit(keyed.month).alias("month")
            self.rows += [unpack_rivals(piece).with_columns(month) for piece in keyed.rows]
            self.cluster.done.append(keyed.month)
            results.append(keyed.result)
        return results

    def lost_keys(self) -> Mapping[str, pl.Series]:
        rivals: dict[int, list[tuple[int, int, str]]] = {}
        for piece in self.rows:
            for key, updated, created, month in piece.rows():
                rivals.setdefault(key, []).append((updated, created, month))
        lost: dict[str, list[int]] = {}
        for key, rows in rivals.items():
            for _, _, month in rows:
                if month != max(rows)[2]:
                    lost.setdefault(month, []).append(key)
        return {month: pl.Series(KEY, sorted({*keys}), pl.Int64) for month, keys in lost.items()}
