-- Customers, buyers and revenue of each state
WITH customers AS (
  SELECT UPPER(COALESCE(c.state, a.state)) AS state, 1 AS customer, IF(a.customer_id IS NULL, 0, 1) AS buyer, a.total_spent
  FROM shopease_catalog.customers c
  FULL OUTER JOIN shopease_catalog.customer_analytics a ON c.customer_id = a.customer_id
  UNION ALL
  -- sales without a customer: what the days have and the customers have not
  SELECT CAST(NULL AS varchar), 0, 0, d.revenue - c.revenue
  FROM (
    SELECT SUM(total_revenue) AS revenue FROM shopease_catalog.daily_sales_summary
  ) d CROSS JOIN (
    SELECT COALESCE(SUM(total_spent), 0) AS revenue FROM shopease_catalog.customer_analytics
  ) c
  WHERE d.revenue > c.revenue
)
SELECT
  COALESCE(state, '(unknown)') AS state,
  SUM(customer) AS customers,
  SUM(buyer) AS buyers,
  CAST(100 * SUM(buyer) AS decimal(18, 2)) / NULLIF(SUM(customer), 0) AS buyers_percent,
  COALESCE(SUM(total_spent), 0) AS revenue,
  COALESCE(SUM(total_spent) FILTER (WHERE customer = 1), 0) / NULLIF(SUM(customer), 0) AS revenue_per_customer
FROM customers
GROUP BY COALESCE(state, '(unknown)')
ORDER BY revenue DESC, state;
