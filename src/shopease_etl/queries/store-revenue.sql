-- Transactions and revenue of each known store (store-mix has all sales)
SELECT s.store_name, COUNT(*) AS transactions, SUM(t.quantity * t.unit_price) AS revenue
FROM shopease_catalog.transactions t JOIN shopease_catalog.stores s ON t.store_id = s.store_id
GROUP BY s.store_name ORDER BY revenue DESC;
