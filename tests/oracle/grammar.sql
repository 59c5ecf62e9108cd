-- "What parses" and the standard forms of text, by the contract, in PostgreSQL's own terms.
CREATE SCHEMA oracle;
SET search_path = oracle, public;

CREATE FUNCTION trimmed(value text) RETURNS text IMMUTABLE
RETURN NULLIF(btrim(value, E' \t\n\r\f\u000b\u00a0'), '');

CREATE FUNCTION squished(value text) RETURNS text IMMUTABLE
RETURN NULLIF(btrim(regexp_replace(translate(value, E'\t\n\r\f\u000b\u00a0', '      '), ' +', ' ', 'g')), '');

CREATE FUNCTION one_line(value text) RETURNS text IMMUTABLE
RETURN translate(replace(value, E'\r\n', ' '), E'\r\n', '  ');

CREATE FUNCTION parsed_integer(value text) RETURNS bigint IMMUTABLE
RETURN CASE
    WHEN trimmed(value) !~ '^[+-]?0*[0-9]{1,19}$' THEN NULL
    WHEN trimmed(value)::numeric BETWEEN -9223372036854775808 AND 9223372036854775807 THEN trimmed(value)::bigint
END;

CREATE FUNCTION parsed_money(value text) RETURNS numeric IMMUTABLE
RETURN CASE
    WHEN trimmed(value) !~ '^[+-]?0*[0-9]{1,16}([.][0-9]+)?$' THEN NULL
    WHEN abs(round(trimmed(value)::numeric, 2)) < 10000000000000000 THEN round(trimmed(value)::numeric, 2)
END;

CREATE FUNCTION days_in_month(year integer, month integer) RETURNS integer IMMUTABLE
RETURN CASE
    WHEN month IN (4, 6, 9, 11) THEN 30
    WHEN month <> 2 THEN 31
    WHEN year % 400 = 0 OR (year % 4 = 0 AND year % 100 <> 0) THEN 29
    ELSE 28
END;

CREATE FUNCTION is_date(value text) RETURNS boolean IMMUTABLE
RETURN CASE WHEN value ~ '^[0-9]{4}-[0-9]{2}-[0-9]{2}$' THEN
    left(value, 4)::integer >= 1
    AND substr(value, 6, 2)::integer BETWEEN 1 AND 12
    AND right(value, 2)::integer BETWEEN 1 AND days_in_month(left(value, 4)::integer, substr(value, 6, 2)::integer)
ELSE false END;

CREATE FUNCTION is_time(value text) RETURNS boolean IMMUTABLE
RETURN value ~ ('^([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]([.][0-9]{1,6})?'
    '(Z|[+-](0[0-9]|1[0-5])([0-5][0-9]|:[0-5][0-9](:[0-5][0-9])?)?)?$');

CREATE FUNCTION is_timestamp(value text) RETURNS boolean IMMUTABLE
RETURN is_date(left(value, 10))
    AND (length(value) = 10 OR (substr(value, 11, 1) IN (' ', 'T') AND is_time(substr(value, 12))));

-- The offset as an interval; hours, minutes and seconds bear its sign alike.
CREATE FUNCTION utc_offset(sign text, hours text, minutes text, seconds text) RETURNS interval IMMUTABLE
RETURN coalesce((sign || '1')::integer, 0) * make_interval(
    hours => coalesce(hours, '0')::integer,
    mins => coalesce(minutes, '0')::integer,
    secs => coalesce(seconds, '0')::integer
);

CREATE FUNCTION parsed_timestamp(value text) RETURNS text IMMUTABLE
RETURN CASE WHEN is_timestamp(trimmed(value)) THEN trimmed(value) END;

-- The moment in UTC of what a clock in the session's time zone shows. What it shows twice or never, because it is put
-- back or forward, counts with the offset before that: PostgreSQL takes the offset after it for what is shown twice.
CREATE FUNCTION moment(shown timestamp) RETURNS timestamp LANGUAGE plpgsql AS $$
DECLARE
    zone text := current_setting('TimeZone');
    day_before timestamp := shown - interval '1 day';
    earlier timestamptz := (shown - (day_before - ((day_before AT TIME ZONE zone) AT TIME ZONE 'UTC'))) AT TIME ZONE 'UTC';
BEGIN
    RETURN CASE WHEN earlier AT TIME ZONE zone = shown THEN earlier ELSE shown AT TIME ZONE zone END AT TIME ZONE 'UTC';
END $$;

-- The moment in UTC; a timestamp without an offset is one of the session's time zone.
CREATE FUNCTION instant(value text) RETURNS timestamp LANGUAGE plpgsql AS $$
DECLARE
    known text := trimmed(value);
    is_local boolean := length(known) = 10 OR known !~ '(Z|[+-][0-9:]+)$';
    part text[] := regexp_match(substr(known, 12),
        '^([0-9:]{8}[.]?[0-9]*)(?:Z|([+-])([0-9]{2}):?([0-9]{2})?:?([0-9]{2})?)?$');
BEGIN
    IF NOT is_timestamp(known) THEN
        RETURN NULL;
    ELSIF is_local THEN
        RETURN moment(known::timestamp);
    END IF;
    RETURN left(known, 10)::timestamp + coalesce(part[1], '0')::interval
        - utc_offset(part[2], part[3], part[4], part[5]);
END $$;

CREATE FUNCTION local_date(value text) RETURNS date IMMUTABLE LANGUAGE plpgsql AS $$
BEGIN
    IF is_timestamp(trimmed(value)) THEN
        RETURN left(trimmed(value), 10)::date;
    END IF;
    RETURN NULL;
END $$;
