"""DuckDB as the whole pipeline: it reads PostgreSQL with its own extension and writes CSV and Parquet to S3 itself.

Tables are read once, into DuckDB's memory: its extension reads PostgreSQL with several binary COPYs at once, which is
its documented fast path. Insertion order is kept, as the contract asks that rows keep bronze's order.
"""

import os
from pathlib import Path
from urllib.parse import urlparse

import duckdb
import duckdb_extension_httpfs  # type: ignore[import-not-found]
import duckdb_extension_postgres_scanner  # type: ignore[import-not-found]

BRONZE = {
    "customers": "customers",
    "products": "products",
    "stores": "stores",
    "inventory": "inventory",
    "sales_managers": "sales_managers",
    "transactions": "sale_transactions",
}


def extension(package: object, name: str) -> str:
    """The file of an extension that came as a package."""
    (folder,) = package.__path__  # type: ignore[attr-defined]
    return str(next(Path(folder).rglob(f"{name}.duckdb_extension")))


def main() -> None:
    """Bronze, silver and gold."""
    lake = os.environ["BENCH_LAKE"]
    connection = duckdb.connect()
    for package, name in ((duckdb_extension_postgres_scanner, "postgres_scanner"), (duckdb_extension_httpfs, "httpfs")):
        connection.execute(f"LOAD '{extension(package, name)}'")
    connection.execute(
        f"""CREATE SECRET (TYPE s3, KEY_ID '{os.environ["AWS_ACCESS_KEY_ID"]}',
        SECRET '{os.environ["AWS_SECRET_ACCESS_KEY"]}', REGION '{os.environ["AWS_REGION"]}', URL_STYLE 'path',
        USE_SSL false, ENDPOINT '{urlparse(os.environ["AWS_ENDPOINT_URL"]).netloc}')"""
    )
    connection.execute(f"ATTACH '{os.environ['BENCH_URL']}' AS source (TYPE postgres, READ_ONLY)")
    connection.begin()
    for name, table in BRONZE.items():
        connection.execute(f"CREATE TABLE bronze_{name} AS FROM source.public.{table}")
        connection.execute(f"COPY bronze_{name} TO '{lake}/bronze/{name}/{table}.csv' (FORMAT csv, HEADER)")
    connection.commit()
    connection.execute(Path(__file__).with_suffix(".sql").read_text())
    for name in ("customers", "products", "transactions"):
        connection.execute(f"COPY {name} TO '{lake}/silver/{name}/{name}_cleaned.csv' (FORMAT csv, HEADER)")
    for name in ("daily_sales_summary", "product_performance", "customer_analytics"):
        target = f"{lake}/gold/{name}/data.parquet"
        connection.execute(f"COPY (FROM {name}) TO '{target}' (FORMAT parquet, COMPRESSION zstd)")


if __name__ == "__main__":
    main()
