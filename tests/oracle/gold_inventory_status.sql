CREATE VIEW inventory_status AS
WITH stock AS (
    SELECT parsed_integer(source_cells ->> 'inventory_id') AS inventory_id,
        parsed_integer(source_cells ->> 'store_id') AS store_id, parsed_integer(source_cells ->> 'product_id') AS product_id,
        parsed_integer(source_cells ->> 'quantity') AS quantity,
        parsed_integer(source_cells ->> 'reorder_level') AS reorder_level
    FROM bronze_inventory
), measured AS (
    SELECT *, coalesce((
        SELECT sum(sales.quantity) FROM sales
        WHERE sales.store_id = stock.store_id AND sales.product_id = stock.product_id
            AND transaction_date > (SELECT max(transaction_date) FROM sales) - 28
    ), 0) AS units
    FROM stock
), covered AS (
    SELECT *, CASE WHEN units > 0 THEN round(quantity::numeric * 28 / units, 2) END AS days FROM measured
)
SELECT
    inventory_id,
    store_id,
    store_name,
    product_id,
    cells ->> 'product_name' AS product_name,
    cells ->> 'category' AS category,
    quantity,
    reorder_level,
    units::bigint AS units_sold_28d,
    CASE WHEN abs(days) < 10000000000000000 THEN days::numeric(18, 2) END AS days_of_cover,
    CASE
        WHEN quantity IS NULL THEN NULL
        WHEN quantity <= 0 THEN 'out_of_stock'
        WHEN quantity <= reorder_level THEN 'reorder'
        WHEN units = 0 THEN 'no_sales'
        WHEN days < 7 THEN 'low_cover'
        ELSE 'ok'
    END AS stock_status
FROM covered
LEFT JOIN stores_by_id USING (store_id)
LEFT JOIN silver_products ON (cells ->> 'product_id')::bigint = product_id
ORDER BY store_id, product_id, inventory_id, quantity, reorder_level;
