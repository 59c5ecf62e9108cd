data "aws_caller_identity" "current" {}

data "aws_partition" "current" {}

# ARNs are composed here, not taken from the resources, so that a plan shows the final policies.
locals {
  account_id = data.aws_caller_identity.current.account_id
  arn        = "arn:${data.aws_partition.current.partition}"
  regional   = "${var.aws_region}:${local.account_id}"

  folder     = var.prefix == "" ? "" : "${var.prefix}/"
  lake       = "s3://${var.bucket_name}/${local.folder}"
  bucket_arn = "${local.arn}:s3:::${var.bucket_name}"
  lake_arn   = "${local.bucket_arn}/${local.folder}"

  catalog_arns = [
    "${local.arn}:glue:${local.regional}:catalog",
    "${local.arn}:glue:${local.regional}:database/${var.database_name}",
    "${local.arn}:glue:${local.regional}:table/${var.database_name}/*",
  ]
  # The only tables that shopease may delete: Glue cannot give a table partition keys, or take them away.
  by_month_arns = concat(
    slice(local.catalog_arns, 0, 2),
    [
      for name, table in local.catalog.tables : "${local.arn}:glue:${local.regional}:table/${var.database_name}/${name}"
      if length(table.partition_keys) > 0
    ],
  )
  crawler_arns  = [for name in values(var.crawler_names) : "${local.arn}:glue:${local.regional}:crawler/${name}"]
  workgroup_arn = "${local.arn}:athena:${local.regional}:workgroup/${var.workgroup_name}"
  topic_arn     = "${local.arn}:sns:${local.regional}:${var.project}-alerts"

  # A list with the customer key, empty without one.
  kms_keys = var.kms_key_arn == null ? [] : [var.kms_key_arn]
}
