-- Customers, buyers and revenue of each state
SELECT
  COALESCE(c.state, '(unknown)') AS state,
  COUNT(*) AS customers,
  COUNT(a.customer_id) AS buyers,
  CAST(100 * COUNT(a.customer_id) AS decimal(18, 2)) / COUNT(*) AS buyers_percent,
  COALESCE(SUM(a.total_spent), 0) AS revenue,
  COALESCE(SUM(a.total_spent), 0) / COUNT(*) AS revenue_per_customer
FROM shopease_catalog.customers c
LEFT JOIN shopease_catalog.customer_analytics a ON c.customer_id = a.customer_id
GROUP BY COALESCE(c.state, '(unknown)')
ORDER BY revenue DESC, state;
