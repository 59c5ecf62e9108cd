"""A lake by month is catalogued and queried like one that is not, and a query for a month reads that month."""

import re
from contextlib import closing
from pathlib import Path

import pytest

from hand_made_lake import DATABASE, TRANSACTION_ROWS, answer, catalogue, make_lake, put, warehouse
from month_lake import put_month, split_by_month
from shopease_etl.contract.layout import NO_MONTH
from shopease_etl.contract.tables import TRANSACTIONS
from shopease_etl.errors import ConfigurationError, DataRefusedError, ShopeaseError
from shopease_etl.lake.local import LocalStore
from shopease_etl.lake.staging import Transaction
from shopease_etl.lake.store import put_stream
from shopease_etl.report import CatalogEntry, DatasetResult, ObjectRecord
from shopease_etl.stages.crawl import crawl
from shopease_etl.warehouse.local import LocalWarehouse
from shopease_etl.warehouse.local_catalog import load

MONTHS = tuple(f"2023-{month:02}" for month in range(1, 13))
NOVEMBER = TRANSACTIONS.in_month("2023-11")


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    made = make_lake(tmp_path / "it's [a] sale_month=2020-01/lake=1")
    assert split_by_month(LocalStore(made)) == MONTHS
    return made


@pytest.fixture(scope="module")
def unchanged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = make_lake(tmp_path_factory.mktemp("unchanged") / "lake")
    split_by_month(LocalStore(made))
    catalogue(made, made.parent / "catalog.json")
    return made


@pytest.fixture
def crawled(lake: Path) -> Path:
    catalogue(lake, lake.parent / "catalog.json")
    return lake


def test_a_table_by_month_has_the_rows_of_all_files_and_the_month_as_its_last_column(lake: Path) -> None:
    entries = catalogue(lake, lake.parent / "catalog.json").catalogued
    assert [entry for entry in entries if entry.name.endswith("transactions")] == [
        CatalogEntry("bronze_transactions", "table", 17, 100),
        CatalogEntry("silver_transactions", "table", 17, 100),
        CatalogEntry("transactions", "view", 17, 100),
    ]
    for table in ("bronze_transactions", "silver_transactions", "transactions"):
        assert answer(lake, f"SHOW COLUMNS IN {table}")[-1] == ("sale_month",)
        counts = answer(lake, f"SELECT sale_month, COUNT(*) FROM {table} GROUP BY sale_month ORDER BY sale_month")
        expected = [str(row[-2])[:7] for row in TRANSACTION_ROWS]
        assert counts == [(month, expected.count(month)) for month in MONTHS]
    assert answer(
        lake, "SELECT COUNT(*) FROM transactions WHERE sale_month <> substr(CAST(created_at AS varchar), 1, 7)"
    )[0] == (0,)


def test_a_catalog_with_months_is_of_another_version_and_can_be_read(crawled: Path) -> None:
    path = crawled.parent / "catalog.json"
    assert '"schema_version": 2' in path.read_text()
    (table,) = (table for table in load(path).tables if table.name == "silver_transactions")
    assert (table.folder, tuple(table.months)) == ("silver/transactions/", MONTHS)
    assert table.months["2023-11"] == NOVEMBER.silver_key
    broken = path.read_text().replace(NOVEMBER.silver_key, TRANSACTIONS.silver_key)
    path.write_text(broken)
    with pytest.raises(ShopeaseError, match="this version cannot read the catalog"):
        load(path)


@pytest.mark.parametrize(
    ("condition", "files"),
    [
        ("sale_month = '2023-11'", 1),
        ("sale_month BETWEEN '2023-10' AND '2024-02'", 3),
        ("sale_month IN ('2023-01', '2023-02', '2024-01')", 2),
        ("true", 12),
    ],
)
def test_a_query_for_a_month_reads_one_file(unchanged: Path, condition: str, files: int) -> None:
    for table in ("silver_transactions", "bronze_transactions", "transactions"):
        plan = answer(unchanged, f"EXPLAIN SELECT COUNT(*) FROM {table} WHERE {condition}")
        scanned = re.search(r"Scanning Files: (\d+)/12", "".join(line for (line,) in plan))
        assert int(scanned[1] if scanned else 12) == files, plan


def test_the_definition_of_a_table_has_its_partitions(unchanged: Path) -> None:
    lines = [line for (line,) in answer(unchanged, "SHOW CREATE TABLE silver_transactions")]
    assert "PARTITIONED BY (`sale_month` string)" in lines
    assert lines[-1] == f"LOCATION '{unchanged}/silver/transactions'"
    assert not [line for line in lines if line.startswith("  `sale_month`")]
    partitions = answer(unchanged, "SHOW PARTITIONS shopease_catalog.silver_transactions")
    assert partitions == [(f"sale_month={month}",) for month in MONTHS]
    for table, reason in (("stores", "is not partitioned"), ("bronze_stores", "is not partitioned"), ("x", "no table")):
        with pytest.raises(ConfigurationError, match=reason):
            answer(unchanged, f"SHOW PARTITIONS {table}")


