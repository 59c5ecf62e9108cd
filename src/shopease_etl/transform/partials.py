"""The inputs of gold, added up from chunks of silver as they come."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from typing import Final, Self

import polars as pl

from shopease_etl.contract import values
from shopease_etl.contract.gold import USUAL, GoldDataset
from shopease_etl.contract.gold.dataset import SALES_MONTH, TOTALS, Frames, Measure, SalesSums, needed, sums_of
from shopease_etl.contract.tables import BIGINT, DATE, INT, MONEY, STRING, TRANSACTIONS, Table
from shopease_etl.transform.memory import Memory

_MOST_PIECES: Final = 6
_TYPES: Final = {column.name: column.type for column in (*TRANSACTIONS.columns, *TRANSACTIONS.calculated)}


class PartialSums:
    """What the datasets need: sums of the sales, and columns of other tables.

    Sales are added chunk by chunk, or month by month. Memory grows with days, products and customers, not with sales.
    """

    def __init__(self, memory: Memory, datasets: Sequence[GoldDataset] = USUAL) -> None:
        self.datasets = datasets
        self._needed = needed(datasets)
        self._sums = sums_of(datasets)
        self._tables: dict[str, list[pl.DataFrame]] = defaultdict(list)
        self._pieces: dict[str, list[pl.DataFrame]] = defaultdict(list)
        self._months: dict[str, list[pl.DataFrame]] = defaultdict(list)
        many = {sums.name: sums.keys[0] for sums in self._sums if sums.summaries}
        many |= {_pairs(sums, name): column for sums in self._sums for name, column in _distinct(sums).items()}
        self._spills = {name: memory.spill(column, len(many)) for name, column in many.items()}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        for spill in self._spills.values():
            spill.__exit__(*error)

    def missing(self) -> dict[Table, tuple[str, ...]]:
        """The needed tables without any rows yet, each with its needed columns."""
        return {table: columns for table, columns in self._needed.items() if table.name not in self._tables}

    def add(self, table: Table, found: Frames) -> None:
        """Add what `add_up` returned for some rows of a table, in any order."""
        if table not in self._needed:
            return
        self._tables.setdefault(table.name, [])
        if table != TRANSACTIONS:
            self._tables[table.name].append(found[table.name])
            return
        for sums in self._sums:
            self._add_piece(sums, found)

    def add_month(self, found: Frames) -> None:
        """Add what `of_month` returned for the sales of a month; each month once."""
        self._tables.setdefault(TRANSACTIONS.name, [])
        for sums in self._sums:
            if _is_in_month(sums) and not sums.summaries:
                self._months[sums.name].append(found[sums.name])
            else:
                self._add_piece(sums, found)

    def of_month(self) -> dict[str, pl.DataFrame]:
        """The sums of the sales that were added, which are those of one month, in order: sums by day or month with
        their distinct counts, as they are in one month; of other sums the different pairs that are counted.
        """
        found = {}
        for sums in self._sums:
            if sums.summaries:
                found[sums.name] = pl.concat(self._merged(sums)).sort(pl.all())
                continue
            if _is_in_month(sums):
                found[sums.name] = self._whole(sums).sort(sums.keys)
                continue
            whole = _measured(sums, pl.concat(self._pieces[sums.name]), of_pieces=True)
            found[sums.name] = whole.sort(sums.keys) if sums.keys else whole
            for name in _distinct(sums):
                pairs = [bucket.unique() for bucket in self._spills[_pairs(sums, name)].buckets()]
                found[_pairs(sums, name)] = pl.concat(pairs).sort(pl.all())
        return found

    def frames(self) -> Frames:
        """The sums of all sales by their names, or what the summaries make of them, and the other tables by theirs."""
        found = {name: pl.concat(frames) for name, frames in self._tables.items() if frames}
        for sums in (sums for sums in self._sums if not sums.summaries):
            months = self._months[sums.name]
            found[sums.name] = pl.concat(months) if months else self._whole(sums)
        latest = found[TOTALS]["latest"].item() if self._sums else None
        for sums in (sums for sums in self._sums if sums.last_days):
            found[sums.name] = _of_last_days(sums, found[sums.name], latest)
        for sums in (sums for sums in self._sums if sums.summaries):
            made = [{name: of(part, latest) for name, of in sums.summaries.items()} for part in self._merged(sums)]
            found |= {name: pl.concat([each[name] for each in made]) for name in sums.summaries}
        return found

    def _merged(self, sums: SalesSums) -> Iterator[pl.DataFrame]:
        """All sums, a part of the first key's values at a time."""
        self._spill_pieces(sums)
        return (_measured(sums, part, of_pieces=True) for part in self._spills[sums.name].buckets())

    def _add_piece(self, sums: SalesSums, found: Frames) -> None:
        for name in _distinct(sums):
            self._spills[_pairs(sums, name)].add(found[_pairs(sums, name)])
        pieces = self._pieces[sums.name]
        pieces.append(found[sums.name])
        if len(pieces) < _MOST_PIECES:
            return
        if sums.summaries:
            self._spill_pieces(sums)
        else:
            pieces[:] = [_measured(sums, pl.concat(pieces), of_pieces=True)]

    def _spill_pieces(self, sums: SalesSums) -> None:
        if pieces := self._pieces[sums.name]:
            self._spills[sums.name].add(_measured(sums, pl.concat(pieces), of_pieces=True))
            pieces.clear()

    def _whole(self, sums: SalesSums) -> pl.DataFrame:
        whole = _measured(sums, pl.concat(self._pieces[sums.name]), of_pieces=True)
        for name, column in _distinct(sums).items():
            counted = pl.col(column).n_unique().cast(pl.Int64).alias(name)
            buckets = self._spills[_pairs(sums, name)].buckets()
            counts = pl.concat([pairs.group_by(*sums.keys).agg(counted) for pairs in buckets])
            counts = counts.group_by(*sums.keys).agg(pl.col(name).sum())  # a value's pairs are in one bucket
            whole = whole.join(counts, on=sums.keys, how="left").with_columns(pl.col(name).fill_null(0))
        return whole


