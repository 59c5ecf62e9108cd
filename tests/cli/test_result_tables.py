"""Results of queries on terminals of any width: values are never cut, and control characters are escaped."""

import io
import re
import tempfile
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Final

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from hand_made_lake import asked, crawled_lake
from shopease_etl.cli.result_formats import as_text
from shopease_etl.cli.result_tables import ResultTable
from shopease_etl.errors import UnreachableError
from shopease_etl.escaping import escaped, json_escaped
from shopease_etl.stages.named_queries import shipped_queries
from shopease_etl.warehouse.local_catalog import load

WIDTHS: Final = (20, 40, 60, 80, 100, 120, 200)
WIDE: Final = pa.table(
    {
        "名前": ["東京都千代田区", "a\u0301", "👩‍💻", None],
        "amount": pa.array([Decimal("1756.00"), Decimal("-0.01"), None, Decimal(10) ** 15], pa.decimal128(18, 2)),
        "day": [date(2024, 1, 2), None, date(2024, 12, 31), date(1, 1, 1)],
        "key": ["20261128T181139.497886Z-13a5", "x" * 90, "[red]bold[/red]", "two words " * 12],
    }
)


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return crawled_lake(tmp_path_factory.mktemp("lake"))


def drawn(table: pa.Table, width: int) -> list[str]:
    """The lines for a terminal of this width, as the command chooses their form."""
    reader = pa.RecordBatchReader.from_batches(table.schema, table.to_batches(max_chunksize=2))
    with ResultTable(reader) as result:
        assert result.rows == table.num_rows
        return list(result.lines(width, vertical=result.width > width))


def whole(table: pa.Table, lines: list[str], width: int) -> None:
    """Asserts that each value is in the lines as CSV has it, and that nothing but a long word passes the width."""
    text = "\n".join(lines)
    flowing = re.sub(r"\s+", " ", text)
    for column in table.columns:
        for value in as_text(column.combine_chunks()).to_pylist():
            shown = "NULL" if value is None else escaped(value)
            assert shown in text if cell_len(shown) <= 40 else re.sub(r"\s+", " ", shown).strip() in flowing, shown
    assert all(cell_len(line) <= width or " " not in line.strip() or len(line) < 60 for line in lines)
    assert text.replace("\n", "").isprintable()


def result_of(lake: Path, sql: str) -> pa.Table:
    with asked(sql, lake, lake.parent / "catalog.json") as result:
        return result.reader.read_all()


def test_no_value_of_any_table_or_shipped_query_is_cut_at_any_width(lake: Path) -> None:
    catalog = load(lake.parent / "catalog.json")
    names = [table.name for table in catalog.tables] + [view.name for view in catalog.views]
    assert len(names) > 15
    statements = [f'SELECT * FROM shopease_catalog."{name}"' for name in names]
    for sql in (*statements, *(query.sql for query in shipped_queries())):
        table = result_of(lake, sql)
        for width in WIDTHS[1:]:
            whole(table, drawn(table, width), width)


@pytest.mark.parametrize("width", WIDTHS)
def test_wide_and_long_values_are_not_cut(width: int) -> None:
    lines = drawn(WIDE, width)
    whole(WIDE, lines, width)
    assert any("[red]bold[/red]" in line for line in lines)


@pytest.mark.parametrize("text", ["漢字", "e\u0301", "👍", "plain"])
def test_columns_are_aligned_whatever_the_width_of_characters(text: str) -> None:
    lines = drawn(pa.table({"a": [text, "x"], "b": [1, 22]}), 80)
    assert {cell_len(line) for line in lines} == {cell_len(lines[0])}


@settings(max_examples=50)
@given(
    st.lists(st.tuples(st.none() | st.text(max_size=60), st.integers(-(2**63), 2**63 - 1)), max_size=4),
    st.text(min_size=1, max_size=30),
    st.sampled_from(WIDTHS),
)
def test_control_characters_never_reach_the_terminal(rows: list[tuple[str | None, int]], name: str, width: int) -> None:
    texts, numbers = [text for text, _ in rows], [number for _, number in rows]
    table = pa.table([pa.array(texts, pa.string()), pa.array(numbers, pa.int64())], [name, "n"])
    lines = drawn(table, width)
    assert not any(re.search("[\\x00-\\x1f\\x7f-\\x9f\u202a-\u202e\u2066-\u2069\u200b]", line) for line in lines)
    assert [number for number in numbers if not any(str(number) in line for line in lines)] == []


@pytest.mark.parametrize(
    ("text", "shown", "as_json"),
    [
        ("a\x1b[2Jb", r"a\x1b[2Jb", r"a\u001b[2Jb"),
        ("\x9b31m", r"\x9b31m", r"\u009b31m"),
        ("\u202egnp.exe", r"\u202egnp.exe", r"\u202egnp.exe"),
        ("\u2066x\u2069", r"\u2066x\u2069", r"\u2066x\u2069"),
        ("zero\u200bwidth", r"zero\u200bwidth", r"zero\u200bwidth"),
        ("\U000e0041", r"\U000e0041", r"\udb40\udc41"),
        ("a\tb\r\nc", r"a\tb\r\nc", "a\\tb\\r\nc"),
        ("é 漢字\u3000\u00a0👍", "é 漢字\u3000\u00a0👍", "é 漢字\u3000\u00a0👍"),
    ],
)
def test_characters_that_do_not_print_are_escaped(text: str, shown: str, as_json: str) -> None:
    assert escaped(text) == shown
    assert json_escaped(text) == as_json


def test_a_full_disk_for_temporary_files_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda: io.FileIO("/dev/full", "w"))
    table = pa.table({"a": ["x" * 1000] * 1000})
    with pytest.raises(UnreachableError, match=r"cannot write temporary files to .*: No space left"):
        ResultTable(pa.RecordBatchReader.from_batches(table.schema, table.to_batches()))
