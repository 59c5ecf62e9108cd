"""Parameters become literals, whatever their values are, and nothing else of a statement changes."""

from collections.abc import Mapping

import duckdb
import pytest
import sqlglot
from hypothesis import given
from hypothesis import strategies as st
from sqlglot import TokenType, exp

from shopease_etl.errors import ConfigurationError
from shopease_etl.warehouse.dialect import translate
from shopease_etl.warehouse.parameters import bind, parameters_in

EVERYWHERE = """-- :comment
SELECT ':text', "a:quoted", é AS "é", x::integer, json_object('k':v), /* :remark */ DATE :day, 'it''s :text'
FROM t WHERE a = :a AND b BETWEEN :from AND :a AND c LIKE :c LIMIT :n"""


def test_only_parameters_are_parameters() -> None:
    assert parameters_in(EVERYWHERE) == ("day", "a", "from", "c", "n")
    assert parameters_in("EXPLAIN (TYPE LOGICAL)\nSELECT :a, ':b'") == ("a",)
    assert parameters_in("SELECT 1") == ()


@pytest.mark.parametrize(
    ("value", "literal"),
    [
        ("5", "5"),
        ("-12.50", "-12.50"),
        ("0", "0"),
        ("007", "'007'"),
        ("1e3", "'1e3'"),
        ("٣", "'٣'"),
        ("2024-01-31", "DATE '2024-01-31'"),
        ("'2024-01-31'", "'2024-01-31'"),
        ("'5'", "'5'"),
        ("'it''s'", "'it''s'"),
        ("'", "''''"),
        ("'a' OR 'b'", "'''a'' OR ''b'''"),
        ("2024-01", "'2024-01'"),
        ("", "''"),
        ("NULL", "'NULL'"),
        ("a\nb", "'a\nb'"),
    ],
)
def test_the_type_of_a_value(value: str, literal: str) -> None:
    assert bind("SELECT :x, (:x)", {"x": value}) == f"SELECT  {literal} , ( {literal} )"


def test_the_literal_after_a_type_is_a_text() -> None:
    assert bind("SELECT DATE :d, INTERVAL :n DAY", {"d": "2024-01-31", "n": "5"}) == (
        "SELECT DATE  '2024-01-31' , INTERVAL  '5'  DAY"
    )


def test_the_rest_of_the_statement_stays() -> None:
    values = {"day": "2024-01-31", "a": "x", "from": "y", "c": "z", "n": "3"}
    bound = bind(EVERYWHERE, values)
    for text in ("-- :comment\n", "':text'", '"a:quoted"', "x::integer", "json_object('k':v)", "/* :remark */"):
        assert text in bound
    assert bind("SELECT 'a:b' -- :c", {}) == "SELECT 'a:b' -- :c"


@pytest.mark.parametrize(
    ("sql", "values", "message", "hint"),
    [
        ("SELECT :a", {}, "no value for the parameter a of", "--param a=VALUE"),
        ("SELECT :a, :b, :a", {}, "no value for the parameters a, b of", "--param a=VALUE --param b=VALUE"),
        ("SELECT :month", {"mnth": "1"}, "no parameter mnth", "did you mean month"),
        ("SELECT 1", {"a": "1"}, "no parameter a", "it has none"),
        ("SELECT :a", {"a": "2024-02-30"}, "a is not a day: 2024-02-30", "a='2024-02-30'"),
        ("SELECT :a", {"a": "\udc80"}, "parameter a is not UTF-8 text", ""),
        ("SELECT :a, 'b", {"a": "1"}, "string is not closed, at line 1, column 12", "add the closing '"),
        ("EXPLAIN\nSELECT :a, 'b", {"a": "1"}, "string is not closed, at line 2, column 12", "add the closing '"),
    ],
)
def test_wrong_parameters_are_named(sql: str, values: Mapping[str, str], message: str, hint: str) -> None:
    with pytest.raises(ConfigurationError, match=message) as raised:
        bind(sql, values)
    assert hint in (raised.value.hint or "")


VALUES = st.text(st.characters(codec="utf-8"), max_size=20) | st.text("'\"-/*;:\\\n 10", max_size=12)


@given(st.lists(VALUES, min_size=2, max_size=2))
def test_no_value_changes_the_structure_of_a_statement(values: list[str]) -> None:
    sql = "/* é */ SELECT 1-:a AS \"ü\", :b -- :a\n, x FROM t WHERE ':b' = :b"
    given_values = dict(zip("ab", values, strict=True))
    try:
        bound = bind(sql, given_values)
    except ConfigurationError as error:
        assert "is not a day" in str(error)
        return
    expected = [
        token.token_type for token in sqlglot.tokenize(sql.replace(":a AS", "0 AS").replace(":b", "0"), "trino")
    ]
    literals = {TokenType.STRING, TokenType.NUMBER}
    found = sqlglot.tokenize(bound, read="trino")
    # the type and the sign of a literal are tokens of their own
    kept = [
        TokenType.NUMBER if token.token_type in literals else token.token_type
        for number, token in enumerate(found)
        if token.token_type != TokenType.DATE and not (token.token_type == TokenType.DASH and number > 2)
    ]
    assert kept == [TokenType.NUMBER if kind in literals else kind for kind in expected]


@given(VALUES.filter(lambda text: "\0" not in text))
def test_a_text_in_quotes_arrives_as_it_is(value: str) -> None:
    quoted = "'" + value.replace("'", "''") + "'"
    (statement,) = sqlglot.parse(bind("SELECT :x", {"x": quoted}), read="athena")
    assert isinstance(statement, exp.Select)
    assert statement.expressions[0].name == value
    rows = duckdb.execute(translate(bind("SELECT :x AS x", {"x": quoted}))).fetchall()
    assert rows == [(value,)]
