# The real provider without AWS: a plan of new resources needs no AWS, and has the complete policies.
provider "aws" {
  region                      = "us-east-1"
  access_key                  = "none"
  secret_key                  = "none"
  skip_credentials_validation = true
  skip_metadata_api_check     = true
  skip_requesting_account_id  = true
}

override_data {
  target = data.aws_caller_identity.current
  values = { account_id = "123456789012" }
}

run "invalid_values_are_refused" {
  command = plan

  variables {
    aws_region              = "Virginia"
    project                 = "Shop Ease"
    bucket_name             = "s3://shopease-stg"
    prefix                  = "/sales/"
    kms_key_arn             = "arn:aws:kms:us-east-1:123456789012:alias/lake"
    database_name           = "shopease-catalog"
    partitions              = "day"
    crawler_names           = { bronze = "arn:aws:glue:us-east-1:123456789012:crawler/bronze" }
    crawler_schedule        = "daily"
    role_name               = "arn:aws:iam::123456789012:role/GlueServiceRole"
    workgroup_name          = "our analytics"
    athena_scan_limit_bytes = 10485759
    athena_alarm_bytes      = 0
    user_name               = "arn:aws:iam::123456789012:user/shopease_user"
    alert_email             = "the data team"
  }

  expect_failures = [
    var.aws_region,
    var.project,
    var.bucket_name,
    var.prefix,
    var.kms_key_arn,
    var.database_name,
    var.partitions,
    var.crawler_names,
    var.crawler_schedule,
    var.role_name,
    var.workgroup_name,
    var.athena_scan_limit_bytes,
    var.athena_alarm_bytes,
    var.user_name,
    var.alert_email,
  ]
}

run "dangerous_or_ambiguous_values_are_refused" {
  command = plan

  variables {
    prefix                  = "sales*"
    kms_key_arn             = "1234abcd-12ab-34cd-56ef-1234567890ab"
    crawler_names           = { bronze = "one", silver = "one" }
    crawler_schedule        = "rate(1 day)"
    athena_scan_limit_bytes = 10485760.5
    alert_email             = "a@b.example, c@d.example"
  }

  expect_failures = [
    var.prefix,
    var.kms_key_arn,
    var.crawler_names,
    var.crawler_schedule,
    var.athena_scan_limit_bytes,
    var.alert_email,
  ]
}

run "the_smallest_scan_limit_is_accepted" {
  command = plan

  variables {
    athena_scan_limit_bytes = 10485760
    prefix                  = "a"
  }

  assert {
    condition     = aws_athena_workgroup.analytics.configuration[0].bytes_scanned_cutoff_per_query == 10485760
    error_message = "the limit is wrong"
  }
}
