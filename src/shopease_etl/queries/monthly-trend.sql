-- Revenue month by month, and its change in percent from the month before
WITH months AS (
  SELECT
    date_trunc('month', sales_date) AS sales_month,
    SUM(total_transactions) AS transactions,
    SUM(total_items_sold) AS items_sold,
    SUM(total_revenue) AS revenue
  FROM shopease_catalog.daily_sales_summary
  GROUP BY date_trunc('month', sales_date)
)
SELECT
  m.sales_month,
  m.transactions,
  m.items_sold,
  m.revenue,
  m.revenue / m.transactions AS average_sale,
  CAST(100 * (m.revenue - b.revenue) AS decimal(38, 2)) / b.revenue AS change_percent
FROM months m
LEFT JOIN months b ON b.sales_month = date_add('month', -1, m.sales_month)
ORDER BY m.sales_month;
