"""Each rule rejects what breaks it, and values survive exactly."""

from collections.abc import Sequence
from dataclasses import replace
from decimal import ROUND_HALF_UP, Decimal

import polars as pl
import pytest
from bronze_rows import GOOD, bronze, cleaned, sale
from hypothesis import given
from hypothesis import strategies as st

from shopease_etl.contract.tables import CLEANED_TABLES, CUSTOMERS, PRODUCTS, TRANSACTIONS, Rule, Table
from shopease_etl.transform import rules


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
