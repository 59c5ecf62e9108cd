-- Customers, spend and recency of each RFM segment, with the shares in percent
SELECT
  rfm_segment,
  COUNT(*) AS customers,
  CAST(100 * COUNT(*) AS decimal(18, 2)) / SUM(COUNT(*)) OVER () AS customers_percent,
  SUM(total_spent) AS revenue,
  CAST(100 * SUM(total_spent) AS decimal(38, 2)) / SUM(SUM(total_spent)) OVER () AS revenue_percent,
  AVG(total_spent) AS average_spent,
  AVG(CAST(total_purchases AS decimal(18, 2))) AS average_purchases,
  AVG(CAST(recency_days AS decimal(18, 2))) AS average_recency_days
FROM shopease_catalog.customer_analytics
GROUP BY rfm_segment
ORDER BY revenue DESC, rfm_segment;
