-- Every column is text: each value below alone in each column that it may trouble, then at random in all together.
CREATE TABLE public.stores (store_name text, store_id text, state text, city text);
INSERT INTO public.stores VALUES
    (E' Old\t Town\n', ' +1', 'ZH', NULL), ('Old Town', '001', 'ZH', ''), ('Alt', '1', 'ZZ', 'Z'), (NULL, '2', 'NY', 'é'),
    ('x', 'three', 'NY', 'x'), ('y', NULL, 'NY', 'y'), ('unsold', '77', 'NY', 'z'), (E'\u00a0', '3', NULL, NULL);
CREATE TABLE public.inventory (
    anything text, quantity text, inventory_id text, product_id text, store_id text, reorder_level text);
INSERT INTO public.inventory
SELECT 'x', quantity, 1 + number % 40, 1 + number % 11, 1 + number % 5, reorder
FROM generate_series(1, 60) AS number
CROSS JOIN (VALUES ('5', '9'), ('0', '-1'), ('-7', NULL), ('x', '1'), (NULL, '2'), (' +12 ', '3'), ('900', 'many'),
    ('9223372036854775807', '1'), ('9223372036854775808', '1')) AS stock (quantity, reorder);
INSERT INTO public.inventory VALUES ('y', '1', NULL, 'x', '1', '2'), ('y', '1', NULL, '1', NULL, '2'), ('y', '1', NULL, '1', NULL, '2');
CREATE TABLE public.sales_managers (manager_name text, manager_id text, store_id text);
INSERT INTO public.sales_managers VALUES
    ('Zoe', '2', '1'), (E'Ann\n Lee', '10', '+1'), ('', '3', '1'), ('Bo', 'x', '1'), ('Al', NULL, '1'), ('Cy', '1', '2'),
    ('Di', '4', NULL), ('Ed', '5', 'x'), (NULL, '6', '3');
CREATE TABLE public.customers (
    customer_name text, customer_id text, email text, address text, city text, state text, created_at text,
    updated_at text, note text, "odd, name" text);
CREATE TABLE public.products (
    product_id text, product_name text, category text, price text, description text, created_at text, updated_at text,
    note text, year text);
CREATE TABLE public.sale_transactions (
    note text, transaction_id text, store_id text, customer_id text, product_id text, quantity text, unit_price text,
    year text, payment_method text, sales_channel text, day text, created_at text,
    updated_at text, transaction_date text);

CREATE TEMPORARY TABLE nasty (kind text, value text);
INSERT INTO nasty SELECT 'number', unnest(ARRAY[
    ' +5 ', '1e2', '1E-2', '1_000', '1,000', '٣', '１２', '²', '2.5', '2.0', '2.', '.5', '5.', '.', '+', '-', '+.5',
    '-0', '+0', '0', '00', '-3', '007', '+007', '0x10', '0b1', 'NaN', 'nan', 'inf', '-Infinity', 'Infinity', '', ' ',
    NULL, E'\u00a0', E'\u00a05\u00a0', E'\t5\n', E'\u000b5\f', E'\r\n5', E'\u20035', E'5\u200b', E'\ufeff5',
    E'5\u001c', E'5\u0085', E'5\u2028', E'5\u3000', '- 5', '+-5', '--5', '5-', '5 5', E'5\n5', '(5)', '5%', 'abc',
    'true', 'null', '5L', '5d', '1/2', '1.2.3', '1,5', '000000000000000000000000000000000000000000000005',
    '0000000000000000000000000000000000000000000000001.5', '10.005', '-10.005', '0.005', '0.004', '-0.004',
    '0.00499999999999999999999999999999999999999999999999999999999',
    '0.00500000000000000000000000000000000000000000000000000000001', '1.005', '2.675', '1.115', '8.325', '1.0049',
    '1.0051',
    '10.0049999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999999',
    '999999.995', '0.015', '0.025', '0.035', '1.45', '+1.455', '$5', '5€', '0.010', '123456789.12']);
INSERT INTO nasty SELECT 'large', unnest(ARRAY[
    '999999999999999999', '1000000000000000000', '-999999999999999999', '-1000000000000000000', '9223372036854775807',
    '9223372036854775808', '18446744073709551616', '99999999999999999999999999999999999999999999999999',
    '000000000000000000000999999999999999999', '9999999999999999.99', '9999999999999999.994', '+9999999999999999',
    '00009999999999999999.9', '10000000000000000', '10000000000000000.00', '90071992547409.93', '9007199254740993']);
