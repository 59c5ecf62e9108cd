# The old way, as the founders' project did it: psql's \copy to files, cleaning and aggregation as SQL in PostgreSQL,
# pandas for Parquet, and the AWS command line for the transfer. It is the best case of it: one psql session does all
# the SQL, with silver in temporary tables, and one `aws s3 cp` takes all files, where the old system's Airflow had a
# process and a connection a task.
set -euo pipefail
mkdir -p lake/bronze/{customers,products,stores,inventory,sales_managers,transactions}
mkdir -p lake/silver/{customers,products,transactions} rows
mkdir -p lake/gold/{daily_sales_summary,product_performance,customer_analytics}
"$BENCH_PSQL" -X -q -v ON_ERROR_STOP=1 -d "$BENCH_URL" -f "$(dirname "$0")/old_lake.sql"
python "$(dirname "$0")/old_parquet.py"
aws s3 cp --recursive --only-show-errors lake "$BENCH_LAKE"
