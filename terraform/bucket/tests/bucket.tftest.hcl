# The real provider without AWS: a plan of new resources needs no AWS, and has the complete policies.
provider "aws" {
  region                      = "us-east-1"
  access_key                  = "none"
  secret_key                  = "none"
  skip_credentials_validation = true
  skip_metadata_api_check     = true
  skip_requesting_account_id  = true
}

run "data_is_kept_and_private" {
  command = plan

  assert {
    condition     = aws_s3_bucket.lake.bucket == "shopease-stg" && aws_s3_bucket.lake.force_destroy == false
    error_message = "the bucket's name is not the one in the contract, or it would be deleted with its objects"
  }

  assert {
    condition     = aws_s3_bucket_versioning.lake.versioning_configuration[0].status == "Enabled"
    error_message = "overwritten objects could not be restored"
  }

  assert {
    condition = (
      aws_s3_bucket_public_access_block.lake.block_public_acls &&
      aws_s3_bucket_public_access_block.lake.block_public_policy &&
      aws_s3_bucket_public_access_block.lake.ignore_public_acls &&
      aws_s3_bucket_public_access_block.lake.restrict_public_buckets
    )
    error_message = "the bucket could be made public"
  }

  assert {
    condition     = aws_s3_bucket_ownership_controls.lake.rule[0].object_ownership == "BucketOwnerEnforced"
    error_message = "objects could belong to others"
  }

  assert {
    condition = jsonencode(jsondecode(aws_s3_bucket_policy.lake.policy).Statement) == jsonencode([{
      Sid       = "RefuseWithoutTls"
      Effect    = "Deny"
      Action    = "s3:*"
      Principal = "*"
      Resource  = ["arn:aws:s3:::shopease-stg/*", "arn:aws:s3:::shopease-stg"]
      Condition = { Bool = { "aws:SecureTransport" = "false" } }
    }])
    error_message = "the bucket must refuse requests without TLS, and no others"
  }
}

run "objects_are_encrypted_with_s3s_own_keys" {
  command = plan

  assert {
    condition = (
      one(aws_s3_bucket_server_side_encryption_configuration.lake.rule).apply_server_side_encryption_by_default[0].sse_algorithm == "AES256" &&
      one(aws_s3_bucket_server_side_encryption_configuration.lake.rule).apply_server_side_encryption_by_default[0].kms_master_key_id == ""
    )
    error_message = "the encryption is not AES256"
  }
}

run "objects_are_encrypted_with_a_customer_key" {
  command = plan

  variables {
    kms_key_arn = "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
  }

  assert {
    condition = (
      one(aws_s3_bucket_server_side_encryption_configuration.lake.rule).bucket_key_enabled &&
      one(aws_s3_bucket_server_side_encryption_configuration.lake.rule).apply_server_side_encryption_by_default[0].sse_algorithm == "aws:kms" &&
      one(aws_s3_bucket_server_side_encryption_configuration.lake.rule).apply_server_side_encryption_by_default[0].kms_master_key_id == var.kms_key_arn
    )
    error_message = "the encryption does not use the key"
  }
}

run "only_old_data_expires" {
  command = plan

  variables {
    prefix                 = "teams/sales"
    incomplete_upload_days = 3
    query_result_days      = 14
    old_version_days       = 90
  }

  assert {
    condition = jsonencode({
      for rule in aws_s3_bucket_lifecycle_configuration.lake.rule : rule.id => [rule.status, try(rule.filter[0].prefix, null)]
      }) == jsonencode({
      abort-incomplete-uploads = ["Enabled", ""]
      expire-old-versions      = ["Enabled", ""]
      expire-query-results     = ["Enabled", "teams/sales/athena-results/"]
    })
    error_message = "the rules are wrong, or apply to other objects"
  }

  assert {
    condition = jsonencode({
      for rule in aws_s3_bucket_lifecycle_configuration.lake.rule : rule.id => [for expiration in rule.expiration : expiration.days]
      if length(rule.expiration) > 0
    }) == jsonencode({ expire-old-versions = [0], expire-query-results = [14] })
    error_message = "only query results must expire"
  }

  assert {
    condition = jsonencode(flatten([
      for rule in aws_s3_bucket_lifecycle_configuration.lake.rule : [
        [for abort in rule.abort_incomplete_multipart_upload : abort.days_after_initiation],
        [for expiration in rule.noncurrent_version_expiration : expiration.noncurrent_days],
      ]
    ])) == jsonencode([3, 90, 1])
    error_message = "the days for uploads or old versions are wrong"
  }
}

run "invalid_values_are_refused" {
  command = plan

  variables {
    aws_region             = "Virginia"
    bucket_name            = "s3://shopease-stg"
    prefix                 = "sales/"
    kms_key_arn            = "arn:aws:kms:us-east-1:123456789012:alias/lake"
    incomplete_upload_days = 0
    query_result_days      = 1.5
    old_version_days       = 0
  }

  expect_failures = [
    var.aws_region,
    var.bucket_name,
    var.prefix,
    var.kms_key_arn,
    var.incomplete_upload_days,
    var.query_result_days,
    var.old_version_days,
  ]
}
