CREATE VIEW customer_analytics AS
WITH bought AS (
    SELECT customer_id, count(*) AS purchases, sum(quantity) AS items, sum(total_amount) AS spent,
        min(transaction_date) AS first_date, max(transaction_date) AS last_date
    FROM sales WHERE customer_id IS NOT NULL GROUP BY customer_id
), measured AS (
    SELECT *, (SELECT max(transaction_date) FROM sales) - last_date AS recency FROM bought
), scored AS (
    SELECT this.*,
        1 + 5 * count(*) FILTER (WHERE other.recency > this.recency) / count(*) AS r,
        1 + 5 * count(*) FILTER (WHERE other.purchases < this.purchases) / count(*) AS f,
        1 + 5 * count(*) FILTER (WHERE other.spent < this.spent) / count(*) AS m
    FROM measured AS this CROSS JOIN measured AS other
    GROUP BY this.customer_id, this.purchases, this.items, this.spent, this.first_date, this.last_date, this.recency
), segments (r, names) AS (
    VALUES
    (5, '{new_customers, potential_loyalists, potential_loyalists, champions, champions}'::text[]),
    (4, '{promising, potential_loyalists, potential_loyalists, loyal_customers, loyal_customers}'),
    (3, '{about_to_sleep, about_to_sleep, need_attention, loyal_customers, loyal_customers}'),
    (2, '{hibernating, hibernating, at_risk, at_risk, cant_lose_them}'),
    (1, '{hibernating, hibernating, at_risk, at_risk, cant_lose_them}')
)
SELECT
    customer_id,
    cells ->> 'customer_name' AS customer_name,
    cells ->> 'city' AS city,
    cells ->> 'state' AS state,
    purchases AS total_purchases,
    items::bigint AS total_items_bought,
    spent::numeric(18, 2) AS total_spent,
    average(spent, purchases) AS avg_order_value,
    first_date AS first_purchase_date,
    last_date AS last_purchase_date,
    recency AS recency_days,
    scored.r AS r_score,
    f AS f_score,
    m AS m_score,
    concat(scored.r, f, m) AS rfm_score,
    segments.names[f::integer] AS rfm_segment
FROM scored
JOIN segments ON segments.r = scored.r
LEFT JOIN silver_customers ON (cells ->> 'customer_id')::bigint = customer_id
ORDER BY spent DESC, customer_id;
