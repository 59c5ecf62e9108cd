"""The partitions of a table in the Glue catalog: one for each month that the lake has."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Final

from shopease_etl.aws import error_code, translate_aws_errors
from shopease_etl.errors import UnreachableError
from shopease_etl.warehouse.glue_storage import merged_storage, storage_differences

# What another process, or the lost answer to an earlier try, can be the reason of.
_RACED: Final = {"AlreadyExistsException", "ConcurrentModificationException", "EntityNotFoundException"}
_BATCH: Final = 100  # the most that one request may have


class Partitions:
    """The partitions of the tables of one database; a partition that is deleted deletes no data."""

    def __init__(self, client: Any, database: str) -> None:
        self._client = client
        self._database = database

    def require_writing(self, missing_table: str) -> None:
        """Raise UnreachableError if partitions may not be created; tried on a table that does not exist."""
        try:
            with self._translate_errors(missing_table):
                self._client.batch_create_partition(
                    DatabaseName=self._database, TableName=missing_table, PartitionInputList=[]
                )
        except UnreachableError as error:
            if error_code(error.__cause__) != "EntityNotFoundException":
                raise

    def found(self, table: str) -> dict[str, dict[str, Any]]:
        """Glue's partitions of a table by month."""
        with self._translate_errors(table):
            pages = self._client.get_paginator("get_partitions").paginate(DatabaseName=self._database, TableName=table)
            return {"/".join(partition["Values"]): partition for page in pages for partition in page["Partitions"]}

    def put(self, table: str, wanted: Mapping[str, Mapping[str, Any]]) -> bool:
        """Make the partitions exactly these, given the storage descriptor of each month; whether any were changed.

        Raises:
            UnreachableError: Glue refuses, or another process keeps changing the partitions.
        """
        failed: list[Mapping[str, Any]] = []
        for attempt in range(3):
            found = self.found(table)
            if not list(self.differences(wanted, found)):
                return attempt > 0
            failed = [failure for failure in self._put(table, wanted, found) if failure["ErrorCode"] not in _RACED]
            if failed:
                break
        reason = failed[0]["ErrorMessage"] if failed else "another process is changing them"
        raise UnreachableError(
            f"partitions of {self._database}.{table} in the Glue catalog cannot be written: {reason}",
            hint="run `shopease crawl` again",
        )

    def differences(
        self, wanted: Mapping[str, Mapping[str, Any]], found: Mapping[str, Mapping[str, Any]]
    ) -> Iterator[str]:
        """The months whose partitions are missing, differ, or should not be there."""
        yield from sorted(wanted.keys() ^ found.keys())
        for month in wanted.keys() & found.keys():
            if list(storage_differences(wanted[month], found[month].get("StorageDescriptor", {}))):
                yield month

    def _put(
        self, table: str, wanted: Mapping[str, Mapping[str, Any]], found: Mapping[str, Mapping[str, Any]]
    ) -> Iterator[Mapping[str, Any]]:
        """Create, update and delete what differs; yields Glue's errors."""
        names = {"DatabaseName": self._database, "TableName": table}
        differing = list(self.differences(wanted, found))
        inputs = {month: _input(month, wanted[month], found.get(month, {})) for month in differing if month in wanted}
        new = [given for month, given in inputs.items() if month not in found]
        changed = [
            {"PartitionValueList": given["Values"], "PartitionInput": given}
            for month, given in inputs.items()
            if month in found
        ]
        answers = []
        with self._translate_errors(table):
            for start in range(0, len(new), _BATCH):
                batch = new[start : start + _BATCH]
                answers.append(self._client.batch_create_partition(**names, PartitionInputList=batch))
            for start in range(0, len(changed), _BATCH):
                batch = changed[start : start + _BATCH]
                answers.append(self._client.batch_update_partition(**names, Entries=batch))
        yield from (error["ErrorDetail"] for answer in answers for error in answer.get("Errors", ()))
        for month in differing:
            if month not in wanted:
                self._delete(names, found[month]["Values"])

    def _delete(self, names: Mapping[str, str], values: Sequence[str]) -> None:
        try:
            with self._translate_errors(names["TableName"]):
                self._client.delete_partition(**names, PartitionValues=values)
        except UnreachableError as error:
            if error_code(error.__cause__) != "EntityNotFoundException":
                raise

    def _translate_errors(self, table: str) -> AbstractContextManager[None]:
        return translate_aws_errors(f"{self._database}.{table} in the Glue catalog")


def _input(month: str, storage: Mapping[str, Any], former: Mapping[str, Any]) -> dict[str, Any]:
    """Glue's PartitionInput, with what others added to a former partition."""
    merged = merged_storage(storage, former.get("StorageDescriptor", {}))
    kept = {"Parameters": former["Parameters"]} if former.get("Parameters") else {}
    return {"Values": [month], "StorageDescriptor": merged, **kept}
