"""`shopease query` as its users see it: formats, files, streams, and errors."""

import io
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Final

import polars as pl
import pytest

from commands import Shop, hashes
from shopease_etl.stages.named_queries import shipped_queries

CONTRACT: Final = (
    """SELECT sales_date, total_revenue, total_transactions, unique_customers
FROM shopease_catalog.daily_sales_summary ORDER BY total_revenue DESC LIMIT 10;""",
    """SELECT product_name, category, total_revenue, total_quantity_sold
FROM shopease_catalog.product_performance ORDER BY total_revenue DESC LIMIT 10;""",
    """SELECT s.store_name, COUNT(*) AS transactions, SUM(t.quantity * t.unit_price) AS revenue
FROM shopease_catalog.transactions t JOIN shopease_catalog.stores s ON t.store_id = s.store_id
GROUP BY s.store_name ORDER BY revenue DESC;""",
)
STORES: Final = "SELECT store_id, state FROM shopease_catalog.stores ORDER BY store_id"


@pytest.mark.parametrize("sql", CONTRACT, ids=["revenue days", "best products", "store revenue"])
def test_the_queries_of_the_contract_return_their_columns(shop: Shop, sql: str) -> None:
    document = shop.run("query", sql, "--json").done().document
    wanted = re.findall(r"(\w+)(?=,|\nFROM)", sql.partition("\nFROM")[0] + "\nFROM")
    assert list(document["rows"][0]) == wanted
    assert document["row_count"] == (5 if "GROUP BY" in sql else 10)
    revenue = [row.get("revenue", row.get("total_revenue")) for row in document["rows"]]
    assert revenue == sorted(revenue, reverse=True)


def test_every_format_has_the_same_rows(shop: Shop) -> None:
    as_csv = pl.read_csv(io.StringIO(shop.run("query", STORES, "--format", "csv").done().stdout))
    as_json = pl.DataFrame(json.loads(shop.run("query", STORES, "--format", "json").done().stdout))
    shop.run("query", STORES, "--format", "parquet", "--output", "stores.parquet").done()
    as_table = shop.run("query", STORES).done()
    assert as_csv.rows() == as_json.rows() == pl.read_parquet(shop.folder / "stores.parquet").rows()
    assert [line.split()[0] for line in as_table.stdout.splitlines()[2:]] == [str(row[0]) for row in as_csv.rows()]
    assert as_table.stderr == "5 rows\n"


@pytest.mark.parametrize("output_format", ["csv", "json", "parquet"])
def test_a_result_that_cannot_be_written_to_its_file_is_exit_code_4(shop: Shop, output_format: str) -> None:
    ended = shop.run("query", "SELECT 1 AS one", "--format", output_format, "--output", f"nowhere/x.{output_format}")
    ended.failed(4, f"nowhere/x.{output_format}")


def test_a_result_is_not_written_into_the_lake(shop: Shop) -> None:
    before = hashes(shop.folder / "lake")
    for output in ("lake/gold/daily_sales_summary/data.parquet", "lake/../lake/answer.parquet"):
        shop.run("query", STORES, "--output", output).failed(2, f"--output {output} is inside the lake")
    assert hashes(shop.folder / "lake") == before


def test_a_missing_output_folder_is_reported_before_the_query_runs(shop: Shop) -> None:
    shop.run("query", "SELECT 1 FROM nope", "--output", "nowhere/x.csv").failed(4, "there is no folder nowhere")


def test_the_statement_may_come_from_a_file_or_from_stdin(shop: Shop) -> None:
    (shop.folder / "stores.sql").write_text(f"-- all of them\n{STORES};\n")
    written = shop.run("query", "--file", "stores.sql", "--format", "csv").done().stdout
    assert shop.run("query", "-f", "-", "--format", "csv", stdin=STORES).done().stdout == written
    assert written.startswith("store_id,state\n101,")


def test_the_shipped_queries_are_listed(shop: Shop) -> None:
    listed = shop.run("query", "--list").done().stdout
    assert [query.name for query in shipped_queries() if query.name not in listed] == []


@pytest.mark.parametrize(
    ("sql", "place"),
    [
        ("SELECT\n  nope FROM shopease_catalog.products", "line 2, column 3"),
        ("SELECT * FROM shopease_catalog.nope", "line 1, column 32"),
        ("SELEC 1", "line 1, column 1"),
    ],
)
def test_wrong_sql_is_exit_code_2_and_names_the_place(shop: Shop, sql: str, place: str) -> None:
    shop.run("query", sql).failed(2, place)


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM shopease_catalog.products",
        "COPY (SELECT 1) TO 'out.csv'",
    ],
)
def test_sql_that_writes_is_refused(shop: Shop, sql: str) -> None:
    before = hashes(shop.folder)
    shop.run("query", sql).failed(2, "only read-only statements")
    assert hashes(shop.folder) == before


def test_the_reader_of_a_long_result_may_leave(shop: Shop) -> None:
    with shop.start("query", "SELECT * FROM shopease_catalog.transactions", "--format", "csv") as process:
        assert process.stdout
        assert process.stderr
        process.stdout.readline()
        process.stdout.close()
        complaint = process.stderr.read()
    assert complaint == ""


