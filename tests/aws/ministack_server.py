"""Runs ministack, the emulator of AWS, with a few of its gaps filled; it needs ministack's own environment.

Its IAM takes a crawler or a database that a call names for a table, and a query for anything; here they have the ARNs
that AWS documents. Its Athena forgets views, tells no decimal's scale, cannot read line breaks inside quotes, and reads
all files of a partitioned table. Here views are kept and put in place of their names, decimals are told with the scale
that their values have, CSV is read by one thread, and of a partitioned table only the registered partitions. The SQL is
still run by DuckDB as it stands.
"""

import json
import re
from decimal import Decimal
from typing import Any

from ministack.app import main
from ministack.core import iam_actions
from ministack.services import athena, glue

_VIEW = re.compile(r'\s*CREATE\s+OR\s+REPLACE\s+VIEW\s+"?(\w+)"?\."?(\w+)"?\s+AS\s+(.*)', re.IGNORECASE | re.DOTALL)
_DECIMAL = re.compile(r"decimal\((\d+),(\d+)\)")

_views = athena.AccountScopedDict()
_arn = iam_actions.extract_resource_arn
_run = athena._run_duckdb
_results = athena._get_query_results
_relation = athena._table_relation


async def _run_with_views(query: str, database: str, catalog: str | None = None) -> dict[str, Any]:
    if made := _VIEW.fullmatch(query):
        await _run(f"SELECT * FROM ({_expanded(made[3], database)}) LIMIT 0", database, catalog)
        _views[f"{made[1].lower()}.{made[2].lower()}"] = made[3]
        return {"columns": [], "column_types": [], "rows": []}
    results: dict[str, Any] = await _run(_expanded(query, database), database, catalog)
    for index, kind in enumerate(results["column_types"]):
        if kind == "decimal":
            results["column_types"][index] = f"decimal(38,{_scale(row[index] for row in results['rows'])})"
    return results


def _scale(values: Any) -> int:
    exponents = [value.as_tuple().exponent for value in values if isinstance(value, Decimal)]
    return max((-exponent for exponent in exponents if isinstance(exponent, int)), default=0)


def _expanded(query: str, database: str) -> str:
    for reference in reversed(athena._table_references(query)):
        view = _views.get(f"{(reference.database or database).lower()}.{reference.table.lower()}")
        if view is not None:
            alias = "" if reference.aliased else f' AS "{reference.table}"'
            query = f"{query[: reference.start]}({_expanded(view, database)}){alias}{query[reference.end :]}"
    return query


def _relation_read_serially(table: dict[str, Any], files: list[str]) -> str:
    if keys := table.get("PartitionKeys"):
        partitions = glue._partitions.get(f"{table['DatabaseName']}/{table['Name']}", [])
        folders = [
            "/".join(f"{key['Name']}={value}" for key, value in zip(keys, found["Values"], strict=True))
            for found in partitions
        ]
        files = [file for file in files if any(f"/{folder}/" in file for folder in folders)]
        if not files:
            return str(athena._empty_relation(table))
    return str(_relation(table, files)).replace("null_padding = true", "null_padding = true, parallel = false")


def _results_with_scales(data: dict[str, Any]) -> Any:
    status, headers, body = _results(data)
    document = json.loads(body)
    for column in document.get("ResultSet", {}).get("ResultSetMetadata", {}).get("ColumnInfo", ()):
        if size := _DECIMAL.fullmatch(column["Type"]):
            column.update(Type="decimal", Precision=int(size[1]), Scale=int(size[2]))
    return status, headers, json.dumps(document, ensure_ascii=False).encode()


def _documented_arn(service: str, method: str, path: str, headers: dict[str, str], body: bytes, *more: Any) -> Any:
    arn = _arn(service, method, path, headers, body, *more)
    call = headers.get("x-amz-target", "").rpartition(".")[2]
    if service == "glue" and call.endswith(("Crawler", "Database")):
        return arn.replace(":table/", ":crawler/" if call.endswith("Crawler") else ":database/", 1)
    if service == "athena" and arn == "*":
        execution = athena._executions.get(json.loads(body or b"{}").get("QueryExecutionId"))
        return athena._arn_workgroup(execution["WorkGroup"]) if execution else arn
    return arn


iam_actions.extract_resource_arn = _documented_arn
athena._run_duckdb = _run_with_views
athena._table_relation = _relation_read_serially
athena._get_query_results = _results_with_scales

if __name__ == "__main__":
    main()
