"""Tables in the Glue catalog, brought to what the lake's files are."""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final
from uuid import uuid4

from shopease_etl.aws import client, code_of, refusals
from shopease_etl.errors import DataRefusedError, UnreachableError
from shopease_etl.warehouse.formats import format_of
from shopease_etl.warehouse.schema import CatalogTable

log = logging.getLogger(__name__)

CREATED: Final = "created"
UPDATED: Final = "updated"
UNCHANGED: Final = "unchanged"

# UpdateTable replaces the whole table: these stay as they are, and so does what a crawl does not set of the storage.
_KEPT: Final = ("Description", "Owner", "Retention")
# This one would put the columns of a schema registry in place of the file's.
_NOT_KEPT_OF_STORAGE: Final = "SchemaReference"

# Athena's views have both; what has only the mark was one before somebody wrote a table over it.
_VIEW: Final = "VIRTUAL_VIEW"
_VIEW_MARK: Final = "presto_view"

_INPUTS: Final = (
    "Name",
    "Description",
    "Owner",
    "Retention",
    "StorageDescriptor",
    "PartitionKeys",
    "ViewOriginalText",
    "ViewExpandedText",
    "TableType",
    "Parameters",
)
_RACED: Final = {"AlreadyExistsException", "ConcurrentModificationException"}


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

    def require_writing(self) -> None:
        """Raise UnreachableError where no table may be updated; the one that is tried does not exist."""
        name = f"shopease_check_{uuid4().hex}"
        try:
            with self._told(name):
                self._client.update_table(DatabaseName=self.database, TableInput={"Name": name})
        except UnreachableError as error:
            if code_of(error.__cause__) != "EntityNotFoundException":
                raise

    def tables(self) -> dict[str, dict[str, Any]]:
        """What Glue has of each table and view, by name."""
        with self._told():
            pages = self._client.get_paginator("get_tables").paginate(DatabaseName=self.database)
            return {table["Name"]: table for page in pages for table in page["TableList"]}

    def refuse_foreign(
        self, tables: Sequence[CatalogTable], views: Sequence[str], former: Mapping[str, Mapping[str, Any]]
    ) -> None:
        """Raise DataRefusedError naming all that Glue has under these names and that a crawl cannot replace.

        Nothing here may delete a table. UpdateTable makes no plain table of a view or of partitions, and on Athena no
        view replaces a table: crawlers name tables after folders, such as `customers`.
        """
        foreign = {table.name: _why_foreign(former[table.name]) for table in tables if table.name in former}
        foreign |= {name: "a table where a view belongs" for name in views if _is_no_view(former.get(name))}
        named = {name: why for name, why in foreign.items() if why}
        if named:
            told = ", ".join(f"{name} ({why})" for name, why in named.items())
            command = f"aws glue delete-table --database-name {self.database} --name"
            commands = ", ".join(f"`{command} {name}`" for name in named)
            raise DataRefusedError(
                f"{self.database} in the Glue catalog has what a crawl cannot replace: {told}",
                hint=f"{commands}, then `shopease crawl` again; to delete a table of Glue deletes no data",
            )

    def put(self, table: CatalogTable, former: Mapping[str, Any] | None) -> str:
        """Make Glue's table that of the file; returns `created`, `updated` or `unchanged`.

        Where somebody else has written the table since it was `former`, it is looked at and tried once more.

        Raises:
            DataRefusedError: it is a view, or has partitions.
            UnreachableError: Glue refuses, or somebody else writes the table again and again.
        """
        try:
            return self._put(table, former)
        except UnreachableError as error:
            if code_of(error.__cause__) not in _RACED:
                raise
        try:
            return self._put(table, self._table(table.name))
        except UnreachableError as error:
            if code_of(error.__cause__) not in _RACED:
                raise
            message = f"somebody else is writing {self.database}.{table.name} in the Glue catalog: {error}"
            raise UnreachableError(message, hint="run `shopease crawl` again when they are done") from error

    def _put(self, table: CatalogTable, former: Mapping[str, Any] | None) -> str:
        wanted = self._input(table)
        if former is None:
            with self._told(table.name):
                self._client.create_table(DatabaseName=self.database, TableInput=wanted)
            return CREATED
        if not list(self._differences(table, former)):
            return UNCHANGED
        self.refuse_foreign([table], (), {table.name: former})
        # Glue refuses to change another version than the one that was looked at.
        version = {"VersionId": former["VersionId"]} if former.get("VersionId") else {}
        with self._told(table.name):
            self._client.update_table(
                DatabaseName=self.database, TableInput=_merged(wanted, former), SkipArchive=True, **version
            )
        return UPDATED

    def put_back(self, former: Mapping[str, Mapping[str, Any]], names: Iterable[str]) -> None:
        """Make tables and views what they were, as far as Glue lets us; a warning names those that it does not.

        What was not there before stays: nothing here may delete a table.
        """
        for name in names:
            try:
                found = self._table(name) if name in former else None
                if found and _as_input(found) != _as_input(former[name]):
                    with self._told(name):
                        self._client.update_table(
                            DatabaseName=self.database, TableInput=_as_input(former[name]), SkipArchive=True
                        )
            except UnreachableError as error:
                log.warning("%s is not as it was before; `shopease crawl` mends it: %s", name, error)

    def _table(self, name: str) -> dict[str, Any] | None:
        """What Glue has of a table now; None where there is none."""
        try:
            with self._told(name):
                table: dict[str, Any] = self._client.get_table(DatabaseName=self.database, Name=name)["Table"]
                return table
        except UnreachableError as error:
            if code_of(error.__cause__) != "EntityNotFoundException":
                raise
            return None

    def drifts(self, table: CatalogTable, found: Mapping[str, Any] | None) -> list[str]:
        """How Glue's table is otherwise than the file, told for a person."""
        if found is None:
            return [f"{table.name} is gone"]
        return [f"{table.name} has another {difference}" for difference in self._differences(table, found)]

    def _differences(self, table: CatalogTable, found: Mapping[str, Any]) -> Iterator[str]:
        wanted, storage = self._input(table), found.get("StorageDescriptor", {})
        descriptor, parameters = wanted["StorageDescriptor"], found.get("Parameters", {})
        if found.get("TableType") != wanted["TableType"]:
            yield f"table type {found.get('TableType')}"
        if found.get("PartitionKeys"):
            yield "set of partition keys"
        columns = [{"Name": column["Name"], "Type": column.get("Type")} for column in storage.get("Columns", ())]
        if columns != descriptor["Columns"]:
            yield "set of columns"
        if storage.get("Location") != descriptor["Location"]:
            yield f"location {storage.get('Location')}"
        serde = {name: storage.get("SerdeInfo", {}).get(name) for name in descriptor["SerdeInfo"]}
        formats = {name: storage.get(name) for name in ("InputFormat", "OutputFormat")}
        if serde != descriptor["SerdeInfo"] or formats != {name: descriptor[name] for name in formats}:
            yield "file format"
        if not wanted["Parameters"].items() <= parameters.items() or _VIEW_MARK in parameters:
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


