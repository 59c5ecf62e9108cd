-- Date and time parted by something else than one space or T: no timestamp.
ALTER TABLE public.sale_transactions ALTER created_at TYPE text, ALTER updated_at TYPE text;
INSERT INTO public.sale_transactions
SELECT row_number() OVER (), 1, 1, 1, 1, 1, 'Card', 'Web', value, '2024-01-01'
FROM unnest(ARRAY[
    '2024-01-01 10:00:00', '2024-01-01T10:00:00', '2024-01-01  10:00:00', E'2024-01-01\t10:00:00',
    E'2024-01-01\n10:00:00', E'2024-01-01\u00a010:00:00', E'2024-01-01\u000b10:00:00', '2024-01-01 T10:00:00']) AS value;
INSERT INTO public.sale_transactions VALUES
    (100, 1, 1, 1, 1, 1, 'stays', 'Web', '2024-01-01', '2024-01-01 00:00:00'),
    (100, 1, 1, 1, 1, 1, 'is older than any', 'Web', '2024-01-01', '2024-06-01  00:00:00');
