"""Nights of a lake whose source is edited, and what must be true after each."""

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Any, Final, Self

from month_edits import PLAIN, Edits, more_sales
from month_lakes import Moment, require_lake_of
from month_upheavals import UPHEAVALS, carry_out

from by_month import Lake, require_same
from commands import Ended, Shop
from lakes import given_pipeline
from near_cluster import NearCluster
from shopease_etl.pipeline import plan
from shopease_etl.pipeline import run as pipeline

FEWEST: Final = 60  # rows, below which there is not much to see


@dataclass
class Nights:
    """A lake that lasts, in a folder of `folder`; `layout` is how its sales are kept.

    `settings` are more of the tool's, by their names; `cluster` works on the months of the lasting lake. `is_regular`
    if its last run knows what it copied: then the next one need not copy more than what was touched. `history` is all
    that was done.
    """

    edits: Edits
    folder: Path
    random: Random
    layout: str = "month"
    is_regular: bool = False
    is_reordered: bool = False
    history: list[str] = field(default_factory=list)
    settings: Mapping[str, str] = field(default_factory=dict)
    cluster: NearCluster | None = None

    @classmethod
    def of(cls, edits: Edits, folder: Path) -> Self:
        """Nights without a lake yet."""
        (folder / "lasting").mkdir()
        return cls(edits, folder, Random(f"nights of {edits.source.seed}"))

    @property
    def lake(self) -> Path:
        """Where it is."""
        return self.folder / "lasting" / "lake"

    @property
    def shop(self) -> Shop:
        """Who runs commands in processes of their own."""
        settings = {"partitions": self.layout, "business_timezone": self.edits.zone, **self.settings}
        more = {f"SHOPEASE_{name.upper()}": value for name, value in settings.items()}
        return Shop(self.folder / "lasting", self.edits.url, more=more)

    def run(self, made: plan.Plan | None = None, name: str = "lasting", layout: str = "") -> None:
        """All stages or those of the plan, in this process, whatever has become of the source."""
        settings = {"partitions": layout or self.layout, "business_timezone": self.edits.zone, **self.settings}
        overrides = plan.Overrides(accept_drift=True, allow_shrink=True, allow_rejects=True)
        shop = given_pipeline(self.edits.url, self.folder / name, **settings)
        if settings["partitions"] == "month" and name == "lasting":
            shop = replace(shop, cluster=self.cluster)
        pipeline.run(made or plan.plan_all(skip_crawl=True), shop, overrides=overrides)

    def command(self, *arguments: str) -> Ended:
        """A command that ends well."""
        return self.shop.run(*arguments).done()

    def edit(self, number: int, edits: Sequence[Callable[[Edits], None]] = PLAIN) -> None:
        """Some edits."""
        for edit in self.random.choices(edits, k=number):
            self.history.append(edit.__name__)
            carry_out(self.edits, edit)

    def moment(self) -> Moment:
        """What the source has now."""
        return Moment.of(self.edits.url, self.edits.zone)

    def require_right(self, moment: Moment | None = None) -> Lake:
        """The lake has what the source has, or had."""
        return require_lake_of(moment or self.moment(), self.lake, self.layout, is_reordered=self.is_reordered)

    def require_equal(self, layout: str) -> None:
        """A complete run into a new lake gives the same, to the order of rows."""
        self.run(name="new", layout=layout)
        require_same(Lake.at(self.lake), Lake.at(self.folder / "new" / "lake"))
        shutil.rmtree(self.folder / "new")

    def last_extract(self) -> Mapping[str, Any]:
        """The last run's account of it."""
        run = next(Lake.at(self.lake).published())
        return next(stage for stage in run["stages"] if stage["name"] == "extract")

    def copied(self) -> set[str]:
        """The months that the last run copied."""
        files = [entry for entry in self.last_extract()["datasets"] if entry["name"] == "transactions"]
        return {entry["key"].split("/")[2].partition("=")[2] for entry in files if entry.get("run_id") is None}

    def night(self, acts: Sequence[Callable[[Self], None]]) -> None:
        """Edits, of which half the time all are harmless, and an act, which leaves the lake as the source is."""
        if self.edits.run(f"SELECT count(*) FROM {self.edits.table}")[0][0] < FEWEST:
            self.edit(FEWEST // 4, [more_sales])
        self.edit(self.random.randint(0, 3))
        if self.random.random() < 0.5:
            self.edit(self.random.randint(1, 2), UPHEAVALS)
            self.edit(self.random.randint(0, 2))
        self.is_reordered |= self.edits.is_reordered
        act = self.random.choice(acts)
        self.history.append(f"[{act.__name__}]")
        act(self)
        self.require_right()

    def usual(self, *, is_irregular: bool = False) -> None:
        """A run."""
        self.run()
        self.settled(is_irregular=is_irregular)

    def settled(self, *, is_irregular: bool = False) -> None:
        """After a run: it has copied no more than it had to. From now on what is edited counts."""
        can_tell = self.layout == "month" and self.is_regular and not is_irregular and self.edits.is_plain
        is_full = self.layout == "none" or self.last_extract().get("full") is not None
        if can_tell and self.edits.touched is not None:
            assert not is_full, self.last_extract()["full"]
            # where no row is left there is a file without rows
            assert self.copied() - {"none"} <= self.edits.touched
        self.is_regular = True
        self.is_reordered = self.is_reordered and not is_full
        self.edits.is_reordered = False
        # what goes on holds the horizon back
        self.edits.touched = None if self.edits.open else set()
