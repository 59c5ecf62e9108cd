"""A lake for trials: each runs it from one source to another, and then everything is checked.

An arena has two sources. All bytes of their lakes differ, so that of every object it can be told whose it is; what the
lakes must be is known from undisturbed runs into folders of their own, and their revenue from PostgreSQL itself.
"""

import csv
import io
import signal
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any, Final

import psycopg
import pytest
from lake_views import LakeView, LocalView, S3View

from accounts import Account
from commands import PROMISED, Ended, Shop, copy_of, count, execute
from conftest import eventually, is_stopped
from lakes import KEYS
from shopease_etl.contract.layout import GENERATIONS, QUARANTINE
from shopease_etl.contract.tables import CLEANED_TABLES

FORMER: Final = "the former"
NEW: Final = "the new"
NEW_NEXT: Final = "the new, by the next command"
FORMER_NEXT: Final = "the former, by the next command"
KILLED: Final = -signal.SIGKILL
INTERRUPTED: Final = 130
SETTLING: Final = ("cleanup", "--uploads", "--yes", "--wait", "20")  # takes the lock, and else does little
RUN: Final = ("run-all",)
SKIPPING: Final = ("run-all", "--skip-crawl")
_REVENUE: Final = ("query", "SELECT SUM(total_revenue) AS revenue FROM shopease_catalog.daily_sales_summary", "--json")
_OURS: Final = "pg_stat_activity WHERE datname = current_database() AND application_name = 'shopease'"
# how it is told that something could not be tidied up
_UNTOLD: Final = "manifest could not be written"
_TOLD_LEFT: Final = ("stays behind", "stay behind", "not released")
# Of several sales with one id the latest counts, of those that tie the greatest record. The sample's text columns that
# are numbers are numbers.
_TRUE_REVENUE: Final = """
SELECT sum(quantity * unit_price) FROM (
    SELECT DISTINCT ON (transaction_id) quantity, unit_price FROM sale_transactions
    WHERE transaction_id IS NOT NULL AND quantity > 0 AND unit_price > 0 AND created_at IS NOT NULL
    ORDER BY transaction_id, updated_at DESC NULLS LAST, created_at DESC NULLS LAST,
        store_id::text COLLATE "C" DESC NULLS LAST, customer_id::text COLLATE "C" DESC NULLS LAST,
        product_id::text COLLATE "C" DESC NULLS LAST, quantity::text COLLATE "C" DESC NULLS LAST,
        unit_price::text COLLATE "C" DESC NULLS LAST
) AS sale
"""


@dataclass(frozen=True)
class Version:
    """A source, and what its lake is: each object without the ids of runs, and the revenue."""

    url: str
    objects: Mapping[str, bytes] = field(repr=False)
    revenue: Decimal


@contextmanager
def two_versions(sales: str, folder: Path) -> Iterator[tuple[Version, Version]]:
    """Two sources, and their lakes as undisturbed runs make them in folders of their own."""
    with copy_of(sales) as first, copy_of(sales) as second:
        change(second)
        made = version(first, folder / "first"), version(second, folder / "second")
        assert [key for key in KEYS if made[0].objects[key] == made[1].objects[key]] == []
        yield made


def change(url: str) -> None:
    """Give every dataset other bytes."""
    for table in ("customers", "products", "stores", "inventory", "sales_managers", "sale_transactions"):
        execute(url, f"UPDATE {table} SET updated_at = coalesce(updated_at, now()) + interval '1 day'")
    execute(
        url,
        "UPDATE sale_transactions SET unit_price = unit_price + 1 WHERE unit_price > 0",
        "UPDATE products SET product_name = product_name || '!' WHERE trim(product_name) <> ''",
        "UPDATE customers SET city = city || '!'",
    )


def version(url: str, folder: Path) -> Version:
    """A source with the lake that an undisturbed run makes; no row and no cent of it is lost."""
    folder.mkdir()
    Shop(folder, url).run(*SKIPPING).done()
    objects = LocalView(folder).datasets()
    for table in CLEANED_TABLES:
        kept, rejected = (rows(objects[key]) for key in (table.silver_key, table.quarantine_key))
        assert rejected
        assert kept + rejected == rows(objects[table.bronze_key]) == count(url, table.source)
    with psycopg.connect(url) as connection:
        (revenue,) = connection.execute(_TRUE_REVENUE).fetchone() or ()
    return Version(url, without_ids(objects), revenue)


