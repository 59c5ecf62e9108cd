"""Silver, quarantine and gold computed once more, in SQL inside PostgreSQL, equal what the lake holds."""

import hashlib
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import psycopg
import pyarrow.parquet as pq
import pytest
from psycopg import sql

from lakes import given_pipeline
from shopease_etl.contract.gold import USUAL, GoldDataset
from shopease_etl.contract.tables import CLEANED_TABLES, TABLES, Table
from shopease_etl.pipeline import plan
from shopease_etl.pipeline import run as pipeline
from shopease_etl.report import DatasetResult, RunResult
from shopease_etl.sample import write_sample
from shopease_etl.source import embedded

HERE: Final = Path(__file__).parent
SCRIPTS: Final = (
    *("grammar", "bronze", "silver_customers", "silver_products", "silver_transactions"),
    *("gold_daily_sales_summary", "gold_product_performance", "gold_customer_analytics", "gold_store_performance"),
    *("gold_monthly_channel_sales", "gold_monthly_product_sales", "gold_inventory_status", "gold_cohort_retention"),
    "reconciliation",
)
SCHEMAS: Final = {
    "daily_sales_summary": """
        sales_date:date total_transactions:bigint total_items_sold:bigint total_revenue:decimal(18,2)
        avg_transaction_value:decimal(18,2) unique_customers:bigint unique_products:bigint""",
    "product_performance": """
        product_id:bigint product_name:string category:string total_orders:bigint total_quantity_sold:bigint
        total_revenue:decimal(18,2) avg_order_value:decimal(18,2) avg_quantity_per_order:decimal(18,2)""",
    "customer_analytics": """
        customer_id:bigint customer_name:string city:string state:string total_purchases:bigint
        total_items_bought:bigint total_spent:decimal(18,2) avg_order_value:decimal(18,2) first_purchase_date:date
        last_purchase_date:date recency_days:int r_score:int f_score:int m_score:int rfm_score:string
        rfm_segment:string""",
    "store_performance": """
        store_id:bigint store_name:string city:string state:string manager_names:string sales_month:date
        total_transactions:bigint total_items_sold:bigint total_revenue:decimal(18,2)
        avg_transaction_value:decimal(18,2) unique_customers:bigint""",
    "monthly_channel_sales": """
        sales_channel:string sales_month:date total_transactions:bigint total_items_sold:bigint
        total_revenue:decimal(18,2) avg_transaction_value:decimal(18,2)""",
    "monthly_product_sales": """
        product_id:bigint product_name:string category:string sales_month:date total_orders:bigint
        total_quantity_sold:bigint total_revenue:decimal(18,2)""",
    "inventory_status": """
        inventory_id:bigint store_id:bigint store_name:string product_id:bigint product_name:string category:string
        quantity:bigint reorder_level:bigint units_sold_28d:bigint days_of_cover:decimal(18,2) stock_status:string""",
    "cohort_retention": """
        cohort_month:date months_since:int cohort_size:bigint customers:bigint retention_rate:decimal(9,4)
        total_revenue:decimal(18,2)""",
}
RULES: Final = {
    "customers": {
        *("missing_customer_id", "invalid_customer_id", "missing_customer_name", "missing_email"),
        "duplicate_customer_id",
    },
    "products": {
        *("missing_product_id", "invalid_product_id", "missing_product_name"),
        *("missing_price", "invalid_price", "nonpositive_price", "duplicate_product_id"),
    },
    "transactions": {
        *("missing_transaction_id", "invalid_transaction_id"),
        *("missing_quantity", "invalid_quantity", "nonpositive_quantity"),
        *("missing_unit_price", "invalid_unit_price", "nonpositive_unit_price"),
        *("missing_created_at", "invalid_created_at", "invalid_total_amount", "duplicate_transaction_id"),
    },
}
PARQUET_TYPES: Final = {
    ("BYTE_ARRAY", "String"): "string",
    ("INT32", "Date"): "date",
    ("INT32", "None"): "int",
    ("INT64", "None"): "bigint",
    ("INT64", "Decimal(precision=18, scale=2)"): "decimal(18,2)",
    ("INT32", "Decimal(precision=9, scale=4)"): "decimal(9,4)",
}

Connection = psycopg.Connection[tuple[Any, ...]]
Row = tuple[Any, ...]


@dataclass(frozen=True)
class Scenario:
    """A source database: the scripts that fill it, after the sample where that is in it, and its business time zone."""

    name: str
    scripts: tuple[str, ...]
    timezone: str = "UTC"
    sample: bool = False
    breaks_every_rule: bool = False


SCENARIOS: Final = (
    Scenario("sample", ("typed",), sample=True),
    Scenario("text", ("text",), "Europe/Berlin", breaks_every_rule=True),
    Scenario("zoned", ("zoned",), "Europe/Berlin"),
    Scenario("empty", ("empty",)),
    Scenario("large", ("empty", "large")),
    Scenario("parted", ("empty", "parted")),
    Scenario("quoted", ("empty", "quoted")),
    Scenario("named", ("empty", "named")),
)


