-- Of several rows of a store the greatest by the columns that gold has.
CREATE VIEW stores_by_id AS
SELECT DISTINCT ON (store_id) * FROM (
    SELECT parsed_integer(source_cells ->> 'store_id') AS store_id, squished(source_cells ->> 'store_name') AS store_name,
        squished(source_cells ->> 'city') AS city, squished(source_cells ->> 'state') AS state
    FROM bronze_stores
) AS parsed
WHERE store_id IS NOT NULL
ORDER BY store_id, as_bytes(store_name) DESC, as_bytes(city) DESC, as_bytes(state) DESC;

CREATE VIEW manager_names AS
SELECT store_id, string_agg(manager_name, '; ' ORDER BY manager_id NULLS LAST, as_bytes(manager_name)) AS manager_names
FROM (
    SELECT parsed_integer(source_cells ->> 'manager_id') AS manager_id, parsed_integer(source_cells ->> 'store_id') AS store_id,
        squished(source_cells ->> 'manager_name') AS manager_name
    FROM bronze_sales_managers
) AS parsed
WHERE store_id IS NOT NULL GROUP BY store_id;

CREATE VIEW store_performance AS
SELECT
    store_id,
    store_name,
    city,
    state,
    manager_names,
    sales_month,
    count(*) AS total_transactions,
    sum(quantity)::bigint AS total_items_sold,
    sum(total_amount)::numeric(18, 2) AS total_revenue,
    average(sum(total_amount), count(*)) AS avg_transaction_value,
    count(DISTINCT customer_id) AS unique_customers
FROM sales LEFT JOIN stores_by_id USING (store_id) LEFT JOIN manager_names USING (store_id)
WHERE store_id IS NOT NULL
GROUP BY store_id, store_name, city, state, manager_names, sales_month
ORDER BY store_id, sales_month;
