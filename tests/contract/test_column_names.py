"""Names of columns in silver, quarantine and frames."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shopease_etl.contract.column_names import (
    catalog_names,
    frame_names,
    quarantine_columns,
    silver_columns,
    stored_names,
)
from shopease_etl.contract.tables import CLEANED_TABLES, CUSTOMERS, PRODUCTS, TRANSACTIONS, Table

SALES = tuple(column.name for column in TRANSACTIONS.columns)
NAMES = (
    *("Phone", "phone", "source_Phone", "source_source_Phone", "run_id", "Rejected_Rule", "source_run_id", "year"),
    *("YEAR", "source_year", "total_amount", "c0", "c1", "*", "^c.*$", "", "a.b", "customer_id", "Customer_ID"),
)


@pytest.mark.parametrize(
    ("table", "source", "names"),
    [
        (CUSTOMERS, ("phone", "Phone", "PHONE"), ("phone", "source_Phone", "source_PHONE")),
        (CUSTOMERS, ("Phone", "source_Phone"), ("source_source_Phone", "source_Phone")),
        (CUSTOMERS, ("run_id", "Rejected_Rule", "year"), ("source_run_id", "source_Rejected_Rule", "year")),
        (PRODUCTS, ("total_amount", "^price$", "*"), ("total_amount", "^price$", "*")),
        (TRANSACTIONS, ("Total_Amount", "YEAR", "years"), ("source_Total_Amount", "source_YEAR", "years")),
        (TRANSACTIONS, ("sale_month", "Sale_Month"), ("source_sale_month", "source_Sale_Month")),
        (CUSTOMERS, ("sale_month",), ("sale_month",)),
    ],
)
def test_an_extra_column_with_a_name_of_ours_is_renamed(
    table: Table, source: Sequence[str], names: Sequence[str]
) -> None:
    assert stored_names(table, source) == names


def test_silver_has_the_contracts_order_and_extra_columns_at_the_end() -> None:
    source = ("day", *reversed(SALES), "*", "Store_ID")
    assert silver_columns(TRANSACTIONS, source) == (*TRANSACTIONS.silver_order, "source_day", "*", "source_Store_ID")
    assert quarantine_columns(TRANSACTIONS, source) == (
        *("source_day", *reversed(SALES), "*", "source_Store_ID"),
        *("rejected_rule", "run_id"),
    )


@pytest.mark.parametrize("table", CLEANED_TABLES, ids=lambda table: table.name)
@given(source=st.lists(st.sampled_from(NAMES), unique=True))
def test_no_two_columns_have_the_same_name(table: Table, source: list[str]) -> None:
    for names in (silver_columns(table, source), quarantine_columns(table, source), frame_names(source, table.known)):
        assert len(set(names)) == len(names)
    assert not [name for name in frame_names(source, table.known) if not name.isidentifier()]


@pytest.mark.parametrize(
    ("header", "names"),
    [
        (("Phone", "phone"), ("source_Phone", "phone")),
        (("A", "a", "source_a", "source_A"), ("source_source_A", "a", "source_a", "source_source_source_A")),
        (("a, b", "tab\t", " ", "", "c "), ("a_ b", "tab_", "_", "source__", "c")),
        (("*", "^a$", "Größe"), ("*", "^a$", "Größe")),
    ],
)
def test_names_in_the_catalog(header: Sequence[str], names: Sequence[str]) -> None:
    assert catalog_names(header) == names


@given(st.lists(st.text(st.sampled_from("aAé, ^*\t"), max_size=3), unique=True))
def test_no_two_columns_of_the_catalog_have_the_same_name(header: list[str]) -> None:
    names = catalog_names(header)
    assert len({name.lower() for name in names}) == len(header)
    assert all(name and not set(name) & {",", "\t"} for name in names)
    assert all(name in names for name in header if name and name == name.lower() and not set(name) & {",", "\t", " "})