INSERT INTO nasty SELECT 'timestamp', unnest(ARRAY[
    '2024-02-30', '2023-02-29', '2024-02-29', '1900-02-29', '2000-02-29', '2024-04-31', '2024-00-10', '2024-13-01',
    '2024-01-00', '2024-01-32', '2024-1-1', '24-01-01', '20240101', '2024/01/01', '01.02.2024', '+2024-01-01',
    '-2024-01-01', '0000-01-01', '0001-01-01', '0001-01-01 00:00:00+15:59', '9999-12-31',
    '9999-12-31 23:59:59.999999-15:59:59', '10000-01-01', '0044-03-15 00:00:00 BC', '1677-01-01', '2300-01-01',
    '2024-01-01 24:00:00', '2024-01-01 23:59:60', '2024-12-31 23:59:59.999999', '2024-01-01 10:60:00', 'infinity',
    '-infinity', 'now', 'epoch', 'today', '2024-01-01 BC', '', ' ', NULL, E'\u00a0', '2024-01-01', '2024-01-01 ',
    '2024-01-01T', '2024-01-01T10:00:00', '2024-01-01t10:00:00', E'\u00a0\u000b2024-01-01 10:00:00\f\r\n',
    '2024-01-01 10', '2024-01-01 10:00', '2024-01-01 1:00:00', '2024-01-01 10:00:00.', '2024-01-01 10:00:00.1',
    '2024-01-01 10:00:00.123456', '2024-01-01 10:00:00.1234567', '2024-01-01 10:00:00,5', '2024-01-01 10:00:00Z',
    '2024-01-01 10:00:00z', '2024-01-01 10:00:00 Z', '2024-01-01 10:00:00 UTC', '2024-01-01 10:00:00+02',
    '2024-01-01 12:00:00+02', '2024-01-01 12:00:00+0200', '2024-01-01 12:00:00+02:00', '2024-01-01 12:00:00+02:00:00',
    '2024-01-01 05:00:00-05', '2024-01-01T05:30:00.000-0430', '2024-01-01 09:06:32-00:53:28',
    '2024-01-01 10:53:28+00:53:28', '2024-01-01 10:00:00 +02', '2024-01-01 10:00:00+2', '2024-01-01 10:00:00+02:3',
    '2024-01-01 10:00:00+02:30:1', '2024-01-01 10:00:00+15:59:59', '2024-01-01 10:00:00+16', '2024-01-01 10:00:00-15',
    '2024-01-01 10:00:00+15:60', '2024-01-01 10:00:00+00:00:60', '2024-01-01 10:00:00-00:00', '2024-01-01+02',
    '2024-01-01Z', '2024-01-01 10:00:00.5+02', '２０２４-01-01', '2024-01-01 １0:00:00', '2024-W01-1', '2024-001',
    '2024-01-01 10:00:00 PM', '2024-01-01 10:00:00[UTC]', '2024-01-01 00:30:00+05', '2024-12-31 23:30:00-05',
    '2024-06-30 10:00:00.000001', '2024-06-30 10:00:00.00001']);
INSERT INTO nasty SELECT 'text', unnest(ARRAY[
    NULL, '', ' ', E'\u00a0 \t\r\n\f\u000b', 'plain', ' padded ', E'two\r\nlines', E'a\rb\nc', E'a\n\n\nb',
    E'a \t\u00a0 b', E'a\u000bb\fc', E'em\u2003space', E'\u2003', E'next\u0085line', E'line\u2028separator',
    E'\u001funit\u001c', E'zero\u200bwidth', E'\ufeffmark', 'straße', 'ŉ ǰ ﬁ ﬄ', 'İstanbul ı I', 'ΟΔΟΣ', 'ΟΔΟΣ ΣΑΣ',
    'Σ', 'ΑΣ.', 'ΑΣ''Α', 'Α.Σ', E'ΑΣ\u0301Α', E'ΑΣ\u0301', 'ᾳ ᾼ ΐ', 'ǆ ǅ Ǆ', 'ა Ა', 'Ꭰ ꭰ', 'ẞ', '𐐀𐐨', 'Å é É', 'i̇',
    'µ', 'ſ', 'Ⓐ ⓐ', 'Ⅷ', '\.', '\N', '\', 'NULL', 'null', '"', '""', '"a",b', ',', E',\n,', '''', '#', '-',
    '😀 👩‍👩‍👧', E'\u0001', repeat('long ', 3000)]);

CREATE FUNCTION pg_temp.pick(chosen text[]) RETURNS text VOLATILE
LANGUAGE sql AS 'SELECT value FROM nasty WHERE kind = ANY (chosen) ORDER BY random() LIMIT 1';
CREATE FUNCTION pg_temp.moment() RETURNS text VOLATILE
LANGUAGE sql AS $$
    SELECT CASE WHEN random() < 0.8 THEN '2024-0' || (1 + random() * 8)::integer || '-15 10:00:00'
        ELSE pg_temp.pick('{timestamp}') END
$$;
SELECT setseed(0.25);

-- One value at a time, ids apart.
INSERT INTO public.customers
SELECT
    CASE WHEN place = 1 THEN value ELSE 'Name' END, CASE WHEN place = 2 THEN value ELSE id::text END,
    CASE WHEN place = 3 THEN value ELSE 'E@x.org' END, CASE WHEN place = 4 THEN value ELSE '1 Road' END,
    CASE WHEN place = 4 THEN value ELSE 'City' END, CASE WHEN place = 4 THEN value ELSE 'ST' END,
    CASE WHEN place = 7 THEN value ELSE '2020-01-01' END, CASE WHEN place = 8 THEN value ELSE '2020-01-01' END,
    CASE WHEN place IN (1, 3, 4) THEN value ELSE 'note' END, CASE WHEN place IN (1, 3, 4) THEN value ELSE '' END
