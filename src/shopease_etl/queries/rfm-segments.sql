-- Customers, spend and recency of each RFM segment, with shares in percent
WITH customers AS (
  SELECT rfm_segment, customer_id, total_spent, total_purchases, recency_days FROM shopease_catalog.customer_analytics
  UNION ALL
  -- sales without a customer: what the days have and the customers have not
  SELECT '(unknown)', CAST(NULL AS bigint), d.revenue - c.revenue, CAST(NULL AS bigint), CAST(NULL AS integer)
  FROM (
    SELECT SUM(total_revenue) AS revenue FROM shopease_catalog.daily_sales_summary
  ) d CROSS JOIN (
    SELECT COALESCE(SUM(total_spent), 0) AS revenue FROM shopease_catalog.customer_analytics
  ) c
  WHERE d.revenue > c.revenue
)
SELECT
  rfm_segment,
  COUNT(customer_id) AS customers,
  CAST(100 * COUNT(customer_id) AS decimal(18, 2)) / NULLIF(SUM(COUNT(customer_id)) OVER (), 0) AS customers_percent,
  SUM(total_spent) AS revenue,
  CAST(100 * SUM(total_spent) AS decimal(38, 2)) / SUM(SUM(total_spent)) OVER () AS revenue_percent,
  SUM(total_spent) FILTER (WHERE customer_id IS NOT NULL) / NULLIF(COUNT(customer_id), 0) AS average_spent,
  AVG(CAST(total_purchases AS decimal(18, 2))) AS average_purchases,
  AVG(CAST(recency_days AS decimal(18, 2))) AS average_recency_days
FROM customers
GROUP BY rfm_segment
ORDER BY revenue DESC, rfm_segment;
