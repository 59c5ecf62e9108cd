"""What passes and what is refused, with its place; what passes gives Trino's answer on DuckDB."""

import re
from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal

import pytest

from shopease_etl.engines.athena_sql import reading_statement, translate
from shopease_etl.engines.duckdb import Engine
from shopease_etl.errors import ConfigurationError

MONEY = "(VALUES CAST(1.25 AS decimal(18,2)), CAST(1.26 AS decimal(18,2))) t(x)"
MAY = "(VALUES DATE '2024-05-17') t(d)"


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    with Engine(tmp_path_factory.mktemp("lake"), "shopease_catalog") as engine:
        yield engine


PROBES: list[tuple[str, object]] = [
    ("7 / 2", 3),
    ("-7 / 2", -3),
    ("7e0 / 2", 3.5),
    ("7.00 / 2", Decimal("3.50")),
    ("CAST(2.01 AS decimal(18,2)) / 2", Decimal("1.01")),
    ("CAST(-2.01 AS decimal(18,2)) / 2", Decimal("-1.01")),
    ("1.00 / 3 / 3", Decimal("0.11")),
    ("7 / 2 / 2", 1),
    ("100 / CAST(3 AS decimal(5,3))", Decimal("33.333")),
    ("12345678901234.56 / 0.01", Decimal("1234567890123456.00")),
    ("-7 % 2", -1),
    ("TRY(1 / 0)", None),
    (f"(SELECT AVG(x) FROM {MONEY})", Decimal("1.26")),
    (f"(SELECT AVG(x) FILTER (WHERE x > 1.25) FROM {MONEY})", Decimal("1.26")),
    (f"(SELECT MAX(a) FROM (SELECT AVG(x) OVER (ORDER BY x) AS a FROM {MONEY}))", Decimal("1.26")),
    (f"(SELECT AVG(DISTINCT x) / 2 FROM {MONEY})", Decimal("0.63")),
    (f"(SELECT AVG(x) FROM {MONEY} WHERE x > 9)", None),
    (f"(SELECT SUM(x) / COUNT(*) FROM {MONEY})", Decimal("1.26")),
    (f"(SELECT SUM(3 * x) FROM {MONEY})", Decimal("7.53")),
    ("(SELECT AVG(x) FROM (VALUES 1, 2) t(x))", 1.5),
    ("(SELECT SUM(x) / 2 FROM (VALUES 2, 3) t(x))", 2),
    ("(SELECT SUM(x) FROM (VALUES 2, 3) t(x) HAVING SUM(x) / 2 / 1 = 2)", 5),
    (f"(SELECT date_trunc('month', d) FROM {MAY})", date(2024, 5, 1)),
    ("date_trunc('hour', TIMESTAMP '2024-05-17 10:11:12')", datetime.fromisoformat("2024-05-17T10:00:00")),
    (f"(SELECT date_add('month', 1, d) FROM {MAY})", date(2024, 6, 17)),
    (f"(SELECT d - INTERVAL '1' MONTH FROM {MAY})", date(2024, 4, 17)),
    ("date_diff('month', DATE '2024-01-15', DATE '2024-03-14')", 1),
    ("date_diff('day', DATE '2024-01-15', DATE '2024-03-14')", 59),
    (f"(SELECT date_format(d, '%Y-%m') FROM {MAY})", "2024-05"),
    (f"(SELECT day_of_week(d) FROM {MAY})", 5),
    ("format('%,.2f', 1234567.125)", "1,234,567.13"),
    ("format('%,.2f', CAST('99999999999999999999.995' AS decimal(38,3)))", "100,000,000,000,000,000,000.00"),
    ("format('%.2f', 1.005e0)", "1.01"),
    ("format('%,.2f', -0.5)", "-0.50"),
    ("format('%d of %s: %.1f%%', 3, 'x', 12.25)", "3 of x: 12.3%"),
    ("format('%s', NULL)", "null"),
    ("concat('a', NULL)", None),
    ("CAST('10.005' AS decimal(18,2))", Decimal("10.01")),
    ("(SELECT approx_distinct(x) FROM (VALUES 1, 2, 2) t(x))", 2),
    ("(SELECT max_by(x, y) FROM (VALUES (1, 2), (3, 1)) t(x, y))", 1),
    ("(SELECT count_if(x > 1) FROM (VALUES 1, 2, 2) t(x))", 2),
    ("(SELECT array_join(array_agg(x ORDER BY x DESC), ',') FROM (VALUES 1, 2) t(x))", "2,1"),
    ("regexp_like('abc', '^a')", True),
    ("regexp_extract('abc', 'b(c)', 1)", "c"),
    ("element_at(split('a-b', '-'), 2)", "b"),
    ("(SELECT x FROM (VALUES 1, NULL) t(x) ORDER BY x DESC LIMIT 1)", 1),
    ("(SELECT COUNT(*) FROM awsdatacatalog.information_schema.tables WHERE 1 = 0)", 0),
]


