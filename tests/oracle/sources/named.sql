-- Column names that are patterns, expressions, or names of ours in another case.
ALTER TABLE public.customers
    ADD "^phone$" text, ADD "*" text, ADD "Phone" text, ADD "PHONE" text, ADD "RUN_ID" text, ADD rejected_rule text,
    ADD "^.*$" text, ADD "a.b c" text, ADD c0 text;
ALTER TABLE public.products ADD "Product_Id" text, ADD "^product_.*$" text, ADD total_amount text;
ALTER TABLE public.sale_transactions
    ADD "Year" text, ADD "^quantity$" text, ADD "total_Amount" text, ADD "*" text, ADD run_id text, ADD c1 text;
INSERT INTO public.customers
SELECT id, 'Name', 'a@b', '555', NULL, 'City', 'ST', NULL, NULL, NULL, 'x1', E'x2\n', 'x3', 'x4', 'x5', 'x6', 'x7', 'x8', 'x9'
FROM unnest(ARRAY[1, 1, 2, NULL]) AS id;
INSERT INTO public.products
SELECT id, 'Name', 'c', price, NULL, NULL, NULL, 'x1', E'x2\r', 'x3'
FROM unnest(ARRAY[1, 1, 2, 3], ARRAY[1, 1, 2, 0]) AS each (id, price);
INSERT INTO public.sale_transactions
SELECT id, 1, 1, 1, quantity, 1, 'Card', 'Web', '2024-01-01', NULL, '1999', 'x1', E'x2\r\n', 'x3', 'x4', 'x5'
FROM unnest(ARRAY[1, 1, 2, 3], ARRAY[1, 1, 2, 0]) AS each (id, quantity);
