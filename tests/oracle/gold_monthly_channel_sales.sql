CREATE VIEW monthly_channel_sales AS
SELECT
    sales_channel,
    sales_month,
    count(*) AS total_transactions,
    sum(quantity)::bigint AS total_items_sold,
    sum(total_amount)::numeric(18, 2) AS total_revenue,
    average(sum(total_amount), count(*)) AS avg_transaction_value
FROM sales WHERE sales_channel IS NOT NULL GROUP BY sales_channel, sales_month
ORDER BY as_bytes(sales_channel), sales_month;