def rows(data: bytes) -> int:
    """The records of a CSV file with a header."""
    return sum(1 for _ in csv.reader(io.StringIO(data.decode(), newline=""))) - 1


def without_ids(objects: Mapping[str, bytes]) -> dict[str, bytes]:
    """Objects by key, those of quarantine without their last column, the run's id."""

    def without_last(data: bytes) -> bytes:
        return b"\n".join(line.rpartition(b",")[0] for line in data.splitlines())

    return {key: without_last(data) if key.startswith(QUARANTINE) else data for key, data in objects.items()}


@dataclass
class Arena:
    """A shop with a whole lake, which a trial is to take `to` the other source's."""

    shop: Shop
    view: LakeView
    at: Version
    to: Version
    command: tuple[str, ...] = RUN
    before: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    runs_before: Collection[str] = ()
    seconds: float = 0  # that a run takes
    is_under_way: bool = False
    is_from_other: bool = False  # whether the last run replaced the lake `to` which a trial is to take it
    may_leave_uploads: bool = False  # whose start was not reported

    def begin(self, **more: str) -> Shop:
        """Begin a trial: the shop that it is made with, with more in its environment."""
        if self.is_under_way:  # a trial has failed, which is nothing to those after it
            self.go_on()
        self.is_under_way, self.may_leave_uploads = True, False
        self.before, self.runs_before = self.view.datasets(), set(self.view.manifests())
        return self.next_shop(**more)

    def begin_back(self) -> None:
        """Begin a trial of a rollback, which is to undo that a run took the lake from one source to the other."""
        self.begin()
        if not self.is_from_other:
            self.go_on()
            self.begin()

    def next_shop(self, **more: str) -> Shop:
        """The shop with the source that the lake is not of."""
        return replace(self.shop, database_url=self.to.url, more={**self.shop.more, **more})

    def check(self, ended: Ended, codes: Collection[int]) -> str:
        """Check all that a trial may have harmed, then run once more; returns which lake the trial left.

        `codes` are those that the trial may end with.
        """
        require_told(ended, codes)
        self.require_nobody()
        if ended.code != KILLED:
            self._require_tidy(ended)
        lake = self.settled()
        manifest = self.last_manifest()
        self._require_truth(lake, ended, manifest)
        self.require_answer(lake)
        self.go_on()
        return lake

    def settled(self) -> str:
        """What lake there is, when what a command had begun to publish is published."""
        journals = self.view.journals()
        if not journals:
            return self.lake()
        former, new = self.at.objects, self.to.objects
        mixed = without_ids(self.view.datasets())
        assert [key for key in KEYS if mixed.get(key) not in {former[key], new[key]}] == []
        self.next_shop().run(*SETTLING).done()
        assert self.view.journals() == []
        lake = self.lake()
        return NEW_NEXT if lake == NEW else FORMER_NEXT

    def lake(self) -> str:
        """Which of the two lakes it is, whole; the former one is the very same, to the run's id."""
        found = self.view.datasets()
        if found == self.before:
            return FORMER
        assert without_ids(found) == self.to.objects
        return NEW

    def require_answer(self, lake: str) -> None:
        """Readers are told the revenue of the lake that there is."""
        (answer,) = self.next_shop().run(*_REVENUE).done().document["rows"]
        assert Decimal(str(answer["revenue"])) == (self.to if lake in {NEW, NEW_NEXT} else self.at).revenue

    def last_manifest(self) -> Mapping[str, Any]:
        """The manifest of the trial's run; empty if there is none."""
        told = self.view.manifests()
        runs = sorted(told.keys() - self.runs_before)
        assert len(runs) <= 1, runs
        return told[runs[0]] if runs else {}

    def go_on(self) -> None:
        """The next run is as ever: the new lake, its former one kept, and nothing else."""
        replaced = self.view.datasets()
        self.next_shop().run(*self.command, "--wait", "20").done()
        assert self.lake() == NEW
        others = self.view.others()
        assert not others, others
        if (kept := self.view.former()) is not None:
            assert kept == replaced, GENERATIONS
        self.require_nobody()
        self.is_from_other = without_ids(replaced) == self.at.objects
        self.at, self.to, self.is_under_way = self.to, self.at, False

    def require_nobody(self) -> None:
        """Nobody of ours is left in the database, nor a server of ours."""
        for url in (self.at.url, self.to.url):
            eventually(partial(_is_free, url), 10)
        assert is_stopped(self.shop.folder / "home")

    def _require_tidy(self, ended: Ended) -> None:
        """A command that ended by itself leaves at most what a retry needs."""
        others, manifest = self.view.others(), self.last_manifest()
        if self.view.journals():
            return  # all of it is still to be published
        if self.may_leave_uploads or any(words in ended.stderr for words in _TOLD_LEFT):
            others = {name for name in others if name.startswith("waits: ")}
        if _UNTOLD in ended.stderr:
            keys = set(KEYS)
        else:
            keys = {item["key"] for stage in manifest.get("stages", ()) for item in stage["datasets"]}
        assert others <= {f"waits: {key}" for key in keys if ended.code}, ended

    def _require_truth(self, lake: str, ended: Ended, manifest: Mapping[str, Any]) -> None:
        """Exit code and manifest agree with the lake."""
        code, status, published = ended.code, manifest.get("status"), manifest.get("published")
        context = (lake, status, published, ended)
        is_new = lake in {NEW, NEW_NEXT}
        if code == 0:
            assert (lake, status) == (NEW, "succeeded"), context
        elif code > 0 and _UNTOLD not in ended.stderr:
            stopped = "interrupted" if code == INTERRUPTED or lake == NEW_NEXT else "failed"
            assert status in {None, stopped, "succeeded" if code == INTERRUPTED else None}, context
        if code > 0 and code != INTERRUPTED and lake == NEW:
            assert "published" in ended.stderr, context
        has_written = any(stage["datasets"] for stage in manifest.get("stages", ()))
        assert is_new == (has_written and published), context


