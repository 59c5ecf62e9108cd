-- The twenty customers who spent most
SELECT
  customer_id,
  customer_name,
  city,
  state,
  total_purchases,
  total_spent,
  avg_order_value,
  last_purchase_date,
  rfm_segment
FROM shopease_catalog.customer_analytics
ORDER BY total_spent DESC, customer_id
LIMIT 20;
