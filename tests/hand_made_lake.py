"""A small lake made by hand: CSV as COPY writes it, Parquet with pyarrow, and the same rows as Python values."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from shopease_etl.contract.gold import CUSTOMER_ANALYTICS, DAILY_SALES_SUMMARY, GOLD, PRODUCT_PERFORMANCE
from shopease_etl.contract.tables import CUSTOMERS, INVENTORY, PRODUCTS, SALES_MANAGERS, STORES, TRANSACTIONS, Table
from shopease_etl.lake.local import LocalStore
from shopease_etl.report import ObjectRecord
from shopease_etl.stages.crawl import NO_RECORDS, CrawlResult, crawl
from shopease_etl.stages.query import QueryResult, query
from shopease_etl.warehouse.local import LocalWarehouse

Rows = list[tuple[object, ...]]

DATABASE = "shopease_catalog"

STORE_ROWS: Rows = [
    (1, 'Main, "Old" Town', "Zürich", None, "2020-01-01 00:00:00", "2020-01-01 00:00:00"),
    (2, "North\nSide\\", "Bern", "", "2020-01-01 00:00:00.5+02", "2020-01-01 00:00:00+05:30"),
    (3, "South", "Genève 🛒", "GE", "2020-01-01T10:11:12.123456", None),
]
CUSTOMER_ROWS: Rows = [
    (
        n,
        f"CUSTOMER {n}",
        f"c{n}@x.org",
        None,
        None,
        "Town",
        [None, "CA", "TX", "NY"][n % 4],
        "0042",
        *("2024-01-01",) * 2,
    )
    for n in range(1, 13)
]
PRODUCT_ROWS: Rows = [
    (
        n,
        f"PRODUCT, {n}",
        ["TOYS", "BOOKS", None][n % 3],
        Decimal(n) + Decimal("0.05"),
        "",
        *("2024-01-01 00:00:00",) * 2,
    )
    for n in range(1, 8)
]


def _transaction(n: int) -> tuple[object, ...]:
    sold = date(2023, 1 + n % 12, 1 + n % 28)
    quantity, price = 1 + n % 4, Decimal(100 + 37 * n) / 100
    payment, channel = [None, "CASH", "CARD"][n % 3], ["ONLINE", "IN-STORE"][n % 2]
    stamp = f"{sold} 10:00:{n % 60:02}.000{n % 1000:03}"
    return (
        *(n, 1 + n % 3, 1 + n % 10 if n % 11 else None, 1 + n % 7, quantity, price, quantity * price),
        *(payment, channel, sold, sold.year, sold.month, sold.day, stamp, stamp, f"extra\\ {n}" if n % 2 else None),
    )


TRANSACTION_ROWS: Rows = [_transaction(n) for n in range(1, 101)]
EXTRA_COLUMN = 'gift, "wrap"'


def csv_text(header: Sequence[str], rows: Rows) -> str:
    """COPY's CSV: NULL is the empty field, '' is quoted."""
    return "".join(",".join(map(_field, row)) + "\n" for row in [tuple(header), *rows])


def _field(value: object) -> str:
    if value is None:
        return ""
    text = str(value)
    return '"' + text.replace('"', '""') + '"' if text == "" or any(c in text for c in ',"\n\r') else text


def names_of(table: Table) -> tuple[str, ...]:
    """The known columns in silver's order."""
    return table.silver_order or tuple(column.name for column in table.columns)


def empty_csv(table: Table) -> bytes:
    """The table's header."""
    return csv_text(names_of(table), []).encode()


def put(lake: Path, key: str, text: str) -> Path:
    """Writes one object of the lake."""
    path = lake / key
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8", newline="")
    return path


def frame(rows: Rows, names: Sequence[str]) -> pl.DataFrame:
    """The rows as Polars sees them."""
    return pl.DataFrame(rows, schema=list(names), orient="row", infer_schema_length=None)


@dataclass(frozen=True)
class Gold:
    """The gold frames, computed with Polars from the rows above."""

    days: pl.DataFrame
    products: pl.DataFrame
    customers: pl.DataFrame


TRANSACTIONS_FRAME = frame(TRANSACTION_ROWS, (*names_of(TRANSACTIONS), EXTRA_COLUMN))
CUSTOMERS_FRAME = frame(CUSTOMER_ROWS, names_of(CUSTOMERS))
PRODUCTS_FRAME = frame(PRODUCT_ROWS, names_of(PRODUCTS))


