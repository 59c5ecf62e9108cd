-- The ten days with the highest revenue (monthly-trend has all)
SELECT sales_date, total_revenue, total_transactions, unique_customers
FROM shopease_catalog.daily_sales_summary ORDER BY total_revenue DESC LIMIT 10;
