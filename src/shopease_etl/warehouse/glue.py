"""Tables in the Glue catalog, updated to match the lake's files."""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final
from uuid import uuid4

from shopease_etl.aws import client, error_code, translate_aws_errors
from shopease_etl.contract import meanings
from shopease_etl.contract.layout import SALE_MONTH
from shopease_etl.contract.tables import STRING, Column
from shopease_etl.errors import DataRefusedError, UnreachableError
from shopease_etl.warehouse.formats import format_of
from shopease_etl.warehouse.glue_partitions import Partitions
from shopease_etl.warehouse.glue_storage import lacks_meanings, merged_storage, storage_differences
from shopease_etl.warehouse.schema import CatalogTable

log = logging.getLogger(__name__)

# Athena's views have both; a table with only the mark was a view before.
VIEW: Final = "VIRTUAL_VIEW"
_VIEW_MARK: Final = "presto_view"

_BY_MONTH: Final = [(SALE_MONTH, STRING)]
_RACED: Final = {"AlreadyExistsException", "ConcurrentModificationException"}

PartitionsOf = Mapping[str, Mapping[str, Mapping[str, Any]]]


class GlueCatalog:
    """The tables of one database of the Glue catalog, over the lake at an s3:// location."""

    def __init__(self, database: str, location: str) -> None:
        self.database = database
        self._location = location
        self._client = client("glue")
        self._partitions = Partitions(self._client, database)

    def check(self) -> None:
        """Raise UnreachableError unless the database exists."""
        try:
            with self._translate_errors():
                self._client.get_database(Name=self.database)
        except UnreachableError as error:
            if error_code(error.__cause__) != "EntityNotFoundException":
                raise
            message = f"there is no database {self.database} in the Glue catalog"
            hint = "`make deploy` creates it (see docs/AWS.md), or set SHOPEASE_GLUE_DATABASE"
            raise UnreachableError(message, hint=hint) from error

    def require_writing(self, former: Mapping[str, Mapping[str, Any]]) -> None:
        """Raise UnreachableError if tables, or partitions if there are any, may not be written.

        It is tried on a table that does not exist.
        """
        name = f"shopease_check_{uuid4().hex}"
        try:
            with self._translate_errors(name):
                self._client.update_table(DatabaseName=self.database, TableInput={"Name": name})
        except UnreachableError as error:
            if error_code(error.__cause__) != "EntityNotFoundException":
                raise
        if any(_partition_keys(table) == _BY_MONTH for table in former.values()):
            self._partitions.require_writing(name)

    def tables(self) -> dict[str, dict[str, Any]]:
        """Glue's tables and views by name."""
        with self._translate_errors():
            pages = self._client.get_paginator("get_tables").paginate(DatabaseName=self.database)
            return {table["Name"]: table for page in pages for table in page["TableList"]}

    def partitions(self, former: Mapping[str, Mapping[str, Any]], names: Iterable[str]) -> PartitionsOf:
        """Glue's partitions by table and month, of those tables that are kept by month."""
        return {
            name: self._partitions.found(name)
            for name in names
            if name in former and _partition_keys(former[name]) == _BY_MONTH
        }

    def refuse_foreign(
        self, tables: Sequence[CatalogTable], views: Sequence[str], former: Mapping[str, Mapping[str, Any]]
    ) -> None:
        """Raise DataRefusedError with everything under these names that a crawl cannot replace.

        UpdateTable does not turn a view into a table, or a partitioned table into a plain one or back; only the lake's
        own tables are deleted and created again. In Athena a view does not replace a table: crawlers name tables after
        folders, such as `customers`.
        """
        foreign = {table.name: self._why_foreign(table, former[table.name]) for table in tables if table.name in former}
        foreign |= {
            name: "a table where a view belongs"
            for name in views
            if name in former and former[name].get("TableType") != VIEW
        }
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
        """Make Glue's table and its partitions match the files; returns what was done.

        That is `created`, `updated`, `unchanged`, or `replaced` if the table had to be deleted and created again.

        If another process has changed the table since `former` was read, it is read and tried once more.

        Raises:
            DataRefusedError: it is a view, or has partitions that are not the lake's.
            UnreachableError: Glue refuses, or another process keeps changing the table.
        """
        change = self._put_table(table, former)
        if table.months and self._partitions.put(table.name, self._storage_of_months(table)) and change == "unchanged":
            return "updated"
        return change

    def _put_table(self, table: CatalogTable, former: Mapping[str, Any] | None) -> str:
        try:
            return self._put_once(table, former)
        except UnreachableError as error:
            if error_code(error.__cause__) not in _RACED:
                raise
        try:
            return self._put_once(table, self._table(table.name))
        except UnreachableError as error:
            if error_code(error.__cause__) not in _RACED:
                raise
            message = f"another process is changing {self.database}.{table.name} in the Glue catalog: {error}"
            raise UnreachableError(message, hint="run `shopease crawl` again after it has finished") from error

    def _put_once(self, table: CatalogTable, former: Mapping[str, Any] | None) -> str:
        wanted = self._input(table)
        if former is None:
            with self._translate_errors(table.name):
                self._client.create_table(DatabaseName=self.database, TableInput=wanted)
            return "created"
        if not list(self._differences(table, former)) and not lacks_meanings(wanted, former):
            return "unchanged"
        self.refuse_foreign([table], (), {table.name: former})
        merged = _merged(wanted, former)
        if _partition_keys(former) != _partition_keys(wanted):
            self._replace(merged)
            return "replaced"
        # so Glue changes only the version that was compared
        version = {"VersionId": former["VersionId"]} if former.get("VersionId") else {}
        with self._translate_errors(table.name):
            self._client.update_table(DatabaseName=self.database, TableInput=merged, SkipArchive=True, **version)
        return "updated"

    def _replace(self, wanted: Mapping[str, Any]) -> None:
        """Delete a table of the lake, with its partitions, and create it again."""
        with self._translate_errors(wanted["Name"]):
            self._client.delete_table(DatabaseName=self.database, Name=wanted["Name"])
            self._client.create_table(DatabaseName=self.database, TableInput=wanted)

    def restore_tables(
        self, former: Mapping[str, Mapping[str, Any]], partitions: PartitionsOf, names: Iterable[str]
    ) -> None:
        """Restore tables, their partitions, and views as far as Glue allows; a warning names the others.

        New ones stay.
        """
        for name in names:
            if name not in former:
                continue
            try:
                self._restore(_as_input(former[name]))
                if name in partitions:
                    found = partitions[name].items()
                    storage = {month: partition.get("StorageDescriptor", {}) for month, partition in found}
                    self._partitions.put(name, storage)
            except UnreachableError as error:
                log.warning("%s could not be restored; `shopease crawl` repairs it: %s", name, error)

    def _restore(self, wanted: Mapping[str, Any]) -> None:
        found = self._table(wanted["Name"])
        with self._translate_errors(wanted["Name"]):
            if found is None:
                self._client.create_table(DatabaseName=self.database, TableInput=wanted)
            elif _partition_keys(found) != _partition_keys(wanted):
                self._replace(wanted)
            elif _as_input(found) != wanted:
                self._client.update_table(DatabaseName=self.database, TableInput=wanted, SkipArchive=True)

    def _table(self, name: str) -> dict[str, Any] | None:
        """Glue's current table; None if there is none."""
        try:
            with self._translate_errors(name):
                table: dict[str, Any] = self._client.get_table(DatabaseName=self.database, Name=name)["Table"]
                return table
        except UnreachableError as error:
            if error_code(error.__cause__) != "EntityNotFoundException":
                raise
            return None

    def conflicts(self, table: CatalogTable, found: Mapping[str, Any] | None) -> list[str]:
        """How Glue's table and its partitions differ from the files, for a person."""
        if found is None:
            return [f"{table.name} is gone"]
        differences = [f"{table.name} has another {difference}" for difference in self._differences(table, found)]
        if table.months and _partition_keys(found) == _BY_MONTH:
            months = self._partitions.differences(self._storage_of_months(table), self._partitions.found(table.name))
            differences += [f"{table.name} has another partition {month}" for month in months]
        return differences

    def _why_foreign(self, table: CatalogTable, found: Mapping[str, Any]) -> str:
        """Why our table cannot replace Glue's entry; empty if it can."""
        if found.get("TableType") == VIEW or _VIEW_MARK in found.get("Parameters", {}):
            return "a view where a table belongs"
        keys, wanted = _partition_keys(found), _partition_keys(self._input(table))
        location = found.get("StorageDescriptor", {}).get("Location", "")
        is_ours = found.get("TableType") == "EXTERNAL_TABLE" and f"{location.rstrip('/')}/" == self._uri(table.folder)
        if keys == wanted or (is_ours and keys in ([], _BY_MONTH)):
            return ""
        return "partitioned" if keys else "not partitioned"

    def _differences(self, table: CatalogTable, found: Mapping[str, Any]) -> Iterator[str]:
        wanted, storage = self._input(table), found.get("StorageDescriptor", {})
        descriptor, parameters = wanted["StorageDescriptor"], found.get("Parameters", {})
        if found.get("TableType") != wanted["TableType"]:
            yield f"table type {found.get('TableType')}"
        if _partition_keys(found) != _partition_keys(wanted):
            yield "set of partition keys"
        yield from storage_differences(descriptor, storage)
        if not wanted["Parameters"].items() <= parameters.items() or _VIEW_MARK in parameters:
            yield "set of parameters"

    def _input(self, table: CatalogTable) -> dict[str, Any]:
        """Glue's TableInput."""
        kind = format_of(table)
        return {
            "Name": table.name,
            "Description": meanings.of_table(table.name),
            "TableType": "EXTERNAL_TABLE",
            "Parameters": dict(kind.parameters),
            "PartitionKeys": [{"Name": column.name, "Type": column.type} for column in table.partition_columns],
            "StorageDescriptor": {
                "Columns": [_column(table.name, column) for column in table.columns],
                "Location": self._uri(table.folder),
                "InputFormat": kind.input_format,
                "OutputFormat": kind.output_format,
                "SerdeInfo": {"SerializationLibrary": kind.serde, "Parameters": dict(kind.serde_parameters)},
            },
        }

    def _storage_of_months(self, table: CatalogTable) -> dict[str, dict[str, Any]]:
        """The storage descriptors of a table's partitions by month."""
        storage = self._input(table)["StorageDescriptor"]
        return {
            month: {**storage, "Location": self._uri(key.rpartition("/")[0] + "/")}
            for month, key in table.months.items()
        }

    def _uri(self, folder: str) -> str:
        return f"{self._location}/{folder}"

    def _translate_errors(self, table: str = "") -> Any:
        name = f"{self.database}.{table}" if table else self.database
        return translate_aws_errors(f"{name} in the Glue catalog")


