-- Bronze, silver and gold of the old way, in one session.
\copy public.customers TO lake/bronze/customers/customers.csv (FORMAT csv, HEADER)
\copy public.products TO lake/bronze/products/products.csv (FORMAT csv, HEADER)
\copy public.stores TO lake/bronze/stores/stores.csv (FORMAT csv, HEADER)
\copy public.inventory TO lake/bronze/inventory/inventory.csv (FORMAT csv, HEADER)
\copy public.sales_managers TO lake/bronze/sales_managers/sales_managers.csv (FORMAT csv, HEADER)
\copy public.sale_transactions TO lake/bronze/transactions/sale_transactions.csv (FORMAT csv, HEADER)

CREATE TEMP TABLE customers AS
SELECT DISTINCT ON (customer_id) customer_id, nullif(upper(trim(customer_name)), '') AS customer_name,
    nullif(lower(trim(email)), '') AS email, nullif(trim(phone), '') AS phone, nullif(trim(address), '') AS address,
    nullif(trim(city), '') AS city, nullif(trim(state), '') AS state, nullif(trim(zip_code), '') AS zip_code,
    created_at, updated_at
FROM public.customers
WHERE customer_id IS NOT NULL AND trim(customer_name) <> '' AND trim(email) <> ''
ORDER BY customer_id, updated_at DESC NULLS LAST, created_at DESC NULLS LAST;

CREATE TEMP TABLE products AS
SELECT DISTINCT ON (product_id) product_id, nullif(trim(product_name), '') AS product_name,
    nullif(upper(trim(category)), '') AS category, round(price, 2) AS price,
    nullif(trim(description), '') AS description, created_at, updated_at
FROM public.products
WHERE product_id IS NOT NULL AND trim(product_name) <> '' AND price > 0
ORDER BY product_id, updated_at DESC NULLS LAST, created_at DESC NULLS LAST;

CREATE TEMP TABLE transactions AS
SELECT DISTINCT ON (transaction_id) transaction_id, store_id, customer_id, product_id, quantity,
    round(unit_price, 2) AS unit_price, round(quantity * unit_price, 2) AS total_amount,
    nullif(trim(payment_method), '') AS payment_method, nullif(trim(sales_channel), '') AS sales_channel,
    created_at::date AS transaction_date, extract(year FROM created_at)::int AS year,
    extract(month FROM created_at)::int AS month, extract(day FROM created_at)::int AS day, created_at, updated_at
FROM public.sale_transactions
WHERE transaction_id IS NOT NULL AND quantity > 0 AND unit_price > 0 AND created_at IS NOT NULL
ORDER BY transaction_id, updated_at DESC NULLS LAST, created_at DESC NULLS LAST;

\copy customers TO lake/silver/customers/customers_cleaned.csv (FORMAT csv, HEADER)
\copy products TO lake/silver/products/products_cleaned.csv (FORMAT csv, HEADER)
\copy transactions TO lake/silver/transactions/transactions_cleaned.csv (FORMAT csv, HEADER)

CREATE TEMP VIEW daily_sales_summary AS
SELECT transaction_date AS sales_date, count(*) AS total_transactions, sum(quantity) AS total_items_sold,
    sum(total_amount) AS total_revenue, round(avg(total_amount), 2) AS avg_transaction_value,
    count(DISTINCT customer_id) AS unique_customers, count(DISTINCT product_id) AS unique_products
FROM transactions GROUP BY transaction_date ORDER BY transaction_date;

CREATE TEMP VIEW product_performance AS
SELECT product_id, product_name, category, count(*) AS total_orders, sum(quantity) AS total_quantity_sold,
    sum(total_amount) AS total_revenue, round(avg(total_amount), 2) AS avg_order_value,
    round(avg(quantity), 2) AS avg_quantity_per_order
FROM transactions LEFT JOIN products USING (product_id) WHERE product_id IS NOT NULL
GROUP BY product_id, product_name, category ORDER BY total_revenue DESC, product_id;

CREATE TEMP VIEW customer_analytics AS
WITH bought AS (
    SELECT customer_id, count(*) AS total_purchases, sum(quantity) AS total_items_bought,
        sum(total_amount) AS total_spent, round(avg(total_amount), 2) AS avg_order_value,
        min(transaction_date) AS first_purchase_date, max(transaction_date) AS last_purchase_date,
        (SELECT max(transaction_date) FROM transactions) - max(transaction_date) AS recency_days
    FROM transactions WHERE customer_id IS NOT NULL GROUP BY customer_id
), scored AS (
    SELECT *, 1 + 5 * (rank() OVER (ORDER BY recency_days DESC) - 1) / count(*) OVER () AS r_score,
        1 + 5 * (rank() OVER (ORDER BY total_purchases) - 1) / count(*) OVER () AS f_score,
        1 + 5 * (rank() OVER (ORDER BY total_spent) - 1) / count(*) OVER () AS m_score
    FROM bought
)
SELECT customer_id, customer_name, city, state, total_purchases, total_items_bought, total_spent, avg_order_value,
    first_purchase_date, last_purchase_date, recency_days, r_score, f_score, m_score,
    concat(r_score, f_score, m_score) AS rfm_score,
    CASE
        WHEN r_score = 5 AND f_score >= 4 THEN 'champions'
        WHEN r_score >= 3 AND f_score >= 4 THEN 'loyal_customers'
        WHEN r_score >= 4 AND f_score >= 2 THEN 'potential_loyalists'
        WHEN r_score = 5 THEN 'new_customers'
        WHEN r_score = 4 THEN 'promising'
        WHEN r_score = 3 AND f_score = 3 THEN 'need_attention'
        WHEN r_score = 3 THEN 'about_to_sleep'
        WHEN f_score = 5 THEN 'cant_lose_them'
        WHEN f_score >= 3 THEN 'at_risk'
        ELSE 'hibernating'
    END AS rfm_segment
FROM scored LEFT JOIN customers USING (customer_id) ORDER BY total_spent DESC, customer_id;

\copy (SELECT * FROM daily_sales_summary) TO rows/daily_sales_summary.csv (FORMAT csv, HEADER)
\copy (SELECT * FROM product_performance) TO rows/product_performance.csv (FORMAT csv, HEADER)
\copy (SELECT * FROM customer_analytics) TO rows/customer_analytics.csv (FORMAT csv, HEADER)
