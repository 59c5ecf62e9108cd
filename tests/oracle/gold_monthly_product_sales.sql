CREATE VIEW monthly_product_sales AS
WITH sold AS (
    SELECT product_id, sales_month, count(*) AS orders, sum(quantity)::bigint AS items, sum(total_amount) AS revenue
    FROM sales WHERE product_id IS NOT NULL GROUP BY product_id, sales_month
)
SELECT
    product_id,
    cells ->> 'product_name' AS product_name,
    cells ->> 'category' AS category,
    sales_month,
    orders AS total_orders,
    items AS total_quantity_sold,
    revenue::numeric(18, 2) AS total_revenue
FROM sold LEFT JOIN silver_products ON (cells ->> 'product_id')::bigint = product_id
ORDER BY product_id, sales_month;
