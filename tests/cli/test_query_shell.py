"""The shell of `shopease query`, on a real terminal and a real lake."""

import csv
import io
import json
import os
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

import polars as pl
import pytest

from commands import Shop, on_a_terminal
from terminals import CTRL_C, CTRL_D, ENTER, TAB, UP, Terminal, terminal
from test_extras import without

PROMPT: Final = "^shopease>"
ENDLESS: Final = (
    "SELECT COUNT(*) FROM transactions a CROSS JOIN transactions b CROSS JOIN transactions c CROSS JOIN transactions d "
    "WHERE a.total_amount + b.total_amount > c.total_amount + d.total_amount;"
)


@contextmanager
def shell(shop: Shop, *arguments: str, **more: str) -> Iterator[Terminal]:
    """A shell that waits for its first line."""
    with terminal(shop, "query", *arguments, **more) as opened:
        opened.expect(PROMPT)
        yield opened


def entered(opened: Terminal, text: str, until: str = PROMPT) -> str:
    """What the shell wrote after a line, up to its next prompt."""
    opened.type(text, ENTER)
    return opened.expect(until)


def test_statements_over_several_lines_and_errors_until_the_user_leaves(shop: Shop) -> None:
    with shell(shop) as opened:
        assert "26 tables and views of lake" in opened.text
        opened.type("SELECT 1 + 1 AS two, ';' AS a -- ;", ENTER)
        opened.expect("^ +->")
        shown = entered(opened, "WHERE 1 = 1;", r"1 row, \d+\.\d\d s")
        assert re.search(r"^two  a\n-+\n  2  ;$", shown, re.MULTILINE)
        assert "there is no column nope at line 1" in entered(opened, "SELECT nope FROM stores;", "hint: ")
        assert "there is no command \\nope" in entered(opened, r"\nope", "hint: ")
        opened.expect(PROMPT)
        assert "did you mean stores" in entered(opened, r"\d store", "hint: .*")
        opened.expect(PROMPT)
        opened.type("SELECT 'not closed", ENTER, "here;", ENTER, CTRL_C)
        opened.expect(PROMPT)
        both = entered(opened, "SELEC 1; SELECT 'second' AS b;", "1 row, ")
        assert "did you mean SELECT" in both
        assert re.search("^second$", both, re.MULTILINE)
        opened.expect(PROMPT)
        opened.type(CTRL_D)
        assert opened.end() == 0


@pytest.mark.parametrize("word", [r"\q", "exit", "quit;"])
def test_a_word_leaves(shop: Shop, word: str) -> None:
    with shell(shop) as opened:
        opened.type(word, ENTER)
        assert opened.end() == 0


def test_tables_and_columns_are_described_as_in_sql(shop: Shop) -> None:
    described = shop.run("query", "DESCRIBE transactions", "--json").done().document["rows"]
    with shell(shop) as opened:
        entered(opened, r"\d")
        listed = re.findall(r"^(\w+) +(table|view) +(\w+)", opened.text, re.MULTILINE)
        assert len(listed) == 26
        assert ("transactions", "view", "Sales") in listed
        columns = entered(opened, r"\d shopease_catalog.transactions")
    shown = dict(re.findall(r"^(\w+) +([\w(),]+)", columns, re.MULTILINE))
    assert {row["col_name"]: row["data_type"] for row in described}.items() <= shown.items()


def test_tab_completes_names_and_keywords(shop: Shop) -> None:
    with shell(shop) as opened:
        for typed, completed in (
            ("SELEC", "SELECT"),
            (" s.cit", r"s\.city"),
            (" FROM stores s wher", "where"),
            (" store_n", "store_name"),
            (" <> '' ORDER BY store_i", "store_id"),
        ):
            opened.type(typed, TAB)
            opened.expect(completed)
        opened.type(" LIMIT 2;", ENTER)
        opened.expect("^2 rows, ")
        opened.expect(PROMPT)
        for typed, completed, shown in (
            (r"\d product_p", "product_performance", "product_id +bigint"),
            (r"\n store-m", "store-mix", "^6 rows "),
        ):
            opened.type(typed, TAB)
            opened.expect(completed)
            entered(opened, "", shown)
            opened.expect(PROMPT)


