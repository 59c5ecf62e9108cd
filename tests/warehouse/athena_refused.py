"""What Athena refuses, and where a local lake differs from it: for the tests and for docs/SQL.md."""

from typing import Final

# What Athena refuses: the statement, and a part of the message and of the hint that a local lake gives.
REFUSED: Final = [
    ("SELECT n FROM sales WHERE s ILIKE 'X'", "Athena does not know ILIKE", "lower(x) LIKE"),
    ("SELECT * EXCLUDE (n) FROM sales", "Athena does not know * EXCLUDE and * REPLACE", "names"),
    (
        "SELECT * REPLACE (1 AS n) FROM sales",
        "Athena does not know * EXCLUDE and * REPLACE",
        "names",
    ),
    ("SELECT * FROM 'sales'", "a text stands where a name belongs, at line 1, column 15", "double quotes"),
    ("SELECT n AS 'x' FROM sales", "a text stands where a name belongs, at line 1, column 13", "double quotes"),
    ("SELECT \"n\" FROM sales AS 'n'", "a text stands where a name belongs", "double quotes"),
    ("SELECT DISTINCT ON (s) n FROM sales", "Athena does not know DISTINCT ON", "row_number()"),
    (
        "SELECT upper(s) AS up, COUNT(*) FROM sales GROUP BY up",
        "Athena does not know the alias up in GROUP BY",
        "number",
    ),
    (
        "SELECT n * 2 AS twice FROM sales WHERE twice > 1",
        "Athena does not know the alias twice in WHERE",
        "expression",
    ),
    (
        "SELECT s, COUNT(*) AS c FROM sales GROUP BY s HAVING c > 1",
        "Athena does not know the alias c in HAVING",
        "expression",
    ),
    (
        "SELECT n * 2 AS twice, twice + 1 FROM sales",
        "Athena does not know the alias twice in SELECT",
        "expression",
    ),
    ("SELECT s, COUNT(*) FROM sales GROUP BY ALL", "Athena does not know GROUP BY ALL", "the columns"),
    ("SELECT n FROM sales ORDER BY ALL", "Athena does not know ORDER BY ALL", "the columns"),
    ("SELECT n FROM sales QUALIFY row_number() OVER () = 1", "SQL syntax error: unexpected row_number", ""),
    ("SELECT n FROM sales LIMIT 1 OFFSET 1", "Athena does not know OFFSET after LIMIT", "OFFSET … LIMIT …"),
    ("SELECT n FROM sales LIMIT 10%", "Athena does not know LIMIT in percent", "a number of rows"),
    ("SELECT n::varchar FROM sales", "Athena does not know the cast x::type, at line 1, column 9", "CAST(x AS type)"),
    ("SELECT CAST(n AS text) FROM sales", "Athena does not know the types text and string", "varchar"),
    ("SELECT n FROM sales WHERE n == 1", "Athena does not know the operator ==", "use ="),
    ("SELECT n & 1 FROM sales", "Athena does not know the operator &", "bitwise_and"),
    ("SELECT d + INTERVAL 1 DAY FROM sales", "Athena does not know INTERVAL with a bare number", "INTERVAL '1'"),
    ("SELECT a.n FROM sales a SEMI JOIN sales b ON a.n = b.n", "Athena does not know a semi or anti join", "EXISTS"),
    ("SELECT strftime(d, '%Y') FROM sales", "Athena has no function strftime", ""),
    ("SELECT left(s, 1) FROM sales", "Athena has no function left, at line 1, column 8", ""),
    ("SELECT ifnull(s, '') FROM sales", "Athena has no function ifnull, at line 1, column 8", ""),
    ("SELECT extract(epoch FROM d) FROM sales", "Athena has no field EPOCH in extract()", "DAY_OF_WEEK"),
    ("SELECT n FROM sales WHERE s = 1", "Athena cannot compare varchar with integer", "CAST"),
    ("SELECT n FROM sales WHERE n > '1'", "Athena cannot compare integer with varchar", "CAST"),
    ("SELECT n FROM sales WHERE d >= '2024-01-01'", "Athena cannot compare date with varchar", "DATE"),
    (
        "SELECT n FROM sales WHERE d BETWEEN '2024-01-01' AND '2024-01-31'",
        "Athena cannot compare date with varchar",
        "DATE '2024-01-31'",
    ),
    ("SELECT n FROM sales WHERE n IN ('1', '2')", "Athena cannot compare integer with varchar", "CAST"),
    ("SELECT n FROM sales WHERE s <> 1", "Athena cannot compare varchar with integer", "CAST"),
    (
        "SELECT a.n FROM sales a JOIN sales b ON a.n < b.s",
        "Athena cannot compare integer with varchar",
        "CAST",
    ),
    (
        "SELECT n FROM sales WHERE d > TIMESTAMP '2024-01-01 00:00:00' AT TIME ZONE 'Asia/Tokyo'",
        "a time in a zone can be shown, cast or read by fields on a local lake",
        "CAST",
    ),
    ("SELECT ARRAY[1, 2][3]", "the array has no item 3", ""),
    ("SELECT ARRAY[1, 2][0]", "the array has no item 0", ""),
    ("SELECT MAP(ARRAY['a'], ARRAY[1])['b']", "the map has no key b", ""),
    ("SELECT split('a', ',', 0)", "the limit of split() must be positive", ""),
    ("SELECT CAST('12.5' AS integer)", "'12.5' is not a whole number", ""),
    ("SELECT CAST('2024-01-05 10:00:00' AS date)", "'2024-01-05 10:00:00' is not a date", ""),
    ("SELECT CAST('yes' AS boolean)", "'yes' is not a boolean", ""),
    ("SELECT CAST(1234 AS varchar(3))", "'1234' does not fit into varchar(3)", ""),
    ("SELECT SUM(s) FROM sales", "sum does not take (varchar), at line 1, column 8", "read a typed view"),
    ("SELECT s * 2 FROM sales", "* does not take (varchar, integer), at line 1, column 10", "CAST(x AS bigint)"),
]

