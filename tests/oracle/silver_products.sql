CREATE TABLE tried_products AS
WITH standard AS MATERIALIZED (
    SELECT bronze_row, source_cells, record,
        parsed_integer(source_cells ->> 'product_id') AS product_id,
        squished(source_cells ->> 'product_name') AS product_name,
        parsed_money(source_cells ->> 'price') AS price,
        instant(source_cells ->> 'updated_at') AS updated,
        instant(source_cells ->> 'created_at') AS created
    FROM bronze_products
), ruled AS (
    SELECT *, CASE
        WHEN trimmed(source_cells ->> 'product_id') IS NULL THEN 'missing_product_id'
        WHEN product_id IS NULL THEN 'invalid_product_id'
        WHEN product_name IS NULL THEN 'missing_product_name'
        WHEN trimmed(source_cells ->> 'price') IS NULL THEN 'missing_price'
        WHEN price IS NULL THEN 'invalid_price'
        WHEN price <= 0 THEN 'nonpositive_price'
    END AS broken
    FROM standard
), ranked AS (
    SELECT *, row_number() OVER (
        PARTITION BY product_id, broken IS NULL
        ORDER BY updated DESC NULLS LAST, created DESC NULLS LAST, record DESC, bronze_row
    ) AS place
    FROM ruled
)
SELECT bronze_row, source_cells,
    coalesce(broken, CASE WHEN place > 1 THEN 'duplicate_product_id' END) AS rejected_rule,
    one_lined('products', source_cells) || jsonb_build_object(
        'product_id', product_id::text,
        'product_name', product_name,
        'category', upper(squished(source_cells ->> 'category') COLLATE pg_unicode_fast),
        'price', price::text,
        'description', squished(source_cells ->> 'description'),
        'created_at', parsed_timestamp(source_cells ->> 'created_at'),
        'updated_at', parsed_timestamp(source_cells ->> 'updated_at')
    ) AS cells
FROM ranked;

CREATE VIEW silver_products AS SELECT bronze_row, cells FROM tried_products WHERE rejected_rule IS NULL;
CREATE VIEW quarantine_products AS
SELECT bronze_row, renamed('products', source_cells) AS cells, rejected_rule FROM tried_products WHERE rejected_rule IS NOT NULL;
CREATE VIEW silver_columns_products AS SELECT place, name FROM source_columns WHERE source = 'products';
CREATE VIEW quarantine_columns_products AS SELECT place, name FROM source_columns WHERE source = 'products';