@dataclass(frozen=True)
class Outcome:
    """A finished run, the lake it made, and the database that holds both its source and what the oracle expects."""

    scenario: Scenario
    run: RunResult
    lake: Path
    database: Connection

    def dataset(self, layer: str, name: str) -> DatasetResult:
        datasets = (item for stage in self.run.stages for item in stage.datasets)
        return next(item for item in datasets if (item.layer, item.name) == (layer, name))

    def names(self, kind: str, table: Table) -> list[str]:
        view = sql.Identifier(f"{kind}_columns_{table.name}")
        return [name for (name,) in self.rows(sql.SQL("SELECT name FROM {} ORDER BY place").format(view))]

    def rows(self, query: sql.Composed | sql.SQL) -> list[Row]:
        return self.database.execute(query).fetchall()


def restore_sample(url: str, folder: Path) -> None:
    dump = write_sample(folder / "sales_db.dump", scale=0.02, seed=7, dirty=0.05).path
    options = ["--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--output=/dev/null"]
    subprocess.run([embedded.binaries() / "psql", *options, f"--file={dump}", url], check=True)


def execute(database: Connection, script: str) -> None:
    database.execute((HERE / f"{script}.sql").read_bytes())


@contextmanager
def filled(scenario: Scenario, server: str, folder: Path) -> Iterator[tuple[str, Connection]]:
    """The URL of the scenario's database and a connection to it."""
    name = f"oracle_{scenario.name}"
    with psycopg.connect(server, autocommit=True) as connection:
        for statement in ("DROP DATABASE IF EXISTS {}", "CREATE DATABASE {}"):
            connection.execute(sql.SQL(statement).format(sql.Identifier(name)))
    url = server.replace("/sales_db?", f"/{name}?")
    if scenario.sample:
        restore_sample(url, folder)
    with psycopg.connect(url, autocommit=True) as database:
        for script in scenario.scripts:
            execute(database, f"sources/{script}")
        yield url, database


@pytest.fixture(scope="module", params=SCENARIOS, ids=lambda scenario: scenario.name)
def outcome(
    request: pytest.FixtureRequest, database_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Outcome]:
    scenario: Scenario = request.param
    folder = tmp_path_factory.mktemp(scenario.name)
    lake = folder / "lake"
    with filled(scenario, database_url, folder) as (url, database):
        shop = given_pipeline(url, folder, business_timezone=scenario.timezone)
        run = pipeline.run(plan.plan_all(skip_crawl=True), shop, overrides=plan.Overrides(allow_rejects=True))
        database.execute(sql.SQL("SET TimeZone = {}").format(scenario.timezone))
        for script in SCRIPTS:
            execute(database, script)
        yield Outcome(scenario, run, lake, database)


@pytest.fixture(params=TABLES, ids=lambda table: table.name)
def source(request: pytest.FixtureRequest) -> Table:
    table: Table = request.param
    return table


@pytest.fixture(params=CLEANED_TABLES, ids=lambda table: table.name)
def cleaned(request: pytest.FixtureRequest) -> Table:
    table: Table = request.param
    return table


def read_csv(outcome: Outcome, key: str, columns: Sequence[str]) -> list[Row]:
    """The file's rows as PostgreSQL's own COPY reads them; it refuses a header that is not these columns."""
    names = sql.SQL(", ").join(sql.SQL("{} text").format(sql.Identifier(name)) for name in columns)
    with outcome.database.transaction(force_rollback=True):
        outcome.database.execute(sql.SQL("CREATE TEMPORARY TABLE found ({})").format(names))
        statement = sql.SQL("COPY found FROM STDIN (FORMAT csv, HEADER MATCH, ENCODING 'UTF8')")
        with outcome.database.cursor().copy(statement) as copy:
            copy.write((outcome.lake / key).read_bytes())
        return outcome.rows(sql.SQL("SELECT * FROM found ORDER BY ctid"))


def assert_same(found: Sequence[Row], expected: Sequence[Row], names: Sequence[str]) -> None:
    """Equal row for row and in order; what differs is told by column, with the row's number."""
    differing = (
        (number, dict(zip(names, was, strict=True)), dict(zip(names, should, strict=True)))
        for number, (was, should) in enumerate(zip(found, expected, strict=False), 1)
        if was != should
    )
    for number, was, should in differing:
        columns = [name for name in names if was[name] != should[name]]
        details = "; ".join(f"{name}: found {was[name]!r}, expected {should[name]!r}" for name in columns)
        pytest.fail(f"row {number} of {len(expected)}: {details}; the whole row: {was}")
    assert len(found) == len(expected)


def test_bronze_is_what_copy_gives(outcome: Outcome, source: Table) -> None:
    statement = sql.SQL("COPY {} TO STDOUT (FORMAT csv, HEADER)").format(sql.Identifier("public", source.source))
    with outcome.database.cursor().copy(statement) as copy:
        expected = b"".join(bytes(chunk) for chunk in copy)
    assert (outcome.lake / source.bronze_key).read_bytes() == expected


