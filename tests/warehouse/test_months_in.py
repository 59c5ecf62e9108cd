"""To which months a statement limits a table by month."""

import pytest

from shopease_etl.warehouse.dialect import months_in

ALL = None
ONE = frozenset({"2024-11"})


@pytest.mark.parametrize(
    ("rest", "months"),
    [
        ("WHERE sale_month = '2024-11'", ONE),
        ("WHERE '2024-11' = sale_month", ALL),
        ("WHERE (SALE_MONTH = '2024-11') AND quantity > 1", ONE),
        ("WHERE quantity > 1 AND store_id = 2 AND sale_month IN ('2024-11', 'none')", ONE | {"none"}),
        ("t JOIN stores s ON t.store_id = s.store_id WHERE t.sale_month = '2024-11' GROUP BY 1", ONE),
        ("t LEFT JOIN stores s ON t.store_id = s.store_id WHERE sale_month = '2024-11'", ONE),
        ("WHERE shopease_catalog.transactions.sale_month = '2024-11'", ONE),
        ("t JOIN stores s ON true WHERE s.sale_month = '2024-11'", ALL),
        ("WHERE sale_month = '2024-11' OR quantity > 1", ALL),
        ("WHERE NOT sale_month = '2024-11'", ALL),
        ("WHERE sale_month NOT IN ('2024-11')", ALL),
        ("WHERE sale_month IN (SELECT 'x')", ALL),
        ("WHERE sale_month = CAST(month AS varchar)", ALL),
        ("WHERE sale_month > '2024-11'", ALL),
        ("a CROSS JOIN transactions b WHERE a.sale_month = '2024-11'", ALL),
        ("WHERE sale_month = '2024-11' UNION ALL SELECT * FROM transactions", ALL),
        ("GROUP BY sale_month HAVING sale_month = '2024-11'", ALL),
    ],
)
def test_a_table_is_limited_by_a_condition_that_every_row_meets(rest: str, months: frozenset[str] | None) -> None:
    statement = f"SELECT 1 FROM shopease_catalog.transactions {rest}"
    assert months_in(statement)["transactions"] == months
    assert months_in(f"EXPLAIN {statement}")["transactions"] == months
    assert months_in(f"WITH x AS ({statement}) SELECT * FROM x")["transactions"] == months


def test_a_condition_outside_of_the_select_of_the_table_does_not_limit_it() -> None:
    assert months_in("SELECT * FROM (SELECT * FROM transactions) WHERE sale_month = '2024-11'") == {"transactions": ALL}
    assert months_in("SHOW COLUMNS IN transactions") == months_in("SELEC") == {}
