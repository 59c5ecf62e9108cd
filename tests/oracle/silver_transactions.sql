CREATE TABLE tried_transactions AS
WITH standard AS MATERIALIZED (
    SELECT bronze_row, source_cells, record,
        parsed_integer(source_cells ->> 'transaction_id') AS transaction_id,
        parsed_integer(source_cells ->> 'quantity') AS quantity,
        parsed_money(source_cells ->> 'unit_price') AS unit_price,
        local_date(source_cells ->> 'created_at') AS transaction_date,
        instant(source_cells ->> 'updated_at') AS updated,
        instant(source_cells ->> 'created_at') AS created
    FROM bronze_transactions
), ruled AS (
    SELECT *, CASE
        WHEN trimmed(source_cells ->> 'transaction_id') IS NULL THEN 'missing_transaction_id'
        WHEN transaction_id IS NULL THEN 'invalid_transaction_id'
        WHEN trimmed(source_cells ->> 'quantity') IS NULL THEN 'missing_quantity'
        WHEN quantity IS NULL THEN 'invalid_quantity'
        WHEN quantity <= 0 THEN 'nonpositive_quantity'
        WHEN trimmed(source_cells ->> 'unit_price') IS NULL THEN 'missing_unit_price'
        WHEN unit_price IS NULL THEN 'invalid_unit_price'
        WHEN unit_price <= 0 THEN 'nonpositive_unit_price'
        WHEN trimmed(source_cells ->> 'created_at') IS NULL THEN 'missing_created_at'
        WHEN transaction_date IS NULL THEN 'invalid_created_at'
        WHEN quantity * unit_price >= 10000000000000000 THEN 'invalid_total_amount'
    END AS broken
    FROM standard
), ranked AS (
    SELECT *, row_number() OVER (
        PARTITION BY transaction_id, broken IS NULL
        ORDER BY updated DESC NULLS LAST, created DESC NULLS LAST, record DESC, bronze_row
    ) AS place
    FROM ruled
)
SELECT bronze_row, source_cells,
    coalesce(broken, CASE WHEN place > 1 THEN 'duplicate_transaction_id' END) AS rejected_rule,
    one_lined('sale_transactions', source_cells) || jsonb_build_object(
        'transaction_id', transaction_id::text,
        'store_id', parsed_integer(source_cells ->> 'store_id')::text,
        'customer_id', parsed_integer(source_cells ->> 'customer_id')::text,
        'product_id', parsed_integer(source_cells ->> 'product_id')::text,
        'quantity', quantity::text,
        'unit_price', unit_price::text,
        'total_amount', (quantity * unit_price)::text,
        'payment_method', squished(source_cells ->> 'payment_method'),
        'sales_channel', squished(source_cells ->> 'sales_channel'),
        'transaction_date', transaction_date::text,
        'year', extract(year FROM transaction_date)::text,
        'month', extract(month FROM transaction_date)::text,
        'day', extract(day FROM transaction_date)::text,
        'created_at', parsed_timestamp(source_cells ->> 'created_at'),
        'updated_at', parsed_timestamp(source_cells ->> 'updated_at')
    ) AS cells
FROM ranked;

CREATE VIEW silver_transactions AS SELECT bronze_row, cells FROM tried_transactions WHERE rejected_rule IS NULL;
CREATE VIEW quarantine_transactions AS
SELECT bronze_row, renamed('sale_transactions', source_cells) AS cells, rejected_rule FROM tried_transactions WHERE rejected_rule IS NOT NULL;
CREATE VIEW quarantine_columns_transactions AS
SELECT place, name FROM source_columns WHERE source = 'sale_transactions';

CREATE VIEW silver_columns_transactions AS
WITH known (name, place) AS (
    SELECT * FROM unnest(string_to_array(
        'transaction_id store_id customer_id product_id quantity unit_price total_amount payment_method sales_channel '
        'transaction_date year month day created_at updated_at', ' ')) WITH ORDINALITY
)
SELECT place, name FROM known
UNION ALL
SELECT 100 + place, name FROM source_columns
WHERE source = 'sale_transactions' AND source_name NOT IN (SELECT unnest(known) FROM known_columns);
