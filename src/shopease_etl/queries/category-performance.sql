-- Orders, quantity and revenue of each category, with its share of revenue in percent
SELECT
  COALESCE(category, '(unknown)') AS category,
  COUNT(*) AS products_sold,
  SUM(total_orders) AS orders,
  SUM(total_quantity_sold) AS quantity_sold,
  SUM(total_revenue) AS revenue,
  SUM(total_revenue) / SUM(total_orders) AS average_order,
  CAST(100 * SUM(total_revenue) AS decimal(38, 2)) / SUM(SUM(total_revenue)) OVER () AS revenue_percent
FROM shopease_catalog.product_performance
GROUP BY COALESCE(category, '(unknown)')
ORDER BY revenue DESC, category;
