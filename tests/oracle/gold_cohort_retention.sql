CREATE VIEW cohort_retention AS
WITH cohorts AS (
    SELECT customer_id, min(sales_month) AS cohort_month FROM sales WHERE customer_id IS NOT NULL GROUP BY customer_id
), sizes AS (
    SELECT cohort_month, count(*) AS cohort_size FROM cohorts GROUP BY cohort_month
), bought AS (
    SELECT cohort_month, sales_month, count(DISTINCT customer_id) AS customers, sum(total_amount) AS revenue
    FROM sales JOIN cohorts USING (customer_id) GROUP BY cohort_month, sales_month
)
SELECT
    cohort_month,
    (12 * (extract(year FROM sales_month) - extract(year FROM cohort_month))
        + extract(month FROM sales_month) - extract(month FROM cohort_month))::integer AS months_since,
    cohort_size,
    customers,
    (div(20000 * customers + cohort_size, 2 * cohort_size) / 10000)::numeric(9, 4) AS retention_rate,
    revenue::numeric(18, 2) AS total_revenue
FROM bought JOIN sizes USING (cohort_month)
ORDER BY cohort_month, months_since;
