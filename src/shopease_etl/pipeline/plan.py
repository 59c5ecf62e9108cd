"""What a run will do: its stages, on which tables and datasets."""

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from shopease_etl.contract import tables
from shopease_etl.contract.gold import GOLD, USUAL, GoldDataset
from shopease_etl.contract.gold.dataset import needed
from shopease_etl.contract.layout import owns
from shopease_etl.contract.tables import Table
from shopease_etl.errors import ConfigurationError, ShopeaseError

STAGES: Final = ("extract", "clean", "aggregate", "crawl")

_T = TypeVar("_T")


@dataclass(frozen=True)
class Step:
    """One dataset of one stage; `reads` and `writes` are keys of the lake or tables of the source."""

    stage: str
    dataset: str
    reads: tuple[str, ...]
    writes: tuple[str, ...]


@dataclass(frozen=True)
class Overrides:
    """What the user allows: a changed source schema, a large drop of rows or revenue, many rejected rows."""

    accept_drift: bool = False
    allow_shrink: bool = False
    allow_rejects: bool = False


NO_OVERRIDES: Final = Overrides()


@dataclass(frozen=True)
class Plan:
    """What a run will do: the stages in order, on which tables and gold datasets; `full`: on all months."""

    stages: tuple[str, ...]
    tables: tuple[Table, ...] = tables.TABLES
    datasets: tuple[GoldDataset, ...] = USUAL
    fail_fast: bool = False
    crawlers: bool = False
    full: bool = False

    def steps(self, *, by_month: bool = False) -> tuple[Step, ...]:
        """The plan's steps in order; if sales are kept `by_month`, with one key that has `*` for all months."""
        return tuple(step for stage in self.stages for step in self._steps(stage, by_month=by_month))

    def _steps(self, stage: str, *, by_month: bool) -> Iterator[Step]:
        def kept(tables: Iterable[Table]) -> list[Table]:
            return [table.in_month("*") if by_month and table.month_column else table for table in tables]

        if stage == "extract":
            yield from (Step(stage, t.name, (t.source,), (t.bronze_key,)) for t in kept(self.tables))
        elif stage == "clean":
            for t in kept(self.cleaned_tables):
                yield Step(stage, t.name, (t.bronze_key,), (t.silver_key, t.quarantine_key))
        elif stage == "aggregate":
            for d in self.datasets:
                yield Step(stage, d.name, tuple(t.best_key for t in kept(needed([d]))), (d.key,))
        else:
            yield Step(stage, "catalog", (), ("tables and views",))

    @property
    def command(self) -> str:
        """The command for such a run."""
        return self.stages[0] if len(self.stages) == 1 else "run-all"

    @property
    def keys(self) -> frozenset[str]:
        """The objects that the plan writes."""
        return frozenset(key for step in self.steps() for key in step.writes if owns(key))

    def document(self) -> dict[str, object]:
        """The plan as it is in a manifest."""
        names = {"tables": [t.name for t in self.tables], "datasets": [d.name for d in self.datasets]}
        flags = {"fail_fast": self.fail_fast, "crawlers": self.crawlers, "full": self.full}
        return {"stages": list(self.stages), **names, **flags}

    @property
    def cleaned_tables(self) -> tuple[Table, ...]:
        """The plan's tables that are cleaned into silver."""
        return tuple(table for table in self.tables if table.key)


def plan_tables(
    stage: str,
    names: Sequence[str],
    *,
    datasets: tuple[GoldDataset, ...] = USUAL,
    fail_fast: bool = False,
    full: bool = False,
) -> Plan:
    """A plan of one stage on the named tables, by their names in the lake or in the source; without names on all.

    `datasets` are those that later runs build.

    Raises:
        ConfigurationError: the stage has no table of that name.
    """
    offered = tables.CLEANED_TABLES if stage == "clean" else tables.TABLES
    by_name = {name: table for table in offered for name in (table.source, table.name)}
    others = {name for table in tables.TABLES for name in (table.source, table.name)}.difference(by_name)
    if raw := others.intersection(names):
        message = f"{stage} does not process the table {min(raw)!r}, as silver does not have it"
        raise ConfigurationError(message, hint=f"it processes {', '.join(table.name for table in offered)}")
    chosen = {_named(name, by_name, "table").name for name in names} or {table.name for table in offered}
    chosen_tables = tuple(table for table in offered if table.name in chosen)
    return Plan((stage,), chosen_tables, datasets, fail_fast=fail_fast, full=full)


def plan_datasets(names: Sequence[str], offered: tuple[GoldDataset, ...] = USUAL) -> Plan:
    """A plan of `aggregate` for the named gold datasets of those offered; without names for all of them.

    Raises:
        ConfigurationError: there is no gold dataset of that name, or it is not offered.
    """
    by_name = {dataset.name: dataset for dataset in GOLD}
    chosen = [_named(name, by_name, "dataset") for name in names] or offered
    for dataset in chosen:
        if dataset not in offered:
            message = f"the dataset {dataset.name} is off"
            raise ConfigurationError(message, hint="switch it on with SHOPEASE_CLV=on")
    return Plan(("aggregate",), datasets=tuple(dataset for dataset in offered if dataset in chosen))


def plan_all(
    first_stage: str = STAGES[0],
    *,
    datasets: tuple[GoldDataset, ...] = USUAL,
    skip_crawl: bool = False,
    full: bool = False,
) -> Plan:
    """A plan of all stages from `first_stage` on.

    Raises:
        ConfigurationError: no stage is left.
    """
    if first_stage == "crawl" and skip_crawl:
        message = "--from crawl and --skip-crawl leave nothing to do"
        raise ConfigurationError(message, hint="use only one of them")
    stages = STAGES[STAGES.index(first_stage) :]
    kept = tuple(stage for stage in stages if not (skip_crawl and stage == "crawl"))
    return Plan(kept, datasets=datasets, full=full)


def plan_in(document: Mapping[str, Any]) -> Plan:
    """The plan in a manifest.

    Raises:
        ShopeaseError: it has no plan that this version understands.
    """
    known = {table.name: table for table in tables.TABLES}
    built = {dataset.name: dataset for dataset in GOLD}
    try:
        plan = document["plan"]
        if not set(plan["stages"]) <= set(STAGES):
            raise ValueError(plan["stages"])
        return Plan(
            tuple(stage for stage in STAGES if stage in plan["stages"]),
            tuple(known[name] for name in plan["tables"]),
            tuple(built[name] for name in plan["datasets"]),
            fail_fast=bool(plan["fail_fast"]),
            crawlers=bool(plan["crawlers"]),
            full=bool(plan.get("full")),
        )
    except (LookupError, TypeError, ValueError) as error:
        message = f"the manifest of the run {document['run_id']} has no plan that this version understands"
        raise ShopeaseError(message, hint="start a new run: `shopease run-all`") from error


def _named(name: str, offered: Mapping[str, _T], kind: str) -> _T:
    if name in offered:
        return offered[name]
    close = difflib.get_close_matches(name, offered, 1)
    message = f"there is no {kind} {name!r}"
    names = ", ".join(sorted(offered))
    raise ConfigurationError(message, hint=f"did you mean {close[0]}?" if close else f"there are {names}")
