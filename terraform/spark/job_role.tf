data "aws_iam_policy_document" "assumed_by_application" {
  statement {
    sid     = "AssumedByTheApplication"
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["emr-serverless.amazonaws.com"]
    }

    condition {
      test     = "StringEquals"
      variable = "aws:SourceAccount"
      values   = [local.account_id]
    }

    condition {
      test     = "ArnLike"
      variable = "aws:SourceArn"
      values   = [aws_emrserverless_application.spark.arn]
    }
  }
}

# What a job needs beside the rights of shopease.
data "aws_iam_policy_document" "job" {
  statement {
    sid       = "ReadCode"
    actions   = ["s3:GetObject"]
    resources = ["${local.spark_arn}*.tar.gz", "${local.spark_arn}*.py"]
  }

  statement {
    sid       = "WriteLogs"
    actions   = ["s3:PutObject"]
    resources = ["${local.spark_arn}logs/*"]
  }

  dynamic "statement" {
    for_each = local.secrets
    content {
      sid       = "ReadDatabaseSecret"
      actions   = ["secretsmanager:GetSecretValue"]
      resources = [statement.value]
    }
  }

  dynamic "statement" {
    for_each = local.secret_keys
    content {
      sid       = "DecryptDatabaseSecret"
      actions   = ["kms:Decrypt"]
      resources = [statement.value]

      condition {
        test     = "StringEquals"
        variable = "kms:ViaService"
        values   = ["secretsmanager.${var.aws_region}.${data.aws_partition.current.dns_suffix}"]
      }
    }
  }
}

resource "aws_iam_role" "job" {
  name               = local.name
  description        = "The rights of the jobs of ${local.name}."
  assume_role_policy = data.aws_iam_policy_document.assumed_by_application.json
}

resource "aws_iam_role_policy" "job" {
  name   = local.name
  role   = aws_iam_role.job.name
  policy = data.aws_iam_policy_document.job.json
}

resource "aws_iam_role_policy_attachment" "shopease" {
  role       = aws_iam_role.job.name
  policy_arn = local.policy_arn
}
