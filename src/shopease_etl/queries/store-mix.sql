-- Transactions and revenue of each store, with shares in percent
SELECT
  s.store_id,
  COALESCE(s.store_name, '(unknown)') AS store_name,
  COUNT(*) AS transactions,
  SUM(t.total_amount) AS revenue,
  SUM(t.total_amount) / COUNT(*) AS average_sale,
  CAST(100 * COUNT(*) AS decimal(18, 2)) / SUM(COUNT(*)) OVER () AS transactions_percent,
  CAST(100 * SUM(t.total_amount) AS decimal(38, 2)) / SUM(SUM(t.total_amount)) OVER () AS revenue_percent
FROM shopease_catalog.transactions t
LEFT JOIN (
  SELECT store_id, MAX(store_name) AS store_name
  FROM shopease_catalog.stores
  WHERE store_id IS NOT NULL
  GROUP BY store_id
) s ON t.store_id = s.store_id
GROUP BY s.store_id, COALESCE(s.store_name, '(unknown)')
ORDER BY revenue DESC, store_id;
