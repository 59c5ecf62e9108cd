-- The source's rows in the order of the heap, each an object of its columns as the types' output functions write them.
CREATE FUNCTION bronze(source regclass) RETURNS TABLE (bronze_row bigint, source_cells jsonb) LANGUAGE plpgsql AS $$
DECLARE
    pairs text;
BEGIN
    SELECT string_agg(format('%1$L, CASE WHEN num_nulls(%1$I) = 0 THEN format(''%%s'', %1$I) END', attname), ', ')
    INTO pairs FROM pg_attribute WHERE attrelid = source AND attnum > 0 AND NOT attisdropped;
    RETURN QUERY EXECUTE format(
        'SELECT row_number() OVER (ORDER BY ctid), jsonb_build_object(%s) FROM %s', pairs, source);
END $$;

CREATE TABLE bronze_customers AS SELECT * FROM bronze('public.customers');
CREATE TABLE bronze_products AS SELECT * FROM bronze('public.products');
CREATE TABLE bronze_transactions AS SELECT * FROM bronze('public.sale_transactions');

-- Every column as if it were an extra one.
CREATE FUNCTION one_lined(source_cells jsonb) RETURNS jsonb IMMUTABLE
RETURN (SELECT jsonb_object_agg(key, one_line(value)) FROM jsonb_each_text(source_cells));

CREATE VIEW source_columns AS
SELECT attrelid::regclass::text AS source, attname::text AS name, attnum AS place
FROM pg_attribute
WHERE attrelid IN ('public.customers'::regclass, 'public.products'::regclass, 'public.sale_transactions'::regclass)
    AND attnum > 0 AND NOT attisdropped;
