CREATE TABLE tried_transactions AS
WITH standard AS MATERIALIZED (
    SELECT bronze_row, source_cells,
        parsed_integer(source_cells ->> 'transaction_id') AS transaction_id,
        parsed_integer(source_cells ->> 'quantity') AS quantity,
        parsed_money(source_cells ->> 'unit_price') AS unit_price,
        local_date(source_cells ->> 'created_at') AS transaction_date,
        instant(source_cells ->> 'updated_at') AS updated,
        instant(source_cells ->> 'created_at') AS created
    FROM bronze_transactions
), ruled AS (
    SELECT *, CASE
        WHEN transaction_id IS NULL THEN 'missing_transaction_id'
        WHEN quantity IS NULL OR quantity <= 0 THEN 'nonpositive_quantity'
        WHEN unit_price IS NULL OR unit_price <= 0 THEN 'nonpositive_unit_price'
        WHEN transaction_date IS NULL THEN 'missing_created_at'
    END AS broken
    FROM standard
), ranked AS (
    SELECT *, row_number() OVER (
        PARTITION BY transaction_id, broken IS NULL
        ORDER BY updated DESC NULLS LAST, created DESC NULLS LAST, bronze_row
    ) AS place
    FROM ruled
)
SELECT bronze_row, source_cells,
    coalesce(broken, CASE WHEN place > 1 THEN 'duplicate_transaction_id' END) AS rejected_rule,
    one_lined(source_cells) || jsonb_build_object(
        'source_total_amount', one_line(source_cells ->> 'total_amount'),
        'source_transaction_date', one_line(source_cells ->> 'transaction_date'),
        'source_year', one_line(source_cells ->> 'year'),
        'source_month', one_line(source_cells ->> 'month'),
        'source_day', one_line(source_cells ->> 'day'),
        'transaction_id', transaction_id::text,
        'store_id', foreign_key(source_cells ->> 'store_id'),
        'customer_id', foreign_key(source_cells ->> 'customer_id'),
        'product_id', foreign_key(source_cells ->> 'product_id'),
        'quantity', quantity::text,
        'unit_price', unit_price::text,
        'total_amount', (quantity * unit_price)::text,
        'payment_method', squished(source_cells ->> 'payment_method'),
        'sales_channel', squished(source_cells ->> 'sales_channel'),
        'transaction_date', transaction_date::text,
        'year', extract(year FROM transaction_date)::text,
        'month', extract(month FROM transaction_date)::text,
        'day', extract(day FROM transaction_date)::text,
        'created_at', kept(source_cells ->> 'created_at'),
        'updated_at', kept(source_cells ->> 'updated_at')
    ) AS cells
FROM ranked;

CREATE VIEW silver_transactions AS SELECT bronze_row, cells FROM tried_transactions WHERE rejected_rule IS NULL;
CREATE VIEW quarantine_transactions AS
SELECT bronze_row, source_cells, rejected_rule FROM tried_transactions WHERE rejected_rule IS NOT NULL;
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
SELECT 100 + place,
    CASE WHEN name IN ('total_amount', 'transaction_date', 'year', 'month', 'day') THEN 'source_' ELSE '' END || name
FROM source_columns
WHERE source = 'sale_transactions' AND name NOT IN (
    'transaction_id', 'store_id', 'customer_id', 'product_id', 'quantity', 'unit_price', 'payment_method',
    'sales_channel', 'created_at', 'updated_at');
