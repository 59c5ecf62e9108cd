CREATE TABLE tried_customers AS
WITH standard AS MATERIALIZED (
    SELECT bronze_row, source_cells, record,
        parsed_integer(source_cells ->> 'customer_id') AS customer_id,
        upper(squished(source_cells ->> 'customer_name') COLLATE pg_unicode_fast) AS customer_name,
        lower(squished(source_cells ->> 'email') COLLATE pg_unicode_fast) AS email,
        instant(source_cells ->> 'updated_at') AS updated,
        instant(source_cells ->> 'created_at') AS created
    FROM bronze_customers
), ruled AS (
    SELECT *, CASE
        WHEN trimmed(source_cells ->> 'customer_id') IS NULL THEN 'missing_customer_id'
        WHEN customer_id IS NULL THEN 'invalid_customer_id'
        WHEN customer_name IS NULL THEN 'missing_customer_name'
        WHEN email IS NULL THEN 'missing_email'
    END AS broken
    FROM standard
), ranked AS (
    SELECT *, row_number() OVER (
        PARTITION BY customer_id, broken IS NULL
        ORDER BY updated DESC NULLS LAST, created DESC NULLS LAST, record DESC, bronze_row
    ) AS place
    FROM ruled
)
SELECT bronze_row, source_cells,
    coalesce(broken, CASE WHEN place > 1 THEN 'duplicate_customer_id' END) AS rejected_rule,
    one_lined('customers', source_cells) || jsonb_build_object(
        'customer_id', customer_id::text,
        'customer_name', customer_name,
        'email', email,
        'phone', squished(source_cells ->> 'phone'),
        'address', squished(source_cells ->> 'address'),
        'city', squished(source_cells ->> 'city'),
        'state', squished(source_cells ->> 'state'),
        'zip_code', squished(source_cells ->> 'zip_code'),
        'created_at', parsed_timestamp(source_cells ->> 'created_at'),
        'updated_at', parsed_timestamp(source_cells ->> 'updated_at')
    ) AS cells
FROM ranked;

CREATE VIEW silver_customers AS SELECT bronze_row, cells FROM tried_customers WHERE rejected_rule IS NULL;
CREATE VIEW quarantine_customers AS
SELECT bronze_row, renamed('customers', source_cells) AS cells, rejected_rule FROM tried_customers WHERE rejected_rule IS NOT NULL;
CREATE VIEW silver_columns_customers AS SELECT place, name FROM source_columns WHERE source = 'customers';
CREATE VIEW quarantine_columns_customers AS SELECT place, name FROM source_columns WHERE source = 'customers';
