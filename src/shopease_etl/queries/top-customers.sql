-- The twenty customers who spent most, then all others, then unknown ones
WITH ranked AS (
  SELECT *, ROW_NUMBER() OVER (ORDER BY total_spent DESC, customer_id) AS place FROM shopease_catalog.customer_analytics
), listed AS (
  SELECT
    place, customer_id, customer_name, city, state, total_purchases, total_spent, last_purchase_date, rfm_segment
  FROM ranked
  WHERE place <= 20
  UNION ALL
  SELECT 21, NULL, '(others)', NULL, NULL, SUM(total_purchases), SUM(total_spent), MAX(last_purchase_date), NULL
  FROM ranked
  WHERE place > 20
  HAVING COUNT(*) > 0
  UNION ALL
  -- sales without a customer: what the days have and the customers have not
  SELECT 22, NULL, '(unknown)', NULL, NULL, d.purchases - c.purchases, d.revenue - c.revenue, NULL, NULL
  FROM (
    SELECT SUM(total_transactions) AS purchases, SUM(total_revenue) AS revenue
    FROM shopease_catalog.daily_sales_summary
  ) d CROSS JOIN (
    SELECT COALESCE(SUM(total_purchases), 0) AS purchases, COALESCE(SUM(total_spent), 0) AS revenue
    FROM shopease_catalog.customer_analytics
  ) c
  WHERE d.purchases > c.purchases
)
SELECT
  customer_id,
  customer_name,
  city,
  state,
  total_purchases,
  total_spent,
  total_spent / total_purchases AS avg_order_value,
  last_purchase_date,
  rfm_segment
FROM listed
ORDER BY place;
