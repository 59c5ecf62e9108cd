"""What is typed into the shell, as text: ends of statements, commands, arguments, and completions."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shopease_etl.cli.shell_text import Vocabulary, arguments_in, command_in, is_complete, statements_in
from shopease_etl.contract.tables import Column
from shopease_etl.warehouse.schema import ListedTable


@pytest.mark.parametrize(
    ("text", "complete"),
    [
        ("", True),
        (" \n", True),
        ("SELECT 1", False),
        ("SELECT 1;", True),
        ("SELECT 1; -- done", True),
        ("SELECT 1; /* done */ ", True),
        ("SELECT 1; SELECT 2", False),
        ("SELECT ';", False),
        ("SELECT ';'", False),
        ("SELECT ';';", True),
        ("SELECT 'it''s;", False),
        ('SELECT ";"', False),
        ("SELECT 1 -- ;", False),
        ("SELECT 1 /* ;", False),
        ("-- a remark", True),
        (r"\d", True),
        (r" \n name", True),
        ("exit", True),
        ("help;", True),
        ("help me", False),
    ],
)
def test_enter_runs_what_is_complete(text: str, complete: bool) -> None:
    assert is_complete(text) == complete


def test_statements_are_separated_by_semicolons_outside_of_strings_and_comments() -> None:
    text = "SELECT ';' AS \";\"; -- a; b\nSELECT /* ; */ 2;;\nSELECT 3"
    assert statements_in(text) == ["SELECT ';' AS \";\"", " -- a; b\nSELECT /* ; */ 2", "\nSELECT 3"]
    assert statements_in("; -- nothing\n ;") == []


@given(st.lists(st.sampled_from(["'a;b'", '"c;d"', "-- e;\n", "/* f; */", "x", " "]), min_size=1).map("".join))
def test_what_is_typed_is_run_whole(sql: str) -> None:
    statements = statements_in(f"SELECT {sql};SELECT 2;")
    assert statements == [f"SELECT {sql}", "SELECT 2"]


@pytest.mark.parametrize(
    ("text", "command"),
    [
        (r"\d", (r"\d", "")),
        (r" \d  stores ; ", (r"\d", "stores")),
        (r"\o a folder/a.csv", (r"\o", "a folder/a.csv")),
        ("EXIT;", (r"\q", "")),
        ("help", (r"\?", "")),
        ("help me", None),
        ("SELECT 1", None),
        ("", None),
    ],
)
def test_a_command_begins_with_a_backslash_or_is_a_word(text: str, command: tuple[str, str] | None) -> None:
    assert command_in(text) == command


def test_arguments_are_names_and_values() -> None:
    assert list(arguments_in("a=1 b='x y' c= d='it''s' e=a=b")) == [
        ("a", "1"),
        ("b", "'x y'"),
        ("c", ""),
        ("d", "'it''s'"),
        ("e", "a=b"),
    ]
    assert list(arguments_in("")) == []
    for text, word in (("a", "a"), ("a=1 b", "b"), ("a=1 =2", "=2"), ("'a'=1", "'a'=1")):
        with pytest.raises(ValueError, match=f"^{word}$"):
            list(arguments_in(text))


WORDS = Vocabulary(
    (
        ListedTable(
            "products",
            is_view=True,
            columns=(Column("product_id", "bigint"), Column("price", "decimal(18,2)")),
            folder="",
        ),
        ListedTable("stores", is_view=True, columns=(Column("store_id", "bigint"), Column("ä b", "string")), folder=""),
    ),
    {"store-mix": (), "store-sales": ("month", "city")},
)


@pytest.mark.parametrize(
    ("before", "after", "found"),
    [
        ("SEL", "", ["SELECT"]),
        ("sel", "", ["select"]),
        ("SELECT pr", "", ["price", "product_id", "products"]),
        ("SELECT pr", " FROM stores", ["products"]),
        ("SELECT * FROM shopease_catalog.pro", "", ["product_id", "products"]),
        ("SELECT stores.", " FROM stores", ['"ä b"', "store_id"]),
        ("SELECT s.st", " FROM stores s", ["store_id", "stores"]),
        ("SELECT ä", " FROM stores", ['"ä b"']),
        ("SELECT\n  STORE_I", " FROM stores", ["store_id"]),
        ("\\", "", ["\\?", "\\d", "\\n", "\\o", "\\p", "\\q", "\\x"]),
        (r"\d st", "", ["stores"]),
        (r"\n st", "", ["store-mix", "store-sales"]),
        (r"\n store-sales ", "", ["city=", "month="]),
        (r"\n store-sales city=x m", "", ["month="]),
        (r"\x ", "", []),
    ],
)
def test_completions(before: str, after: str, found: list[str]) -> None:
    completions = WORDS.completions(before, before + after)
    assert [text for text, _ in completions] == found
    for text, replaced in completions:
        typed = before[len(before) - replaced :]
        assert text.strip('"').lower().startswith(typed.lower())
