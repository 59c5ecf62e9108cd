# The rights of shopease; one statement for each purpose.
data "aws_iam_policy_document" "shopease" {
  # HeadBucket and the list of uploads cannot be limited to a prefix, because these requests have none.
  statement {
    sid       = "ListLake"
    actions   = ["s3:GetBucketLocation", "s3:ListBucket", "s3:ListBucketMultipartUploads"]
    resources = [local.bucket_arn]
  }

  # `shopease check` warns if the bucket does not keep previous versions or never deletes unfinished uploads.
  statement {
    sid       = "CheckBucket"
    actions   = ["s3:GetBucketVersioning", "s3:GetEncryptionConfiguration", "s3:GetLifecycleConfiguration"]
    resources = [local.bucket_arn]
  }

  statement {
    sid = "ReadAndWriteLayers"
    actions = [
      "s3:AbortMultipartUpload",
      "s3:DeleteObject",
      "s3:GetObject",
      "s3:GetObjectVersion",
      "s3:ListMultipartUploadParts",
      "s3:PutObject",
    ]
    resources = [for layer in ["bronze", "silver", "gold", "quarantine", "_runs", "_state"] : "${local.lake_arn}${layer}/*"]
  }

  # Athena writes and reads results with the rights of its user.
  statement {
    sid = "WriteQueryResults"
    actions = [
      "s3:AbortMultipartUpload",
      "s3:GetObject",
      "s3:ListMultipartUploadParts",
      "s3:PutObject",
    ]
    resources = ["${local.lake_arn}athena-results/*"]
  }

  statement {
    sid       = "RunCrawlers"
    actions   = ["glue:GetCrawler", "glue:StartCrawler", "glue:StopCrawler"]
    resources = local.crawler_arns
  }

  statement {
    sid = "ReadCatalog"
    actions = [
      "glue:BatchGetPartition",
      "glue:GetDatabase",
      "glue:GetDatabases",
      "glue:GetPartition",
      "glue:GetPartitions",
      "glue:GetTable",
      "glue:GetTables",
    ]
    resources = local.catalog_arns
  }

  # Athena looks for the database `default` for every statement.
  statement {
    sid       = "LetAthenaFindDefaultDatabase"
    actions   = ["glue:GetDatabase"]
    resources = ["${local.arn}:glue:${local.regional}:database/default"]
  }

  # For Glue, views are tables.
  statement {
    sid       = "RegisterTablesAndViews"
    actions   = ["glue:CreateTable", "glue:UpdateTable"]
    resources = local.catalog_arns
  }

  # Partitions of transactions by month. Deleting tables or partitions in Glue deletes no data.
  statement {
    sid = "RegisterMonths"
    actions = [
      "glue:BatchCreatePartition",
      "glue:BatchUpdatePartition",
      "glue:DeletePartition",
      "glue:DeleteTable",
    ]
    resources = local.by_month_arns
  }

  statement {
    sid = "Query"
    actions = [
      "athena:GetQueryExecution",
      "athena:GetQueryResults",
      "athena:GetWorkGroup",
      "athena:StartQueryExecution",
      "athena:StopQueryExecution",
    ]
    resources = [local.workgroup_arn]
  }

  dynamic "statement" {
    for_each = local.kms_keys
    content {
      sid       = "UseKeyOfLake"
      actions   = ["kms:Decrypt", "kms:GenerateDataKey"]
      resources = [statement.value]
    }
  }
}

resource "aws_iam_policy" "shopease" {
  name        = "${var.project}-cli"
  description = "What shopease may do with ${local.lake} and ${var.database_name}."
  policy      = data.aws_iam_policy_document.shopease.json
}

resource "aws_iam_group" "shopease" {
  count = var.create_user ? 1 : 0
  name  = "${var.project}-cli"
}

resource "aws_iam_group_policy_attachment" "shopease" {
  count      = var.create_user ? 1 : 0
  group      = aws_iam_group.shopease[0].name
  policy_arn = aws_iam_policy.shopease.arn
}

# No access key here: Terraform's state would contain its secret in plain text. `aws iam create-access-key` shows it once.
resource "aws_iam_user" "shopease" {
  #checkov:skip=CKV_AWS_273:shopease runs unattended on machines outside AWS without single sign-on; with single sign-on, set create_user = false and attach policy_arn to its role
  count = var.create_user ? 1 : 0
  name  = var.user_name
  # Without this, access keys, which are not created here, prevent `destroy` from deleting the user.
  force_destroy = true
}

resource "aws_iam_user_group_membership" "shopease" {
  count  = var.create_user ? 1 : 0
  user   = aws_iam_user.shopease[0].name
  groups = [aws_iam_group.shopease[0].name]
}
