CREATE TABLE public.customers (
    customer_id integer, customer_name text, email text, phone text, address text, city text, state text,
    zip_code text, created_at timestamp, updated_at timestamp);
CREATE TABLE public.products (
    product_id integer, product_name text, category text, price numeric(10, 2), description text,
    created_at timestamp, updated_at timestamp);
CREATE TABLE public.stores (
    store_id integer, store_name text, city text, state text, created_at timestamp, updated_at timestamp);
CREATE TABLE public.inventory (
    inventory_id integer, store_id integer, product_id integer, quantity integer, reorder_level integer,
    created_at timestamp, updated_at timestamp);
CREATE TABLE public.sales_managers (
    manager_id integer, manager_name text, email text, phone text, store_id integer,
    created_at timestamp, updated_at timestamp);
CREATE TABLE public.sale_transactions (
    transaction_id integer, store_id integer, customer_id integer, product_id integer, quantity integer,
    unit_price numeric(10, 2), payment_method text, sales_channel text, created_at timestamp, updated_at timestamp);