def _column(table: str, column: Column) -> dict[str, str]:
    """A column with its meaning as comment, if it has one; Athena accepts only lower-case names."""
    meaning = meanings.of_column(table, column.name)
    return {"Name": column.name.lower(), "Type": column.type, **({"Comment": meaning} if meaning else {})}


def _as_input(found: Mapping[str, Any]) -> dict[str, Any]:
    """The TableInput for a table that Glue returned; empty values are left out."""
    names = ("Name", "Description", "Owner", "Retention", "StorageDescriptor", "PartitionKeys", "ViewOriginalText")
    return {name: found[name] for name in (*names, "ViewExpandedText", "TableType", "Parameters") if found.get(name)}


def _partition_keys(table: Mapping[str, Any]) -> list[tuple[str, str | None]]:
    """Names and types."""
    return [(key["Name"], key.get("Type")) for key in table.get("PartitionKeys") or ()]


def _merged(wanted: Mapping[str, Any], former: Mapping[str, Any]) -> dict[str, Any]:
    """The input for an existing table. UpdateTable replaces all of it, so this keeps what others added, as comments."""
    keys = (former if _partition_keys(former) == _partition_keys(wanted) else wanted).get("PartitionKeys") or []
    return {
        **wanted,
        **{name: former[name] for name in ("Description", "Owner", "Retention") if former.get(name)},
        "PartitionKeys": keys,
        "Parameters": {**former.get("Parameters", {}), **wanted["Parameters"]},
        "StorageDescriptor": merged_storage(wanted["StorageDescriptor"], former.get("StorageDescriptor", {})),
    }
