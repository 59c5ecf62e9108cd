"""From a real PostgreSQL to bronze: every row and column, from one snapshot; an unsuitable source is refused."""

import re
import stat
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from commands import Shop, copy_of, database, execute, hashes
from lakes import extracted, read
from shopease_etl.contract.tables import CUSTOMERS, STORES, TABLES, TRANSACTIONS
from shopease_etl.errors import DataRefusedError
from shopease_etl.report import RunResult


@pytest.fixture
def own_sales(sales: str) -> Iterator[str]:
    """The URL of a copy for one test."""
    with copy_of(sales) as url:
        yield url


def test_one_table_alone_leaves_the_others(own_sales: str, tmp_path: Path) -> None:
    extracted(own_sales, tmp_path)
    before = hashes(tmp_path / "lake")
    execute(own_sales, *(f"DELETE FROM {table.source}" for table in TABLES))
    chosen = ("--table", "customers", "--table", "sale_transactions", "--allow-shrink", "--json")
    ended = Shop(tmp_path, own_sales).run("extract", *chosen)
    assert [item["name"] for item in ended.done().document["stages"][0]["datasets"]] == ["customers", "transactions"]
    after = hashes(tmp_path / "lake")
    assert {key for key in before if before[key] != after[key]} == {CUSTOMERS.bronze_key, TRANSACTIONS.bronze_key}


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        ("DROP TABLE stores; DROP TABLE inventory", 3, ("stores", "inventory", "missing")),
        ("ALTER TABLE products DROP COLUMN price, DROP category", 3, ("products lacks the column price", "category")),
        ("REVOKE SELECT ON customers FROM shopease", 4, ("customers",)),
        (
            "ALTER TABLE customers ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;"
            "CREATE POLICY positive ON customers USING (customer_id > 0)",
            4,
            ("customers", "row-level security"),
        ),
    ],
    ids=["missing table", "missing column", "unreadable", "row-level security"],
)
def test_an_unsuitable_source_is_refused_before_anything_is_written(
    bare: str, tmp_path: Path, change: str, code: int, words: tuple[str, ...]
) -> None:
    execute(bare, change)
    Shop(tmp_path, bare).run("run-all").failed(code, *words)
    assert hashes(tmp_path / "lake") == {}


def test_every_kind_of_table_arrives_with_all_rows_and_columns(bare: str, tmp_path: Path) -> None:
    execute(
        bare,
        "DROP TABLE stores, inventory, products, sales_managers",
        "CREATE TABLE stores (store_id int, price int, store_name text GENERATED ALWAYS AS ('no ' || store_id) STORED, "
        "doubled int GENERATED ALWAYS AS (price * 2) VIRTUAL, city text, state text)",
        "INSERT INTO stores SELECT n, n FROM generate_series(1, 7) n",
        "CREATE TABLE inventory (inventory_id int, store_id int, quantity int, product_id int, reorder_level int) "
        "PARTITION BY RANGE (inventory_id)",
        "CREATE TABLE inventory_1 PARTITION OF inventory FOR VALUES FROM (1) TO (5)",
        "CREATE TABLE inventory_2 PARTITION OF inventory DEFAULT",
        "INSERT INTO inventory SELECT n, n, n FROM generate_series(1, 9) n",
        "CREATE TABLE sales_managers (manager_id int, manager_name text, store_id int)",
        "CREATE TABLE regional_managers (region text) INHERITS (sales_managers)",
        "INSERT INTO sales_managers VALUES (1, 'Ann'); INSERT INTO regional_managers VALUES (2, 'Bo', 7, 'west')",
        "CREATE MATERIALIZED VIEW products AS SELECT n AS product_id, 'p' AS product_name, 'c' AS category, "
        "1.005 AS price, now() AS created_at, now() AS updated_at FROM generate_series(1, 3) n",
    )
    extracted(bare, tmp_path)
    tables = {table.source: read(tmp_path, table.bronze_key) for table in TABLES}
    assert {name: frame.height for name, frame in tables.items() if frame.height} == {
        "stores": 7,
        "inventory": 9,
        "sales_managers": 2,
        "products": 3,
    }
    assert tables["stores"].rows()[2] == ("3", "3", "no 3", "6", None, None)
    assert sorted(tables["inventory"]["quantity"]) == [str(n) for n in range(1, 10)]
    assert tables["sales_managers"].columns == ["manager_id", "manager_name", "store_id"]