# What Athena answers and a local lake refuses, in the same form.
NOT_LOCAL: Final = [
    ("SELECT current_user", "current_user is not available on a local lake, at line 1, column 8", ""),
    ("SELECT current_time", "current_time is not available on a local lake", ""),
    ("SELECT localtime", "localtime is not available on a local lake", ""),
    ("SELECT current_catalog", "current_catalog is not available on a local lake", ""),
    ("SELECT MAP()", "a map whose keys have no type is not available on a local lake", ""),
    ("SELECT ARRAY[MAP(ARRAY[], ARRAY[])]", "a map whose keys have no type is not available on a local lake", ""),
    ("SELECT histogram(x) FROM (VALUES NULL) t(x)", "a map whose keys have no type is not available", ""),
    (
        "SELECT k FROM (SELECT map_agg(s, n) AS m FROM sales) CROSS JOIN UNNEST(m) AS t(k, v)",
        "UNNEST of a map that is not made in its parentheses is not available on a local lake",
        "",
    ),
    ("SELECT array_sort(ARRAY[1], (a, b) -> 1)", "not available on a local lake", ""),
    ("SELECT regexp_replace(s, 'a', x -> upper(x[1])) FROM sales", "a lambda for this function is not available", ""),
    ("SELECT ARRAY[1] || 2", "|| of an array and an item, without ARRAY[…] around the item, is not available", ""),
    ("SELECT approx_distinct(n, 0.01) FROM sales", "not available on a local lake", ""),
    ('SELECT "$path" FROM sales', "a hidden column is not available on a local lake: $path", ""),
    ("SELECT CAST(s AS char(3)) FROM sales", "the type char(n) is not available on a local lake", "varchar"),
]

# Where a local lake is known to answer otherwise than Athena, or not at all.
DIFFERENT: Final = [
    (
        "x AT TIME ZONE 'Europe/Paris'",
        "is shown as the time of day there, without its zone. Casts to date, time and "
        "timestamp, fields and date_format() of it are right; what compares it is refused.",
    ),
    (
        "= between a text and a number of two columns",
        "is refused by Athena; here it fails only where a text is no number.",
    ),
    (
        "timestamps in a zone of their own",
        "are moments in UTC here: hour() and the other fields of from_unixtime(x, zone), of "
        "from_iso8601_timestamp() with an offset, and of a literal with a zone are UTC's, on Athena the zone's.",
    ),
    (
        "text that is cast to double, real, decimal or timestamp",
        "may have more forms here: CAST('1_000' AS double), CAST('1_000' AS decimal(9,0)) and "
        "CAST('infinity' AS timestamp) are answered, Athena refuses them.",
    ),
    (
        "CAST of an aggregate in HAVING",
        "to integers, date or boolean takes more forms of text here, and rounds halves to even.",
    ),
    ("dates and numbers", "DATE '2024-01-05' + 1 is answered here, and so is date_add() with 'days' or with text."),
    ("SELECT * with JOIN … USING", "has the columns in the order of the tables; Athena puts those of USING first."),
    (
        "information_schema",
        "is DuckDB's own: its names of types, in capitals, and VIEW for every table. SHOW and DESCRIBE are right.",
    ),
    ("UNNEST of an array of rows", "gives one column with the row here, on Athena a column for each field."),
    ("cardinality of a map", "is refused here: cardinality(map_keys(m)) counts it."),
    ("whole numbers of type double", "are written 1.0 in CSV and in tables by Athena, 1 here."),
    ("m[k] of a map", "needs a text in quotes as key here; element_at(m, k) takes any key."),
    ("timestamps", "have milliseconds in Athena's views. Literals with more digits keep them here."),
    ("CAST(x AS varchar) of double and real", "from 10,000,000 on is 1.0E7 on Athena, 10000000.0 here."),
    ("CAST(x AS char(n))", "is refused here: Athena fills it up with blanks."),
    ("trim, ltrim, rtrim", "take away all white space on Athena, blanks only here."),
    ("the order of array_distinct, array_union, array_intersect, map_agg, multimap_agg and histogram", "may differ."),
    ("approx_distinct, approx_percentile", "estimate by other methods."),
    ("regular expressions", "are Java's on Athena, RE2's here: no lookahead or back references."),
    ("sequence()", "has at most 10,000 items on Athena."),
    ("format()", "takes %s, %d, %,d, %f, %.2f and %,.2f here."),
    ("format_datetime, parse_datetime", "take patterns of y M d H h m s S a E D here, as literals."),
    ("implicit casts in CASE, COALESCE, UNION and of arguments", "that Athena refuses may pass here."),
    ("recursive WITH, MATCH_RECOGNIZE, PREPARE, UNLOAD, time travel", "are not available, or not compared."),
    ("EXPLAIN", "shows DuckDB's plan; of transactions by month, `Scanning Files` counts the months that are read."),
    ("SHOW and DESCRIBE", "have Athena's columns; SHOW TBLPROPERTIES and SHOW FUNCTIONS are refused."),
]
