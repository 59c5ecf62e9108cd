CREATE VIEW product_performance AS
WITH sold AS (
    SELECT product_id, count(*) AS orders, sum(quantity) AS items, sum(total_amount) AS revenue
    FROM sales WHERE product_id IS NOT NULL GROUP BY product_id
)
SELECT
    product_id,
    cells ->> 'product_name' AS product_name,
    cells ->> 'category' AS category,
    orders AS total_orders,
    items::bigint AS total_quantity_sold,
    revenue::numeric(18, 2) AS total_revenue,
    average(revenue, orders) AS avg_order_value,
    average(items, orders) AS avg_quantity_per_order
FROM sold LEFT JOIN silver_products ON (cells ->> 'product_id')::bigint = product_id
ORDER BY revenue DESC, product_id;
