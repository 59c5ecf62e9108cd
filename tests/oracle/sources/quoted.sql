-- Column names that CSV must quote.
ALTER TABLE public.customers ADD "screen, 5""" text;
ALTER TABLE public.products ADD """" text;
ALTER TABLE public.sale_transactions ADD "said ""no""" text;
INSERT INTO public.customers VALUES
    (1, 'Name', 'a@b', NULL, NULL, 'City', 'ST', NULL, NULL, NULL, 'x'),
    (1, 'Name', 'a@b', NULL, NULL, 'City', 'ST', NULL, NULL, NULL, 'y');
INSERT INTO public.products VALUES
    (1, 'Name', 'c', 1, NULL, NULL, NULL, 'x'), (1, 'Name', 'c', 0, NULL, NULL, NULL, 'x');
INSERT INTO public.sale_transactions VALUES (1, 1, 1, 1, 1, 1, 'Card', 'Web', '2024-01-01', NULL, 'x');
