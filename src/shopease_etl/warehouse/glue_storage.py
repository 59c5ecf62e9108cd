"""Storage descriptors, which tables and partitions in the Glue catalog have: how two differ, and how to update one."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any


def storage_differences(wanted: Mapping[str, Any], found: Mapping[str, Any]) -> Iterator[str]:
    """How Glue's descriptor differs from the wanted one, for a person; what others added is no difference."""
    if "Columns" in wanted and _columns(wanted) != _columns(found):
        yield "set of columns"
    if "Location" in wanted and found.get("Location") != wanted["Location"]:
        yield f"location {found.get('Location')}"
    given, serde = wanted.get("SerdeInfo", {}), found.get("SerdeInfo", {})
    formats = {name: wanted[name] for name in ("InputFormat", "OutputFormat") if name in wanted}
    if any(serde.get(name) != given[name] for name in given) or any(
        found.get(name) != formats[name] for name in formats
    ):
        yield "file format"


def lacks_meanings(wanted: Mapping[str, Any], found: Mapping[str, Any]) -> bool:
    """Whether Glue's table has no description, or a column no comment, where the wanted one has; others' stay."""
    commented = {column["Name"].lower() for column in _given(found) if column.get("Comment")}
    needed = {column["Name"] for column in _given(wanted) if column.get("Comment")}
    return not needed <= commented or bool(wanted.get("Description") and not found.get("Description"))


def merged_storage(wanted: Mapping[str, Any], former: Mapping[str, Any]) -> dict[str, Any]:
    """The descriptor for an update, which replaces all of it: this keeps what others added, such as comments."""
    columns = {column["Name"].lower(): column for column in former.get("Columns", ())}
    # a schema reference would replace the columns by those of a schema registry
    merged = {name: value for name, value in {**former, **wanted}.items() if name != "SchemaReference"}
    if "Columns" in wanted:
        merged["Columns"] = [_merged_column(column, columns.get(column["Name"], {})) for column in wanted["Columns"]]
    if "SerdeInfo" in wanted:
        merged["SerdeInfo"] = {**former.get("SerdeInfo", {}), **wanted["SerdeInfo"]}
    return merged


def _merged_column(wanted: Mapping[str, Any], former: Mapping[str, Any]) -> dict[str, Any]:
    comment = former.get("Comment")
    return {**former, **wanted, **({"Comment": comment} if comment else {})}


def _given(table: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    columns: Sequence[Mapping[str, Any]] = table.get("StorageDescriptor", {}).get("Columns", ())
    return columns


def _columns(storage: Mapping[str, Any]) -> list[tuple[str, str | None]]:
    return [(column["Name"], column.get("Type")) for column in storage.get("Columns", ())]
