# Sling from PostgreSQL to CSV objects on S3, all tables in one replication, streamed through memory.
# Its Python package `sling` fetches this same program when it is first run; the package of the program itself is used
# in its place, and was last published as version 1.4.11.
set -euo pipefail
program=$(find "$(dirname "$(command -v python)")/../lib" -name 'sling-linux-amd64' -type f)
bucket=${BENCH_LAKE#s3://}
socket=$(sed 's/.*host=//; s/&.*//; s#%2F#/#g' <<<"$BENCH_URL")
name=${BENCH_URL%%\?*}
export SLING_DISABLE_TELEMETRY=TRUE
export SOURCE="$name?host=$socket&port=5432&sslmode=disable"
export TARGET="{type: s3, bucket: ${bucket%%/*}, access_key_id: $AWS_ACCESS_KEY_ID,
    secret_access_key: $AWS_SECRET_ACCESS_KEY, endpoint: $AWS_ENDPOINT_URL, region: $AWS_REGION}"
{
    printf 'source: SOURCE\ntarget: TARGET\n'
    printf 'defaults:\n  mode: full-refresh\n  target_options: {format: csv}\n'
    printf '  object: "%s/bronze/{stream_table}.csv"\n' "${bucket#*/}"
    printf 'streams:\n'
    printf '  public.%s:\n' customers products stores inventory sales_managers sale_transactions
} > replication.yaml
"$program" run -r replication.yaml