def _is_free(url: str) -> bool:
    return count(url, _OURS) == 0


def require_told(ended: Ended, codes: Collection[int]) -> None:
    """A command ended with one of the codes, and told so in a line if it did not do what it was asked for."""
    assert ended.code in codes, ended
    assert "Traceback" not in ended.stderr, ended
    if ended.code == INTERRUPTED:
        # before a command has begun it ends without a word
        assert not ended.stderr or "shopease: interrupted" in ended.stderr.splitlines()[-2:], ended
    elif ended.code > 0:
        ended.failed(ended.code)
    else:
        assert PROMISED not in ended.stderr, ended


def trials_of(metafunc: pytest.Metafunc, quick: Mapping[str, int]) -> None:
    """Give a test that takes a `seed` so many of them in a round."""
    if "seed" in metafunc.fixturenames:
        rounds = int(metafunc.config.getoption("--fault-rounds"))
        metafunc.parametrize("seed", range(quick[metafunc.function.__name__] * rounds))


def local_arena(versions: tuple[Version, Version], folder: Path) -> Arena:
    """An arena whose lake is in a folder."""
    folder.mkdir(exist_ok=True)
    at, to = versions
    shop = Shop(folder, at.url)
    began = time.monotonic()
    shop.run(*RUN).done()
    return Arena(shop, LocalView(folder), at, to, seconds=time.monotonic() - began)


def s3_arena(versions: tuple[Version, Version], folder: Path, account: Account) -> Arena:
    """An arena whose lake is in a bucket that keeps versions, with Glue and Athena beside it."""
    folder.mkdir(exist_ok=True)
    at, to = versions
    bucket = account.new_bucket()
    account.client("s3").put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    account.new_catalog(bucket)
    shop = Shop(folder, at.url, f"s3://{bucket}", {**account.environment, "AWS_MAX_ATTEMPTS": "3"})
    shop.run(*RUN).done()
    return Arena(shop, S3View(account, bucket, folder), at, to, SKIPPING)
