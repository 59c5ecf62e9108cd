# A run overwrites its objects: without these rules every previous version would be kept, and charged, for ever.
resource "aws_s3_bucket_lifecycle_configuration" "lake" {
  bucket = aws_s3_bucket.lake.id

  rule {
    id     = "abort-incomplete-uploads"
    status = "Enabled"

    filter {}

    abort_incomplete_multipart_upload {
      days_after_initiation = var.incomplete_upload_days
    }
  }

  rule {
    id     = "expire-old-versions"
    status = "Enabled"

    filter {}

    noncurrent_version_expiration {
      noncurrent_days = var.old_version_days
    }

    expiration {
      expired_object_delete_marker = true
    }
  }

  rule {
    id     = "expire-query-results"
    status = "Enabled"

    filter {
      prefix = "${var.prefix == "" ? "" : "${var.prefix}/"}athena-results/"
    }

    expiration {
      days = var.query_result_days
    }

    noncurrent_version_expiration {
      noncurrent_days = 1
    }
  }

  # Rules on versions need versioning.
  depends_on = [aws_s3_bucket_versioning.lake]
}
