-- The ten products with the highest revenue (category-performance has all)
SELECT product_name, category, total_revenue, total_quantity_sold
FROM shopease_catalog.product_performance ORDER BY total_revenue DESC LIMIT 10;
