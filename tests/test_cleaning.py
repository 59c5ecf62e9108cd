"""Cleaning's laws: every row ends in one half, twice is once, and values survive exactly."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from decimal import ROUND_HALF_UP, Decimal
from io import BytesIO
from pathlib import Path
from tempfile import gettempdir

import narwhals.stable.v2 as nw
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shopease_etl import cleaning, grammar
from shopease_etl.batches import Piece
from shopease_etl.cleaning import KEY
from shopease_etl.deduplication import deduplicated
from shopease_etl.spilling import Spill
from shopease_etl.stages.clean import Parting
from shopease_etl.tables import (
    BIGINT,
    CLEANED_TABLES,
    CUSTOMERS,
    MONEY,
    PRODUCTS,
    ROW,
    STRING,
    TIMESTAMP,
    TRANSACTIONS,
    Table,
)

texts = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=12)
dirty_texts = (
    st.none() | st.sampled_from(["", " ", "1", "2", "-1", "0", " +2 ", "1.005", "abc", "\u00a0x \n y"]) | texts
)
stamps = st.none() | st.sampled_from(
    ["2024-02-29 10:00:00", "2024-02-29T11:00:00+01", "2024-02-29 10:00:00.5", "2023-02-29", "infinity", "2024-03-01"]
)


def rows_of(table: Table) -> st.SearchStrategy[list[dict[str, str | None]]]:
    columns = {column.name: stamps if column.name.endswith("_at") else dirty_texts for column in table.columns} | {
        "extra": dirty_texts
    }
    return st.lists(st.fixed_dictionaries(columns), max_size=12)


def bronze(rows: list[dict[str, str | None]], table: Table) -> pl.DataFrame:
    schema = {column.name: pl.String for column in table.columns} | {"extra": pl.String}
    return pl.DataFrame(rows, schema=schema).with_row_index(ROW)


class Frame:
    """A frame as rows in pieces of a few rows."""

    def __init__(self, frame: pl.DataFrame, size: int) -> None:
        self._frame = frame
        self._size = size

    def pieces(self) -> Iterator[Piece]:
        return (Piece(start, self._size) for start in range(0, self._frame.height, self._size))

    def frame(self, piece: Piece, columns: Sequence[str] | None = None) -> pl.DataFrame:
        return self._frame.slice(piece.start, piece.length).select(columns or pl.all())

    def some(self, piece: Piece, places: pl.Series) -> pl.DataFrame:
        return self.frame(piece)[places]


def cleaned(
    frame: pl.DataFrame, table: Table, size: int = 5, budget: int = 1_000_000
) -> tuple[pl.DataFrame, pl.DataFrame]:
    rows = Frame(frame.drop(ROW), size)
    with ThreadPoolExecutor(2) as pool, Spill(KEY, Path(gettempdir()), budget) as spill:
        found = deduplicated(rows, table, pool, spill, 3)
    assert sum(piece.rows for piece in found.pieces) == frame.height
    parting = Parting(table, rows.frame(Piece(0, 0)).columns, "run")
    nothing = parting.part(frame.clear(), found.lost.clear())
    parts = [
        parting.part(rows.frame(piece).with_row_index(ROW, piece.first), found.lost_in(piece)) for piece in found.pieces
    ]
    silver = pl.concat([nothing.silver, *(half.silver for half in parts)])
    quarantine = pl.concat([nothing.quarantine, *(half.quarantine for half in parts)])
    assert silver.height + quarantine.height == frame.height
    return silver, quarantine


def read_again(silver: pl.DataFrame) -> pl.DataFrame:
    return pl.read_csv(BytesIO(silver.write_csv().encode()), infer_schema=False).with_row_index(ROW)


@pytest.mark.parametrize("table", CLEANED_TABLES, ids=lambda table: table.name)
@settings(max_examples=60, deadline=None)
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
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_pieces_of_any_size_are_cleaned_alike_and_keys_may_be_on_disk(table: Table, data: st.DataObject) -> None:
    source = bronze(data.draw(rows_of(table)), table)
    whole = cleaned(source, table, size=1_000)
    for halves in (cleaned(source, table, size=data.draw(st.integers(1, 4))), cleaned(source, table, budget=0)):
        assert [half.rows() for half in halves] == [half.rows() for half in whole]


plain_values = {
    BIGINT: st.none() | st.integers(-3, 10**9).map(str),
    MONEY: st.none() | st.decimals(0, 2_000_000, places=2).map(str),
    TIMESTAMP: stamps,
    STRING: st.none() | st.sampled_from(["ANN LEE", "a@b.c", "Tea  x", "x,y", 'q"', "Straße", "~"]) | texts,
}


@pytest.mark.parametrize("table", CLEANED_TABLES, ids=lambda table: table.name)
@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_plain_rows_come_out_as_if_they_were_judged(table: Table, data: st.DataObject) -> None:
    """A row with blanks around its values is not plain, and must come out the same."""
    fields = {column.name: plain_values[column.type] for column in table.columns}
    rows = data.draw(st.lists(st.fixed_dictionaries({**fields, "extra": dirty_texts}), max_size=12))
    source = bronze(rows, table)
    padded = source.with_columns((" " + pl.col(name) + " ").alias(name) for name in fields)
    (silver, rejected), (silver_of_padded, rejected_too) = cleaned(source, table), cleaned(padded, table)
    assert silver.rows() == silver_of_padded.rows()
    assert rejected["rejected_rule"].to_list() == rejected_too["rejected_rule"].to_list()


integers = st.text(st.sampled_from("0123456789+-_ .e\u0663\u00a0"), max_size=21) | st.integers().map(str)


@settings(max_examples=400, deadline=None)
@given(integers)
def test_what_polars_takes_for_an_integer_is_one_of_the_grammar(text: str) -> None:
    column = pl.Series([text])
    value = column.cast(pl.Int64, strict=False)
    if value.is_null().item():
        return
    assert column.str.contains(grammar.INTEGER).item()
    assert int(text) == value.item()


@pytest.mark.parametrize("table", CLEANED_TABLES, ids=lambda table: table.name)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_cleaning_twice_is_cleaning_once(table: Table, data: st.DataObject) -> None:
    once, _ = cleaned(bronze(data.draw(rows_of(table)), table), table)
    calculated = [column.name for column in table.calculated]
    twice, rejected = cleaned(read_again(once).drop(calculated), table)
    assert twice.write_csv() == once.write_csv()
    assert rejected.is_empty()


@given(st.decimals(min_value=-(10**15), max_value=10**15, allow_nan=False, allow_infinity=False))
def test_money_rounds_half_away_from_zero(value: Decimal) -> None:
    assert money_of(f"{value:f}") == value.quantize(Decimal("0.01"), ROUND_HALF_UP)


@pytest.mark.parametrize(
    ("text", "amount"),
    [("10.005", "10.01"), ("-10.005", "-10.01"), ("0.004999", "0.00"), ("+7", "7.00"), ("007.1", "7.10")],
)
def test_money(text: str, amount: str) -> None:
    assert money_of(text) == Decimal(amount)


@pytest.mark.parametrize("text", ["NaN", "1e2", ".5", "5.", "1,5", "", None, "99999999999999999"])
def test_what_is_no_number_is_no_money(text: str | None) -> None:
    assert money_of(text) is None


def sale(**fields: str | None) -> dict[str, str | None]:
    return {
        "transaction_id": "1",
        "store_id": "1",
        "customer_id": "1",
        "product_id": "1",
        "quantity": "1",
        "unit_price": "1.00",
        "created_at": "2024-01-01 10:00:00",
        **fields,
    }


@pytest.mark.parametrize(
    ("fields", "rule"),
    [
        ({"transaction_id": None}, "missing_transaction_id"),
        ({"transaction_id": "abc"}, "missing_transaction_id"),
        ({"quantity": None}, "nonpositive_quantity"),
        ({"quantity": "0"}, "nonpositive_quantity"),
        ({"quantity": "2.5"}, "nonpositive_quantity"),
        ({"unit_price": "0.004"}, "nonpositive_unit_price"),
        ({"unit_price": "NaN"}, "nonpositive_unit_price"),
        ({"created_at": "2023-02-29"}, "missing_created_at"),
        ({"transaction_id": None, "quantity": "0"}, "missing_transaction_id"),
    ],
)
def test_a_sale_is_rejected_by_the_first_rule_it_breaks(fields: dict[str, str | None], rule: str) -> None:
    valid, rejected = cleaned(bronze([sale(**fields)], TRANSACTIONS), TRANSACTIONS)
    assert valid.is_empty()
    assert rejected["rejected_rule"].to_list() == [rule]
    assert rejected["run_id"].to_list() == ["run"]


@pytest.mark.parametrize(
    ("stamps_of_rows", "winner"),
    [
        ([("2024-01-01 10:00:00", None), ("2024-01-01 10:00:00.1", None)], 1),
        ([("2024-06-01 12:30:00+02", None), ("2024-06-01 11:00:00+00", None)], 1),
        ([("2024-06-01 13:30:00+02", None), ("2024-06-01 11:30:00+00", None)], 0),
        ([(None, "2024-01-01"), (None, "2024-01-02")], 1),
        ([("infinity", "2024-01-02"), ("2020-01-01", "2024-01-01")], 1),
        ([("2024-01-01", "2024-01-01"), ("2024-01-01T00:00:00", "2024-01-01 00:00:00")], 0),
    ],
)
def test_the_latest_of_duplicates_stays(stamps_of_rows: list[tuple[str | None, str]], winner: int) -> None:
    rows = [
        sale(store_id=str(index), updated_at=updated, created_at=created or "2024-01-01")
        for index, (updated, created) in enumerate(stamps_of_rows)
    ]
    valid, rejected = cleaned(bronze(rows, TRANSACTIONS), TRANSACTIONS)
    assert valid["store_id"].to_list() == [str(winner)]
    assert rejected["rejected_rule"].to_list() == ["duplicate_transaction_id"]


def test_duplicates_are_judged_among_rows_that_keep_the_other_rules() -> None:
    rows = [sale(updated_at="2024-01-01"), sale(updated_at="2024-01-02", quantity="0")]
    valid, rejected = cleaned(bronze(rows, TRANSACTIONS), TRANSACTIONS)
    assert valid.height == 1
    assert rejected["rejected_rule"].to_list() == ["nonpositive_quantity"]


def test_text_is_standardised_and_extra_columns_keep_theirs() -> None:
    row: dict[str, str | None] = {
        "customer_id": "+007",
        "customer_name": "\u00a0straße \r\n\tx ",
        "email": " ΟΔΟΣ@X.GR",
        "city": " \n ",
        "extra": " a\r\nb\rc\n ",
    }
    valid, _ = cleaned(bronze([row], CUSTOMERS), CUSTOMERS)
    kept = valid.row(0, named=True)
    assert kept["customer_id"] == "7"
    assert kept["customer_name"] == "STRASSE X"
    assert kept["email"] == "οδος@x.gr"
    assert kept["city"] is None
    assert kept["extra"] == " a b c  "


def test_a_source_column_with_a_calculated_name_travels_along() -> None:
    frame = bronze([sale(quantity="2")], TRANSACTIONS).with_columns(pl.lit("mine").alias("total_amount"))
    valid, rejected = cleaned(frame, TRANSACTIONS)
    assert valid.columns == [*TRANSACTIONS.silver_order, "extra", "source_total_amount"]
    assert valid.row(0, named=True)["total_amount"] == Decimal("2.00")
    assert valid["source_total_amount"].to_list() == ["mine"]
    assert "total_amount" in rejected.columns


def test_a_foreign_key_that_is_no_integer_stays_as_it_is() -> None:
    valid, _ = cleaned(bronze([sale(customer_id=" x1 ", product_id="+03")], TRANSACTIONS), TRANSACTIONS)
    assert valid.select("customer_id", "product_id").row(0) == ("x1", "3")


def test_rules_bear_the_names_of_the_contract() -> None:
    assert [name for name, _ in cleaning.rules(PRODUCTS)] == [
        "missing_product_id",
        "missing_product_name",
        "nonpositive_price",
    ]


def money_of(text: str | None) -> Decimal | None:
    frame = nw.from_native(pl.DataFrame({"text": [text]}, schema={"text": pl.String}))
    amount: Decimal | None = frame.select(cleaning.money(nw.col("text"))).to_native().item()
    return amount