def add_up(rows: pl.DataFrame, table: Table, datasets: Sequence[GoldDataset] = USUAL) -> dict[str, pl.DataFrame]:
    """The inputs of the datasets by name, from some rows of a table as text: sums and pairs of sales, or the columns of
    another table; nothing if no dataset needs the table. It may run in another process.
    """
    names = needed(datasets).get(table)
    if names is None:
        return {}
    typed = _typed(rows, table, names)
    if table != TRANSACTIONS:
        return {table.name: typed}
    typed = typed.with_columns(pl.col("transaction_date").dt.truncate("1mo").alias(SALES_MONTH))
    # of many sums each has few rows of a chunk: to add these up would be work for nothing
    found = {
        sums.name: _rows(sums, typed) if sums.summaries or sums.last_days else _measured(sums, typed)
        for sums in sums_of(datasets)
    }
    for sums in sums_of(datasets):
        for name, column in _distinct(sums).items():
            found[_pairs(sums, name)] = typed.select(*sums.keys, column).drop_nulls()
    return found


def _pairs(sums: SalesSums, name: str) -> str:
    return f"{sums.name}.{name}"


def _is_in_month(sums: SalesSums) -> bool:
    """Whether each of the sums is of sales of one month."""
    return not sums.last_days and not {"transaction_date", SALES_MONTH}.isdisjoint(sums.keys)


def _distinct(sums: SalesSums) -> dict[str, str]:
    """The columns whose different values are counted, by the counts' names: pairs with the keys are kept for them."""
    return {name: measure.column for name, measure in sums.measures.items() if measure.how == "distinct"}


def _measured(sums: SalesSums, sales: pl.DataFrame, *, of_pieces: bool = False) -> pl.DataFrame:
    """The measures of some sales without distinct counts; or of all, from those of pieces one below the other."""
    measures = {name: measure for name, measure in sums.measures.items() if measure.how != "distinct"}
    figures = [(_together(name, m) if of_pieces else _figure(m)).alias(name) for name, m in measures.items()]
    sales = _of_last_days(sums, sales)
    if not sums.keys:
        return sales.select(*figures)
    return sales.group_by(*sums.keys).agg(*figures).drop_nulls(sums.required_keys)


def _rows(sums: SalesSums, sales: pl.DataFrame) -> pl.DataFrame:
    """The sums of each sale alone, as pieces."""
    figures = [
        (pl.lit(1, pl.Int64) if measure.how == "count" else _value_to_add(measure)).alias(name)
        for name, measure in sums.measures.items()
    ]
    return _of_last_days(sums, sales).select(*sums.keys, *figures).drop_nulls(sums.required_keys)


def _of_last_days(sums: SalesSums, sales: pl.DataFrame, latest: date | None = None) -> pl.DataFrame:
    """What may count, as no sale is later than `latest`; by default the last day of these sales, so perhaps more."""
    if not sums.last_days:
        return sales
    day = pl.col("transaction_date")
    last = day.max() if latest is None else pl.lit(latest)
    return sales.filter(day > last - timedelta(days=sums.last_days))


def _figure(measure: Measure) -> pl.Expr:
    lacks = pl.col(measure.lacking).is_null() if measure.lacking else None
    if measure.how == "count":
        return (pl.len() if lacks is None else lacks.sum()).cast(pl.Int64)
    value = _value_to_add(measure)
    figure: pl.Expr = getattr(value if lacks is None else value.filter(lacks), measure.how)()
    return figure


def _value_to_add(measure: Measure) -> pl.Expr:
    value = pl.col(measure.column)
    is_count = measure.how == "sum" and _TYPES[measure.column] != MONEY
    return value.cast(pl.Decimal(38, 0)) if is_count else value  # a sum of bigints may not be one


def _together(name: str, measure: Measure) -> pl.Expr:
    figure: pl.Expr = getattr(pl.col(name), "sum" if measure.how == "count" else measure.how)()
    return figure


def _typed(rows: pl.DataFrame, table: Table, names: Sequence[str]) -> pl.DataFrame:
    """Text in its types; first as if all of it parsed, which is quicker.

    A value that is not an integer, such as a wrong foreign key, is NULL.
    """
    types = {column.name: column.type for column in (*table.columns, *table.calculated)}
    texts = rows.select(pl.col(name) if table.key else _trimmed(name, types[name]) for name in names)
    try:
        return texts.select(_value(name, types[name], all_parse=True) for name in names)
    except pl.exceptions.InvalidOperationError:
        return texts.select(_value(name, types[name]) for name in names)


def _trimmed(name: str, column_type: str) -> pl.Expr:
    """Bronze's text as silver would have it."""
    text = pl.col(name)
    if column_type == STRING:
        text = text.str.replace_all(values.WHITESPACE, " ")
    text = text.str.strip_chars(values.WHITESPACE_CHARACTERS)
    return pl.when(text != "").then(text).alias(name)


def _value(name: str, column_type: str, *, all_parse: bool = False) -> pl.Expr:
    text = pl.col(name)
    if column_type == MONEY:
        return text.cast(pl.Decimal(38, 2))
    if column_type == DATE:
        return text.str.to_date(format="%Y-%m-%d")
    if column_type in {BIGINT, INT}:
        if all_parse:
            return text.cast(pl.Int64)
        return pl.when(text.str.contains(values.INTEGER)).then(text).cast(pl.Int64, strict=False)
    return text