@pytest.mark.parametrize(("expression", "expected"), PROBES)
def test_duckdb_answers_as_trino_does(engine: Engine, expression: str, expected: object) -> None:
    (answer,) = engine.query(f"SELECT {expression} AS answer").read_all().column("answer").to_pylist()
    assert answer == expected
    assert type(answer) is type(expected)
    if isinstance(expected, Decimal):
        assert str(answer) == str(expected)


def test_a_quotient_may_be_grouped_by(engine: Engine) -> None:
    sql = "SELECT x / 2 AS half, COUNT(*) AS n FROM (VALUES 2, 3, 4) t(x) GROUP BY x / 2 ORDER BY x / 2"
    assert engine.query(sql).read_all().to_pylist() == [{"half": 1, "n": 2}, {"half": 2, "n": 1}]


@pytest.mark.parametrize(
    ("sql", "names"),
    [
        ("SELECT 1, 2 AS b, COUNT(*), 7 / 2", ["_col0", "b", "_col2", "_col3"]),
        ("SELECT CAST(x AS varchar), x FROM (VALUES 1) t(x)", ["_col0", "x"]),
        ("SELECT 1 UNION ALL SELECT 2", ["_col0"]),
    ],
)
def test_unnamed_columns_have_athenas_names(engine: Engine, sql: str, names: list[str]) -> None:
    assert engine.query(sql).schema.names == names


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 1",
        "SELECT 1;",
        ";SELECT 1;;  -- done; DROP TABLE x",
        "/* DROP TABLE x; */ select 1",
        "WITH a AS (SELECT 1 AS x) SELECT x FROM a",
        "(SELECT 1)",
        "VALUES 1, 2",
        "SELECT 1 UNION SELECT 2",
        "SELECT 1 EXCEPT SELECT 2",
        "SELECT ';'",
        "SHOW TABLES",
        "show tables in shopease_catalog;",
        "EXPLAIN SELECT 1",
    ],
)
def test_reading_statements_pass_and_run(engine: Engine, sql: str) -> None:
    engine.query(sql).read_all()


REFUSED = [
    "INSERT INTO t SELECT 1",
    "CREATE TABLE t AS SELECT 1",
    "CREATE VIEW v AS SELECT 1",
    "DROP TABLE t",
    "DELETE FROM t",
    "UPDATE t SET a = 1",
    "MERGE INTO t USING s ON 1 = 1 WHEN MATCHED THEN DELETE",
    "ALTER TABLE t ADD COLUMN x int",
    "COPY t TO '/tmp/x'",
    "COPY (SELECT 1) TO '/tmp/x'",
    "ATTACH '/tmp/x'",
    "PRAGMA threads",
    "SET threads = 1",
    "RESET threads",
    "USE other",
    "INSTALL httpfs",
    "LOAD httpfs",
    "CALL pragma_version()",
    "EXPORT DATABASE '/tmp/x'",
    "UNLOAD (SELECT 1) TO 's3://b/x'",
    "PREPARE p FROM SELECT 1",
    "EXECUTE p",
    "MSCK REPAIR TABLE t",
    "VACUUM",
    "SELECT 1 INTO t",
    "WITH a AS (INSERT INTO t SELECT 1) SELECT 1",
    "EXPLAIN DROP TABLE t",
    "EXPLAIN ANALYZE SELECT 1",
    "FROM t",
]


