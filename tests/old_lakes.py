"""A small lake of version 0.1, and the source of its three runs.

Version 0.1 made it with `restore --clean` and `run-all` on each state of the source, in `tests/lake-0.1.tar.xz`:
FIRST succeeds; SECOND succeeds with `--accept-drift`, and has rows that are rejected; THIRD is refused (3) after its
last stage but the crawl, as revenue has shrunk, and leaves its finished stages for a retry.
"""

from typing import Final

from commands import CONTRACT_TABLES

CREATE: Final = CONTRACT_TABLES
FIRST: Final = (
    "INSERT INTO customers SELECT n, 'Customer ' || n, 'c' || n || '@example.com', '555-0100', n || ' Main St', "
    "'Springfield', 'IL', '62701', '2024-01-01', '2024-01-01' FROM generate_series(1, 12) n",
    "INSERT INTO products SELECT n, 'Product ' || n, CASE WHEN n % 2 = 0 THEN 'toys' ELSE 'books' END, n * 2.5, "
    "'A thing', '2024-01-01', '2024-01-01' FROM generate_series(1, 6) n",
    "INSERT INTO stores SELECT n, 'Store ' || n, 'Springfield', 'IL', '2024-01-01', '2024-01-01' "
    "FROM generate_series(1, 2) n",
    "INSERT INTO inventory SELECT n, 1 + n % 2, n, n * 3, 5, '2024-01-01', '2024-01-01' FROM generate_series(1, 6) n",
    "INSERT INTO sales_managers SELECT n, 'Manager ' || n, 'm' || n || '@example.com', '555-0200', n, '2024-01-01', "
    "'2024-01-01' FROM generate_series(1, 2) n",
    "INSERT INTO sale_transactions SELECT n, 1 + n % 2, 1 + n % 12, 1 + n % 6, 1 + n % 3, (1 + n % 6) * 2.5, 'card', "
    "'store', timestamp '2024-01-01 10:00' + n * interval '1 day', '2024-03-01' FROM generate_series(1, 40) n",
)
SECOND: Final = (
    "ALTER TABLE customers ADD COLUMN points int",
    "UPDATE customers SET points = customer_id * 10",
    "INSERT INTO customers (customer_id, customer_name, email) VALUES (13, NULL, 'a@example.com'), (14, 'No mail', '')",
    "INSERT INTO products (product_id, product_name, price) VALUES (7, 'For free', 0), (8, 'No price', NULL)",
    "INSERT INTO sale_transactions SELECT 40 + n, 1, 1, 1, 1, CASE WHEN n < 3 THEN 5 END, 'cash', 'web', "
    "CASE WHEN n > 1 THEN timestamp '2024-02-20' END, '2024-03-01' FROM generate_series(1, 3) n",
    "INSERT INTO sale_transactions SELECT * FROM sale_transactions WHERE transaction_id = 7",
)
THIRD: Final = ("UPDATE sale_transactions SET unit_price = unit_price / 10",)
