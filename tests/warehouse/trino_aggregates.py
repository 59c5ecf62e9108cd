"""What Trino answers by its documentation: aggregates and window functions."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Final

MONEY: Final = "(VALUES CAST(1.25 AS decimal(18,2)), CAST(1.26 AS decimal(18,2))) t(x)"
MAY: Final = "(VALUES DATE '2024-05-17') t(d)"
PAIRS: Final = "(VALUES (1e0, 2e0), (2e0, 4e0), (3e0, 6e0)) t(x, y)"

AGGREGATES: Final[Mapping[str, Sequence[tuple[str, object]]]] = {
    "functions/aggregate": [
        (f"(SELECT AVG(x) FROM {MONEY})", Decimal("1.26")),
        (f"(SELECT AVG(x) FILTER (WHERE x > 1.25) FROM {MONEY})", Decimal("1.26")),
        (f"(SELECT AVG(DISTINCT x) / 2 FROM {MONEY})", Decimal("0.63")),
        (f"(SELECT AVG(x) FROM {MONEY} WHERE x > 9)", None),
        (f"(SELECT SUM(x) / COUNT(*) FROM {MONEY})", Decimal("1.26")),
        (f"(SELECT SUM(3 * x) FROM {MONEY})", Decimal("7.53")),
        ("(SELECT AVG(x) FROM (VALUES 1, 2) t(x))", 1.5),
        ("(SELECT SUM(x) / 2 FROM (VALUES 2, 3) t(x))", 2),
        ("(SELECT SUM(x) FROM (VALUES 2, 3) t(x) HAVING SUM(x) / 2 / 1 = 2)", 5),
        ("(SELECT MIN(x) + MAX(x) FROM (VALUES 2, 3) t(x))", 5),
        ("(SELECT max(x, 2) FROM (VALUES 1, 2, 3) t(x))", [3, 2]),
        ("(SELECT max_by(x, y) FROM (VALUES (1, 2), (3, 1)) t(x, y))", 1),
        ("(SELECT min_by(x, y) FROM (VALUES (1, 2), (3, 1)) t(x, y))", 3),
        ("(SELECT count_if(x > 1) FROM (VALUES 1, 2, 2) t(x))", 2),
        ("(SELECT approx_distinct(x) FROM (VALUES 1, 2, 2) t(x))", 2),
        ("(SELECT approx_percentile(x, 0.5) FROM (VALUES 1, 2, 3) t(x))", 2),
        ("(SELECT arbitrary(x) + any_value(x) FROM (VALUES 2) t(x))", 4),
        ("(SELECT bool_and(x > 1) OR bool_or(x > 5) FROM (VALUES 1, 2) t(x))", False),
        ("(SELECT every(x > 0) FROM (VALUES 1, 2) t(x))", True),
        ("(SELECT CAST(every(x > 0) AS varchar) FROM (VALUES 1, 2) t(x))", "true"),
        ("(SELECT array_agg(x ORDER BY x DESC) FROM (VALUES 1, 2) t(x))", [2, 1]),
        ("(SELECT listagg(x, ', ') WITHIN GROUP (ORDER BY x) FROM (VALUES 'b', 'a') t(x))", "a, b"),
        ("(SELECT histogram(x) FROM (VALUES 1, 1, 2) t(x))", [(1, 2), (2, 1)]),
        ("(SELECT map_agg(k, v) FROM (VALUES ('a', 1)) t(k, v))", [("a", 1)]),
        ("element_at((SELECT map_agg(k, v) FROM (VALUES ('a', 1), ('b', 2)) t(k, v)), 'b')", 2),
        ("(SELECT multimap_agg(k, v) FROM (VALUES ('a', 1), ('a', 2)) t(k, v))", [("a", [1, 2])]),
        ("(SELECT geometric_mean(x) FROM (VALUES 2e0, 8e0) t(x))", 4.0),
        (f"(SELECT round(stddev(x) + stddev_samp(x) + variance(x) + var_samp(x), 9) FROM {PAIRS})", 4.0),
        (f"(SELECT round(stddev_pop(x) * stddev_pop(x) - var_pop(x), 9) FROM {PAIRS})", 0.0),
        (f"(SELECT round(corr(y, x) + covar_samp(y, x) + covar_pop(y, x) * 3, 9) FROM {PAIRS})", 7.0),
        (f"(SELECT round(regr_slope(y, x) + regr_intercept(y, x), 9) FROM {PAIRS})", 2.0),
    ],
    "functions/window": [
        (f"(SELECT MAX(a) FROM (SELECT AVG(x) OVER (ORDER BY x) AS a FROM {MONEY}))", Decimal("1.26")),
        ("(SELECT SUM(n) FROM (SELECT row_number() OVER (ORDER BY x) AS n FROM (VALUES 5, 5) t(x)))", 3),
        ("(SELECT SUM(n) FROM (SELECT rank() OVER (ORDER BY x) AS n FROM (VALUES 5, 5, 6) t(x)))", 5),
        ("(SELECT SUM(n) FROM (SELECT dense_rank() OVER (ORDER BY x) AS n FROM (VALUES 5, 5, 6) t(x)))", 4),
        ("(SELECT MAX(n) FROM (SELECT percent_rank() OVER (ORDER BY x) AS n FROM (VALUES 5, 6) t(x)))", 1.0),
        ("(SELECT MIN(n) FROM (SELECT cume_dist() OVER (ORDER BY x) AS n FROM (VALUES 5, 6) t(x)))", 0.5),
        ("(SELECT MAX(n) FROM (SELECT ntile(2) OVER (ORDER BY x) AS n FROM (VALUES 5, 6) t(x)))", 2),
        ("(SELECT MAX(n) FROM (SELECT lag(x) OVER (ORDER BY x) AS n FROM (VALUES 5, 6) t(x)))", 5),
        ("(SELECT MAX(n) FROM (SELECT lead(x, 1, 9) OVER (ORDER BY x) AS n FROM (VALUES 5, 6) t(x)))", 9),
        ("(SELECT MAX(n) FROM (SELECT first_value(x) OVER (ORDER BY x) AS n FROM (VALUES 5, 6) t(x)))", 5),
        ("(SELECT MIN(n) FROM (SELECT last_value(x) OVER (ORDER BY x) AS n FROM (VALUES 5, 6) t(x)))", 5),
        ("(SELECT MAX(n) FROM (SELECT nth_value(x, 2) OVER (ORDER BY x) AS n FROM (VALUES 5, 6) t(x)))", 6),
    ],
}