def test_a_broken_month_is_named(crawled: Path) -> None:
    path = crawled / NOVEMBER.bronze_key
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(ShopeaseError, match=re.escape(str(path))) as raised:
        answer(crawled, "SELECT COUNT(*) FROM bronze_transactions")
    assert raised.value.hint == "run `shopease extract --full` to rebuild it"
    assert len(answer(crawled, "SELECT 1 FROM transactions")) == 100
    path.write_text("transaction_id\n")
    with pytest.raises(ShopeaseError, match=r"has other columns than") as raised:
        answer(crawled, "SELECT COUNT(*) FROM bronze_transactions")
    path.unlink()
    with pytest.raises(ShopeaseError, match=r"2023-11.*does not exist") as raised:
        answer(crawled, "SELECT COUNT(*) FROM bronze_transactions")
    assert raised.value.hint == "run `shopease crawl` if a run deleted that month, else `shopease run-all`"


def test_months_with_different_columns_are_refused(lake: Path) -> None:
    put(lake, NOVEMBER.silver_key, "transaction_id\n1\n")
    with pytest.raises(DataRefusedError, match=r"2023-11.* has other columns than .*2023-01") as raised:
        catalogue(lake, lake.parent / "catalog.json")
    assert "--full" in str(raised.value.hint)


def test_a_column_of_the_source_with_the_name_of_the_month_gets_another_name(tmp_path: Path) -> None:
    for key in (TRANSACTIONS.in_month(NO_MONTH).silver_key, NOVEMBER.silver_key):
        put(tmp_path / "lake", key, "transaction_id,sale_month,SALE_MONTH\n1,x,y\n")
    catalogue(tmp_path / "lake", tmp_path / "catalog.json")
    columns = [column for (column,) in answer(tmp_path / "lake", "SHOW COLUMNS IN transactions")]
    assert columns == ["transaction_id", "source_sale_month", "source_source_SALE_MONTH", "sale_month"]
    found = answer(tmp_path / "lake", "SELECT source_sale_month, sale_month FROM transactions ORDER BY sale_month")
    assert found == [("x", "2023-11"), ("x", "none")]


def test_an_empty_table_by_month_has_its_columns(tmp_path: Path) -> None:
    put(tmp_path / "lake", TRANSACTIONS.in_month(NO_MONTH).silver_key, "transaction_id,quantity\n")
    catalogue(tmp_path / "lake", tmp_path / "catalog.json")
    assert answer(tmp_path / "lake", "SELECT COUNT(*), SUM(quantity) FROM transactions") == [(0, None)]
    assert answer(tmp_path / "lake", "SELECT transaction_id, sale_month FROM silver_transactions") == []


def test_files_of_both_layouts_are_refused_unless_a_run_recorded_which_are_the_data(
    lake: Path, caplog: pytest.LogCaptureFixture
) -> None:
    whole = put(lake, TRANSACTIONS.silver_key, (lake / NOVEMBER.silver_key).read_text())
    with pytest.raises(DataRefusedError, match="and files by month: only one of the two is the data"):
        catalogue(lake, lake.parent / "catalog.json")
    of_month = ObjectRecord((lake / NOVEMBER.silver_key).stat().st_size, 8, 0, "run")
    catalogue(lake, lake.parent / "catalog.json", recorded={NOVEMBER.silver_key: of_month})
    assert answer(lake, "SELECT COUNT(*), MIN(sale_month) FROM transactions") == [(8, "2023-11")]
    recorded = {TRANSACTIONS.silver_key: ObjectRecord(whole.stat().st_size, 8, 0, "run")}
    caplog.clear()
    catalogue(lake, lake.parent / "catalog.json", recorded=recorded)
    assert "sale_month" not in [column for (column,) in answer(lake, "SHOW COLUMNS IN transactions")]
    stray = lake / TRANSACTIONS.in_month("2023-01").silver_key
    assert [str(stray) in record.getMessage() for record in caplog.records][:1] == [True]
    assert len(caplog.records) == 12


def test_only_unexpected_files_that_athena_would_read_are_warned_of(
    lake: Path, caplog: pytest.LogCaptureFixture
) -> None:
    read = put(lake, f"{NOVEMBER.silver_key}.old.csv", "x\n")
    put(lake, "silver/transactions/sale_month=2023-13/transactions_cleaned.csv", "x\n")
    put(lake, "silver/transactions/old.csv", "x\n")
    put(lake, "silver/transactions/sale_month=2023-11/_note", "x\n")
    catalogue(lake, lake.parent / "catalog.json")
    assert [record.getMessage().partition(" is not of")[0] for record in caplog.records] == [str(read)]


