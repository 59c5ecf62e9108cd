"""The plain implementation of the contract, tested with the contract's own examples."""

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from zoneinfo import ZoneInfo

import plain_gold
import pytest
from plain_gold import Sale
from plain_silver import Cleaned, clean
from plain_values import instant, integer, money, one_line, read_csv, squeezed, write_csv

UTC = ZoneInfo("UTC")
BERLIN = ZoneInfo("Europe/Berlin")
CUSTOMER = "customer_id,customer_name,email,created_at,updated_at"
PRODUCT = "product_id,product_name,category,price,created_at,updated_at"
SALE = "transaction_id,store_id,customer_id,product_id,quantity,unit_price,created_at,updated_at"


def cleaned(table: str, *lines: str, zone: ZoneInfo = UTC) -> Cleaned:
    return clean(table, ("\n".join(lines) + "\n").encode(), zone, "RUN")


def rules_of(found: Cleaned) -> list[str | None]:
    return [record[-2] for record in read_csv(found.quarantine)[1:]]


@pytest.mark.parametrize(
    ("text", "number"),
    [
        *[("1", 1), ("+1", 1), ("001", 1), ("+007", 7), ("-0", 0), ("\u00a0\t5\v\f", 5), (str(2**63 - 1), 2**63 - 1)],
        *[(str(-(2**63)), -(2**63)), (str(2**63), None), (str(-(2**63) - 1), None), ("0" * 5000 + "5", 5)],
        *[("9" * 5000, None), ("1.0", None), ("1e2", None), ("1_0", None), ("٣", None), ("", None), (None, None)],
        *[("- 1", None), ("5\u2003", None), ("+", None)],
    ],
)
def test_integers(text: str | None, number: int | None) -> None:
    assert integer(text) == number


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        *[("10.005", "10.01"), ("-10.005", "-10.01"), ("0.0049999", "0.00"), ("+1.5", "1.50"), (" 7 ", "7.00")],
        *[("9999999999999999.994", "9999999999999999.99"), ("9999999999999999.995", None), ("5.", None), (".5", None)],
        *[("NaN", None), ("Infinity", None), ("1e2", None), ("1,000", None), ("0" * 400 + "1.005", "1.01")],
        *[("0." + "0" * 400 + "1", "0.00"), ("9" * 40, None)],
    ],
)
def test_money(text: str, amount: str | None) -> None:
    assert money(text) == (None if amount is None else Decimal(amount))


@pytest.mark.parametrize(
    "text",
    [
        *["2024-02-29", " 2024-01-01T10:00:00 ", "2024-01-01 10:00:00.123456", "2024-01-01 10:00:00Z"],
        *["2024-01-01 10:00:00+02", "2024-01-01 10:00:00-0230", "2024-01-01 10:00:00+15:59:59", "0001-01-01"],
        "9999-12-31 23:59:59.999999-15:59:59",
    ],
)
def test_timestamps_that_parse(text: str) -> None:
    assert instant(text, UTC) is not None


@pytest.mark.parametrize(
    "text",
    [
        *["2023-02-29", "infinity", "0044-03-15 00:00:00 BC", "2024-01-01 24:00:00", "0000-01-01", "2024-01-01+02"],
        *["2024-01-01 10:00:00 +02", "2024-01-01 10:00:00+16", "2024-01-01 10:00:00+2", "2024-01-01 10:00"],
        *["2024-01-01 10:00:00.1234567", "2024-01-01 10:00:00+0230:15", "2024-01-01 10:00:00z", "2024-01-01t10:00:00"],
        *["2024-01-01 23:59:60", "2024-01-01 10:00:00+01:60", "２０２４-01-01", "2024-01-01\n10:00:00"],
    ],
)
def test_timestamps_that_do_not_parse(text: str) -> None:
    assert instant(text, UTC) is None


def test_instants() -> None:
    noon = instant("2024-01-01 12:00:00", UTC)
    assert noon == instant("2024-01-01T14:00:00+02", UTC) == instant("2024-01-01 13:00:00.0", BERLIN)
    assert noon == instant("2024-01-01 09:30:00-02:30", BERLIN)


def test_text() -> None:
    assert squeezed("\u00a0 a \r\n\t b\vc ") == "a b c"
    assert squeezed(" \n") is None
    assert one_line(" a\r\nb\rc\n\n") == " a b c  "


def test_csv_keeps_null_and_the_empty_string_apart() -> None:
    data = b'a,"b ""q""",c\n,"",x\n"1,\n2","\r",\n'
    records = [("a", 'b "q"', "c"), (None, "", "x"), ("1,\n2", "\r", None)]
    assert read_csv(data) == records
    assert write_csv(records) == data


