"""The parts of a gold dataset: its columns, its inputs, its formula, and the totals that it must agree with.

Like the tables, it imports no library; formulas import theirs when they are called.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import date
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal

from shopease_etl.contract import layout
from shopease_etl.contract.tables import TRANSACTIONS, Column, Table

if TYPE_CHECKING:
    import polars as pl

Frames = Mapping[str, "pl.DataFrame"]

TOTALS: Final = "totals"

# A key of sums besides silver's columns: the first day of the month of transaction_date.
SALES_MONTH: Final = "sales_month"

# Gets all sums of some values of the first key, and the last day with sales.
Summary = Callable[["pl.DataFrame", date | None], "pl.DataFrame"]


@dataclass(frozen=True)
class Measure:
    """A figure of some sales: their number, or a figure of the values in a column; NULL does not count.

    With `lacking`, only sales without a value in that column count.
    """

    how: Literal["count", "sum", "min", "max", "distinct"]
    column: str = ""
    lacking: str = ""


@dataclass(frozen=True)
class SalesSums:
    """Measures of the sales that have the same values of `keys`, as a frame with one row for each; sales without a key
    do not count. They are computed from chunks of the sales and merged.

    Sums with `summaries` are many: a formula gets only what each summary, by its name, makes of them, a part of the
    first key's values at a time, the parts one below the other. With `last_days`, which needs the key
    transaction_date, only sales of that many days count, the last of which is the last day with sales. Keys in
    `may_lack` may be NULL.
    """

    name: str
    keys: tuple[str, ...]
    measures: Mapping[str, Measure]
    summaries: Mapping[str, Summary] = field(default_factory=dict)
    last_days: int | None = None
    may_lack: tuple[str, ...] = ()

    @property
    def required_keys(self) -> list[str]:
        """The keys without which a sale does not count."""
        return [key for key in self.keys if key not in self.may_lack]

    @property
    def columns(self) -> frozenset[str]:
        """The columns of silver's sales that the measures need."""
        named = (name for measure in self.measures.values() for name in (measure.column, measure.lacking))
        keys = ("transaction_date" if key == SALES_MONTH else key for key in self.keys)
        return frozenset((*keys, *filter(None, named)))

    @property
    def frames(self) -> tuple[str, ...]:
        """The names of the frames that formulas get."""
        return tuple(self.summaries) or (self.name,)

    @property
    def definition(self) -> list[object]:
        """What is added up, for JSON."""
        measures = {name: asdict(measure) for name, measure in self.measures.items()}
        return [self.name, self.keys, measures, self.last_days, self.may_lack]


@dataclass(frozen=True)
class SalesTotals:
    """The dataset's revenue, and its number of sales if it has one, add up to silver's, without the sales that have no
    `subject`.
    """

    revenue: str
    sales: str | None = None
    subject: str | None = None

    @property
    def columns(self) -> dict[str, str]:
        """The dataset's columns to add up, by the name of the total."""
        return ({"transactions": self.sales} if self.sales else {}) | {"revenue": self.revenue}

    def input_totals(self, frames: Frames) -> dict[str, Any]:
        """The totals of silver."""
        totals = frames[TOTALS].row(0, named=True)
        return {"transactions": totals["transactions"], "revenue": totals["revenue"]}

    def excluded(self, frames: Frames) -> dict[str, Any]:
        """The part of them that the dataset cannot have, by the names in the manifest."""
        totals = frames[TOTALS].row(0, named=True)
        return {name: totals[name] for name in _without(self.subject)}

    def recorded(self, dataset: "GoldDataset") -> tuple[tuple[str, str | None, str], ...]:
        """See `GoldDataset.recorded`."""
        silver = TRANSACTIONS.silver_key
        sums = ((dataset.key, column, f"{dataset.name}_{what}") for what, column in self.columns.items())
        return ((silver, None, "silver_transactions"), (silver, "total_amount", "silver_revenue"), *sums)


@dataclass(frozen=True)
class RowTotals:
    """The dataset accounts for every row of the table: it has a row for each, or they are counted in `column`."""

    table: Table
    column: str | None = None
    subject: ClassVar[None] = None

    @property
    def columns(self) -> dict[str, str | None]:
        """The dataset's column to add up, None for its own rows."""
        return {"rows": self.column}

    def input_totals(self, frames: Frames) -> dict[str, Any]:
        """The number of the table's rows."""
        return {"rows": frames[self.table.name].height}

    def excluded(self, _: Frames) -> dict[str, Any]:
        """Nothing: every row counts."""
        return {}

    def recorded(self, dataset: "GoldDataset") -> tuple[tuple[str, str | None, str], ...]:
        """See `GoldDataset.recorded`."""
        name = f"{dataset.name}_rows"
        return ((self.table.best_key, None, name), (dataset.key, self.column, name))


