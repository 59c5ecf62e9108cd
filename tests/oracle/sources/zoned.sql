-- Timestamps with a zone (the clock is put back on 2024-10-27), wider types, other column orders, columns of many types.
SET TimeZone = 'UTC';
CREATE TABLE public.stores (store_name varchar(40), store_id smallint, city char(9), state text);
INSERT INTO public.stores VALUES ('Süd', 1, 'x', NULL), ('Süd', 1, NULL, NULL), (NULL, 2, NULL, 'BY');
CREATE TABLE public.inventory (
    anything jsonb, inventory_id numeric, store_id smallint, product_id bigint, quantity numeric(9, 1), reorder_level real);
INSERT INTO public.inventory VALUES (NULL, 1, 1, 1, 7, 7), ('{"a": "b, c"}', 2, 1, 2, 7.5, 1), (NULL, 2.5, NULL, 2, NULL, 1);
CREATE TABLE public.sales_managers (manager_id bigint, manager_name text, store_id bigint);
INSERT INTO public.sales_managers VALUES (2, 'b', 1), (1, 'c', 1), (1, 'a', 1);

CREATE TABLE public.customers (
    updated_at timestamptz, created_at timestamptz, state char(4), city varchar(80), email varchar(80),
    customer_name varchar(80), customer_id bigint, vip boolean, tags text[], born date, profile jsonb, "Größe, m" real);
INSERT INTO public.customers VALUES
    ('2024-10-27 00:30:00+00', '2024-01-01', 'CA', 'x', 'A@B', 'earlier, in summer time', 1, true, '{a,"b c"}',
     '2000-02-29', '{"k": "v\nw"}', 1.75),
    ('2024-10-27 01:30:00+00', '2023-01-01', 'N Y', 'x', 'A@B', 'later, in winter time', 1, false, E'{"a\nb"}',
     NULL, NULL, 'NaN'),
    ('2024-10-27 01:30:00+00', '2022-01-01', '', '', 'A@B', 'as late, but made earlier', 1, NULL, '{}', NULL, '[]', 0),
    ('1850-01-01 00:00:00+00', '1850-01-01 00:00:01+00', 'LMT', 'x', 'A@B', 'local mean time', 2, NULL, NULL, NULL, 'null', NULL),
    ('infinity', '0044-03-15 00:00:00+00 BC', NULL, NULL, 'A@B', 'unparsable', 2, NULL, NULL, NULL, NULL, NULL),
    (NULL, NULL, NULL, NULL, 'A@B', 'beyond 18 digits', 1000000000000000000, NULL, NULL, NULL, NULL, NULL),
    (NULL, NULL, NULL, NULL, 'A@B', '18 digits', 999999999999999999, NULL, NULL, NULL, NULL, NULL);

CREATE TABLE public.products (
    price numeric, category text, product_name char(12), product_id smallint, created_at timestamptz, updated_at timestamptz);
INSERT INTO public.products VALUES
    (10.005, 'toys', 'half a cent', 1, '2024-01-01', '2024-01-01'),
    (10.0049999999999999999999999999999999999999999999999999999999999, 'toys', 'less', 2, NULL, NULL),
    (0.005, 'toys', 'one cent', 3, NULL, NULL), (0.00499, 'toys', 'none', 4, NULL, NULL),
    ('Infinity', 'toys', 'infinite', 5, NULL, NULL), ('NaN', 'toys', 'none', 6, NULL, NULL),
    (9999999999999999.99, 'toys', 'dearest', 7, NULL, NULL), (10000000000000000, 'toys', 'too dear', 8, NULL, NULL),
    (1, 'toys', '', 9, NULL, NULL), (-10.005, 'toys', 'negative', 10, NULL, NULL);

CREATE TABLE public.sale_transactions (
    year integer, created_at timestamptz, note text, quantity bigint, unit_price numeric(12, 4), product_id smallint,
    customer_id bigint, total_amount numeric, store_id smallint, transaction_id bigint, updated_at timestamptz,
    sales_channel text, payment_method text);
INSERT INTO public.sale_transactions VALUES
    (1999, '2024-12-31 23:30:00+00', E'next year in Berlin\r\nnot in London', 1, 0.0050, 1, 1, 5, 1, 1, NULL, 'web', 'card'),
    (NULL, '2024-06-30 22:00:00+00', E'\r\r\n\n', 2, 3.3350, 1, 1, NULL, 1, 2, NULL, 'web', 'card'),
    (NULL, '2024-06-30 21:59:59.999999+00', '', 3, 1.1150, 2, 2, NULL, 1, 3, NULL, 'web', 'card'),
    (NULL, '1850-01-01 23:30:00+00', E'  \u000b \f\t ', 1, 0.0049, 2, 2, NULL, 1, 4, NULL, 'web', 'card'),
    (NULL, '1850-01-01 23:30:00+00', E'  \u000b \f\t ', 1, 0.0149, 2, 2, NULL, 1, 4, NULL, 'web', 'card'),
    (0, '2024-10-27 00:30:00+00', 'summer', 1, 1, 3, 3, NULL, 1, 5, '2024-10-27 00:30:00+00', NULL, NULL),
    (0, '2024-10-27 01:30:00+00', 'winter', 1, 1, 3, 3, NULL, 1, 5, '2024-10-27 01:30:00+00', NULL, NULL),
    (0, '2024-10-27 01:30:00+00', 'tie', 1, 1, 3, 3, NULL, 1, 5, '2024-10-27 01:30:00+00', NULL, NULL);