@pytest.mark.parametrize("sql", REFUSED)
def test_all_else_is_refused_as_wrong_usage(sql: str) -> None:
    with pytest.raises(ConfigurationError, match="only read-only statements are allowed") as raised:
        translate(sql)
    assert raised.value.exit_code == 2
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("SELECT * FROM WHERE x", "unexpected WHERE, expected table name, at line 1, column 15: SELECT * FROM WHERE x"),
        ("SELECT a\nFROM t\nGROUP BY a GROUP BY b", "unexpected GROUP BY, at line 3, column 12"),
        ("SELECT\n  'never closed", "string is not closed, at line 2, column 3: 'never closed"),
        ('SELECT "never closed', "quoted name is not closed, at line 1, column 8"),
        ("SELECT 1 /* never closed", "comment is not closed, at line 1, column 10"),
        ("SELECT 1 2", "unexpected 2, at line 1, column 10"),
        ("SELECT (1", "unexpected end of the statement, expected ), at line 1, column 9"),
        ("SELECT count(* FROM t", "unexpected FROM, expected ), at line 1, column 16"),
        ("SELECT a FROM t WHERE", "unexpected end of the statement, at line 1, column 17"),
        ("SELECT CASE WHEN a THEN b FROM t", "unexpected FROM, expected END, at line 1, column 27"),
        ("SELECT cast(a AS) FROM t", "unexpected ), expected TYPE, at line 1, column 17"),
        ("SELECT a FROM t WHERE b >", "unexpected end of the statement, at line 1, column 25"),
    ],
)
def test_a_syntax_error_has_its_place_and_no_words_of_the_parser(sql: str, message: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        translate(sql)
    assert f"SQL syntax error: {message}" in str(raised.value)
    assert re.search(r"[<\n\x1b]|class|Token|Expecting", str(raised.value)) is None


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("", "there is no SQL statement"),
        ("  ;; -- nothing", "there is no SQL statement"),
        (
            "SELECT 1;\nSELECT 2",
            "only one statement at a time is allowed; a second one begins at line 2, column 1: SELE",
        ),
        ("SELECT 1; DROP TABLE t", "only one statement at a time is allowed; a second one begins at line 1, column 11"),
    ],
)
def test_there_must_be_one_statement(sql: str, message: str) -> None:
    for read in (translate, reading_statement):
        with pytest.raises(ConfigurationError) as raised:
            read(sql)
        assert message in str(raised.value)


def test_a_misspelt_statement_names_the_right_word() -> None:
    with pytest.raises(ConfigurationError, match=r"; found SELCT at line 1, column 1: SELCT 1") as raised:
        translate("SELCT 1")
    assert raised.value.hint == "did you mean SELECT?"


@pytest.mark.parametrize(
    "sql", ["SELECT FORMAT_NUMBER(x, 2) FROM t", "SELECT format('%05d', 1)", "SELECT format(x, 1)"]
)
def test_formats_that_cannot_be_had_name_those_that_can(sql: str) -> None:
    with pytest.raises(ConfigurationError, match="format\\("):
        translate(sql)


@pytest.mark.parametrize("sql", REFUSED)
def test_what_writes_is_not_sent_to_athena(sql: str) -> None:
    with pytest.raises(ConfigurationError, match="only read-only statements are allowed"):
        reading_statement(sql)


@pytest.mark.parametrize(
    ("before", "sql", "after"),
    [
        ("", "SELECT 1", ""),
        ("/* DROP TABLE x; */ ;", "SELECT ';'", ";; -- done"),
        ("-- café\n ", "SELECT 'é' FROM", "\n;"),
        ("", "SELECT * FROM t MATCH_RECOGNIZE (", ""),
        ("", "(SELECT 1)", ""),
        ("", "TABLE t", ";"),
        ("", "EXPLAIN (TYPE VALIDATE, FORMAT JSON) SELECT 1", ""),
        ("-- x\n", "SHOW CREATE TABLE t", "; -- x"),
        ("", "SHOW PARTITIONS t", ""),
        ("", "DESCRIBE `a-b`.t", ""),
    ],
)
def test_what_reads_is_sent_to_athena_as_it_stands(before: str, sql: str, after: str) -> None:
    assert reading_statement(before + sql + after) == (sql, len(before))


def test_explaining_what_writes_is_not_sent_either() -> None:
    with pytest.raises(ConfigurationError, match=r"found INSERT at line 2, column 1: INSERT"):
        reading_statement("EXPLAIN (TYPE VALIDATE)\nINSERT INTO t SELECT 1")


def test_quotes_that_are_never_closed_are_told_before_anything_is_sent() -> None:
    with pytest.raises(ConfigurationError, match=r"string is not closed, at line 1, column 8"):
        reading_statement("SELECT 'x")
