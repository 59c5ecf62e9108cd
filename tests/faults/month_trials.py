"""A lake by month for trials: its source goes back and forth between two states, and only some months with it."""

import shutil
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from trials import FORMER, FORMER_NEXT, NEW, NEW_NEXT, SETTLING

from accounts import Account
from by_month import Lake, dataset_of, require_same, require_true_manifests
from commands import CONTRACT_TABLES, Ended, Shop, database, execute

RUN: Final = ("run-all", "--skip-crawl", "--allow-shrink")
JOURNAL: Final = "_runs/.publishing-"
# Sales of four months and of none; some are no sales, and some have a key of another month.
SALES: Final = """
INSERT INTO sale_transactions
SELECT 1 + i % 37, 1 + i % 3, 1 + i % 20, 1 + i % 10, i % 5, 9.99, 'card', 'web',
    timestamp '2024-01-01' + i * interval '44 hours', timestamp '2024-06-01' + i * interval '1 hour'
FROM generate_series(0, 59) i
"""
UNDATED: Final = "INSERT INTO sale_transactions SELECT 100, 1, 1, 1, 1, 1, 'card', 'web', NULL, '2024-06-01'"
# There: a month's prices change, one has no sales any more, and there are some of a new one; and back.
THERE: Final = (
    "UPDATE sale_transactions SET unit_price = 19.99 WHERE created_at BETWEEN '2024-02-01' AND '2024-02-29'",
    "CREATE TABLE kept AS SELECT * FROM sale_transactions WHERE created_at >= '2024-04-01'",
    "DELETE FROM sale_transactions WHERE created_at >= '2024-04-01'",
    "INSERT INTO sale_transactions SELECT 3, 1, 1, 1, 1, 5, 'card', 'web', '2024-09-01', '2024-09-02'",
)
BACK: Final = (
    "UPDATE sale_transactions SET unit_price = 9.99 WHERE created_at BETWEEN '2024-02-01' AND '2024-02-29'",
    "DELETE FROM sale_transactions WHERE created_at >= '2024-09-01'",
    "INSERT INTO sale_transactions SELECT * FROM kept",
    "DROP TABLE kept",
)
CHANGED: Final = frozenset({"2024-02", "2024-04", "2024-05", "2024-09"})


@dataclass
class MonthArena:
    """A shop with a lake by month, and how that lake is read.

    `is_there` is the state of its source. `expected` has by state and layout what a run into a new lake makes.
    """

    shop: Shop
    read: Callable[[], Lake]
    expected: Mapping[tuple[bool, str], Lake] = field(repr=False)
    is_there: bool = False
    layout: str = "month"
    before: Lake = field(default_factory=lambda: Lake({}, {}), repr=False)

    def next_shop(self, **more: str) -> Shop:
        """The shop with its present settings, and with more in its environment."""
        return replace(self.shop, more={**self.shop.more, "SHOPEASE_PARTITIONS": self.layout, **more})

    def begin(self) -> None:
        """Begin a trial: the source is in its other state, and the lake is not."""
        if self.before.objects:
            self.go_on(RUN)  # a trial has failed, which is nothing to those after it
        self.turn()
        self.before = self.read()

    def begin_back(self) -> None:
        """Begin a trial of a rollback of a run from one state to the other."""
        self.begin()
        self.next_shop().run(*RUN).done()
        self.require(self.read())

    def begin_other_layout(self) -> None:
        """Begin a trial of a run that keeps the sales in another way, and in another state."""
        self.begin()
        self.layout = "none" if self.layout == "month" else "month"

    def turn(self) -> None:
        """The source changes its state."""
        self.is_there = not self.is_there
        execute(self.shop.database_url, *(THERE if self.is_there else BACK))

    def settled(self) -> str:
        """Which lake there is, whole, once a command has published what another one had begun to."""
        journals = [name for name in self.read().others if name.startswith(JOURNAL)]
        if journals:
            self.next_shop().run(*SETTLING).done()
        lake = self.read()
        assert [name for name in lake.others if name.startswith(JOURNAL)] == []
        if lake.datasets == self.before.datasets:
            return FORMER_NEXT if journals else FORMER
        self.require(lake)
        return NEW_NEXT if journals else NEW

    def require(self, lake: Lake) -> None:
        """It is the lake of the present state and layout, with no file of another."""
        wanted = self.expected[self.is_there, self.layout]
        assert lake.datasets.keys() == wanted.datasets.keys()
        require_same(lake, wanted)

    def go_on(self, command: Sequence[str], *, codes: Collection[int] = (0,)) -> Ended:
        """The next command; after it all is as after any run."""
        ended = self.next_shop().run(*command, "--wait", "20")
        assert ended.code in codes, ended
        if not ended.code:
            lake = self.read()
            self.require(lake)
            require_true_manifests(lake)
            self.before = Lake({}, {})
        return ended

    def written(self, stage: str) -> set[str]:
        """The months of sales that a stage of the last run wrote."""
        run = next(self.read().published())
        entries = next(each["datasets"] for each in run["stages"] if each["name"] == stage)
        own = [entry["key"] for entry in entries if not entry.get("run_id")]
        return {key.split("/")[2].partition("=")[2] for key in own if dataset_of(key).endswith("/transactions")}


@contextmanager
def month_arena(server: str, folder: Path, lake: str = "lake", account: Account | None = None) -> Iterator[MonthArena]:
    """An arena with a source and a lake of its own, in a folder or in an account's bucket."""
    with database(server) as url:
        execute(url, *CONTRACT_TABLES, SALES, UNDATED)
        execute(url, "INSERT INTO customers VALUES (1, 'Ann', 'a@b.org'), (NULL, 'Bob', 'b@b.org')")
        expected: dict[tuple[bool, str], Lake] = {}
        for is_there, edits in ((False, ()), (True, THERE)):
            execute(url, *edits)
            expected |= {(is_there, layout): _new_lake(url, folder / "new", layout) for layout in ("none", "month")}
        execute(url, *BACK)
        shop = Shop(folder, url, lake, account.environment if account else {})
        read = (lambda: _in_bucket(account, lake)) if account else (lambda: Lake.at(folder / lake))
        arena = MonthArena(shop, read, expected)
        arena.go_on(RUN)
        yield arena


def _new_lake(url: str, folder: Path, layout: str) -> Lake:
    folder.mkdir(parents=True)
    Shop(folder, url, more={"SHOPEASE_PARTITIONS": layout}).run(*RUN).done()
    lake = Lake.at(folder / "lake")
    shutil.rmtree(folder)
    return lake


def _in_bucket(account: Account, lake: str) -> Lake:
    client, bucket = account.client("s3"), lake.removeprefix("s3://")
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket)
    keys = [item["Key"] for page in pages for item in page.get("Contents", ())]
    return Lake.of({key: client.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys})
