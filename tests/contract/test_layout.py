"""Which objects are the lake's own follows the lists of tables and gold datasets."""

import pytest
from customers_by_state import CUSTOMERS_BY_STATE

from lakes import KEYS
from shopease_etl.contract import gold, layout, tables
from shopease_etl.contract.tables import BIGINT, Column, Table


def test_the_lakes_own_objects_are_those_of_the_lists() -> None:
    assert layout.all_keys() == KEYS
    assert all(map(layout.owns, KEYS))
    assert not any(layout.owns(f"{key}/x") or layout.owns(f"x{key}") or layout.owns(key[:-1]) for key in KEYS)


def test_what_is_added_to_the_lists_is_owned(monkeypatch: pytest.MonkeyPatch) -> None:
    raw, cleaned = (Table(name, name, (Column("id", BIGINT),), key=key) for name, key in (("a", None), ("b", "id")))
    added = {*raw.keys, *cleaned.keys, CUSTOMERS_BY_STATE.key}
    assert not any(map(layout.owns, added))
    monkeypatch.setattr(tables, "TABLES", (*tables.TABLES, raw, cleaned))
    monkeypatch.setattr(gold, "GOLD", (*gold.GOLD, CUSTOMERS_BY_STATE))
    assert len(added) == 5
    assert layout.all_keys() == KEYS | added
