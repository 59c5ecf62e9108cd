"""Which objects are the lake's own follows the lists of tables and gold datasets."""

import pytest
from customers_by_state import CUSTOMERS_BY_STATE

from lakes import KEYS
from shopease_etl.contract import gold, layout, tables
from shopease_etl.contract.gold.customer_lifetime_value import CUSTOMER_LIFETIME_VALUE
from shopease_etl.contract.tables import BIGINT, DATE, MISSING, STRING, Column, Table


def test_the_lake_owns_the_objects_of_the_lists() -> None:
    assert layout.all_keys() == KEYS | {CUSTOMER_LIFETIME_VALUE.key}
    assert all(map(layout.owns, KEYS))
    assert not any(layout.owns(f"{key}/x") or layout.owns(f"x{key}") or layout.owns(key[:-1]) for key in KEYS)


def test_objects_of_added_entries_are_owned(monkeypatch: pytest.MonkeyPatch) -> None:
    raw, cleaned = (Table(name, name, (Column("id", BIGINT),), key=key) for name, key in (("a", None), ("b", "id")))
    added = {*raw.keys, *cleaned.keys, CUSTOMERS_BY_STATE.key}
    assert not any(map(layout.owns, added))
    monkeypatch.setattr(tables, "TABLES", (*tables.TABLES, raw, cleaned))
    monkeypatch.setattr(gold, "GOLD", (*gold.GOLD, CUSTOMERS_BY_STATE))
    assert len(added) == 5
    assert layout.all_keys() == KEYS | added | {CUSTOMER_LIFETIME_VALUE.key}


@pytest.mark.parametrize(
    ("column", "key", "reason"),
    [
        (Column("code", STRING), "code", "must be one of its columns, a bigint"),
        (Column("id", BIGINT), "code", "must be one of its columns, a bigint"),
        (Column("name", STRING, rules=(MISSING,)), None, "rules apply only to a table with a key"),
        (Column("day", DATE), None, "source columns cannot be of type date"),
    ],
)
def test_a_table_that_cleaning_could_not_serve_is_refused(column: Column, key: str | None, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        Table("coupons", "coupons", (column,), key=key)
