resource "aws_athena_workgroup" "analytics" {
  name        = var.workgroup_name
  description = "Queries on ${var.database_name}."
  # Without this, a workgroup with past queries cannot be deleted. The results in S3 stay.
  force_destroy = true

  configuration {
    # Without this, a client could choose another location, no encryption and no limit.
    enforce_workgroup_configuration    = true
    publish_cloudwatch_metrics_enabled = true
    bytes_scanned_cutoff_per_query     = var.athena_scan_limit_bytes

    engine_version {
      selected_engine_version = "Athena engine version 3"
    }

    result_configuration {
      output_location = "${local.lake}athena-results/"
      # If the bucket is deleted and another account takes its name, no result goes there.
      expected_bucket_owner = local.account_id

      encryption_configuration {
        encryption_option = var.kms_key_arn == null ? "SSE_S3" : "SSE_KMS"
        kms_key_arn       = var.kms_key_arn
      }
    }
  }
}