def _as_input(found: Mapping[str, Any]) -> dict[str, Any]:
    """A table as Glue tells it, as Glue takes it: nothing that is empty."""
    return {name: found[name] for name in _INPUTS if found.get(name)}


def _why_foreign(found: Mapping[str, Any]) -> str:
    """Why a table of ours cannot be put in the place of what Glue has; empty where it can."""
    if found.get("TableType") == _VIEW or _VIEW_MARK in found.get("Parameters", {}):
        return "a view where a table belongs"
    return "partitioned" if found.get("PartitionKeys") else ""


def _is_no_view(found: Mapping[str, Any] | None) -> bool:
    return found is not None and found.get("TableType") != _VIEW


def _merged(wanted: Mapping[str, Any], former: Mapping[str, Any]) -> dict[str, Any]:
    """The input for a table that is there, with all that others wrote to it, such as the columns' comments."""
    storage, descriptor = former.get("StorageDescriptor", {}), wanted["StorageDescriptor"]
    columns = {column["Name"].lower(): column for column in storage.get("Columns", ())}
    return {
        **{name: former[name] for name in _KEPT if former.get(name)},
        **wanted,
        "Parameters": {**former.get("Parameters", {}), **wanted["Parameters"]},
        "StorageDescriptor": {
            **{name: value for name, value in storage.items() if name != _NOT_KEPT_OF_STORAGE},
            **descriptor,
            "Columns": [{**columns.get(column["Name"], {}), **column} for column in descriptor["Columns"]],
            "SerdeInfo": {**storage.get("SerdeInfo", {}), **descriptor["SerdeInfo"]},
        },
    }
