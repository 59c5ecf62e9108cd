"""DuckDB macros that compute the same as Trino (Athena's engine); rewritten queries call them."""

from typing import Final

# Only DuckDB's binder knows types, not the parser: the macros use typeof(), cast_to_type() and the types of parameters;
# the last variant of a macro, without types, is for all others. When DuckDB chooses a variant, it does not know the
# type of an aggregate or a subquery, but that of a lambda's parameter: hence the `…_once` macros.
# Trino divides decimals at the larger of the two scales, half away from zero; DuckDB would use a double.
_NUMBERS: Final = (
    # a NULL of the type of a quotient: decimals get 20 more digits, other types stay
    "shopease_type(a, b) AS CASE WHEN true THEN NULL ELSE (a + b) * 1::integer * 1::integer END",
    r"shopease_scale(x) AS coalesce(try_cast(regexp_extract(typeof(x), ',\s*(\d+)', 1) AS integer), 0)",
    "shopease_power(n) AS CAST(rpad('1', CAST(n + 1 AS integer), '0') AS decimal(38, 0))",
    "shopease_units(x, s) AS CAST(x * shopease_power(s) AS hugeint)",
    """shopease_quotient(a, b, s) AS
       CAST(2 * CAST(shopease_power(s) AS hugeint) * shopease_units(a, s) // shopease_units(b, s) AS decimal(38, 0))
       * cast_to_type('5e-' || (s + 1), shopease_type(a, b) * 0.1)""",
    """shopease_divide(a, b) AS CASE WHEN typeof(a + b) LIKE 'DECIMAL%'
       THEN cast_to_type(shopease_quotient(a, b, shopease_scale(a + b)), shopease_type(a, b))
       ELSE cast_to_type(a / b, shopease_type(a, b)) END""",
    "shopease_divide_once(a, b) AS list_transform([{'a': a, 'b': b}], LAMBDA v: shopease_divide(v.a, v.b))[1]",
    """shopease_average(total, n, average) AS CASE WHEN typeof(total) LIKE 'DECIMAL%'
       THEN cast_to_type(shopease_quotient(total, n, shopease_scale(total)), shopease_type(total, 0::uhugeint))
       ELSE cast_to_type(average, shopease_type(total, 0::uhugeint)) END""",
    """shopease_grouped(t) AS regexp_extract(t, '^-?')
       || format('{:,}', CAST(regexp_extract(t, '[0-9]+') AS hugeint)) || regexp_extract(t, '[.][0-9]+$')""",
    """width_bucket(x, low, high, n) AS CASE
       WHEN low < high THEN CASE WHEN x < low THEN 0 WHEN x >= high THEN n + 1
         ELSE CAST(floor(CAST(x - low AS double) / CAST(high - low AS double) * n) AS bigint) + 1 END
       WHEN x > low THEN 0 WHEN x <= high THEN n + 1
       ELSE CAST(floor(CAST(low - x AS double) / CAST(low - high AS double) * n) AS bigint) + 1 END,
       (x, bins) AS len(list_filter(bins, LAMBDA b: b <= x))""",
    # TRY() does not catch error(): an invalid value becomes a text that no cast accepts
    """shopease_whole(x VARCHAR) AS CASE WHEN regexp_full_match(x, '[+-]?[0-9]+') THEN x
         ELSE x || ' is not a whole number' END,
       (x DOUBLE) AS round(x), (x FLOAT) AS round(x), (x) AS x""",
    r"""shopease_day(x VARCHAR) AS CASE WHEN regexp_full_match(x, '\s*[+-]?[0-9]{4,}-[0-9]{1,2}-[0-9]{1,2}\s*') THEN x
         ELSE 'not a date: ' || x END,
       (x) AS x""",
    "shopease_day_once(x) AS list_transform([x], LAMBDA v: shopease_day(v))[1]",
    """shopease_truth(x VARCHAR) AS CASE WHEN lower(x) IN ('t', 'true', '1', 'f', 'false', '0') THEN x
         ELSE 'not a boolean: ' || x END,
       (x) AS x""",
    "shopease_truth_once(x) AS list_transform([x], LAMBDA v: shopease_truth(v))[1]",
    "shopease_whole_once(x) AS list_transform([x], LAMBDA v: shopease_whole(v))[1]",
    "is_finite(x) AS isfinite(x)",
    "is_infinite(x) AS isinf(x)",
    "nan() AS CAST('nan' AS double)",
    "infinity() AS CAST('infinity' AS double)",
    "e() AS exp(1.0::double)",
)

