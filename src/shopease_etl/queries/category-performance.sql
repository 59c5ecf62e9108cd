-- Orders, quantity and revenue of each category, with its share in percent
WITH sold AS (
  SELECT category, product_id, total_orders AS orders, total_quantity_sold AS quantity, total_revenue AS revenue
  FROM shopease_catalog.product_performance
  UNION ALL
  -- sales without a product: what the days have and the products have not
  SELECT CAST(NULL AS varchar), CAST(NULL AS bigint), d.orders - p.orders, d.quantity - p.quantity, d.revenue - p.revenue
  FROM (
    SELECT SUM(total_transactions) AS orders, SUM(total_items_sold) AS quantity, SUM(total_revenue) AS revenue
    FROM shopease_catalog.daily_sales_summary
  ) d CROSS JOIN (
    SELECT
      COALESCE(SUM(total_orders), 0) AS orders,
      COALESCE(SUM(total_quantity_sold), 0) AS quantity,
      COALESCE(SUM(total_revenue), 0) AS revenue
    FROM shopease_catalog.product_performance
  ) p
  WHERE d.orders > p.orders
)
SELECT
  COALESCE(category, '(unknown)') AS category,
  COUNT(product_id) AS products_sold,
  SUM(orders) AS orders,
  SUM(quantity) AS quantity_sold,
  SUM(revenue) AS revenue,
  SUM(revenue) / SUM(orders) AS average_order,
  CAST(100 * SUM(revenue) AS decimal(38, 2)) / SUM(SUM(revenue)) OVER () AS revenue_percent
FROM sold
GROUP BY COALESCE(category, '(unknown)')
ORDER BY revenue DESC, category;
