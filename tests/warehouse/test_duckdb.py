"""The engine reads its lake and nothing else, streams big results, and tells missing files."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from shopease_etl.errors import ShopeaseError
from shopease_etl.warehouse.duckdb import Engine


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    lake = tmp_path / "lake"
    lake.mkdir()
    (tmp_path / "outside.csv").write_text("a\n1\n")
    with Engine(lake, "shopease_catalog", max_memory=200_000_000) as engine:
        yield engine


def rows(engine: Engine, sql: str) -> list[tuple[Any, ...]]:
    return [tuple(row.values()) for row in engine.execute(sql).read_all().to_pylist()]


@pytest.mark.parametrize(
    "source",
    [
        "read_text('/etc/passwd')",
        "read_blob('/etc/passwd')",
        "read_csv('/etc/passwd')",
        "read_csv('{outside}')",
        "read_csv('{lake}/../outside.csv')",
        "glob('/etc/*')",
        "read_parquet('https://example.org/x.parquet')",
        "query('COPY (SELECT 1) TO ''{lake}/x.csv''')",
        '"/etc/passwd"',
    ],
)
def test_nothing_outside_the_lake_can_be_read(engine: Engine, tmp_path: Path, source: str) -> None:
    table = source.format(outside=tmp_path / "outside.csv", lake=tmp_path / "lake")
    with pytest.raises(ShopeaseError):
        rows(engine, f"SELECT * FROM {table}")
    assert list((tmp_path / "lake").iterdir()) == []


@pytest.mark.parametrize(
    "statement",
    [
        "SET threads = 1",
        "SET enable_external_access = true",
        "SET allowed_directories = ['/']",
        "RESET lock_configuration",
        "COPY (SELECT 1) TO '{outside}'",
        "ATTACH '{outside}.db'",
        "INSTALL httpfs",
        "LOAD httpfs",
    ],
)
def test_duckdbs_settings_are_locked_without_the_translation_too(
    engine: Engine, tmp_path: Path, statement: str
) -> None:
    with pytest.raises(duckdb.Error):
        engine._connection.execute(statement.format(outside=tmp_path / "outside.csv"))


def test_python_variables_are_not_tables(engine: Engine) -> None:
    local_table = pa.table({"a": [1]})
    with pytest.raises(ShopeaseError, match="no table local_table"):
        rows(engine, "SELECT * FROM local_table")
    assert local_table.num_rows == 1


def test_csv_values_are_unchanged(engine: Engine, tmp_path: Path) -> None:
    path = tmp_path / "lake" / "x.csv"
    path.write_text('"a ""q"",\nb",c\n,""\n"x,\ny","é\\."\n\x01,"\\N"\n', newline="")
    engine.add_csv("x", [path], ['a "q",\nb', "c"], made_by="shopease extract", has_line_breaks=True)
    assert rows(engine, "SELECT * FROM x") == [("", ""), ("x,\ny", "é\\."), ("\x01", "\\N")]


@pytest.mark.parametrize(
    ("body", "reason"), [("1\n", "line 2"), ("1,2,3\n", "line 2"), ('1,"a"b\n', "line 2"), ("1,2", "line end")]
)
@pytest.mark.parametrize("has_line_breaks", [False, True])
def test_an_invalid_csv_is_named(
    engine: Engine, tmp_path: Path, body: str, reason: str, *, has_line_breaks: bool
) -> None:
    path = tmp_path / "lake" / "x.csv"
    path.write_text(f"a,b\n{body}")
    engine.add_csv("x", [path], ["a", "b"], made_by="shopease extract", has_line_breaks=has_line_breaks)
    with pytest.raises(ShopeaseError, match=reason) as raised:
        rows(engine, "SELECT * FROM shopease_catalog.X")
    assert str(path) in str(raised.value)
    assert raised.value.hint == "run `shopease extract` to rebuild it"


@pytest.mark.parametrize("has_line_breaks", [False, True])
@pytest.mark.parametrize("end", ['"open', '"open\n', '"open,""\n2,3\n'])
def test_a_csv_cut_in_a_quoted_field_is_refused(
    engine: Engine, tmp_path: Path, end: str, *, has_line_breaks: bool
) -> None:
    path = tmp_path / "lake" / "x.csv"
    path.write_text(f'a,b\n0,"ok"\n1,{end}')
    engine.add_csv("x", [path], ["a", "b"], made_by="shopease extract", has_line_breaks=has_line_breaks)
    engine.add_view("v", "SELECT a FROM x")
    for sql in ("SELECT COUNT(*) FROM x", "SELECT * FROM v"):
        with pytest.raises(ShopeaseError, match=r"x\.csv"):
            rows(engine, sql)


def test_missing_and_truncated_parquet_break_only_their_own_queries(engine: Engine, tmp_path: Path) -> None:
    whole, cut = tmp_path / "lake" / "whole.parquet", tmp_path / "lake" / "cut.parquet"
    pq.write_table(pa.table({"a": [1]}), whole)
    cut.write_bytes(whole.read_bytes()[:-9])
    for name, path in (("whole", whole), ("cut", cut), ("gone", tmp_path / "lake" / "gone.parquet")):
        engine.add_parquet(name, path, made_by="shopease aggregate")
    assert rows(engine, "SELECT a FROM whole") == [(1,)]
    for name in ("cut", "gone"):
        with pytest.raises(ShopeaseError, match=f"{name}.parquet") as raised:
            rows(engine, f"SELECT a FROM {name}")
        assert "shopease aggregate" in str(raised.value.hint)


def test_a_big_result_streams_and_sums_of_bigint_stay_bigint(engine: Engine) -> None:
    reader = engine.execute("SELECT x, md5(to_utf8(CAST(x AS varchar))) AS h FROM UNNEST(sequence(1, 500000)) t(x)")
    assert [batch.num_rows < 100_000 for batch in reader] == [True] * 8
    assert engine.execute("SELECT SUM(x) AS s FROM (VALUES 1, 2) t(x)").schema.field("s").type == pa.int64()
    with pytest.raises(ShopeaseError):
        rows(engine, "SELECT SUM(x) AS s FROM (VALUES 9223372036854775807, 1) t(x)")


@pytest.mark.quick(0)
def test_a_sort_larger_than_memory_spills_and_leaves_no_files(tmp_path: Path) -> None:
    (tmp_path / "spill").mkdir()
    with Engine(tmp_path, "db", max_memory=150_000_000, temporary=tmp_path / "spill") as engine:
        (n,) = rows(
            engine,
            "SELECT COUNT(*) FROM (SELECT md5(to_utf8(CAST(x AS varchar))) AS h FROM UNNEST(sequence(1, 3000000)) t(x) "
            "ORDER BY h OFFSET 10)",
        )
    assert n == (2_999_990,)
    assert list((tmp_path / "spill").iterdir()) == []


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT COUNT(*) FROM {pairs} WHERE (x * y) % 7919 = 3",
        "SELECT x FROM {pairs} WHERE x * y < 50000",
    ],
    ids=["before the first row", "between rows"],
)
def test_ctrl_c_stops_a_running_query(engine: Engine, sql: str) -> None:
    pairs = "UNNEST(sequence(1, 300000)) a(x), UNNEST(sequence(1, 300000)) b(y)"
    threading.Timer(0.7, os.kill, (os.getpid(), signal.SIGINT)).start()
    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        for _ in engine.execute(sql.format(pairs=pairs)):
            pass
    assert time.monotonic() - started < 5
    assert rows(engine, "SELECT 1") == [(1,)]


@pytest.mark.parametrize("condition", ["x * y < 0", "true"], ids=["before the first row", "between rows"])
def test_the_time_limit_stops_a_query_whose_rows_never_end(tmp_path: Path, condition: str) -> None:
    pairs = "UNNEST(sequence(1, 300000)) a(x), UNNEST(sequence(1, 300000)) b(y)"
    with Engine(tmp_path, "db", timeout=0.5) as engine:
        with pytest.raises(ShopeaseError, match=r"the query took longer than 0\.5 s and was stopped") as raised:
            for _ in engine.execute(f"SELECT x FROM {pairs} WHERE {condition}"):
                pass
        assert "--timeout" in str(raised.value.hint)


def test_an_error_in_the_middle_of_a_result_is_raised_like_others(engine: Engine) -> None:
    with pytest.raises(ShopeaseError, match="Division by zero"):
        for _ in engine.execute("SELECT 1 / (x - 400000) FROM UNNEST(sequence(1, 500000)) t(x)"):
            pass


@pytest.mark.parametrize("package", ["duckdb", "sqlglot"])
def test_without_the_extra_the_error_names_it(package: str) -> None:
    program = f"""
import sys
sys.modules["{package}"] = None
from shopease_etl.errors import ConfigurationError
from shopease_etl.stages.named_queries import shipped_queries
assert shipped_queries()
try:
    import shopease_etl.warehouse.duckdb
except ConfigurationError as error:
    print(error, error.hint)
"""
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert done.stdout.removeprefix("local ") == f"SQL needs {package} pip install 'shopease[query]'\n"
