CREATE VIEW reconciliation AS
SELECT
    count(*) AS silver_transactions,
    coalesce(sum(total_amount), 0.00) AS silver_revenue,
    (SELECT coalesce(sum(total_transactions), 0)::bigint FROM daily_sales_summary) AS daily_sales_summary_transactions,
    (SELECT coalesce(sum(total_revenue), 0.00) FROM daily_sales_summary) AS daily_sales_summary_revenue,
    (SELECT coalesce(sum(total_orders), 0)::bigint FROM product_performance) AS product_performance_transactions,
    (SELECT coalesce(sum(total_revenue), 0.00) FROM product_performance) AS product_performance_revenue,
    count(*) FILTER (WHERE product_id IS NULL) AS transactions_without_product_id,
    coalesce(sum(total_amount) FILTER (WHERE product_id IS NULL), 0.00) AS revenue_without_product_id,
    (SELECT coalesce(sum(total_purchases), 0)::bigint FROM customer_analytics) AS customer_analytics_transactions,
    (SELECT coalesce(sum(total_spent), 0.00) FROM customer_analytics) AS customer_analytics_revenue,
    count(*) FILTER (WHERE customer_id IS NULL) AS transactions_without_customer_id,
    coalesce(sum(total_amount) FILTER (WHERE customer_id IS NULL), 0.00) AS revenue_without_customer_id
FROM sales;
