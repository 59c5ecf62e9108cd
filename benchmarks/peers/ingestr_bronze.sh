# ingestr from PostgreSQL to S3, where it writes Parquet and nothing else; it takes one table a command.
# It is 0.15.9 because later packages hold no program: they fetch it from elsewhere when it is first run.
set -euo pipefail
export DISABLE_TELEMETRY=true
bucket=${BENCH_LAKE#s3://}
target="s3://?access_key_id=$AWS_ACCESS_KEY_ID&secret_access_key=$AWS_SECRET_ACCESS_KEY&endpoint_url=$AWS_ENDPOINT_URL"
for table in customers products stores inventory sales_managers sale_transactions; do
    ingestr ingest --yes --progress log --source-uri "$BENCH_URL" --source-table "public.$table" \
        --dest-uri "$target&layout={table_name}.{ext}" --dest-table "$bucket/bronze/$table"
done
