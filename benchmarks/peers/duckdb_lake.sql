-- Silver as tables, for they are read several times; gold as views over them.
CREATE TABLE customers AS
SELECT customer_id, nullif(upper(trim(customer_name)), '') AS customer_name,
    nullif(lower(trim(email)), '') AS email, nullif(trim(phone), '') AS phone, nullif(trim(address), '') AS address,
    nullif(trim(city), '') AS city, nullif(trim(state), '') AS state, nullif(trim(zip_code), '') AS zip_code,
    created_at, updated_at
FROM bronze_customers
WHERE customer_id IS NOT NULL AND trim(customer_name) <> '' AND trim(email) <> ''
QUALIFY row_number() OVER (
    PARTITION BY customer_id ORDER BY updated_at DESC NULLS LAST, created_at DESC NULLS LAST) = 1
ORDER BY rowid;

CREATE TABLE products AS
SELECT product_id, nullif(trim(product_name), '') AS product_name, nullif(upper(trim(category)), '') AS category,
    round(price, 2) AS price, nullif(trim(description), '') AS description, created_at, updated_at
FROM bronze_products
WHERE product_id IS NOT NULL AND trim(product_name) <> '' AND price > 0
QUALIFY row_number() OVER (
    PARTITION BY product_id ORDER BY updated_at DESC NULLS LAST, created_at DESC NULLS LAST) = 1
ORDER BY rowid;

-- Only rows whose key occurs more than once are ranked: a window over all rows would sort them all.
CREATE TABLE standard AS
SELECT transaction_id, store_id, customer_id, product_id, quantity, unit_price,
    CAST(quantity * unit_price AS decimal(18, 2)) AS total_amount,
    nullif(trim(payment_method), '') AS payment_method, nullif(trim(sales_channel), '') AS sales_channel,
    CAST(created_at AS date) AS transaction_date, year(created_at) AS year, month(created_at) AS month,
    day(created_at) AS day, created_at, updated_at
FROM bronze_transactions
WHERE transaction_id IS NOT NULL AND quantity > 0 AND unit_price > 0 AND created_at IS NOT NULL;

CREATE TABLE doubled AS
SELECT rowid AS place, row_number() OVER (
    PARTITION BY transaction_id ORDER BY updated_at DESC NULLS LAST, created_at DESC NULLS LAST, rowid) AS number
FROM standard
WHERE transaction_id IN (SELECT transaction_id FROM standard GROUP BY transaction_id HAVING count(*) > 1);

CREATE VIEW transactions AS
FROM standard WHERE rowid NOT IN (SELECT place FROM doubled WHERE number > 1);

CREATE VIEW daily_sales_summary AS
SELECT transaction_date AS sales_date, count(*) AS total_transactions,
    CAST(sum(quantity) AS bigint) AS total_items_sold,
    CAST(sum(total_amount) AS decimal(18, 2)) AS total_revenue,
    CAST(avg(total_amount) AS decimal(18, 2)) AS avg_transaction_value, count(DISTINCT customer_id) AS unique_customers,
    count(DISTINCT product_id) AS unique_products
FROM transactions GROUP BY transaction_date ORDER BY transaction_date;

CREATE VIEW product_performance AS
WITH sold AS (
    SELECT product_id, count(*) AS total_orders, CAST(sum(quantity) AS bigint) AS total_quantity_sold,
        CAST(sum(total_amount) AS decimal(18, 2)) AS total_revenue,
        CAST(avg(total_amount) AS decimal(18, 2)) AS avg_order_value,
        CAST(avg(quantity) AS decimal(18, 2)) AS avg_quantity_per_order
    FROM transactions WHERE product_id IS NOT NULL GROUP BY product_id
)
SELECT product_id, product_name, category, sold.* EXCLUDE product_id
FROM sold LEFT JOIN products USING (product_id) ORDER BY total_revenue DESC, product_id;

CREATE VIEW customer_analytics AS
WITH bought AS (
    SELECT customer_id, count(*) AS total_purchases, CAST(sum(quantity) AS bigint) AS total_items_bought,
        CAST(sum(total_amount) AS decimal(18, 2)) AS total_spent,
        CAST(avg(total_amount) AS decimal(18, 2)) AS avg_order_value, min(transaction_date) AS first_purchase_date,
        max(transaction_date) AS last_purchase_date
    FROM transactions WHERE customer_id IS NOT NULL GROUP BY customer_id
), scored AS (
    SELECT *, (SELECT max(transaction_date) FROM transactions) - last_purchase_date AS recency_days,
        1 + 5 * (rank() OVER (ORDER BY last_purchase_date) - 1) // count(*) OVER () AS r_score,
        1 + 5 * (rank() OVER (ORDER BY total_purchases) - 1) // count(*) OVER () AS f_score,
        1 + 5 * (rank() OVER (ORDER BY total_spent) - 1) // count(*) OVER () AS m_score
    FROM bought
)
SELECT customer_id, customer_name, city, state, scored.* EXCLUDE customer_id,
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
