"""Tables in the Glue catalog, updated to match the lake's files."""

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

# Athena's views have both; a table with only the mark has replaced a view.
_VIEW: Final = "VIRTUAL_VIEW"
_VIEW_MARK: Final = "presto_view"

_RACED: Final = {"AlreadyExistsException", "ConcurrentModificationException"}


class GlueCatalog:
    """The tables of one database of the Glue catalog, over the lake at an s3:// location."""

    def __init__(self, database: str, location: str) -> None:
        self.database = database
        self._location = location
        self._client = client("glue")

    def check(self) -> None:
        """Raise UnreachableError unless the database exists."""
        try:
            with self._translate_errors():
                self._client.get_database(Name=self.database)
        except UnreachableError as error:
            if code_of(error.__cause__) != "EntityNotFoundException":
                raise
            message = f"there is no database {self.database} in the Glue catalog"
            hint = "`make deploy` creates it (see docs/AWS.md), or set SHOPEASE_GLUE_DATABASE"
            raise UnreachableError(message, hint=hint) from error

    def require_writing(self) -> None:
        """Raise UnreachableError if tables may not be updated; tried on a table that does not exist."""
        name = f"shopease_check_{uuid4().hex}"
        try:
            with self._translate_errors(name):
                self._client.update_table(DatabaseName=self.database, TableInput={"Name": name})
        except UnreachableError as error:
            if code_of(error.__cause__) != "EntityNotFoundException":
                raise

    def tables(self) -> dict[str, dict[str, Any]]:
        """Glue's tables and views by name."""
        with self._translate_errors():
            pages = self._client.get_paginator("get_tables").paginate(DatabaseName=self.database)
            return {table["Name"]: table for page in pages for table in page["TableList"]}

    def refuse_foreign(
        self, tables: Sequence[CatalogTable], views: Sequence[str], former: Mapping[str, Mapping[str, Any]]
    ) -> None:
        """Raise DataRefusedError with everything under these names that a crawl cannot replace.

        Nothing here may delete a table. UpdateTable does not turn a view or a partitioned table into a plain table, and
        in Athena a view does not replace a table: crawlers name tables after folders, such as `customers`.
        """
        foreign = {table.name: _why_foreign(former[table.name]) for table in tables if table.name in former}
        foreign |= {name: "a table where a view belongs" for name in views if _is_table(former.get(name))}
        named = {name: why for name, why in foreign.items() if why}
        if named:
            names = ", ".join(f"{name} ({why})" for name, why in named.items())
            command = f"aws glue delete-table --database-name {self.database} --name"
            commands = ", ".join(f"`{command} {name}`" for name in named)
            raise DataRefusedError(
                f"{self.database} in the Glue catalog has entries that a crawl cannot replace: {names}",
                hint=f"{commands}, then `shopease crawl` again; deleting a table in Glue deletes no data",
            )

    def put(self, table: CatalogTable, former: Mapping[str, Any] | None) -> str:
        """Make Glue's table match the file; returns `created`, `updated` or `unchanged`.

        If another process has changed the table since `former` was read, it is read and tried once more.

        Raises:
            DataRefusedError: it is a view, or has partitions.
            UnreachableError: Glue refuses, or another process keeps changing the table.
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
            message = f"another process is changing {self.database}.{table.name} in the Glue catalog: {error}"
            raise UnreachableError(message, hint="run `shopease crawl` again after it has finished") from error

    def _put(self, table: CatalogTable, former: Mapping[str, Any] | None) -> str:
        wanted = self._input(table)
        if former is None:
            with self._translate_errors(table.name):
                self._client.create_table(DatabaseName=self.database, TableInput=wanted)
            return CREATED
        if not list(self._differences(table, former)):
            return UNCHANGED
        self.refuse_foreign([table], (), {table.name: former})
        # Glue then refuses to change any other version than the one that was compared
        version = {"VersionId": former["VersionId"]} if former.get("VersionId") else {}
        with self._translate_errors(table.name):
            self._client.update_table(
                DatabaseName=self.database, TableInput=_merged(wanted, former), SkipArchive=True, **version
            )
        return UPDATED

    def put_back(self, former: Mapping[str, Mapping[str, Any]], names: Iterable[str]) -> None:
        """Restore tables and views as far as Glue allows; a warning names the others.

        New ones stay: nothing here may delete a table.
        """
        for name in names:
            try:
                found = self._table(name) if name in former else None
                if found and _as_input(found) != _as_input(former[name]):
                    with self._translate_errors(name):
                        self._client.update_table(
                            DatabaseName=self.database, TableInput=_as_input(former[name]), SkipArchive=True
                        )
            except UnreachableError as error:
                log.warning("%s could not be restored; `shopease crawl` repairs it: %s", name, error)

    def _table(self, name: str) -> dict[str, Any] | None:
        """Glue's current table; None if there is none."""
        try:
            with self._translate_errors(name):
                table: dict[str, Any] = self._client.get_table(DatabaseName=self.database, Name=name)["Table"]
                return table
        except UnreachableError as error:
            if code_of(error.__cause__) != "EntityNotFoundException":
                raise
            return None

    def drifts(self, table: CatalogTable, found: Mapping[str, Any] | None) -> list[str]:
        """How Glue's table differs from the file, for a person."""
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
        """Glue's TableInput; Athena accepts only lower-case names."""
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

    def _translate_errors(self, table: str = "") -> Any:
        name = f"{self.database}.{table}" if table else self.database
        return refusals(f"{name} in the Glue catalog")


def _as_input(found: Mapping[str, Any]) -> dict[str, Any]:
    """The TableInput for a table that Glue returned; empty values are left out."""
    names = ("Name", "Description", "Owner", "Retention", "StorageDescriptor", "PartitionKeys", "ViewOriginalText")
    return {name: found[name] for name in (*names, "ViewExpandedText", "TableType", "Parameters") if found.get(name)}


def _why_foreign(found: Mapping[str, Any]) -> str:
    """Why our table cannot replace Glue's entry; empty if it can."""
    if found.get("TableType") == _VIEW or _VIEW_MARK in found.get("Parameters", {}):
        return "a view where a table belongs"
    return "partitioned" if found.get("PartitionKeys") else ""


def _is_table(found: Mapping[str, Any] | None) -> bool:
    return found is not None and found.get("TableType") != _VIEW


def _merged(wanted: Mapping[str, Any], former: Mapping[str, Any]) -> dict[str, Any]:
    """The input for an existing table. UpdateTable replaces all of it, so this keeps what others added, as comments."""
    storage, descriptor = former.get("StorageDescriptor", {}), wanted["StorageDescriptor"]
    columns = {column["Name"].lower(): column for column in storage.get("Columns", ())}
    return {
        **{name: former[name] for name in ("Description", "Owner", "Retention") if former.get(name)},
        **wanted,
        "Parameters": {**former.get("Parameters", {}), **wanted["Parameters"]},
        "StorageDescriptor": {
            # a schema reference would replace the columns by those of a schema registry
            **{name: value for name, value in storage.items() if name != "SchemaReference"},
            **descriptor,
            "Columns": [{**columns.get(column["Name"], {}), **column} for column in descriptor["Columns"]],
            "SerdeInfo": {**storage.get("SerdeInfo", {}), **descriptor["SerdeInfo"]},
        },
    }
