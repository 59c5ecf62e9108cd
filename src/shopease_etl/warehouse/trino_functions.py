"""The functions of Athena's SQL (https://trino.io/docs/current/functions.html), and which of them a local lake has.

A test compares each of `LOCAL` with Trino's documentation. The rest of `ATHENA` is refused on a local lake, even if
DuckDB has a function of that name: it may mean something else.
"""

from typing import Final

_LOCAL: Final = """
    abs acos all_match any_match any_value approx_distinct approx_percentile arbitrary array_agg array_distinct
    array_except array_intersect array_join array_max array_min array_position array_remove array_sort array_union
    arrays_overlap asin at_timezone atan atan2 avg bitwise_and bitwise_not bitwise_or bitwise_xor bool_and bool_or
    cardinality cast ceil ceiling chr coalesce codepoint concat concat_ws contains corr cos cosh count count_if
    covar_pop covar_samp cume_dist current_date current_timestamp current_timezone date date_add date_diff
    date_format date_parse date_trunc day day_of_month day_of_week day_of_year degrees dense_rank dow doy e
    element_at ends_with every exp extract filter first_value flatten floor format format_datetime from_base64
    from_hex from_iso8601_date from_iso8601_timestamp from_unixtime from_utf8 geometric_mean greatest grouping
    hamming_distance histogram hour if infinity is_finite is_infinite is_nan json_array_length json_extract
    json_extract_scalar json_format json_parse lag last_day_of_month last_value lead least length
    levenshtein_distance listagg ln localtimestamp log log10 log2 lower lpad ltrim map map_agg map_concat
    map_from_entries map_keys map_values max max_by md5 millisecond min min_by minute mod month multimap_agg nan
    none_match now nth_value ntile nullif parse_datetime percent_rank pi position pow power quarter radians rand
    random rank regexp_count regexp_extract regexp_extract_all regexp_like regexp_replace regexp_split
    regr_intercept regr_slope repeat replace reverse round row row_number rpad rtrim second sequence sha1 sha256
    sign sin sinh slice split split_part sqrt starts_with stddev stddev_pop stddev_samp strpos substr substring sum
    tan tanh to_base64 to_hex to_iso8601 to_unixtime to_utf8 transform translate trim truncate try try_cast upper
    url_decode url_extract_fragment url_extract_host url_extract_parameter url_extract_path
    url_extract_port url_extract_protocol url_extract_query uuid var_pop var_samp variance week week_of_year
    width_bucket with_timezone year year_of_week yow zip
"""
_NOT_LOCAL: Final = """
    approx_most_frequent approx_set array_first array_histogram array_last bar beta_cdf bing_tile bing_tile_at
    bing_tile_coordinates bing_tile_polygon bing_tile_quadkey bing_tile_zoom_level bing_tiles_around bit_count
    bitwise_and_agg bitwise_left_shift bitwise_or_agg bitwise_right_shift bitwise_right_shift_arithmetic cbrt
    checksum classify color combinations contains_sequence convex_hull_agg cosine_similarity crc32 current_time
    current_user empty_approx_set format_number from_base from_base32 from_base64url from_big_endian_32
    from_big_endian_64 from_encoded_polyline from_geojson_geometry from_ieee754_32 from_ieee754_64
    from_iso8601_timestamp_nanos from_unixtime_nanos geometry_from_hadoop_shape geometry_invalid_reason
    geometry_nearest_points geometry_to_bing_tiles geometry_union geometry_union_agg great_circle_distance
    hash_counts hmac_md5 hmac_sha1 hmac_sha256 hmac_sha512 human_readable_seconds intersection_cardinality
    inverse_beta_cdf inverse_normal_cdf is_json_scalar jaccard_index json_array json_array_contains json_array_get
    json_exists json_object json_query json_size json_value kurtosis line_interpolate_point line_interpolate_points
    line_locate_point localtime luhn_check make_set_digest map_entries map_filter map_union map_zip_with merge
    merge_set_digest multimap_from_entries murmur3 ngrams normal_cdf normalize numeric_histogram parse_data_size
    parse_duration qdigest_agg reduce reduce_agg regexp_position render rgb sha512 shuffle simplify_geometry
    skewness soundex spatial_partitioning spatial_partitions split_to_map split_to_multimap spooky_hash_v2_32
    spooky_hash_v2_64 tdigest_agg timezone_hour timezone_minute to_base to_base32 to_base64url to_big_endian_32
    to_big_endian_64 to_char to_date to_encoded_polyline to_geojson_geometry to_geometry to_ieee754_32 to_ieee754_64
    to_milliseconds to_spherical_geography to_timestamp transform_keys transform_values trim_array typeof
    value_at_quantile values_at_quantiles version wilson_interval_lower wilson_interval_upper word_stem xxhash64
    zip_with
"""

LOCAL: Final = frozenset(_LOCAL.split())
ATHENA: Final = LOCAL.union(_NOT_LOCAL.split())
