-- Revenue month by month, and its change in percent from the month with sales before
WITH months AS (
  SELECT
    date_trunc('month', sales_date) AS sales_month,
    SUM(total_transactions) AS transactions,
    SUM(total_items_sold) AS items_sold,
    SUM(total_revenue) AS revenue
  FROM shopease_catalog.daily_sales_summary
  GROUP BY date_trunc('month', sales_date)
), compared AS (
  SELECT sales_month, transactions, items_sold, revenue, LAG(revenue) OVER (ORDER BY sales_month) AS revenue_before
  FROM months
)
SELECT
  sales_month,
  transactions,
  items_sold,
  revenue,
  revenue / transactions AS average_sale,
  CAST(100 * (revenue - revenue_before) AS decimal(38, 2)) / revenue_before AS change_percent
FROM compared
ORDER BY sales_month;
