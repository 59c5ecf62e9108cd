"""What Trino answers to casts and format(), for trino_answers."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Final

CASTS: Final[Mapping[str, Sequence[tuple[str, object]]]] = {
    "functions/conversion": [
        ("TRY_CAST('x' AS integer)", None),
        ("CAST(2.5 AS integer)", 3),
        ("CAST(true AS varchar)", "true"),
        ("CAST(1.50 AS varchar)", "1.50"),
        ("CAST(TIMESTAMP '2024-01-05 13:04:05' AS varchar)", "2024-01-05 13:04:05"),
        ("CAST(CAST(TIMESTAMP '2024-01-05 13:04:05.678' AS timestamp) AS varchar)", "2024-01-05 13:04:05.678"),
        ("CAST(CAST('2024-01-05' AS timestamp) AS varchar)", "2024-01-05 00:00:00.000"),
        ("CAST(DATE '2024-01-05' AS varchar)", "2024-01-05"),
        ("CAST(ROW(1, 'a') AS ROW(x integer, y varchar)).x", 1),
        ("TRY_CAST('12.5' AS bigint)", None),
        ("TRY_CAST('1e3' AS integer)", None),
        ("TRY_CAST('1_000' AS smallint)", None),
        ("TRY_CAST('12.' AS tinyint)", None),
        ("TRY_CAST(' 12' AS bigint)", None),
        ("TRY(CAST('12.5' AS bigint))", None),
        ("CAST('+12' AS bigint)", 12),
        ("CAST('-9223372036854775808' AS bigint)", -(1 << 63)),
        ("(SELECT COUNT(TRY_CAST(x AS bigint)) FROM (VALUES '12.5', '7', NULL) t(x))", 1),
        ("(SELECT TRY_CAST(MAX(x) AS bigint) FROM (VALUES '12.5') t(x))", None),
        ("CAST(2.5e0 AS integer)", 3),
        ("CAST(-2.5e0 AS bigint)", -3),
        ("CAST(REAL '2.5' AS integer)", 3),
        ("(SELECT CAST(AVG(x) AS integer) FROM (VALUES 2, 3) t(x))", 3),
        ("CAST('abcdef' AS varchar(3))", "abc"),
        ("(SELECT CAST(MAX(x) AS varchar(4)) FROM (VALUES 'cafés') t(x))", "café"),
        ("CAST(123 AS varchar(3))", "123"),
        ("TRY_CAST(1234 AS varchar(3))", None),
        ("TRY(CAST(1234 AS varchar(3)))", None),
        ("TRY(CAST('abcdef' AS varchar(3)))", "abc"),
        ("CAST(2.7 AS decimal)", Decimal(3)),
        ("CAST('1.50' AS decimal)", Decimal(2)),
        ("decimal '1.50'", Decimal("1.50")),
        ("decimal '-0.050'", Decimal("-0.050")),
        ("format('%,.2f', 1234567.125)", "1,234,567.13"),
        ("format('%,.2f', CAST('99999999999999999999.995' AS decimal(38,3)))", "100,000,000,000,000,000,000.00"),
        ("format('%.2f', 1.005e0)", "1.01"),
        ("format('%,.2f', -0.5)", "-0.50"),
        ("format('%d of %s: %.1f%%', 3, 'x', 12.25)", "3 of x: 12.3%"),
        ("format('%s', NULL)", "null"),
    ],
}