def test_the_first_broken_rule_is_the_reason() -> None:
    found = cleaned(
        "transactions",
        SALE,
        ",1,1,1,x,1,2024-01-01,",
        "1.5,1,1,1,1,1,2024-01-01,",
        "1,1,1,1, ,1,2024-01-01,",
        "1,1,1,1,1.5,-1,2024-01-01,",
        "1,1,1,1,0,,2024-01-01,",
        "1,1,1,1,1,,2024-01-01,",
        "1,1,1,1,1,NaN,2024-01-01,",
        "1,1,1,1,1,0.004,,",
        '1,1,1,1,1,1,"",',
        "1,1,1,1,1,1,infinity,",
        "1,1,1,1,9223372036854775807,1,2024-01-01,",
        "+07,x,01,+2,2,0.125,2024-03-04 05:06:07,never",
        "7,1,1,1,1,1,2024-01-01,",
    )
    assert rules_of(found) == [
        *("missing_transaction_id", "invalid_transaction_id", "missing_quantity", "invalid_quantity"),
        *("nonpositive_quantity", "missing_unit_price", "invalid_unit_price", "nonpositive_unit_price"),
        *("missing_created_at", "invalid_created_at", "invalid_total_amount", "duplicate_transaction_id"),
    ]
    assert found.silver.splitlines()[1:] == [b"7,,1,2,2,0.13,0.26,2024-03-04,2024,3,4,2024-03-04 05:06:07,"]
    assert sum(found.rejected.values()) == 12


@pytest.mark.parametrize(
    ("first", "second", "stays"),
    [
        ("1,A,e,2024-01-01,2024-01-01", "001,B,e,,2024-01-02", "B"),
        ("1,A,e,2024-01-01,", "+1,B,e,2024-01-02,never", "B"),
        ("1,A,e,,2024-01-01 12:00:00+02", "1,B,e,,2024-01-01 10:59:59", "A"),
        ("1,A,e,,", "1,B,e,,", "B"),
        ("1,B,e,,", "1,A,e,,", "B"),
        ("+1,Z,e,,", "01,A,e,,", "A"),
        ("1,A,E,,", "1,A,e,,", "A"),
    ],
)
def test_which_duplicate_stays(first: str, second: str, stays: str) -> None:
    found = cleaned("customers", CUSTOMER, first, second, zone=BERLIN)
    assert [row["customer_name"] for row in found.rows] == [stays]
    assert rules_of(found) == ["duplicate_customer_id"]


def test_the_greatest_record_stays_in_any_order() -> None:
    found = [cleaned("customers", f"{CUSTOMER},note", *lines) for lines in _orders("1,A,e,,,", '1,A,e,,,""')]
    assert [each.silver.splitlines()[1] for each in found] == [b'1,A,e,,,""'] * 2


def _orders(first: str, second: str) -> Sequence[tuple[str, str]]:
    return (first, second), (second, first)


def test_columns_with_our_names_are_renamed() -> None:
    found = cleaned("transactions", f"YEAR,Quantity,note,Run_ID,{SALE}", f"a,b,c,d,1,{'1,' * 5}2024-01-01,")
    tail = b"year,month,day,created_at,updated_at,source_YEAR,source_Quantity,note,source_Run_ID"
    assert found.silver.splitlines()[0].endswith(tail)
    assert found.quarantine.splitlines()[0].startswith(b"source_YEAR,source_Quantity,note,source_Run_ID,transaction_id")


def test_forms_of_text() -> None:
    customer = cleaned("customers", f"{CUSTOMER},note", '1,"Jörg\n\u00a0Groß","ÄÖ@X.ORG ",,,"a\r\nb\n c"')
    assert customer.silver.decode().splitlines()[1] == "1,JÖRG GROSS,äö@x.org,,,a b  c"
    product = cleaned("products", PRODUCT, "1, Tea  pot ,toys,10.005,,")
    assert product.silver.splitlines()[1] == b"1,Tea pot,TOYS,10.01,,"


def test_scores_and_segments() -> None:
    days = [date(2024, 1, day) for day in range(1, 11)]
    sales = [Sale(number, 1, 1, Decimal(10 + number), day) for number, day in enumerate(days)]
    rows = {row[0]: row for row in plain_gold.customer_analytics(sales, [])}
    assert [rows[number][11:15] for number in (0, 9)] == [(1, 1, 1, "111"), (5, 1, 5, "515")]
    assert [rows[number][15] for number in (0, 9)] == ["hibernating", "new_customers"]
    assert (rows[0][8], rows[0][9], rows[0][10]) == (days[0], days[0], 9)


def test_averages_and_sums() -> None:
    sales = [Sale(None, 7, 1, Decimal(amount), date(2024, 1, 1)) for amount in ("0.01", "0.02")]
    assert plain_gold.daily_sales_summary(sales) == [(date(2024, 1, 1), 2, 2, Decimal("0.03"), Decimal("0.02"), 0, 1)]
    assert plain_gold.product_performance(sales, [])[0][:3] == (7, None, None)
    assert plain_gold.customer_analytics(sales, []) == []
    sums = plain_gold.reconciliation(sales)
    assert (sums["revenue_without_customer_id"], sums["silver_revenue"]) == (Decimal("0.03"), Decimal("0.03"))


def test_sums_that_do_not_fit() -> None:
    sales = [Sale(1, product, 1, Decimal("9999999999999999.99"), date(2024, 1, 1)) for product in (7, 8)]
    named = {("daily_sales_summary", "2024-01-01"), ("customer_analytics", "1")}
    named |= {("cohort_retention", "2024-01-01")}
    tables = ("customers", "products", "stores", "sales_managers", "inventory")
    assert plain_gold.too_large(plain_gold.all_gold(sales, dict.fromkeys(tables, ()))) == named