def test_two_columns_with_the_same_name_are_both_shown(shop: Shop) -> None:
    ended = shop.run("query", "SELECT 1 AS a, 2 AS a").done()
    assert ended.stdout.split()[-2:] == ["1", "2"]


def test_a_table_in_a_pipe_has_all_rows(shop: Shop) -> None:
    sql = "SELECT transaction_id FROM shopease_catalog.transactions ORDER BY transaction_id"
    as_csv = shop.run("query", sql, "--format", "csv").done().stdout.split()
    ended = shop.run("query", sql).done()
    assert ended.stdout.split() == [as_csv[0], "-" * len("transaction_id"), *as_csv[1:]]
    assert ended.stderr == f"{len(as_csv) - 1:,} rows\n"


def test_the_suffix_of_a_file_sets_its_format(shop: Shop, tmp_path: Path) -> None:
    shop.run("query", "SELECT 1 AS a", "--output", str(tmp_path / "a.csv")).done()
    assert (tmp_path / "a.csv").read_text() == "a\n1\n"


def test_json_and_another_format_exclude_each_other(shop: Shop) -> None:
    shop.run("query", "SELECT 1", "--json", "--format", "csv").failed(2, "--json writes its own document")


def test_characters_that_stdout_cannot_encode_are_escaped(shop: Shop) -> None:
    narrow = replace(shop, more={"PYTHONIOENCODING": "ascii"})
    assert narrow.run("query", "SELECT 'é' AS a", "--format", "csv").done().stdout == "a\n\\xe9\n"


@pytest.fixture
def own(shop: Shop, tmp_path: Path) -> Shop:
    """The shop with a folder of own queries."""
    (tmp_path / "days.sql").write_text(
        "-- The best days from :first on\nSELECT sales_date, total_revenue FROM daily_sales_summary\n"
        "WHERE sales_date >= :first ORDER BY total_revenue DESC LIMIT :n;\n"
    )
    (tmp_path / "old query.sql").write_text("SELECT 1")
    return replace(shop, more={"SHOPEASE_QUERIES": str(tmp_path)})


def test_own_queries_are_listed_with_their_parameters_and_files(shop: Shop, own: Shop, tmp_path: Path) -> None:
    listed = own.run("query", "--list").done()
    (line,) = [line for line in listed.stdout.splitlines() if line.startswith("days ")]
    assert re.split(r"  +", line.strip()) == [
        "days",
        "The best days from :first on",
        "first n",
        str(tmp_path / "days.sql"),
    ]
    assert "old query.sql is not a query: its name" in listed.stderr
    document = own.run("query", "--list", "--json").done().document
    (entry,) = [entry for entry in document if entry["source"] != "shopease"]
    assert (entry["name"], entry["parameters"]) == ("days", ["first", "n"])
    assert "parameters" not in shop.run("query", "--list").done().stdout.splitlines()[0]


def test_an_own_query_runs_with_parameters(own: Shop) -> None:
    given = ("--param", "first=2020-01-01", "-p", "n=3")
    rows = own.run("query", "--name", "days", *given, "--json").done().document["rows"]
    best = own.run("query", "--name", "revenue-days", "--json").done().document["rows"]
    assert rows == [{name: row[name] for name in ("sales_date", "total_revenue")} for row in best[:3]]
    own.run("query", "--name", "days", "-p", "first=2020-01-01").failed(2, "no value for the parameter n")
    own.run("query", "--name", "days", *given, "-p", "m=1").failed(2, "no parameter m")
    own.run("query", "--name", "days", *given, "-p", "n=4").failed(2, "--param n is given twice")
    own.run("query", "--name", "days", "-p", "n").failed(2, "--param n has no name or no value")
    own.run("query", "--name", "old query").failed(2, "old query.sql is not a query")


def test_an_own_query_that_is_no_sql_hides_no_other(own: Shop, tmp_path: Path) -> None:
    (tmp_path / "broken.sql").write_text("SELECT 'a")
    listed = own.run("query", "--list", "--json").done().document
    assert [entry["parameters"] for entry in listed if entry["source"] != "shopease"] == [[], ["first", "n"]]
    own.run("query", "--name", "broken").failed(2, "string is not closed, at line 1, column 8")


def test_every_statement_takes_parameters(shop: Shop) -> None:
    sql, evil = "SELECT :a || ':a' AS a", "'; DROP TABLE x -- "
    (shop.folder / "a.sql").write_text(sql)
    for way, stdin in (([sql], ""), (["--file", "a.sql"], ""), (["-"], sql)):
        rows = shop.run("query", *way, "-p", f"a={evil}", "--json", stdin=stdin).done().document["rows"]
        assert rows == [{"a": f"{evil}:a"}]


def test_a_check_counts_own_queries(own: Shop) -> None:
    def line(shop: Shop) -> dict[str, object]:
        (found,) = [line for line in shop.run("check", "--json").document if line["name"] == "queries"]
        return dict(found)

    found = line(own)
    assert str(found["detail"]).startswith("1 query in ")
    assert "old query.sql is none: its name" in str(found["detail"])
    assert found["warning"] is True
    missing = line(replace(own, more={"SHOPEASE_QUERIES": "nowhere"}))
    assert (missing["exit_code"], "SHOPEASE_QUERIES" in str(missing["fix"])) == (2, True)