@dataclass(frozen=True)
class SameRows:
    """The dataset has a row for each row of another, which is made of the frame `rows`."""

    other: "GoldDataset"
    rows: str
    subject: ClassVar[None] = None
    columns: ClassVar[Mapping[str, str | None]] = {"rows": None}

    def input_totals(self, frames: Frames) -> dict[str, Any]:
        """The number of the other dataset's rows."""
        return {"rows": frames[self.rows].height}

    def excluded(self, _: Frames) -> dict[str, Any]:
        """Nothing: every row counts."""
        return {}

    def recorded(self, dataset: "GoldDataset") -> tuple[tuple[str, str | None, str], ...]:
        """See `GoldDataset.recorded`."""
        name = f"{dataset.name}_rows"
        return ((self.other.key, None, name), (dataset.key, None, name))


@dataclass(frozen=True)
class GoldDataset:
    """A dataset of the gold layer: its columns in order, and the order of its rows (column, whether descending).

    `formula` gets frames by name: the columns of other tables in `inputs`, the `sums` of sales, and if there are any,
    the `totals` of all sales, with `latest`, the last day with sales. It may return further columns, in any order;
    money has two decimals. In the order of rows NULL is last. An optional dataset is built only if a setting says so.
    """

    name: str
    columns: tuple[Column, ...]
    order_by: tuple[tuple[str, bool], ...]
    formula: Callable[[Frames], "pl.DataFrame"]
    reconciles: SalesTotals | RowTotals | SameRows
    inputs: Mapping[Table, tuple[str, ...]] = field(default_factory=dict)
    sums: tuple[SalesSums, ...] = ()
    is_optional: bool = False

    @property
    def key(self) -> str:
        """The lake key of the Parquet file."""
        return f"{layout.GOLD}/{self.name}/data.parquet"

    @property
    def reads(self) -> tuple[str, ...]:
        """The lake keys of its inputs."""
        return tuple(table.best_key for table in needed([self]))

    @property
    def recorded(self) -> tuple[tuple[str, str | None, str], ...]:
        """The totals that a manifest records: an object, the column to add up (None for its rows), and the total's
        name.
        """
        return self.reconciles.recorded(self)

    def build(self, frames: Frames) -> "pl.DataFrame":
        """The formula's result; the frames may have more columns, for other datasets."""
        own = {table.name: frames[table.name].select(names) for table, names in self.inputs.items()}
        return self.formula({**frames, **own})


def sums_of(datasets: Iterable[GoldDataset]) -> tuple[SalesSums, ...]:
    """The sums of sales that the datasets need, and the totals; empty if no dataset needs sales."""
    datasets = tuple(datasets)
    sums = {sums.name: sums for dataset in datasets for sums in dataset.sums}
    subjects = dict.fromkeys(dataset.reconciles.subject for dataset in datasets)
    measures = {
        "transactions": Measure("count"),
        "revenue": Measure("sum", "total_amount"),
        "latest": Measure("max", "transaction_date"),
        **{name: measure for subject in subjects for name, measure in _without(subject).items()},
    }
    return (SalesSums(TOTALS, (), measures), *sums.values()) if sums else ()


def needed(datasets: Iterable[GoldDataset]) -> dict[Table, tuple[str, ...]]:
    """The tables that the datasets read, each with the columns that any of them needs, in the table's order."""
    datasets = tuple(datasets)
    names: dict[Table, set[str]] = {}
    if sums := sums_of(datasets):
        names[TRANSACTIONS] = {name for each in sums for name in each.columns}
    for dataset in datasets:
        for table, columns in dataset.inputs.items():
            names.setdefault(table, set()).update(columns)
    return {
        table: tuple(column.name for column in (*table.columns, *table.calculated) if column.name in columns)
        for table, columns in names.items()
    }


def _without(subject: str | None) -> dict[str, Measure]:
    """The totals of the sales without a subject, by their names in the manifest."""
    if subject is None:
        return {}
    return {
        f"transactions_without_{subject}": Measure("count", lacking=subject),
        f"revenue_without_{subject}": Measure("sum", "total_amount", lacking=subject),
    }
