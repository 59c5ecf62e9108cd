"""Storage descriptors, which tables and partitions in the Glue catalog have: how two differ, and how to update one."""

from collections.abc import Iterator, Mapping
from typing import Any


def storage_differences(wanted: Mapping[str, Any], found: Mapping[str, Any]) -> Iterator[str]:
    """How Glue's descriptor differs from the wanted one, for a person; what others added is no difference."""
    names, known = (
        [(column["Name"], column.get("Type")) for column in storage.get("Columns", ())] for storage in (wanted, found)
    )
    if names != known:
        yield "set of columns"
    if found.get("Location") != wanted["Location"]:
        yield f"location {found.get('Location')}"
    serde = {name: found.get("SerdeInfo", {}).get(name) for name in wanted["SerdeInfo"]}
    formats = {name: found.get(name) for name in ("InputFormat", "OutputFormat")}
    if serde != wanted["SerdeInfo"] or formats != {name: wanted[name] for name in formats}:
        yield "file format"


def merged_storage(wanted: Mapping[str, Any], former: Mapping[str, Any]) -> dict[str, Any]:
    """The descriptor for an update, which replaces all of it: this keeps what others added, such as comments."""
    columns = {column["Name"].lower(): column for column in former.get("Columns", ())}
    return {
        # a schema reference would replace the columns by those of a schema registry
        **{name: value for name, value in former.items() if name != "SchemaReference"},
        **wanted,
        "Columns": [{**columns.get(column["Name"], {}), **column} for column in wanted["Columns"]],
        "SerdeInfo": {**former.get("SerdeInfo", {}), **wanted["SerdeInfo"]},
    }
