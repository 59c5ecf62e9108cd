-- Quantities whose sum is far below bigint's end, but whose sum in hundredths, doubled, is beyond it.
ALTER TABLE public.sale_transactions ALTER quantity TYPE bigint;
INSERT INTO public.sale_transactions
SELECT line, 1, 1, 1, 500000000000000, 0.01, 'Card', 'Web', '2024-01-01', NULL FROM generate_series(1, 100) AS line;