_DATES: Final = (
    "shopease_minus(a DATE, b DATE) AS to_days(CAST(a - b AS integer)), (a, b) AS a - b",
    """shopease_sequence(a DATE, b DATE) AS list_transform(
         generate_series(a::TIMESTAMP, b::TIMESTAMP, CASE WHEN a <= b THEN INTERVAL 1 DAY ELSE INTERVAL (-1) DAY END),
         LAMBDA v: v::DATE),
       (a DATE, b DATE, step INTERVAL) AS
         list_transform(generate_series(a::TIMESTAMP, b::TIMESTAMP, step), LAMBDA v: v::DATE),
       (a, b) AS generate_series(a, b, CASE WHEN a <= b THEN 1 ELSE -1 END),
       (a, b, step) AS generate_series(a, b, step)""",
    # timestamps of the views have milliseconds, literals without a fraction have seconds
    """shopease_text(x TIMESTAMP) AS strftime(x, '%Y-%m-%d %H:%M:%S.%g'),
       (x TIMESTAMP_S) AS strftime(x, '%Y-%m-%d %H:%M:%S'),
       (x TIMESTAMPTZ) AS strftime(x, '%Y-%m-%d %H:%M:%S.%g UTC'),
       (x DATE) AS strftime(x, '%Y-%m-%d'),
       (x) AS CAST(x AS varchar)""",
    """shopease_iso8601(x TIMESTAMP) AS strftime(x, '%Y-%m-%dT%H:%M:%S.%g'),
       (x TIMESTAMP_S) AS strftime(x, '%Y-%m-%dT%H:%M:%S'),
       (x TIMESTAMPTZ) AS strftime(x, '%Y-%m-%dT%H:%M:%S.%gZ'),
       (x DATE) AS strftime(x, '%Y-%m-%d')""",
    "current_timezone() AS 'UTC'",
    "shopease_minus_once(a, b) AS list_transform([{'a': a, 'b': b}], LAMBDA v: shopease_minus(v.a, v.b))[1]",
    """shopease_sequence_once(a, b) AS list_transform([{'a': a, 'b': b}], LAMBDA v: shopease_sequence(v.a, v.b))[1],
       (a, b, c) AS list_transform([{'a': a, 'b': b, 'c': c}], LAMBDA v: shopease_sequence(v.a, v.b, v.c))[1]""",
    "shopease_text_once(x) AS list_transform([x], LAMBDA v: shopease_text(v))[1]",
    "shopease_iso8601_once(x) AS list_transform([x], LAMBDA v: shopease_iso8601(v))[1]",
)

_URL: Final = r"^(?:([A-Za-z][A-Za-z0-9+.-]*):)?(?://(?:[^/?#@]*@)?(\[[^\]]*\]|[^/?#:]*)(?::([0-9]*))?)?"
_TEXTS: Final = (
    """shopease_substr(s, start) AS
         CASE WHEN start = 0 OR start < -length(s) THEN left(s, 0) ELSE substring(s, start) END,
       (s, start, n) AS CASE WHEN start = 0 OR start < -length(s) OR n <= 0 THEN left(s, 0)
         ELSE substring(s, start, n) END""",
    """shopease_shorten(x, text, n, is_strict) AS
         CASE WHEN typeof(x) = 'VARCHAR' OR coalesce(length(text) <= n, true) THEN left(text, n)
         WHEN is_strict THEN CAST(CAST(text || ' does not fit into varchar(' || n || ')' AS integer) AS varchar) END""",
    "codepoint(x) AS CASE WHEN length(x) = 1 THEN unicode(x) ELSE error('codepoint() takes one character') END",
    "shopease_url_decode(x) AS url_decode(replace(x, '+', ' '))",
    "hamming_distance(a, b) AS hamming(a, b)",
    f"url_extract_protocol(u) AS regexp_extract(u, '{_URL}', 1)",
    f"url_extract_host(u) AS NULLIF(regexp_extract(u, '{_URL}', 2), '')",
    f"url_extract_port(u) AS try_cast(NULLIF(regexp_extract(u, '{_URL}', 3), '') AS bigint)",
    f"url_extract_path(u) AS url_decode(regexp_extract(u, '{_URL}([^?#]*)', 4))",
    r"url_extract_query(u) AS url_decode(regexp_extract(u, '^[^?#]*\?([^#]*)', 1))",
    "url_extract_fragment(u) AS url_decode(regexp_extract(u, '^[^#]*#(.*)$', 1))",
    r"""url_extract_parameter(u, name) AS list_transform(
         list_filter(string_split(regexp_extract(u, '^[^?#]*\?([^#]*)', 1), '&'),
           LAMBDA p: split_part(p, '=', 1) = name),
         LAMBDA p: url_decode(replace(substring(p, length(name) + 2), '+', '%20')))[1]""",
    """shopease_extract(x, pattern, part) AS coalesce(NULLIF(regexp_extract(x, pattern, part), ''),
         CASE WHEN regexp_matches(x, pattern) THEN '' END)""",
    "shopease_json(j) AS TRY_CAST(j AS json)",
    """shopease_split(x, sep, n) AS CASE WHEN x IS NULL THEN NULL
         WHEN n <= 0 THEN error('the limit of split() must be positive')
       WHEN len(string_split(x, sep)) <= n THEN string_split(x, sep)
       ELSE list_append(string_split(x, sep)[1:n - 1], array_to_string(string_split(x, sep)[n:], sep)) END""",
    """shopease_json_scalar(j, p) AS
       CASE WHEN json_type(shopease_json(j), p) IN ('OBJECT', 'ARRAY', 'NULL') THEN NULL
       ELSE json_extract_string(shopease_json(j), p) END""",
)

