-- A text such that bytes in order are texts in order, NULL before any text.
CREATE FUNCTION as_bytes(value text) RETURNS bytea IMMUTABLE
RETURN coalesce('\x01'::bytea || convert_to(value, 'UTF8'), '');

-- The source's rows in the order of the heap, each an object of its columns as the types' output functions write them,
-- and its record, by which rows compare.
CREATE FUNCTION bronze(source regclass) RETURNS TABLE (bronze_row bigint, source_cells jsonb, record bytea[])
LANGUAGE plpgsql AS $$
DECLARE
    names text;
    texts text;
    bytes text;
BEGIN
    SELECT
        string_agg(quote_literal(attname), ', ' ORDER BY attnum),
        string_agg(format('CASE WHEN num_nulls(%1$I) = 0 THEN format(''%%s'', %1$I) END', attname), ', ' ORDER BY attnum),
        string_agg(format('as_bytes(CASE WHEN num_nulls(%1$I) = 0 THEN format(''%%s'', %1$I) END)', attname), ', '
            ORDER BY attnum)
    INTO names, texts, bytes FROM pg_attribute WHERE attrelid = source AND attnum > 0 AND NOT attisdropped;
    RETURN QUERY EXECUTE format(
        'SELECT row_number() OVER (ORDER BY ctid), jsonb_object(ARRAY[%s], ARRAY[%s]::text[]), ARRAY[%s] FROM %s',
        names, texts, bytes, source);
END $$;

CREATE TABLE bronze_customers AS SELECT * FROM bronze('public.customers');
CREATE TABLE bronze_products AS SELECT * FROM bronze('public.products');
CREATE TABLE bronze_stores AS SELECT * FROM bronze('public.stores');
CREATE TABLE bronze_inventory AS SELECT * FROM bronze('public.inventory');
CREATE TABLE bronze_sales_managers AS SELECT * FROM bronze('public.sales_managers');
CREATE TABLE bronze_transactions AS SELECT * FROM bronze('public.sale_transactions');

CREATE TABLE known_columns (source text, known text[], calculated text[]);
INSERT INTO known_columns VALUES
    ('customers', '{customer_id,customer_name,email,phone,address,city,state,zip_code,created_at,updated_at}', '{}'),
    ('products', '{product_id,product_name,category,price,description,created_at,updated_at}', '{}'),
    ('sale_transactions',
        '{transaction_id,store_id,customer_id,product_id,quantity,unit_price,payment_method,sales_channel,created_at,'
        'updated_at}', '{total_amount,transaction_date,year,month,day}');

-- The name in silver and quarantine of a column of the source.
CREATE FUNCTION written(source_table text, name text) RETURNS text STABLE
RETURN (
    SELECT CASE
        WHEN name = ANY (known) OR lower(name) <> ALL (known || calculated || '{rejected_rule,run_id}'::text[]) THEN name
        ELSE 'source_' || name
    END
    FROM known_columns WHERE source = source_table
);

CREATE FUNCTION renamed(source_table text, source_cells jsonb) RETURNS jsonb STABLE
RETURN (SELECT jsonb_object_agg(written(source_table, key), value) FROM jsonb_each_text(source_cells));

-- Every column as if it were an extra one.
CREATE FUNCTION one_lined(source_table text, source_cells jsonb) RETURNS jsonb STABLE
RETURN (SELECT jsonb_object_agg(written(source_table, key), one_line(value)) FROM jsonb_each_text(source_cells));

CREATE VIEW source_columns AS
SELECT source, written(source, attname::text) AS name, attname::text AS source_name, attnum AS place
FROM pg_attribute JOIN known_columns ON attrelid = ('public.' || source)::regclass
WHERE attnum > 0 AND NOT attisdropped;
