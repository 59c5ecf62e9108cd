"""Cleaning's laws: every row ends in one half, twice is once, and values survive exactly."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from decimal import ROUND_HALF_UP, Decimal
from io import BytesIO
from pathlib import Path
from tempfile import gettempdir

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shopease_etl.contract import values as grammar
from shopease_etl.contract.tables import (
    BIGINT,
    CLEANED_TABLES,
    CUSTOMERS,
    MONEY,
    PRODUCTS,
    ROW,
    STRING,
    TIMESTAMP,
    TRANSACTIONS,
    Rule,
    Table,
)
from shopease_etl.stages.clean import RowSplitter
from shopease_etl.transform import rules
from shopease_etl.transform.chunks import Piece
from shopease_etl.transform.deduplicate import Deduplicated, deduplicated
from shopease_etl.transform.spill import Spill

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


def found_in(rows: Frame, table: Table, budget: int, zone: str = "UTC") -> Deduplicated:
    with ThreadPoolExecutor(2) as pool:
        return deduplicated(rows, table, pool, lambda column: Spill(column, Path(gettempdir()), budget), 3, zone=zone)


def cleaned(
    frame: pl.DataFrame, table: Table, size: int = 5, budget: int = 1_000_000, zone: str = "UTC"
) -> tuple[pl.DataFrame, pl.DataFrame]:
    rows = Frame(frame.drop(ROW), size)
    found = found_in(rows, table, budget, zone)
    assert sum(piece.rows for piece in found.pieces) == frame.height
    splitter = RowSplitter(table, rows.frame(Piece(0, 0)).columns, "run")
    nothing = splitter.split(frame.clear(), found.duplicates.clear())
    parts = [
        splitter.split(rows.frame(piece).with_row_index(ROW, piece.first), found.duplicates_in(piece))
        for piece in found.pieces
    ]
    silver = pl.concat([nothing.silver, *(half.silver for half in parts)])
    quarantine = pl.concat([nothing.quarantine, *(half.quarantine for half in parts)])
    assert silver.height + quarantine.height == frame.height
    return silver, quarantine


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
def test_pieces_of_any_size_are_cleaned_alike_and_keys_may_be_on_disk(table: Table, data: st.DataObject) -> None:
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


GOOD: dict[str, dict[str, str | None]] = {
    "customers": {"customer_id": "1", "customer_name": "Ann", "email": "a@b"},
    "products": {"product_id": "1", "product_name": "Tea", "price": "1.00"},
    "transactions": sale(),
}
NOTHING_LEFT = (None, "", " ", "\u00a0\t\r\n\f\x0b")
NO_BIGINT = (
    "abc",
    "2.0",
    "1e2",
    "1,000",
    "9" * 40,
    "9223372036854775808",
    "-9223372036854775809",
    "- 1",
    "\u0663",
    "NaN",
)
NO_MONEY = ("abc", "1e2", "Infinity", ".5", "5.", "9" * 40, "1" + 16 * "0", 16 * "9" + ".995", "-" + 16 * "9" + ".995")
BROKEN: dict[str, dict[str, Sequence[str | dict[str, str | None] | None]]] = {
    "customers": {
        "missing_customer_id": NOTHING_LEFT,
        "invalid_customer_id": NO_BIGINT,
        "missing_customer_name": NOTHING_LEFT,
        "missing_email": NOTHING_LEFT,
    },
    "products": {
        "missing_product_id": NOTHING_LEFT,
        "invalid_product_id": NO_BIGINT,
        "missing_product_name": NOTHING_LEFT,
        "missing_price": NOTHING_LEFT,
        "invalid_price": NO_MONEY,
        "nonpositive_price": ("0", "-0", "-0.00", "0.004", "-5", "-9999999999999999.99"),
    },
    "transactions": {
        "missing_transaction_id": NOTHING_LEFT,
        "invalid_transaction_id": NO_BIGINT,
        "missing_quantity": NOTHING_LEFT,
        "invalid_quantity": NO_BIGINT,
        "nonpositive_quantity": ("0", "-0", "-3", "-9223372036854775808"),
        "missing_unit_price": NOTHING_LEFT,
        "invalid_unit_price": NO_MONEY,
        "nonpositive_unit_price": ("0", "0.004", "-0.001", "-1"),
        "missing_created_at": NOTHING_LEFT,
        "invalid_created_at": ("2023-02-29", "infinity", "2024-01-01 24:00:00", "2024-01-01 10:00:00 +02", "x"),
        "invalid_total_amount": (
            {"quantity": "9223372036854775807", "unit_price": "9999999999999999.99"},
            {"quantity": "1000000000", "unit_price": "10000000.00"},
            {"quantity": "2", "unit_price": "5000000000000000"},
        ),
    },
}
CASES = [
    (table, rule, value if isinstance(value, dict) else {rule.split("_", 1)[1]: value})
    for table in CLEANED_TABLES
    for rule, values in BROKEN[table.name].items()
    for value in values
]


@pytest.mark.parametrize(("table", "rule", "fields"), CASES)
def test_a_row_is_rejected_by_the_rule_that_it_breaks(table: Table, rule: str, fields: dict[str, str | None]) -> None:
    valid, rejected = cleaned(bronze([GOOD[table.name] | fields], table), table)
    assert valid.is_empty()
    assert rejected.select("rejected_rule", "run_id", *fields).row(0) == (rule, "run", *fields.values())


@pytest.mark.parametrize("table", CLEANED_TABLES, ids=lambda table: table.name)
def test_rules_are_tried_in_the_contracts_order(table: Table) -> None:
    """Rows that break the last rules, the last but one as well, and so on to all: each is rejected by its first."""
    names = [name for name, _ in rules.rules(table)]
    assert names == list(BROKEN[table.name])
    broken = dict(GOOD[table.name])
    for name in reversed(names):
        value = BROKEN[table.name][name][0]
        broken |= value if isinstance(value, dict) else {name.split("_", 1)[1]: value}
        _, rejected = cleaned(bronze([broken], table), table)
        assert rejected["rejected_rule"].to_list() == [name]


@pytest.mark.parametrize("pattern", [None, "!$"], ids=["parsed", "by pattern"])
def test_a_new_rule_of_a_column_is_kept_by_every_row(pattern: str | None) -> None:
    loud = Rule("quiet", lambda text, _: text.str.ends_with("!"), pattern)
    columns = (
        replace(column, rules=(loud,)) if column.name == "description" else column for column in PRODUCTS.columns
    )
    table = replace(PRODUCTS, columns=tuple(columns))
    texts = ("Yes!", "no", " Oh  ho! ", None)
    rows = [GOOD["products"] | {"product_id": str(key), "description": text} for key, text in enumerate(texts)]
    valid, rejected = cleaned(bronze(rows, table), table)
    assert valid["description"].to_list() == ["Yes!", "Oh ho!"]
    assert rejected.select("rejected_rule", "description").rows() == [
        ("quiet_description", "no"),
        ("quiet_description", None),
    ]


@pytest.mark.parametrize("pattern", [None, "", "^.$"], ids=["parsed", "any text", "by pattern"])
def test_a_new_rule_of_a_calculated_column_is_kept_by_every_row(pattern: str | None) -> None:
    small = Rule("large", lambda _, total: total < (10**16 if pattern == "" else 5), pattern)
    columns = (replace(column, rules=(*column.rules, small)) for column in TRANSACTIONS.calculated[:1])
    table = replace(TRANSACTIONS, calculated=(*columns, *TRANSACTIONS.calculated[1:]))
    rows = [sale(), sale(transaction_id="2", unit_price="5.00")]
    valid, rejected = cleaned(bronze(rows, table), table)
    assert valid.height == (2 if pattern == "" else 1)
    assert rejected["rejected_rule"].to_list() == ["large_total_amount"] * (2 - valid.height)


@pytest.mark.parametrize(
    ("fields", "written"),
    [
        (
            {"quantity": "+007", "unit_price": "+0001.005"},
            {"quantity": "7", "unit_price": "1.01", "total_amount": "7.07"},
        ),
        ({"transaction_id": "-9223372036854775808"}, {"transaction_id": "-9223372036854775808"}),
        ({"transaction_id": "-0"}, {"transaction_id": "0"}),
        ({"unit_price": 16 * "9" + ".994"}, {"unit_price": 16 * "9" + ".99"}),
        ({"quantity": "0" * 60 + "1", "unit_price": "0" * 60 + "2.5"}, {"quantity": "1", "total_amount": "2.50"}),
        ({"quantity": "999999999999999999", "unit_price": "0.01"}, {"total_amount": "9999999999999999.99"}),
        ({"store_id": "x1", "product_id": "+03"}, {"store_id": None, "product_id": "3"}),
        ({"updated_at": "yesterday"}, {"updated_at": None}),
        ({"updated_at": "\u00a02024-01-01T10:00:00Z\n"}, {"updated_at": "2024-01-01T10:00:00Z"}),
        ({"payment_method": " in \r\n\u00a0 cash "}, {"payment_method": "in cash"}),
        ({"sales_channel": "\t"}, {"sales_channel": None}),
    ],
)
def test_values_in_silver(fields: dict[str, str | None], written: dict[str, str | None]) -> None:
    valid, _ = cleaned(bronze([sale(**fields)], TRANSACTIONS), TRANSACTIONS)
    assert valid.select(pl.col(*written).cast(pl.String)).row(0, named=True) == written


OFFSETS = ("Z", "+02", "-0330", "+05:45", "+00:19:32", "-15:59:59", "")
NO_OFFSETS = (" +02", "+2", "+0530:15", "+051530", "+16", "+15:60", "+02:3", "z", " Z", "UTC", "+", "+-02")


@pytest.mark.parametrize("offset", [*OFFSETS, *NO_OFFSETS])
def test_offsets(offset: str) -> None:
    text = f"2024-01-01 10:00:00{offset}"
    valid, _ = cleaned(bronze([sale(updated_at=text)], TRANSACTIONS), TRANSACTIONS)
    assert valid["updated_at"].to_list() == [text if offset in OFFSETS else None]


@pytest.mark.parametrize(
    ("stamps_of_rows", "winner"),
    [
        ([("2024-01-01 10:00:00", None), ("2024-01-01 10:00:00.1", None)], 1),
        ([("2024-06-01 12:30:00+02", None), ("2024-06-01 11:00:00+00", None)], 1),
        ([("2024-06-01 13:30:00+02", None), ("2024-06-01 11:00:00+00", None)], 0),
        ([(None, "2024-01-01"), (None, "2024-01-02")], 1),
        ([("infinity", "2024-01-02"), ("2020-01-01", "2024-01-01")], 1),
        # a time without an offset is one in Berlin
        ([("2024-06-01 12:30:00", None), ("2024-06-01 11:00:00+00", None)], 1),
        ([("2024-06-01 13:30:00", None), ("2024-06-01 11:00:00+00", None)], 0),
        # the clock shows 02:30 twice: the first is meant; 02:30 in March, which it never shows, is 03:30
        ([("2024-10-27 02:30:00", None), ("2024-10-27 00:31:00Z", None)], 1),
        ([("2024-03-31 02:30:00", None), ("2024-03-31 03:29:00", None)], 0),
        ([("2024-03-31 02:30:00", None), ("2024-03-31 03:31:00", None)], 1),
    ],
)
def test_the_latest_of_duplicates_stays(stamps_of_rows: list[tuple[str | None, str]], winner: int) -> None:
    rows = [
        sale(store_id=str(index), updated_at=updated, created_at=created or "2024-01-01")
        for index, (updated, created) in enumerate(stamps_of_rows)
    ]
    valid, rejected = cleaned(bronze(rows, TRANSACTIONS), TRANSACTIONS, zone="Europe/Berlin")
    assert valid["store_id"].to_list() == [str(winner)]
    assert rejected["rejected_rule"].to_list() == ["duplicate_transaction_id"]


few_texts = st.none() | st.sampled_from(["", "a", "a ", "aa", "b", "é", "\u00a0", "\U0001f600", "\uffff", "~"])


@given(
    records=st.lists(st.tuples(st.sampled_from(["1", "+1", "01", "2"]), few_texts, few_texts), min_size=1, max_size=8),
    budget=st.sampled_from([0, 1_000_000]),
)
def test_of_rows_that_tie_the_greatest_record_stays(
    records: list[tuple[str, str | None, str | None]], budget: int
) -> None:
    """In the source's columns by their bytes, NULL before any text, and of equal ones the first."""
    rows = [{**GOOD["products"], "product_id": key, "category": one, "extra": two} for key, one, two in records]
    source = bronze(rows, PRODUCTS)
    best: dict[int, tuple[list[tuple[bool, bytes]], int]] = {}
    for place, row in enumerate(source.drop(ROW).iter_rows()):
        record = [(value is not None, str(value or "").encode()) for value in row]
        if (key := int(row[0])) not in best or record > best[key][0]:
            best[key] = (record, place)
    found = found_in(Frame(source.drop(ROW), 3), PRODUCTS, budget)
    assert set(range(len(rows))) - set(found.duplicates) == {place for _, place in best.values()}


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


def money_of(text: str | None) -> Decimal | None:
    frame = pl.DataFrame({"text": [text]}, schema={"text": pl.String})
    amount: Decimal | None = frame.select(rules.money(pl.col("text"))).item()
    return amount