_COLLECTIONS: Final = (
    """shopease_item(x, i) AS
       CASE WHEN i < 1 OR i > len(x) THEN error('the array has no item ' || i || ': element_at() gives NULL there')
       ELSE x[i] END""",
    """shopease_value(m, k) AS
       CASE WHEN map_contains(m, k) OR m IS NULL THEN m[k]
       ELSE error('the map has no key ' || k || ': element_at() gives NULL there') END""",
    """shopease_slice(a, s, n) AS CASE WHEN s = 0 THEN error('slice() counts from 1')
       WHEN s < -len(a) THEN a[1:0]
       ELSE list_slice(a, s + CASE WHEN s < 0 THEN len(a) + 1 ELSE 0 END,
                       s + n - 1 + CASE WHEN s < 0 THEN len(a) + 1 ELSE 0 END) END""",
    "shopease_position(a, x) AS CASE WHEN a IS NULL OR x IS NULL THEN NULL ELSE coalesce(list_position(a, x), 0) END",
    "array_union(a, b) AS list_distinct(list_concat(a, b))",
    """shopease_contains(a, x) AS CASE WHEN x IS NULL THEN NULL WHEN list_contains(a, x) THEN true
       WHEN len(a) > list_count(a) THEN NULL ELSE list_contains(a, x) END""",
    """arrays_overlap(a, b) AS CASE WHEN list_has_any(a, b) THEN true
       WHEN len(a) > list_count(a) OR len(b) > list_count(b) THEN NULL ELSE list_has_any(a, b) END""",
    "zip(a, b) AS list_zip(a, b), (a, b, c) AS list_zip(a, b, c), (a, b, c, d) AS list_zip(a, b, c, d)",
    """shopease_any(m) AS CASE WHEN m IS NULL THEN NULL WHEN list_contains(m, true) THEN true
       WHEN len(list_filter(m, LAMBDA v: v IS NULL)) > 0 THEN NULL ELSE false END""",
    """shopease_all(m) AS CASE WHEN m IS NULL THEN NULL WHEN list_contains(m, false) THEN false
       WHEN len(list_filter(m, LAMBDA v: v IS NULL)) > 0 THEN NULL ELSE true END""",
    """map_agg(k, v) AS map(list_distinct(list(k)),
         list_transform(list_distinct(list(k)), LAMBDA x: list(v)[list_position(list(k), x)]))""",
    """multimap_agg(k, v) AS map(list_distinct(list(k)), list_transform(list_distinct(list(k)),
         LAMBDA x: list_transform(list_filter(list({'k': k, 'v': v}), LAMBDA p: p.k = x), LAMBDA p: p.v)))""",
    "every(x) AS bool_and(x)",
)

MACROS: Final = (*_NUMBERS, *_DATES, *_TEXTS, *_COLLECTIONS)