def test_recorded_rows_of_all_months_are_added_up(lake: Path) -> None:
    keys = [TRANSACTIONS.in_month(month).silver_key for month in MONTHS]
    recorded = {key: ObjectRecord((lake / key).stat().st_size, 1000, 0, "run", "unread") for key in keys}
    rows = {entry.name: entry.rows for entry in catalogue(lake, lake.parent / "c.json", recorded=recorded).catalogued}
    assert (rows["silver_transactions"], rows["transactions"], rows["bronze_transactions"]) == (12_000, 12_000, 100)
    (lake / keys[5]).unlink()
    with pytest.raises(DataRefusedError, match=r"2023-06.*, which the run run wrote, is missing") as raised:
        catalogue(lake, lake.parent / "c.json", recorded=recorded)
    assert raised.value.hint == "run `shopease clean --full` to rebuild it"
    recorded[keys[3]] = ObjectRecord(1, 1000, 0, "run", "unread")
    del recorded[keys[5]]
    with pytest.raises(DataRefusedError, match="2023-04"):
        catalogue(lake, lake.parent / "c.json", recorded=recorded)


def test_only_months_that_the_run_wrote_are_read(lake: Path) -> None:
    recorded = {}
    for key in (key for month in MONTHS for key in TRANSACTIONS.in_month(month).keys if (lake / key).exists()):
        size, run_id = (lake / key).stat().st_size, None if "2023-11" in key else "earlier"
        result = DatasetResult(key.partition("/")[0], "transactions", key, 8, 8, size, "unread", run_id=run_id)
        recorded[key] = ObjectRecord(size, 8, 0, run_id or "run", None, result)

    def crawl_with_a_cut(month: str) -> None:
        path = lake / TRANSACTIONS.in_month(month).bronze_key
        text = path.read_bytes()
        path.write_bytes(text[:-1] + b"x")
        catalogue(lake, lake.parent / "c.json", recorded=recorded)
        path.write_bytes(text)

    crawl_with_a_cut("2023-10")
    with pytest.raises(DataRefusedError, match="2023-11"):
        crawl_with_a_cut("2023-11")


def test_a_run_queries_its_months_before_it_publishes_them(crawled: Path, tmp_path: Path) -> None:
    store = LocalStore(crawled)
    staged = Transaction(store, tmp_path / "spool")
    text = (crawled / NOVEMBER.silver_key).read_bytes()
    header = text[: text.index(b"\n") + 1]
    put_stream(staged, TRANSACTIONS.in_month("2024-01").silver_key, [text])
    put_stream(staged, NOVEMBER.silver_key, [header])
    unpublished = LocalWarehouse(staged, crawled.resolve(), crawled.parent / "catalog.json", DATABASE)
    entries = crawl(staged, unpublished, commit=staged.publish).catalogued
    assert next(entry.rows for entry in entries if entry.name == "transactions") == 100
    # the catalog has the keys, not the staged files
    counts = "SELECT sale_month, COUNT(*) FROM transactions WHERE sale_month > '2023-10' GROUP BY 1 ORDER BY 1"
    assert answer(crawled, counts) == [("2023-12", 8), ("2024-01", 8)]


def test_a_month_that_is_added_is_seen_after_the_next_crawl(crawled: Path) -> None:
    sold = (crawled / NOVEMBER.silver_key).read_text().splitlines(keepends=True)
    put_month(LocalStore(crawled), TRANSACTIONS.silver_key, NO_MONTH, sold[0] + sold[1])
    count = "SELECT COUNT(*) FROM transactions WHERE sale_month = 'none'"
    assert answer(crawled, count) == [(0,)]
    catalogue(crawled, crawled.parent / "catalog.json")
    assert answer(crawled, count) == [(1,)]


def test_only_the_months_of_a_statement_are_checked_and_estimated(crawled: Path) -> None:
    other = crawled / TRANSACTIONS.in_month("2023-10").bronze_key
    other.write_bytes(other.read_bytes()[:-5])
    limited = "FROM bronze_transactions WHERE sale_month = '2023-11'"
    assert answer(crawled, f"SELECT COUNT(*) {limited}") == [(8,)]
    size = (crawled / NOVEMBER.silver_key).stat().st_size
    whole = sum(path.stat().st_size for path in crawled.glob("silver/transactions/*/*"))
    with closing(warehouse(crawled, crawled.parent / "catalog.json").engine()) as engine:
        assert engine.estimated_bytes("SELECT * FROM transactions WHERE sale_month = '2023-11'") == size
        assert engine.estimated_bytes("SELECT * FROM transactions") == whole
