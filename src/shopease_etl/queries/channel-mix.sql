-- Transactions and revenue of each sales channel, with shares in percent
SELECT
  COALESCE(UPPER(sales_channel), '(unknown)') AS sales_channel,
  COUNT(*) AS transactions,
  SUM(total_amount) AS revenue,
  SUM(total_amount) / COUNT(*) AS average_sale,
  CAST(100 * COUNT(*) AS decimal(18, 2)) / SUM(COUNT(*)) OVER () AS transactions_percent,
  CAST(100 * SUM(total_amount) AS decimal(38, 2)) / SUM(SUM(total_amount)) OVER () AS revenue_percent
FROM shopease_catalog.transactions
GROUP BY COALESCE(UPPER(sales_channel), '(unknown)')
ORDER BY revenue DESC, sales_channel;
