-- What the sample does not have, in the real column types: appended to it.
INSERT INTO public.customers
    (customer_id, customer_name, email, phone, address, city, state, zip_code, created_at, updated_at)
VALUES
    (900001, E'  weiß\u00a0\u00a0groß ', 'ΟΔΟΣ@ΣΑΣ.GR', '', ' ', E'a\r\nb', E'\u000b', 'x', '2024-01-01', NULL),
    (900001, 'second of a tie', 'A@B', NULL, NULL, NULL, NULL, NULL, '2024-01-01', NULL),
    (900002, 'older', 'a@b', NULL, NULL, NULL, NULL, NULL, '2024-01-01', '2024-01-01 00:00:00.000001'),
    (900002, 'latest', 'a@b', NULL, NULL, NULL, NULL, NULL, NULL, '2024-01-01 00:00:00.000002'),
    (900003, 'infinitely late', 'a@b', NULL, NULL, NULL, NULL, NULL, 'infinity', 'infinity'),
    (900003, 'dated stays', 'a@b', NULL, NULL, NULL, NULL, NULL, NULL, '0001-01-01'),
    (900003, 'before Christ', 'a@b', NULL, NULL, NULL, NULL, NULL, NULL, '0044-03-15 BC'),
    (900004, 'latest, but has no email', E' \t\n ', NULL, NULL, NULL, NULL, NULL, NULL, '2025-01-01'),
    (900004, 'stays, as the latest is none', 'a@b', NULL, NULL, NULL, NULL, NULL, NULL, '2024-01-01'),
    (900005, 'same update, earlier made', 'a@b', NULL, NULL, NULL, NULL, NULL, '2024-01-01', '2024-06-01'),
    (900005, 'same update, later made', 'a@b', NULL, NULL, NULL, NULL, NULL, '2024-01-02', '2024-06-01'),
    (900005, 'same in all', 'a@b', NULL, NULL, NULL, NULL, NULL, '2024-01-02', '2024-06-01'),
    (NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
    (-7, '\.', '"quoted", and; parted', E'\\N', 'NULL', '''', '#', '00501', '10000-01-01', '9999-12-31 23:59:59.999999'),
    (0, 'zero is an id', 'İI@I.COM', NULL, NULL, NULL, NULL, NULL, '2024-02-29', '2024-02-29');

INSERT INTO public.products (product_id, product_name, category, price, description, created_at, updated_at)
VALUES
    (900001, 'dearest', 'ß ŉ ﬁ', 99999999.99, E'one\n\n\ttwo', '2024-01-01', '2024-01-01'),
    (900002, 'not a number', 'x', 'NaN', NULL, NULL, NULL),
    (900003, 'free', 'x', 0, NULL, NULL, NULL),
    (900004, 'cent', NULL, 0.01, '', NULL, NULL),
    (2147483647, 'last id', ' ', 1, NULL, NULL, NULL),
    (900005, NULL, NULL, NULL, NULL, NULL, NULL);

INSERT INTO public.sale_transactions
    (transaction_id, store_id, customer_id, product_id, quantity, unit_price, payment_method, sales_channel,
     created_at, updated_at)
VALUES
    (900001, 101, 900001, 900001, 3, 0.01, E' card\u00a0', '', '2024-12-31 23:59:59.999999', NULL),
    (900001, 101, 900001, 900001, 4, 0.01, 'second of a tie', '', '2024-12-31 23:59:59.999999', NULL),
    (900002, NULL, NULL, NULL, 1, 99999999.99, NULL, NULL, '0001-01-01', NULL),
    (900003, 101, -7, 900002, 2147483647, 0.01, NULL, NULL, '2024-02-29 12:00:00', NULL),
    (900004, 101, 123456789, 987654321, 1, 0.07, NULL, NULL, '2024-02-29', '-infinity'),
    (900005, 101, 1, 1, 1, 'NaN', NULL, NULL, '2024-02-29', NULL),
    (900006, 101, 1, 1, 1, 1, NULL, NULL, 'infinity', NULL),
    (900007, 101, 1, 1, 1, 1, NULL, NULL, '0044-03-15 BC', NULL),
    (900008, 101, 1, 1, 1, 1, NULL, NULL, '10000-01-01', NULL),
    (900009, 101, 0, 900003, 1, 1, NULL, NULL, '9999-12-31 23:59:59', NULL),
    (900010, 101, 0, 900003, 2, 0.01, NULL, NULL, '2024-02-29', NULL),
    (NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
