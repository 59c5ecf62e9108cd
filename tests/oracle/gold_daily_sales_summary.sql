-- The silver of the oracle, typed: what gold reads.
CREATE TABLE sales AS
SELECT
    parsed_integer(cells ->> 'store_id') AS store_id,
    parsed_integer(cells ->> 'customer_id') AS customer_id,
    parsed_integer(cells ->> 'product_id') AS product_id,
    (cells ->> 'quantity')::bigint AS quantity,
    (cells ->> 'total_amount')::numeric AS total_amount,
    cells ->> 'sales_channel' AS sales_channel,
    (cells ->> 'transaction_date')::date AS transaction_date,
    date_trunc('month', (cells ->> 'transaction_date')::date)::date AS sales_month
FROM silver_transactions;

-- The quotient with 2 decimals, half away from zero, of two positive numbers: by whole numbers, so never rounded twice.
CREATE FUNCTION average(total numeric, rows bigint) RETURNS numeric IMMUTABLE
RETURN (div(200 * total + rows, 2 * rows) / 100)::numeric(18, 2);

CREATE VIEW daily_sales_summary AS
SELECT
    transaction_date AS sales_date,
    count(*) AS total_transactions,
    sum(quantity)::bigint AS total_items_sold,
    sum(total_amount)::numeric(18, 2) AS total_revenue,
    average(sum(total_amount), count(*)) AS avg_transaction_value,
    count(DISTINCT customer_id) AS unique_customers,
    count(DISTINCT product_id) AS unique_products
FROM sales
GROUP BY transaction_date
ORDER BY transaction_date;