def test_silver_equals_the_oracle(outcome: Outcome, cleaned: Table) -> None:
    names = outcome.names("silver", cleaned)
    view = sql.Identifier(f"silver_{cleaned.name}")
    cells = outcome.rows(sql.SQL("SELECT cells FROM {} ORDER BY bronze_row").format(view))
    expected = [tuple(row[name] for name in names) for (row,) in cells]
    assert_same(read_csv(outcome, cleaned.silver_key, names), expected, names)


def test_silver_has_one_line_per_row(outcome: Outcome, cleaned: Table) -> None:
    written = (outcome.lake / cleaned.silver_key).read_bytes()
    assert b"\r" not in written
    assert written.count(b"\n") == outcome.dataset("silver", cleaned.name).rows_out + 1


def test_quarantine_equals_the_oracle(outcome: Outcome, cleaned: Table) -> None:
    names = outcome.names("quarantine", cleaned)
    view = sql.Identifier(f"quarantine_{cleaned.name}")
    rejected = outcome.rows(sql.SQL("SELECT cells, rejected_rule FROM {} ORDER BY bronze_row").format(view))
    expected = [(*(row[name] for name in names), rule, outcome.run.run_id) for row, rule in rejected]
    names += ["rejected_rule", "run_id"]
    assert_same(read_csv(outcome, cleaned.quarantine_key, names), expected, names)


@pytest.mark.parametrize("gold", USUAL, ids=lambda table: table.name)
def test_gold_equals_the_oracle(outcome: Outcome, gold: GoldDataset) -> None:
    found = pq.read_table(outcome.lake / gold.key)
    expected = outcome.rows(sql.SQL("SELECT * FROM {}").format(sql.Identifier(gold.name)))
    columns = [column.to_pylist() for column in found.columns]
    assert_same(list(zip(*columns, strict=True)), expected, found.schema.names)


@pytest.mark.parametrize("gold", USUAL, ids=lambda table: table.name)
def test_gold_has_the_types_of_the_contract(outcome: Outcome, gold: GoldDataset) -> None:
    file = pq.ParquetFile(outcome.lake / gold.key)
    columns = [file.schema.column(index) for index in range(len(file.schema))]
    types = [PARQUET_TYPES[column.physical_type, str(column.logical_type)] for column in columns]
    found = [f"{column.name}:{type_name}" for column, type_name in zip(columns, types, strict=True)]
    assert found == SCHEMAS[gold.name].split()


@pytest.mark.parametrize("gold", USUAL, ids=lambda table: table.name)
def test_gold_is_zstd_with_statistics(outcome: Outcome, gold: GoldDataset) -> None:
    metadata = pq.ParquetFile(outcome.lake / gold.key).metadata
    groups = [metadata.row_group(index) for index in range(metadata.num_row_groups)]
    chunks = [group.column(index) for group in groups if group.num_rows for index in range(group.num_columns)]
    assert all(chunk.compression == "ZSTD" and chunk.is_stats_set for chunk in chunks)


def test_manifest_rejections_equal_the_oracle(outcome: Outcome, cleaned: Table) -> None:
    view = sql.Identifier(f"quarantine_{cleaned.name}")
    counted = outcome.rows(sql.SQL("SELECT rejected_rule, count(*) FROM {} GROUP BY 1").format(view))
    rows = outcome.rows(sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(f"bronze_{cleaned.name}")))[0][0]
    silver = outcome.dataset("silver", cleaned.name)
    rejected = {rule: count for rule, count in silver.rejected.items() if count}
    assert (rejected, silver.rows_in) == (dict(counted), rows)
    assert silver.rows_in == silver.rows_out + sum(rejected.values())
    assert set(rejected) == RULES[cleaned.name] or not outcome.scenario.breaks_every_rule
    kept = {rule for rule in RULES[cleaned.name] - set(rejected) if not rule.startswith("invalid_")}
    assert not kept or not outcome.scenario.sample


def test_manifest_sums_equal_the_oracle(outcome: Outcome) -> None:
    cursor = outcome.database.execute("SELECT * FROM reconciliation")
    names = [column.name for column in cursor.description or ()]
    expected = dict(zip(names, cursor.fetchone() or (), strict=True))
    assert {name: outcome.run.reconciliation[name] for name in names} == expected
    assert outcome.run.reconciliation["agrees"] is True


def test_manifest_records_every_object(outcome: Outcome) -> None:
    recorded = {item.key: (item.bytes, item.sha256) for stage in outcome.run.stages for item in stage.datasets}
    written = {file.relative_to(outcome.lake).as_posix(): file.read_bytes() for file in outcome.lake.glob("[a-z]*/*/*")}
    assert recorded == {key: (len(data), hashlib.sha256(data).hexdigest()) for key, data in written.items()}
