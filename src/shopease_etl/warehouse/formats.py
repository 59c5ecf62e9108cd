"""How Glue and Athena read the lake's two kinds of files, and the tables that Terraform declares."""

import json
import sys
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from shopease_etl.contract import gold, meanings
from shopease_etl.contract.layout import BRONZE, QUARANTINE, SALE_MONTH, SILVER
from shopease_etl.contract.tables import CLEANED_TABLES, REJECTION_COLUMNS, STRING, TABLES, Column, Table
from shopease_etl.warehouse.schema import DATASETS, CatalogTable


@dataclass(frozen=True)
class StorageFormat:
    """Hive's classes for a kind of file, and the parameters of its SerDe and of its tables."""

    classification: str
    input_format: str
    output_format: str
    serde: str
    serde_parameters: Mapping[str, str]
    parameters: Mapping[str, str]


# OpenCSVSerDe supports quotes. Its default escape character would remove backslashes, so this is one that is never in
# the data.
CSV: Final = StorageFormat(
    classification="csv",
    input_format="org.apache.hadoop.mapred.TextInputFormat",
    output_format="org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat",
    serde="org.apache.hadoop.hive.serde2.OpenCSVSerde",
    serde_parameters={"separatorChar": ",", "quoteChar": '"', "escapeChar": "\u0001"},
    parameters={"EXTERNAL": "TRUE", "classification": "csv", "skip.header.line.count": "1"},
)
PARQUET: Final = StorageFormat(
    classification="parquet",
    input_format="org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat",
    output_format="org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat",
    serde="org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe",
    serde_parameters={"serialization.format": "1"},
    parameters={"EXTERNAL": "TRUE", "classification": "parquet"},
)


_BY_MONTH: Final = {key for table in TABLES if table.month_column for key in table.keys}


def format_of(table: CatalogTable) -> StorageFormat:
    """How the table's file is read."""
    return PARQUET if table.is_parquet else CSV


def declared_tables() -> tuple[CatalogTable, ...]:
    """The tables with the contract's columns, as they are before a lake's own files are known."""
    columns: dict[str, Iterable[Column]] = {
        **{f"{BRONZE}_{table.name}": _texts(_names(table)) for table in TABLES},
        **{f"{SILVER}_{table.name}": _texts(table.silver_order or _names(table)) for table in CLEANED_TABLES},
        **{f"{QUARANTINE}_{table.name}": _texts((*_names(table), *REJECTION_COLUMNS)) for table in CLEANED_TABLES},
        **{dataset.name: dataset.columns for dataset in gold.GOLD},
    }
    return tuple(CatalogTable(dataset.name, (dataset.key,), tuple(columns[dataset.name])) for dataset in DATASETS)


def terraform_catalog() -> dict[str, Any]:
    """The document from which Terraform declares the catalog's tables."""
    return {
        "formats": {kind.classification: asdict(kind) for kind in (CSV, PARQUET)},
        "tables": {table.name: _declaration(table) for table in declared_tables()},
    }


def _declaration(table: CatalogTable) -> dict[str, Any]:
    return {
        "description": meanings.of_table(table.name),
        "layer": table.layer,
        "folder": table.folder,
        "format": format_of(table).classification,
        "columns": [_declared(table.name, column) for column in table.columns],
        # if the lake is by month
        "partition_keys": [{"name": SALE_MONTH, "type": STRING}] if set(table.keys) & _BY_MONTH else [],
    }


def _declared(table: str, column: Column) -> dict[str, str]:
    meaning = meanings.of_column(table, column.name)
    return {"name": column.name, "type": column.type, **({"comment": meaning} if meaning else {})}


def _names(table: Table) -> tuple[str, ...]:
    return tuple(column.name for column in table.columns)


def _texts(names: Iterable[str]) -> Iterable[Column]:
    return (Column(name, STRING) for name in names)


if __name__ == "__main__":
    sys.stdout.write(json.dumps(terraform_catalog(), indent=2) + "\n")
