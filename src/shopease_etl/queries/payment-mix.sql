-- Transactions and revenue of each payment method, with shares in percent
SELECT
  COALESCE(UPPER(payment_method), '(unknown)') AS payment_method,
  COUNT(*) AS transactions,
  SUM(total_amount) AS revenue,
  SUM(total_amount) / COUNT(*) AS average_sale,
  CAST(100 * COUNT(*) AS decimal(18, 2)) / SUM(COUNT(*)) OVER () AS transactions_percent,
  CAST(100 * SUM(total_amount) AS decimal(38, 2)) / SUM(SUM(total_amount)) OVER () AS revenue_percent
FROM shopease_catalog.transactions
GROUP BY COALESCE(UPPER(payment_method), '(unknown)')
ORDER BY revenue DESC, payment_method;