def test_vertical_and_files(shop: Shop, tmp_path: Path) -> None:
    sql = "SELECT store_id, city FROM stores ORDER BY store_id LIMIT 2"
    expected = shop.run("query", sql, "--json").done().document["rows"]
    with shell(shop) as opened:
        entered(opened, r"\x", "on")
        opened.expect(PROMPT)
        assert len(re.findall(r"^store_id  \d+$", entered(opened, f"{sql};", "2 rows, "), re.MULTILINE)) == 2
        for suffix in ("csv", "json", "parquet"):
            opened.expect(PROMPT)
            entered(opened, rf"\o {tmp_path}/a.{suffix}")
            entered(opened, f"{sql};", f"Wrote 2 rows to {tmp_path}/a.{suffix}")
        opened.expect(PROMPT)
        entered(opened, f"{sql};", "^store_id  ")
        opened.expect(PROMPT)
        entered(opened, rf"\o {tmp_path}/b.csv", "next result goes to .*b.csv")
        opened.expect(PROMPT)
        entered(opened, r"\o", "next result goes to the terminal")
        opened.expect(PROMPT)
        entered(opened, f"{sql};", "^store_id  ")
        opened.expect(PROMPT)
        entered(opened, r"\o a.txt", r"a\.txt does not end with a format")
        opened.expect(PROMPT)
        entered(opened, r"\o lake/a.csv", r"\\o lake/a\.csv is inside the lake")
    read = [dict(row) for row in csv.DictReader(io.StringIO((tmp_path / "a.csv").read_text()))]
    assert read == [{name: str(value) for name, value in row.items()} for row in expected]
    assert json.loads((tmp_path / "a.json").read_text()) == expected
    assert pl.read_parquet(tmp_path / "a.parquet").to_dicts() == expected
    assert not (tmp_path / "b.csv").exists()


def test_queries_with_names_and_parameters(shop: Shop, tmp_path: Path) -> None:
    (tmp_path / "city.sql").write_text("-- Stores in :city\nSELECT store_id FROM stores WHERE city = :city LIMIT :n")
    city = shop.run("query", "SELECT city FROM stores ORDER BY 1", "--json").done().document["rows"][0]["city"]
    with shell(replace(shop, more={"SHOPEASE_QUERIES": str(tmp_path)}), "--param", "n=1") as opened:
        assert re.search("^city +Stores in :city +city n", entered(opened, r"\n"), re.MULTILINE)
        assert "\\p city=VALUE" in entered(opened, r"\n city")
        entered(opened, rf"\n city city='{city}'", "^1 row, ")
        opened.expect(PROMPT)
        assert "city has no parameter town" in entered(opened, r"\n city town=x")
        assert "there is no query named cit" in entered(opened, r"\n cit")
        assert "x is not a parameter with its value" in entered(opened, r"\p x")
        assert "is given twice" in entered(opened, r"\p x=1 x=2")
        entered(opened, rf"\p city='it''s {city}' day=2024-01-31", "^city +'it''s ")
        opened.expect(PROMPT)
        shown = entered(opened, "SELECT :city AS a, :day AS b, :n AS n;", "1 row, ")
        assert re.search(rf"^it's {city}  2024-01-31  1$", shown, re.MULTILINE)


def test_ctrl_c_cancels_a_statement_and_the_shell_goes_on(shop: Shop) -> None:
    with shell(shop) as opened:
        for number in range(2):
            opened.type(ENDLESS, ENTER)
            opened.wait_until_busy()
            opened.type(CTRL_C)
            opened.expect(r"Cancelled\.")
            opened.expect(PROMPT)
            entered(opened, f"SELECT 'still {number}' AS here;", f"^still {number}")
            opened.expect(PROMPT)
        opened.type("SELECT 'cleared'", CTRL_C)
        opened.expect(PROMPT)
        assert "cleared" not in entered(opened, "SELECT 'kept' AS a;", "1 row, ").partition("kept")[2]
        opened.expect(PROMPT)
        opened.type(CTRL_D)
        assert opened.end() == 0