def test_all_tables_are_from_one_snapshot(bare: str, tmp_path: Path) -> None:
    stopped = threading.Event()

    def sell() -> None:
        with psycopg.connect(bare) as connection:
            while not stopped.is_set():
                connection.execute("INSERT INTO stores SELECT n FROM generate_series(1, 50) n")
                connection.execute("INSERT INTO inventory SELECT n FROM generate_series(1, 50) n")
                connection.commit()

    writer = threading.Thread(target=sell)
    writer.start()
    try:
        seen = [_rows_of(extracted(bare, tmp_path, "stores", "inventory")) for _ in range(8)]
    finally:
        stopped.set()
        writer.join()
    assert [rows for rows in seen if rows["stores"] != rows["inventory"]] == []
    assert len({rows["stores"] for rows in seen}) > 1


def _rows_of(run: RunResult) -> dict[str, int]:
    return {item.name: item.rows_out for item in run.stages[0].datasets}


TRICKY: Final = (
    *("", " ", "  a ", "\\.", "\\N", "\\", "NULL", '"', '""', ",", "a,b", "\n", "\r", "\r\n", "a\rb", "\\n", "\t"),
    *("\u2028", "\u0085", "\ufeff", "\x0b", "\x1a", "\x1e", "🛒", "e\u0301", "\U0010ffff", "'", "#", "-", '"\n', ',"'),
)
ANY_TEXT: Final = (
    st.none()
    | st.sampled_from(TRICKY)
    | st.lists(st.sampled_from(TRICKY), max_size=4).map("".join)
    | st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)
)
ROWS: Final = st.lists(st.tuples(ANY_TEXT, ANY_TEXT, ANY_TEXT, ANY_TEXT), min_size=1, max_size=60)


@pytest.fixture(scope="module")
def text_table(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """A database whose stores have only text columns, and a folder for its lake."""
    with database(database_url) as url:
        execute(url, "CREATE TABLE stores (store_name text, store_id text, city text, state text)")
        yield url, tmp_path_factory.mktemp("text")


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(rows=ROWS)
def test_any_text_survives_from_copy_to_frame(text_table: tuple[str, Path], rows: list[tuple[str | None, ...]]) -> None:
    url, folder = text_table
    with psycopg.connect(url) as connection:
        connection.execute("TRUNCATE stores")
        connection.cursor().executemany("INSERT INTO stores VALUES (%s, %s, %s, %s)", rows)
    run = extracted(url, folder, "stores")
    assert run.stages[0].datasets[0].rows_out == len(rows)
    assert read(folder, STORES.bronze_key).rows() == rows


def test_every_tricky_text_survives_in_every_column(text_table: tuple[str, Path]) -> None:
    rows = [(a, b, c, a) for a in (None, *TRICKY) for b, c in ((a, a), (None, "x"), ("x", None), ("", ""))]
    url, folder = text_table
    with psycopg.connect(url) as connection:
        connection.execute("TRUNCATE stores")
        connection.cursor().executemany("INSERT INTO stores VALUES (%s, %s, %s, %s)", rows)
    extracted(url, folder, "stores")
    assert read(folder, STORES.bronze_key).rows() == rows


@pytest.mark.parametrize("name", ["two\nlines", "two\rlines", "\r\n"])
def test_a_column_name_with_a_line_break_is_refused_before_extract(bare: str, tmp_path: Path, name: str) -> None:
    quoted = name.replace("\n", "\\000a").replace("\r", "\\000d")
    execute(bare, f'ALTER TABLE stores ADD COLUMN U&"{quoted}" int')
    for names in ((), ("stores",)):
        with pytest.raises(DataRefusedError, match=re.escape(f"line break cannot be kept: stores.{name!r}")):
            extracted(bare, tmp_path, *names)
    assert not (tmp_path / "lake" / "bronze").exists()
    extracted(bare, tmp_path, "products")


def test_a_dry_run_refuses_a_column_name_with_a_line_break(bare: str, tmp_path: Path) -> None:
    execute(bare, 'ALTER TABLE stores ADD COLUMN "two\nlines" int')
    ended = Shop(tmp_path, bare).run("run-all", "--dry-run").failed(3, "line break", r"stores.'two\nlines'")
    assert "SHOPEASE_SOURCE_SCHEMA" in ended.stderr


@pytest.mark.parametrize(("umask", "modes"), [("027", {0o640, 0o750}), ("002", {0o664, 0o775})])
def test_the_files_of_a_lake_have_the_permissions_that_the_umask_leaves(
    sales: str, tmp_path: Path, umask: str, modes: set[int]
) -> None:
    shop = Shop(tmp_path, sales, wrapper=("sh", "-c", f'umask {umask}; exec "$@"', "sh"))
    shop.run("run-all", "--skip-crawl").done()
    paths = [path for path in (tmp_path / "lake").rglob("*") if not path.name.startswith(".")]
    assert {stat.S_IMODE(path.stat().st_mode) for path in paths} == modes
