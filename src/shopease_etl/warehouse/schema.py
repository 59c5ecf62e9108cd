"""Tables and typed views of the catalog, by the headers and Parquet schemas of the files, for Glue and local lakes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import pyarrow as pa

from shopease_etl.contract import gold, values
from shopease_etl.contract.column_names import catalog_names
from shopease_etl.contract.layout import (
    BRONZE,
    GOLD,
    PRODUCED_BY,
    QUARANTINE,
    SALE_MONTH,
    SILVER,
    dataset_of,
    month_of,
)
from shopease_etl.contract.tables import (
    BIGINT,
    CLEANED_TABLES,
    DATE,
    INT,
    MONEY,
    STRING,
    TABLES,
    TIMESTAMP,
    Column,
    Table,
)
from shopease_etl.errors import DataRefusedError

_ARROW_TYPES: Final = {
    pa.bool_(): "boolean",
    pa.int8(): "tinyint",
    pa.int16(): "smallint",
    pa.int32(): INT,
    pa.int64(): BIGINT,
    pa.float32(): "float",
    pa.float64(): "double",
    pa.date32(): DATE,
    pa.string(): STRING,
    pa.large_string(): STRING,
    pa.string_view(): STRING,
    pa.timestamp("ms"): TIMESTAMP,
    pa.timestamp("us"): TIMESTAMP,
}


@dataclass(frozen=True)
class CatalogTable:
    """A table over the files in a folder of the lake, one or one for each month; `columns` are those of every file."""

    name: str
    keys: tuple[str, ...]
    columns: tuple[Column, ...]

    @property
    def folder(self) -> str:
        """The key of the folder, with a slash at the end: Glue's location."""
        return dataset_of(self.keys[0]) + "/"

    @property
    def layer(self) -> str:
        """The layer that the files belong to."""
        return self.keys[0].partition("/")[0]

    @property
    def months(self) -> Mapping[str, str]:
        """The keys of the files by month; empty if the table is not kept by month."""
        return {month: key for key in self.keys if (month := month_of(key))}

    @property
    def partition_columns(self) -> tuple[Column, ...]:
        """The columns of the rows that are not in the files: the month."""
        return (Column(SALE_MONTH, STRING),) if self.months else ()

    @property
    def is_parquet(self) -> bool:
        """Whether the files are Parquet, else CSV."""
        return self.layer == GOLD

    @property
    def made_by(self) -> str:
        """The command that makes the files."""
        return f"shopease {PRODUCED_BY[self.layer]}"

    @property
    def column_names(self) -> tuple[str, ...]:
        """The names of the columns of its rows: those of the files, then the month."""
        return tuple(column.name for column in (*self.columns, *self.partition_columns))


@dataclass(frozen=True)
class CatalogView:
    """A typed view: its base table and its definition, a SELECT in Athena's SQL."""

    name: str
    base: str
    columns: tuple[Column, ...]
    sql: str

    @property
    def column_names(self) -> tuple[str, ...]:
        """The names of the columns in order."""
        return tuple(column.name for column in self.columns)


@dataclass(frozen=True)
class ListedTable:
    """A table or view as the catalog lists it; `folder` is that of its dataset in the lake, such as `silver/customers`,
    empty if it has none.
    """

    name: str
    is_view: bool
    columns: tuple[Column, ...]
    folder: str


@dataclass(frozen=True)
class Dataset:
    """A dataset that the lake may hold: its table's name, and the key of its file if it is not kept by month."""

    name: str
    key: str

    @property
    def is_parquet(self) -> bool:
        """Whether the file is Parquet, else CSV."""
        return self.key.startswith(f"{GOLD}/")

    @property
    def made_by(self) -> str:
        """The command that makes the file."""
        return f"shopease {PRODUCED_BY[self.key.partition('/')[0]]}"


DATASETS: Final = (
    *(Dataset(f"{BRONZE}_{table.name}", table.bronze_key) for table in TABLES),
    *(Dataset(f"{SILVER}_{table.name}", table.silver_key) for table in CLEANED_TABLES),
    *(Dataset(f"{QUARANTINE}_{table.name}", table.quarantine_key) for table in CLEANED_TABLES),
    *(Dataset(dataset.name, dataset.key) for dataset in gold.GOLD),
)


