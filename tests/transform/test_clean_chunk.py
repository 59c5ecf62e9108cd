"""Cleaning's laws: every row ends in one half, twice is once, and the fast path changes nothing."""

from io import BytesIO

import polars as pl
import pytest
from bronze_rows import bronze, cleaned, dirty_texts, rows_of, stamps, texts
from hypothesis import given
from hypothesis import strategies as st

from shopease_etl.contract import values as grammar
from shopease_etl.contract.tables import BIGINT, CLEANED_TABLES, MONEY, ROW, STRING, TIMESTAMP, Table
from shopease_etl.transform import rules


def read_again(silver: pl.DataFrame) -> pl.DataFrame:
    return pl.read_csv(BytesIO(silver.write_csv().encode()), infer_schema=False).with_row_index(ROW)


@pytest.mark.parametrize("table", CLEANED_TABLES, ids=lambda table: table.name)
@given(data=st.data())
def test_every_row_ends_in_one_half_and_rejected_ones_as_they_were(table: Table, data: st.DataObject) -> None:
    source = bronze(data.draw(rows_of(table)), table)
    valid, rejected = cleaned(source, table)
    left = source.drop(ROW).rows()
    for row in rejected.select(source.drop(ROW).columns).iter_rows():
        left.remove(row)
    assert len(left) == valid.height
    assert valid[str(table.key)].is_unique().all()


@pytest.mark.parametrize("table", CLEANED_TABLES, ids=lambda table: table.name)
@given(data=st.data())
def test_chunks_of_any_size_are_cleaned_alike_and_keys_may_be_on_disk(table: Table, data: st.DataObject) -> None:
    source = bronze(data.draw(rows_of(table)), table)
    whole = cleaned(source, table, size=1_000)
    for halves in (cleaned(source, table, size=data.draw(st.integers(1, 4))), cleaned(source, table, budget=0)):
        assert [half.rows() for half in halves] == [half.rows() for half in whole]


odd_numbers = st.sampled_from(
    (
        *(
            "0",
            "-0",
            "007",
            "+7",
            "-3",
            "1.005",
            "0.004",
            "0.00",
            16 * "9",
            16 * "9" + ".99",
            16 * "9" + ".995",
            40 * "9",
        ),
        *("999999999", "1000000000", "999999.99", "1000000.00", "9223372036854775807", "-9223372036854775808"),
        *("9223372036854775808", " 5", "5.", "1e3", "NaN", "", " ", "\u0663"),
    )
)
plain_values = {
    BIGINT: st.none() | st.integers(-3, 10**9).map(str) | odd_numbers,
    MONEY: st.none() | st.decimals(0, 2_000_000, places=2).map(str) | odd_numbers,
    TIMESTAMP: stamps | st.sampled_from(["", " ", "2024-03-01 ", "x", "2024-03-01T10:00:00-0330"]),
    STRING: st.none() | st.sampled_from(["ANN LEE", "a@b.c", "Tea  x", "x,y", 'q"', "Straße", "~", "", " "]) | texts,
}


@pytest.mark.parametrize("table", CLEANED_TABLES, ids=lambda table: table.name)
@given(data=st.data())
def test_the_fast_path_gives_what_the_rules_give(table: Table, data: st.DataObject) -> None:
    fields = {column.name: plain_values[column.type] for column in table.columns}
    rows = data.draw(st.lists(st.fixed_dictionaries({**fields, "extra": dirty_texts}), max_size=12))
    source = bronze(rows, table)
    fast = cleaned(source, table)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rules, "already_clean", lambda rows, _: pl.Series([False] * rows.height, dtype=pl.Boolean))
        slow = cleaned(source, table)
    assert [half.rows() for half in fast] == [half.rows() for half in slow]


integers = st.text(st.sampled_from("0123456789+-_ .e\u0663\u00a0"), max_size=21) | st.integers().map(str)


@given(integers)
def test_what_polars_takes_for_an_integer_is_one_of_the_grammar(text: str) -> None:
    column = pl.Series([text])
    value = column.cast(pl.Int64, strict=False)
    if value.is_null().item():
        return
    assert column.str.contains(grammar.INTEGER).item()
    assert int(text) == value.item()


@pytest.mark.parametrize("table", CLEANED_TABLES, ids=lambda table: table.name)
@given(data=st.data())
def test_cleaning_twice_is_cleaning_once(table: Table, data: st.DataObject) -> None:
    once, _ = cleaned(bronze(data.draw(rows_of(table)), table), table)
    calculated = [column.name for column in table.calculated]
    twice, rejected = cleaned(read_again(once).drop(calculated), table)
    assert twice.write_csv() == once.write_csv()
    assert rejected.is_empty()
