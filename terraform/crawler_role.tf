data "aws_iam_policy_document" "assumed_by_glue" {
  statement {
    sid     = "AssumedByGlueOfThisAccount"
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["glue.amazonaws.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [local.account_id]
    }
  }
}

# AWS's own AWSGlueServiceRole would allow it to write to buckets and to change every table of the account.
data "aws_iam_policy_document" "crawlers" {
  statement {
    sid       = "ListBucket"
    actions   = ["s3:GetBucketLocation", "s3:ListBucket"]
    resources = [local.bucket_arn]
  }

  statement {
    sid       = "ReadLayers"
    actions   = ["s3:GetObject"]
    resources = [for layer in ["bronze", "silver", "gold", "quarantine"] : "${local.lake_arn}${layer}/*"]
  }

  # No right to create or delete tables or partitions: the crawlers only read the registered ones. The rights to update
  # are for the statistics that a crawl writes into parameters.
  statement {
    sid = "CrawlDeclaredTables"
    actions = [
      "glue:BatchGetPartition",
      "glue:BatchUpdatePartition",
      "glue:GetDatabase",
      "glue:GetPartition",
      "glue:GetPartitions",
      "glue:GetTable",
      "glue:GetTables",
      "glue:UpdatePartition",
      "glue:UpdateTable",
    ]
    resources = local.catalog_arns
  }

  statement {
    sid       = "WriteLogs"
    actions   = ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"]
    resources = [local.crawler_logs_arn]
  }

  dynamic "statement" {
    for_each = local.kms_keys
    content {
      sid       = "EncryptLogs"
      actions   = ["logs:AssociateKmsKey"]
      resources = [local.crawler_logs_arn]
    }
  }

  dynamic "statement" {
    for_each = local.kms_keys
    content {
      sid       = "ReadEncryptedObjects"
      actions   = ["kms:Decrypt"]
      resources = [statement.value]
    }
  }
}

locals {
  # /aws-glue/crawlers, and with a customer key /aws-glue/crawlers-role/…
  crawler_logs_arn = "${local.arn}:logs:${local.regional}:log-group:/aws-glue/crawlers*"
}

resource "aws_iam_role" "crawlers" {
  name               = var.role_name
  description        = "The rights of the crawlers of ${var.database_name}."
  assume_role_policy = data.aws_iam_policy_document.assumed_by_glue.json
}

resource "aws_iam_role_policy" "crawlers" {
  name   = "crawl-${var.project}"
  role   = aws_iam_role.crawlers.name
  policy = data.aws_iam_policy_document.crawlers.json
}
