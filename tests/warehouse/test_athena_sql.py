"""What passes and what is refused, with its place; what passes gives Trino's answer on DuckDB."""

import re
from collections.abc import Iterator
from decimal import Decimal

import pytest
import trino_answers
from hypothesis import given
from hypothesis import strategies as st

from shopease_etl.errors import ConfigurationError
from shopease_etl.warehouse.dialect import reading_statement, translate
from shopease_etl.warehouse.duckdb import Engine


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    with Engine(tmp_path_factory.mktemp("lake"), "shopease_catalog") as engine:
        yield engine


@pytest.mark.parametrize(
    ("expression", "expected"), [answer for answers in trino_answers.ANSWERS.values() for answer in answers]
)
def test_duckdb_answers_as_trino_does(engine: Engine, expression: str, expected: object) -> None:
    (answer,) = engine.query(f"SELECT {expression} AS answer").read_all().column("answer").to_pylist()
    if isinstance(expected, list) and isinstance(expected[0], tuple):
        answer = [tuple(item.values()) if isinstance(item, dict) else item for item in answer]
    assert answer == expected
    assert type(answer) is type(expected)
    if isinstance(expected, Decimal):
        assert str(answer) == str(expected)


@given(st.text("aé🛒", max_size=4), st.integers(-6, 6), st.none() | st.integers(-2, 6))
def test_substr_counts_from_one_or_from_the_end(engine: Engine, text: str, start: int, length: int | None) -> None:
    first = start - 1 if start > 0 else len(text) + start
    is_inside = start != 0 and 0 <= first < len(text)
    expected = text[first : None if length is None else first + max(length, 0)] if is_inside else ""
    call = f"substr('{text}', {start})" if length is None else f"substr('{text}', {start}, {length})"
    assert engine.query(f"SELECT {call} AS s").read_all().to_pylist() == [{"s": expected}]


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
        ("-- a plan\nEXPLAIN SELECT (1", "unexpected end of the statement, expected ), at line 2, column 17"),
        ("SELECT lower(a, b) FROM t", "too many arguments, at line 1, column 18"),
        ("SELECT upper() FROM t", "too few arguments, at line 1, column 14"),
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


def test_no_statement_names_what_one_begins_with() -> None:
    with pytest.raises(ConfigurationError, match="there is no SQL statement") as raised:
        translate(";")
    assert (raised.value.hint or "").endswith("DESCRIBE or EXPLAIN")


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