def gold() -> Gold:
    """Gold of the hand-made silver; averages are in plain Decimal, scores are made up."""
    amount, quantity = pl.col("total_amount"), pl.col("quantity")
    days = TRANSACTIONS_FRAME.group_by(sales_date="transaction_date").agg(
        total_transactions=pl.len(),
        total_items_sold=quantity.sum(),
        total_revenue=amount.sum(),
        avg_transaction_value=amount.first(),
        unique_customers=pl.col("customer_id").drop_nulls().n_unique(),
        unique_products=pl.col("product_id").n_unique(),
    )
    products = TRANSACTIONS_FRAME.group_by("product_id").agg(
        total_orders=pl.len(),
        total_quantity_sold=quantity.sum(),
        total_revenue=amount.sum(),
        avg_order_value=amount.first(),
        avg_quantity_per_order=amount.first(),
    )
    customers = (
        TRANSACTIONS_FRAME.drop_nulls("customer_id")
        .group_by("customer_id")
        .agg(
            total_purchases=pl.len(),
            total_items_bought=quantity.sum(),
            total_spent=amount.sum(),
            avg_order_value=amount.first(),
            first_purchase_date=pl.col("transaction_date").min(),
            last_purchase_date=pl.col("transaction_date").max(),
        )
    )
    customers = customers.with_columns(
        recency_days=pl.col("customer_id") * 3,
        **{score: pl.lit(3) for score in ("r_score", "f_score", "m_score")},
        rfm_score=pl.lit("333"),
        rfm_segment=pl.when(pl.col("customer_id") % 2 == 0).then(pl.lit("champions")).otherwise(pl.lit("hibernating")),
    )
    return Gold(
        days,
        products.join(PRODUCTS_FRAME.select("product_id", "product_name", "category"), on="product_id", how="left"),
        customers.join(CUSTOMERS_FRAME.select("customer_id", "customer_name", "city", "state"), on="customer_id"),
    )


_ARROW: dict[str, pa.DataType] = {
    "bigint": pa.int64(),
    "int": pa.int32(),
    "date": pa.date32(),
    "string": pa.string(),
    "decimal(18,2)": pa.decimal128(18, 2),
    "decimal(9,4)": pa.decimal128(9, 4),
}


def make_lake(lake: Path) -> Path:
    """Bronze, silver, quarantine of customers, and gold, of which three datasets have rows; other quarantine files are
    left out on purpose.
    """
    for table, rows in ((STORES, STORE_ROWS), (INVENTORY, []), (SALES_MANAGERS, [])):
        put(lake, table.bronze_key, csv_text(names_of(table), rows))
    for table, rows in ((CUSTOMERS, CUSTOMER_ROWS), (PRODUCTS, PRODUCT_ROWS)):
        put(lake, table.bronze_key, csv_text(names_of(table), rows))
        put(lake, table.silver_key, csv_text(names_of(table), rows))
    header = (*names_of(TRANSACTIONS), EXTRA_COLUMN)
    put(lake, TRANSACTIONS.bronze_key, csv_text(header, TRANSACTION_ROWS))
    put(lake, TRANSACTIONS.silver_key, csv_text(header, TRANSACTION_ROWS))
    put(lake, CUSTOMERS.quarantine_key, csv_text((*names_of(CUSTOMERS), "rejected_rule", "run_id"), []))
    frames = gold()
    made = zip(
        (DAILY_SALES_SUMMARY, PRODUCT_PERFORMANCE, CUSTOMER_ANALYTICS),
        (frames.days, frames.products, frames.customers),
        strict=True,
    )
    rows_of = {dataset.name: rows for dataset, rows in made}
    for dataset in GOLD:
        schema = pa.schema([(column.name, _ARROW[column.type]) for column in dataset.columns])
        path = lake / dataset.key
        path.parent.mkdir(parents=True, exist_ok=True)
        records = rows_of[dataset.name].select(schema.names).to_dicts() if dataset.name in rows_of else []
        pq.write_table(pa.Table.from_pylist(records, schema=schema), path)
    return lake


def timestamp(text: str) -> datetime:
    """A timestamp as PostgreSQL writes it."""
    return datetime.fromisoformat(text)


def warehouse(lake: Path, catalog_file: Path, database: str = DATABASE) -> LocalWarehouse:
    """The warehouse of a lake in a folder."""
    return LocalWarehouse(LocalStore(lake), lake.resolve(), catalog_file, database)


def catalogue(
    lake: Path,
    catalog_file: Path,
    database: str = DATABASE,
    recorded: Mapping[str, ObjectRecord] = NO_RECORDS,
) -> CrawlResult:
    """Crawls a lake in a folder."""
    return crawl(LocalStore(lake), warehouse(lake, catalog_file, database), recorded=recorded)


def asked(
    sql: str, lake: Path, catalog_file: Path, *, max_scan: int | None = None, database: str = DATABASE
) -> QueryResult:
    """A statement under way on a lake in a folder."""
    return query(sql, warehouse(lake, catalog_file, database), max_scan=max_scan)


def crawled_lake(folder: Path) -> Path:
    """The lake in a folder whose name is hard to quote, with its catalogue beside it."""
    lake = make_lake(folder / "it's [a] lake=1")
    catalogue(lake, lake.parent / "catalog.json")
    return lake


Answer = list[tuple[Any, ...]]


def answer(lake: Path, sql: str) -> Answer:
    """The rows that a statement gives on a crawled lake."""
    with asked(sql, lake, lake.parent / "catalog.json") as result:
        table = result.reader.read_all()
    return list(zip(*(column.to_pylist() for column in table.columns), strict=True))