FROM (
    SELECT place, value, 1000 + row_number() OVER () AS id
    FROM nasty JOIN (VALUES (1, 'text'), (2, 'number'), (2, 'large'), (3, 'text'), (4, 'text'), (7, 'timestamp'),
            (8, 'timestamp'))
        AS places (place, kind) USING (kind)
) AS troubled;

INSERT INTO public.products
SELECT
    CASE WHEN place = 1 THEN value ELSE id::text END, CASE WHEN place = 2 THEN value ELSE 'Name' END,
    CASE WHEN place = 2 THEN value ELSE 'Category' END, CASE WHEN place = 4 THEN value ELSE '1.5' END,
    CASE WHEN place = 2 THEN value ELSE 'words' END, CASE WHEN place = 6 THEN value ELSE '2020-01-01' END,
    CASE WHEN place = 6 THEN value ELSE '2020-01-01' END, CASE WHEN place = 2 THEN value ELSE 'note' END, '1999'
FROM (
    SELECT place, value, 1000 + row_number() OVER () AS id
    FROM nasty JOIN (VALUES (1, 'number'), (1, 'large'), (2, 'text'), (4, 'number'), (4, 'large'), (6, 'timestamp'))
        AS places (place, kind) USING (kind)
) AS troubled;

INSERT INTO public.sale_transactions
SELECT
    CASE WHEN place = 9 THEN value ELSE 'note' END, CASE WHEN place = 2 THEN value ELSE id::text END,
    CASE WHEN place = 3 THEN value ELSE '1' END, CASE WHEN place = 4 THEN value ELSE (id % 40)::text END,
    CASE WHEN place = 5 THEN value ELSE (id % 30)::text END, CASE WHEN place = 6 THEN value ELSE (1 + id % 7)::text END,
    CASE WHEN place = 7 THEN value ELSE (id % 11 + 0.33)::text END, CASE WHEN place = 9 THEN value ELSE '1999' END,
    CASE WHEN place = 9 THEN value ELSE 'Card' END, CASE WHEN place = 9 THEN value ELSE 'Web' END,
    CASE WHEN place = 9 THEN value END, CASE WHEN place = 12 THEN value ELSE '2020-01-01 10:00:00' END,
    CASE WHEN place = 13 THEN value ELSE '2020-01-01' END, NULL
FROM (
    SELECT place, value, 1000 + row_number() OVER () AS id
    FROM nasty JOIN (VALUES (2, 'number'), (2, 'large'), (3, 'number'), (3, 'large'), (4, 'number'), (4, 'large'),
            (5, 'number'), (5, 'large'), (6, 'number'), (6, 'large'), (7, 'number'), (9, 'text'), (12, 'timestamp'), (13, 'timestamp'))
        AS places (place, kind) USING (kind)
) AS troubled;

-- Pairs of one key whose times tie or differ in every way.
INSERT INTO public.customers
SELECT 'pair ' || pair || ' ' || side, (100000 + pair)::text, 'a@b', NULL, NULL, NULL, '2020-01-01',
    CASE side WHEN 1 THEN first ELSE second END, NULL, NULL
FROM (
    SELECT a.value AS first, b.value AS second, row_number() OVER () AS pair
    FROM nasty a, nasty b WHERE a.kind = 'timestamp' AND b.kind = 'timestamp' AND random() < 0.1
) AS pairs, generate_series(1, 2) AS side;

-- Everything at random, few keys.
INSERT INTO public.customers
SELECT pg_temp.pick('{text}'), (random() * 40)::integer::text, pg_temp.pick('{text}'), pg_temp.pick('{text}'),
    pg_temp.pick('{text}'), pg_temp.pick('{text}'), pg_temp.pick('{timestamp}'), pg_temp.pick('{timestamp}'),
    pg_temp.pick('{text}'), pg_temp.pick('{text}')
FROM generate_series(1, 200);
INSERT INTO public.products
SELECT pg_temp.pick('{number}'), pg_temp.pick('{text}'), pg_temp.pick('{text}'), pg_temp.pick('{number,large}'),
    pg_temp.pick('{text}'), pg_temp.pick('{timestamp}'), pg_temp.pick('{timestamp}'), pg_temp.pick('{text}'), pg_temp.pick('{text}')
FROM generate_series(1, 200);
INSERT INTO public.sale_transactions
SELECT pg_temp.pick('{text}'), (random() * 300)::integer::text, pg_temp.pick('{number}'), (random() * 40)::integer::text,
    pg_temp.pick('{number}'), coalesce(NULLIF((random() * 5)::integer, 0)::text, pg_temp.pick('{number}')),
    (random() * 100)::numeric(10, 3)::text, pg_temp.pick('{text}'), pg_temp.pick('{text}'), pg_temp.pick('{text}'),
    pg_temp.pick('{number}'), pg_temp.moment(), pg_temp.moment(), pg_temp.pick('{text}')
FROM generate_series(1, 2000);
