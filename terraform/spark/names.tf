data "aws_caller_identity" "current" {}

data "aws_partition" "current" {}

# ARNs are composed here, not taken from the resources, so that a plan shows the final policies. Only the application's
# is not known before it exists.
locals {
  account_id = data.aws_caller_identity.current.account_id
  arn        = "arn:${data.aws_partition.current.partition}"
  name       = "${var.project}-spark"

  spark      = "s3://${var.bucket_name}/${local.folder}"
  folder     = "${var.prefix == "" ? "" : "${var.prefix}/"}_spark/"
  bucket_arn = "${local.arn}:s3:::${var.bucket_name}"
  spark_arn  = "${local.bucket_arn}/${local.folder}"
  role_arn   = "${local.arn}:iam::${local.account_id}:role/${local.name}"

  application_arn = aws_emrserverless_application.spark.arn
  job_runs_arn    = "${local.application_arn}/jobruns/*"

  # The policy of shopease, which terraform/ creates: a job is a run of shopease, so it needs the same rights.
  policy_arn = "${local.arn}:iam::${local.account_id}:policy/${var.project}-cli"

  # Lists with the value, empty without one.
  images          = var.image_uri == null ? [] : [var.image_uri]
  kms_keys        = var.kms_key_arn == null ? [] : [var.kms_key_arn]
  secrets         = var.database_secret_arn == null ? [] : [var.database_secret_arn]
  secret_keys     = var.database_secret_kms_key_arn == null ? [] : [var.database_secret_kms_key_arn]
  database_groups = var.database_security_group_id == null ? [] : [var.database_security_group_id]
}
