# The real provider without AWS: a plan of new resources needs no AWS.
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

override_data {
  target = data.aws_subnet.first
  values = { vpc_id = "vpc-0123456789abcdef0" }
}

variables {
  subnet_ids                 = ["subnet-0123456789abcdef0"]
  database_security_group_id = "sg-0123456789abcdef0"
}

run "invalid_values_are_refused" {
  command = plan

  variables {
    aws_region           = "Virginia"
    project              = "Shop Ease"
    bucket_name          = "s3://shopease-stg"
    prefix               = "/sales/"
    kms_key_arn          = "arn:aws:kms:us-east-1:123456789012:alias/lake"
    release_label        = "emr-7.8.0"
    architecture         = "x86"
    image_uri            = "spark:latest"
    idle_minutes         = 0
    maximum_vcpu         = 1
    maximum_memory_gb    = 2.5
    maximum_disk_gb      = 20
    subnet_ids           = ["vpc-0123456789abcdef0"]
    database_cidr_blocks = ["db.example.com"]
    database_port        = 65536
    database_secret_arn  = "shopease/database"
    archive_name         = "_spark/shopease-spark.tar.gz"
  }

  expect_failures = [
    var.aws_region,
    var.project,
    var.bucket_name,
    var.prefix,
    var.kms_key_arn,
    var.release_label,
    var.architecture,
    var.image_uri,
    var.idle_minutes,
    var.maximum_vcpu,
    var.maximum_memory_gb,
    var.maximum_disk_gb,
    var.subnet_ids,
    var.database_cidr_blocks,
    var.database_port,
    var.database_secret_arn,
    var.archive_name,
  ]
}

run "dangerous_values_are_refused" {
  command = plan

  variables {
    prefix               = "sales*"
    subnet_ids           = []
    database_cidr_blocks = ["0.0.0.0/0"]
    # Without the six characters at its end: the policy would allow no secret.
    database_secret_arn = "arn:aws:secretsmanager:us-east-1:123456789012:secret:shopease"
    archive_name        = "shopease-spark*.tar.gz"
  }

  expect_failures = [
    var.prefix,
    var.subnet_ids,
    var.database_cidr_blocks,
    var.database_secret_arn,
    var.archive_name,
  ]
}

run "no_way_to_the_database_is_refused" {
  command = plan

  variables {
    database_security_group_id  = null
    database_secret_kms_key_arn = "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
  }

  expect_failures = [var.database_security_group_id, var.database_secret_kms_key_arn]
}

run "names_instead_of_ids_are_refused" {
  command = plan

  variables {
    database_security_group_id  = "the database"
    database_secret_arn         = "arn:aws:secretsmanager:us-east-1:123456789012:secret:shop-AbCd12"
    database_secret_kms_key_arn = "alias/aws/secretsmanager"
  }

  expect_failures = [var.database_security_group_id, var.database_secret_kms_key_arn]
}
