"""Tables in the Glue catalog, brought to what the lake's files are."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from shopease_etl.aws import client, code_of, refusals
from shopease_etl.catalog.formats import format_of
from shopease_etl.catalog.schema import CatalogTable
from shopease_etl.errors import UnreachableError

CREATED: Final = "created"
UPDATED: Final = "updated"
UNCHANGED: Final = "unchanged"

# What UpdateTable takes of what GetTables gives; it replaces the whole table, so the rest of these stays as it is.
_KEPT: Final = ("Description", "Owner", "Retention", "PartitionKeys", "ViewOriginalText", "ViewExpandedText")


class GlueCatalog:
    """The tables of one database of the Glue catalog, over the lake at an s3:// location."""

    def __init__(self, database: str, location: str) -> None:
        self.database = database
        self._location = location
        self._client = client("glue")

    def check(self) -> None:
        """Raise UnreachableError unless the database is there."""
        try:
            with self._told():
                self._client.get_database(Name=self.database)
        except UnreachableError as error:
            if code_of(error.__cause__) != "EntityNotFoundException":
                raise
            message = f"there is no database {self.database} in the Glue catalog"
            hint = "`make deploy` makes it (see docs/AWS.md), or set SHOPEASE_GLUE_DATABASE"
            raise UnreachableError(message, hint=hint) from error

    def tables(self) -> dict[str, dict[str, Any]]:
        """What Glue has of each table and view, by name."""
        with self._told():
            pages = self._client.get_paginator("get_tables").paginate(DatabaseName=self.database)
            return {table["Name"]: table for page in pages for table in page["TableList"]}

    def put(self, table: CatalogTable, former: Mapping[str, Any] | None) -> str:
        """Make Glue's table that of the file; returns `created`, `updated` or `unchanged`."""
        wanted = self._input(table)
        if former is None:
            with self._told(table.name):
                self._client.create_table(DatabaseName=self.database, TableInput=wanted)
            return CREATED
        if not list(self._differences(table, former)):
            return UNCHANGED
        kept = {name: former[name] for name in _KEPT if former.get(name)}
        parameters = {**former.get("Parameters", {}), **wanted["Parameters"]}
        with self._told(table.name):
            self._client.update_table(
                DatabaseName=self.database, TableInput={**kept, **wanted, "Parameters": parameters}, SkipArchive=True
            )
        return UPDATED

    def drifts(self, table: CatalogTable, found: Mapping[str, Any] | None) -> list[str]:
        """How Glue's table is otherwise than the file, told for a person."""
        if found is None:
            return [f"{table.name} is gone"]
        return [f"{table.name} has another {difference}" for difference in self._differences(table, found)]

    def _differences(self, table: CatalogTable, found: Mapping[str, Any]) -> Iterator[str]:
        wanted, storage = self._input(table), found.get("StorageDescriptor", {})
        descriptor = wanted["StorageDescriptor"]
        columns = [{"Name": column["Name"], "Type": column.get("Type")} for column in storage.get("Columns", ())]
        if columns != descriptor["Columns"]:
            yield "set of columns"
        if storage.get("Location") != descriptor["Location"]:
            yield f"location {storage.get('Location')}"
        serde = {name: storage.get("SerdeInfo", {}).get(name) for name in descriptor["SerdeInfo"]}
        formats = {name: storage.get(name) for name in ("InputFormat", "OutputFormat")}
        if serde != descriptor["SerdeInfo"] or formats != {name: descriptor[name] for name in formats}:
            yield "file format"
        if not wanted["Parameters"].items() <= found.get("Parameters", {}).items():
            yield "set of parameters"

    def _input(self, table: CatalogTable) -> dict[str, Any]:
        """Glue's TableInput; Athena knows only lower-case names."""
        kind = format_of(table)
        return {
            "Name": table.name,
            "TableType": "EXTERNAL_TABLE",
            "Parameters": dict(kind.parameters),
            "StorageDescriptor": {
                "Columns": [{"Name": column.name.lower(), "Type": column.type} for column in table.columns],
                "Location": f"{self._location}/{table.folder}",
                "InputFormat": kind.input_format,
                "OutputFormat": kind.output_format,
                "SerdeInfo": {"SerializationLibrary": kind.serde, "Parameters": dict(kind.serde_parameters)},
            },
        }

    def _told(self, table: str = "") -> Any:
        name = f"{self.database}.{table}" if table else self.database
        return refusals(f"{name} in the Glue catalog")
