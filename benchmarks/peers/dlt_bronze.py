"""dlt from PostgreSQL to CSV files on S3, with the settings that its performance guide names.

ConnectorX reads (its fastest backend), Arrow tables pass through unchanged, files are written without compression, as
bronze is, and are loaded as they are.
"""

import os
from urllib.parse import parse_qs, quote, urlsplit

import dlt  # type: ignore[import-not-found]
from dlt.destinations import filesystem  # type: ignore[import-not-found]
from dlt.sources.sql_database import sql_database  # type: ignore[import-not-found]

TABLES = ["customers", "products", "stores", "inventory", "sales_managers", "sale_transactions"]


def socket_url() -> str:
    """The database's address as ConnectorX reads it, which wants the socket's folder in the host's place."""
    found = urlsplit(os.environ["BENCH_URL"])
    folder = quote(parse_qs(found.query)["host"][0], safe="")
    return f"postgresql://{found.netloc}{folder}:5432{found.path}"


def main() -> None:
    """All six tables as CSV."""
    os.environ["DATA_WRITER__DISABLE_COMPRESSION"] = "true"
    os.environ["RUNTIME__DLTHUB_TELEMETRY"] = "false"
    credentials = {
        "aws_access_key_id": os.environ["AWS_ACCESS_KEY_ID"],
        "aws_secret_access_key": os.environ["AWS_SECRET_ACCESS_KEY"],
        "endpoint_url": os.environ["AWS_ENDPOINT_URL"],
        "region_name": os.environ["AWS_REGION"],
    }
    target = filesystem(bucket_url=os.environ["BENCH_LAKE"], credentials=credentials)
    source = sql_database(
        os.environ["BENCH_URL"], table_names=TABLES, backend="connectorx", backend_kwargs={"conn": socket_url()}
    )
    pipeline = dlt.pipeline("bench", destination=target, dataset_name="bronze")
    pipeline.run(source, loader_file_format="csv", write_disposition="replace")


if __name__ == "__main__":
    main()