def csv_table(dataset: Dataset, header: Sequence[str], months: Sequence[str] = ()) -> CatalogTable:
    """The raw table of CSV files with this header, the only one or those of the keys `months`.

    Every column is a string, named by `catalog_names`; DataRefusedError if there is none.
    """
    ours = (SALE_MONTH,) if months else ()
    names = catalog_names((*ours, *header))[len(ours) :]
    return _table(dataset, tuple(Column(name, STRING) for name in names), tuple(months))


def parquet_table(dataset: Dataset, schema: pa.Schema) -> CatalogTable:
    """The table of a Parquet file with the file's types; DataRefusedError for a type that Athena cannot read."""
    return _table(dataset, tuple(Column(field.name, _athena_type(dataset, field)) for field in schema))


def _table(dataset: Dataset, columns: tuple[Column, ...], months: tuple[str, ...] = ()) -> CatalogTable:
    keys = months or (dataset.key,)
    if not columns:
        raise DataRefusedError(f"{keys[0]} has no columns")
    return CatalogTable(dataset.name, keys, columns)


def _athena_type(dataset: Dataset, field: "pa.Field[pa.DataType]") -> str:
    if isinstance(field.type, pa.Decimal128Type):
        return f"decimal({field.type.precision},{field.type.scale})"
    if field.type not in _ARROW_TYPES:
        raise DataRefusedError(f"{dataset.key}: Athena cannot read column {field.name} of Parquet type {field.type}")
    return _ARROW_TYPES[field.type]


def base_of(table: Table) -> str:
    """The name of the raw table under a source table's typed view: silver if there is one, else bronze."""
    return f"{SILVER if table.key else BRONZE}_{table.name}"


def typed_view(table: Table, base: CatalogTable, database: str) -> CatalogView:
    """The typed view over a raw table: known columns by the contract's types, further columns as strings."""
    types = {column.name: column.type for column in (*table.columns, *table.calculated)}
    columns = tuple(Column(column.name, types.get(column.name, STRING)) for column in base.columns)
    typed = (f"{_typed(column, is_trimmed=bool(table.key))} AS {quoted(column.name)}" for column in columns)
    # as it is, so that a query for a month reads only that month
    projection = ",\n  ".join((*typed, *(quoted(column.name) for column in base.partition_columns)))
    sql = f"SELECT\n  {projection}\nFROM {quoted(database)}.{quoted(base.name)}"
    return CatalogView(table.name, base.name, (*columns, *base.partition_columns), sql)


def quoted(identifier: str) -> str:
    """An identifier in double quotes."""
    return '"' + identifier.replace('"', '""') + '"'


def _typed(column: Column, *, is_trimmed: bool) -> str:
    """A text column as a value by the contract's grammar, on Trino and DuckDB alike; what does not parse is NULL."""
    name = quoted(column.name)
    if column.type == STRING:
        return f"NULLIF({name}, '')"
    text = name if is_trimmed else f"regexp_replace({name}, '^{values.WHITESPACE}|{values.WHITESPACE}$', '')"
    if column.type in {BIGINT, INT}:
        whole = f"regexp_extract({text}, '{values.INTEGER}')"
        return f"TRY_CAST({whole} AS {'integer' if column.type == INT else column.type})"
    if column.type == MONEY:
        return f"TRY_CAST(regexp_extract({text}, '{values.NUMBER}') AS {MONEY})"
    # Trino's cast does not accept the T or an offset; the text is in business time already. Athena's timestamp has
    # milliseconds, and its cast would round up, even into the next day, so further digits are cut off, on DuckDB too.
    # The raw tables have the text as it was.
    stamp = f"regexp_extract({text}, '{values.TIMESTAMP}')"
    local = f"replace(regexp_extract({stamp}, '^[0-9-]{{10}}([ T][0-9:]{{8}}(\\.[0-9]{{1,3}})?)?'), 'T', ' ')"
    return f"TRY_CAST({local} AS {column.type})"