@pytest.mark.parametrize("when", ["at the prompt", "while it reads the history", "in a statement"])
def test_sigterm_ends_the_shell(shop: Shop, when: str) -> None:
    if when == "while it reads the history":
        history = shop.folder / "home" / "query_history"
        history.write_text("\n# then\n+SELECT 1;\n" * 500_000)
    with shell(shop) as opened:
        if when == "in a statement":
            opened.type(ENDLESS, ENTER)
            opened.wait_until_busy()
        opened.process.send_signal(signal.SIGTERM)
        assert opened.end() == 130
        assert not re.search("Traceback|ENTER", opened.text)


def test_a_terminal_that_closes_ends_the_shell(shop: Shop) -> None:
    with shell(shop) as opened:
        os.close(opened.descriptor)
        try:
            assert opened.process.wait(30) in {0, 130}
        finally:
            opened.descriptor = os.open(os.devnull, os.O_RDONLY)


def test_the_history_stays_and_only_its_user_can_read_it(shop: Shop) -> None:
    with shell(shop) as opened:
        entered(opened, "SELECT 'remembered'\n\rAS a;", "1 row, ")
        opened.expect(PROMPT)
        opened.type(CTRL_D)
        assert opened.end() == 0
    assert (shop.folder / "home" / "query_history").stat().st_mode & 0o777 == 0o600
    with shell(shop) as opened:
        opened.type(UP, ENTER)
        assert re.search("^remembered$", opened.expect("1 row, "), re.MULTILINE)


def test_a_long_result_stops_without_a_pager_and_goes_through_one(shop: Shop) -> None:
    sql = "SELECT transaction_id FROM transactions ORDER BY 1;"
    with shell(shop) as opened:
        shown = entered(opened, sql, r"install less\.")
        assert re.search(r"the first 1,000 of \d+,\d+ rows, ", shown)
        assert len(re.findall(r"^ *\d+$", shown, re.MULTILINE)) == 1000
    with shell(shop, PAGER="sed s/^/PAGED:/") as opened:
        shown = entered(opened, sql, r"^\d+,\d+ rows, ")
        assert len(re.findall(r"^PAGED: *\d+$", shown, re.MULTILINE)) > 1000


def test_there_are_no_colours_if_nobody_wants_them(shop: Shop) -> None:
    with shell(shop, NO_COLOR="1") as opened:
        opened.type("SELECT stor", TAB)
        opened.expect("store_name")  # in the menu
        opened.type("_id, NULL AS b FROM stores LIMIT 1;", ENTER)
        opened.expect("1 row, ")
        opened.expect(PROMPT)
    styles = {code for codes in re.findall(rb"\x1b\[([\d;]*)m", opened.written) for code in codes.split(b";")}
    assert [code for code in styles if re.fullmatch(rb"[349]\d|10\d|38|48", code)] == []


def test_without_its_package_or_a_terminal_a_statement_is_asked_for(shop: Shop, tmp_path: Path) -> None:
    bare = replace(shop, more={**without(tmp_path, "prompt_toolkit"), "TERM": "xterm"})
    ended = on_a_terminal(bare, "query")
    assert (ended.code, "pip install 'shopease[shell]'" in ended.stdout.replace("\n  ", " ")) == (2, True)
    for arguments, term in ((("query",), "dumb"), (("query", "--json"), "xterm")):
        ended = on_a_terminal(replace(shop, more={"TERM": term}), *arguments)
        assert (ended.code, "no statement given" in ended.stdout) == (2, True)
    ended = on_a_terminal(replace(shop, more={"TERM": "xterm"}), "query", "")
    assert (ended.code, "there is no SQL statement" in ended.stdout) == (2, True)
